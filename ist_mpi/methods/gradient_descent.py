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
        self._step = np.empty(bench.workers * bench.sketch.d)

    def round(self) -> None:
        """One step."""
        problem, sketch, _, exchange, _ = self.bench
        exchange.share(self.x)
        problem.gradients(self.x, self.bench.mine(), self._step)
        self._step *= -self.gamma / sketch.n
        steps = exchange.gather(self._step, sketch.blocks)
        if exchange.holds:
            kernels.add(self.x, sketch.blocks.pi, steps)  # x − γ (1/n) Σ ∇f_i(x)
