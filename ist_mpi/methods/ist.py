"""Independent subnetwork training: Algorithm 1, in merge and in estimator form."""

import numpy as np

from ist_mpi.config import Method as Settings
from ist_mpi.kernels import rounds as kernels
from ist_mpi.methods.bench import Bench, Float64


class IndependentSubnetworkTraining:
    """x⁺ = Σ A_i w_i (merge), or x + Σ A_i (w_i − C_i x) (estimator); mostly A_i = I/n, eq. (6).

    w_i starts at C_i x and takes `local_steps` steps w_i ← w_i − γ C_i ∇f_i(w_i).
    """

    def __init__(self, settings: Settings, bench: Bench, x0: Float64) -> None:
        self.x = x0.copy()
        self.gamma = settings.gamma
        self.bench = bench
        self.floats_down = self.floats_up = bench.sketch.size / bench.sketch.n
        self._pieces = np.empty(bench.most)
        room, ready = bench.problem.room(bench.sketch.q, settings.local_steps)
        self._steps = kernels.Steps(
            gamma=settings.gamma,
            steps=settings.local_steps,
            merging=settings.form == "merge",
            disjoint=bench.sketch.disjoint,
            parts=np.empty(bench.most),
            product=np.empty(bench.sketch.q),
            room=room,
            ready=ready,
        )

    def state(self) -> dict[str, Float64]:
        """The model is all of it."""
        return {"x": self.x}

    def rounds(self, first: int, last: int) -> None:
        """Rounds first … last − 1 of Algorithm 1."""
        if self.bench.exchange.alone:
            problem, sketch, factors = self.bench.problem, self.bench.sketch, self.bench.factors
            room = self._steps, self._pieces
            kernels.train(
                self.x, first, last, sketch.plan(first), factors.rules, problem.storage, *room
            )
        else:
            for k in range(first, last):
                self.round(k)

    def round(self, k: int) -> None:
        """One round, with the other ranks."""
        bench, exchange = self.bench, self.bench.exchange

        blocks = exchange.broadcast(k)  # the round's random permutation
        S = bench.mine(k)
        C, A = bench.factors.of(blocks, S)
        pieces = self._pieces[: S.pi.size]
        parts = exchange.scatter(self.x, k)  # x[S_i]
        kernels.work(bench.problem.storage, S.pi, S.offsets, C, A, self._steps, parts, pieces)
        merged = exchange.gather(pieces, k)
        if exchange.holds:
            kernels.merge(self.x, blocks.pi, merged, self._steps.disjoint, self._steps.merging)
