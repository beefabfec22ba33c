"""Gradient descent: x⁺ = x − γ (1/n) Σ ∇f_i(x), whole models both ways."""

import numpy as np

from ist_mpi.config import Method as Settings
from ist_mpi.kernels import model as kernels
from ist_mpi.methods.bench import Bench, Float64


class GradientDescent:
    """The identity sketch: every worker has all d coordinates."""

    def __init__(self, settings: Settings, bench: Bench, x0: Float64) -> None:
        self.x = x0.copy()
        self.gamma = settings.gamma
        self.bench = bench
        self.floats_down = self.floats_up = float(bench.sketch.d)
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
        exchange.share(self.x)
        bench.problem.gradients(self.x, bench.mine(k), self._step, self._room)
        self._step *= -self.gamma / bench.sketch.n
        steps = exchange.gather(self._step, k)
        if exchange.holds:
            kernels.add(self.x, blocks.pi, steps)  # x − γ (1/n) Σ ∇f_i(x)
