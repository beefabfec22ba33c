"""DIANA (Mishchenko, Gorbunov, Takáč, Richtárik, 2019): compressed differences of gradients."""

from typing import Any

from ist_mpi.exact_theory.step import OwnTheory
from ist_mpi.methods.shifts import Shifted


class Diana(Shifted):
    """δ_i = P_i (∇f_i(x) − h_i);  x ← x − γ (mean h_i + Σ A_i C_i δ_i)."""

    replay = "ist_mpi.verify.unbiased:Diana"

    def round(self, k: int) -> None:
        """The model goes down, a block of differences comes up."""
        problem, exchange = self.tools.problem, self.tools.exchange
        S = exchange.broadcast(k)
        exchange.share(self.x)
        self.step_with_estimate(S, self.learn(S, problem.gradients(self.x, S)), tau=1.0)

    @classmethod
    def own_theory(cls, settings: Any, sketch: Any) -> OwnTheory | None:
        """See `Method.own_theory`."""
        return cls.shift_theory(sketch, weighted=True)
