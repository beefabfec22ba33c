"""Distributed compressed gradient descent: x⁺ = x − γ (1/n) Σ C_i ∇f_i(x), eq. (33)."""

import numpy as np

from ist_mpi.config import Method as Settings
from ist_mpi.kernels import model as kernels
from ist_mpi.methods.bench import Bench, Float64


class CompressedGradientDescent:
    """The whole model goes down, the sketched gradient comes up."""

    def __init__(self, settings: Settings, bench: Bench, x0: Float64) -> None:
        self.x = x0.copy()
        self.gamma = settings.gamma
        self.bench = bench
        self.floats_down = float(bench.sketch.d)
        self.floats_up = bench.sketch.size / bench.sketch.n
        self._step = np.empty(bench.most)
        self._room, _ = bench.problem.room(bench.sketch.q, 1)

    def state(self) -> dict[str, Float64]:
        """The model is all of it."""
        return {"x": self.x}

    def rounds(self, first: int, last: int) -> None:
        """Rounds first … last − 1."""
        for k in range(first, last):
            self._round(k)

    def _round(self, k: int) -> None:
        """One step."""
        bench, exchange = self.bench, self.bench.exchange
        blocks = exchange.broadcast(k)
        S = bench.mine(k)
        step = self._step[: len(S.pi)]
        exchange.share(self.x)
        C, A = bench.factors.of(blocks, S)
        bench.problem.gradients(self.x, S, step, self._room)
        step *= C
        step *= A
        step *= -self.gamma
        steps = exchange.gather(step, k)
        if exchange.holds:
            kernels.add(self.x, blocks.pi, steps)  # x − γ (1/n) Σ C_i ∇f_i(x)
