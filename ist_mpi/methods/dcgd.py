"""Distributed compressed gradient descent: x⁺ = x − γ (1/n) Σ C_i ∇f_i(x), eq. (33)."""

from typing import Any

from ist_mpi.config import Method as MethodTable
from ist_mpi.exact_theory.step import Step
from ist_mpi.methods.method import Floats, Method


class CompressedGradientDescent(Method):
    """The whole model goes down, the sketched gradient comes up."""

    ignores = ("form",)
    replay = "ist_mpi.verify.processes:WithoutState"

    def round(self, k: int) -> None:
        """One step."""
        problem, exchange = self.tools.problem, self.tools.exchange
        S = exchange.broadcast(k)
        exchange.share(self.x)
        step = problem.gradients(self.x, S)  # ∇f_i(x) on S_i
        step *= S.C
        step *= S.A
        step *= -self.gamma
        exchange.add(self.x, step)  # x − γ (1/n) Σ C_i ∇f_i(x)

    @staticmethod
    def step(settings: MethodTable) -> Step:
        """See `Method.step`."""
        return Step(two_sided=False)

    @staticmethod
    def floats(k: int, sketch: Any, settings: MethodTable) -> Floats:
        """The model down, a block up."""
        return Floats(up=k * (sketch.total / sketch.n), down=k * float(sketch.d))
