"""Independent subnetwork training: Algorithm 1, in merge and in estimator form."""

import numpy as np

from ist_mpi.config import Method as Settings
from ist_mpi.kernels import model as kernels
from ist_mpi.methods.bench import Bench, Float64


class IndependentSubnetworkTraining:
    """x⁺ = Σ A_i w_i (merge), or x + Σ A_i (w_i − C_i x) (estimator); mostly A_i = I/n, eq. (6).

    w_i starts at C_i x and takes `local_steps` steps w_i ← w_i − γ C_i ∇f_i(w_i).
    """

    def __init__(self, settings: Settings, bench: Bench, x0: Float64) -> None:
        self.x = x0.copy()
        self.gamma, self.steps = settings.gamma, settings.local_steps
        self.merging = settings.form == "merge"
        self.bench = bench
        self.floats_down = self.floats_up = bench.sketch.size / bench.sketch.n
        room = bench.workers * bench.sketch.q
        self._w, self._pieces = np.empty(room), np.empty(room)
        self._gradient = np.empty(bench.sketch.q)

    def round(self) -> None:
        """One round of Algorithm 1."""
        problem, sketch, factors, exchange, where = self.bench
        S = self.bench.mine()
        w, pieces = self._w[: len(S.pi)], self._pieces[: len(S.pi)]
        C, A = factors.of(sketch.blocks, where.first, where.last)

        np.multiply(C, exchange.scatter(self.x, sketch.blocks), out=w)  # w_i = C_i x
        np.copyto(pieces, w)
        problem.local_steps(w, S, C, self.gamma, self.steps, self._gradient)
        if self.merging:
            np.multiply(A, w, out=pieces)  # Σ A_i w_i
        else:
            np.subtract(w, pieces, out=pieces)
            np.multiply(A, pieces, out=pieces)  # x + Σ A_i (w_i − C_i x)
        self._merge(exchange.gather(pieces, sketch.blocks))

    def _merge(self, pieces: Float64) -> None:
        """Put the pieces of all workers together, where the model is held."""
        sketch = self.bench.sketch
        if not self.bench.exchange.holds:
            return
        if self.merging and sketch.disjoint:
            kernels.place(self.x, sketch.blocks.pi, pieces)
            return
        if self.merging:
            self.x.fill(0.0)
        kernels.add(self.x, sketch.blocks.pi, pieces)
