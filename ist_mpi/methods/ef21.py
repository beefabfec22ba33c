"""EF21 (Richtárik, Sokolov, Fatkhullin, 2021): error feedback, with the blocks of a sketch."""

from typing import Any

from ist_mpi.exact_theory.step import OwnTheory
from ist_mpi.methods.shifts import Shifted


class EF21(Shifted):
    """δ_i = P_i (∇f_i(x) − h_i);  h_i ← h_i + δ_i;  x ← x − γ mean h_i."""

    replay = "ist_mpi.verify.unbiased:EF21"

    def round(self, k: int) -> None:
        """The model goes down, a block of differences comes up."""
        problem, exchange = self.tools.problem, self.tools.exchange
        S = exchange.broadcast(k)
        exchange.share(self.x)
        self.step_with_mean(self.learn(S, problem.gradients(self.x, S)))

    @classmethod
    def own_theory(cls, settings: Any, sketch: Any) -> OwnTheory | None:
        """See `Method.own_theory`."""
        return cls.shift_theory(sketch, weighted=False)
