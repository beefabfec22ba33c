"""Gradient descent: x⁺ = x − γ (1/n) Σ ∇f_i(x), whole models both ways."""

from typing import Any

from ist_mpi.config import Method as MethodTable
from ist_mpi.exact_theory.step import Step
from ist_mpi.methods.method import Floats, Method


class GradientDescent(Method):
    """The identity sketch: every worker has all d coordinates."""

    sketch = "identity"
    ignores = ("sketch", "scaling", "form", "q", "group_size")

    def round(self, k: int) -> None:
        """One step."""
        problem, exchange = self.tools.problem, self.tools.exchange
        S = exchange.broadcast(k)
        exchange.share(self.x)
        step = problem.gradients(self.x, S)  # ∇f_i(x)
        step *= -self.gamma / self.tools.sketch.n
        exchange.add(self.x, step)  # x − γ (1/n) Σ ∇f_i(x)

    @staticmethod
    def step(settings: MethodTable) -> Step:
        """See `Method.step`."""
        return Step()

    @staticmethod
    def floats(k: int, sketch: Any, settings: MethodTable) -> Floats:
        """The model both ways."""
        d = float(sketch.d)
        return Floats(up=k * d, down=k * d)
