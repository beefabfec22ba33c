"""Stale submodels: every worker keeps a whole model, of which a block is brought up to date."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ist_mpi.config import Method as MethodTable
from ist_mpi.config.types import Positive, Section
from ist_mpi.exact_theory.step import OwnTheory
from ist_mpi.methods.method import Float64, Floats, Room, Tools, Vector
from ist_mpi.methods.shifts import Shifted


class StaleSettings(Section):
    """What the method adds to [method]."""

    tau: Positive = 1.0
    """Weight of the new differences; 1/n gives SAG."""


class Stale(Shifted):
    """w_i[S_i] = x[S_i];  δ_i = P_i (∇f_i(w_i) − h_i);  x ← x − γ (mean h_i + τ Σ A_i C_i δ_i).

    A block goes down and a block comes up, as for submodels; w_i is x⁰ at the start.
    """

    Settings = StaleSettings
    replay = "ist_mpi.verify.unbiased:Stale"
    sketches = ("permutation",)
    room: ClassVar[Room] = Room(rank=3, worker=2)

    def __init__(self, settings: MethodTable, tools: Tools, x0: Float64) -> None:
        super().__init__(settings, tools, x0)
        self.models = np.tile(x0, (len(self.shifts), 1))
        self.tau: float = getattr(settings, "tau", 1.0)

    def vectors(self) -> Sequence[Vector]:
        """Those of all methods with shifts, and the workers' models."""
        return [*super().vectors(), Vector("models", "worker", self.models)]

    def round(self, k: int) -> None:
        """One round."""
        from ist_mpi.kernels import shifts

        problem, exchange = self.tools.problem, self.tools.exchange
        S = exchange.broadcast(k)
        shifts.put(self.models, S.pi, S.offsets, exchange.scatter(self.x))
        differences = self.learn(S, problem.gradients_apart(self.models, S))
        self.step_with_estimate(S, differences, self.tau)

    @staticmethod
    def own_theory(settings: Any, sketch: Any) -> OwnTheory | None:
        """Of the error, the workers' models and the shifts; None for groups of coordinates."""
        from ist_mpi.exact_theory.chains.chain import matrices
        from ist_mpi.exact_theory.chains.stale import stale_chain

        if settings.group_size > 1:
            return None

        def build(law: Any, workers: Any, n: int, d: int) -> Any:
            L = matrices(workers, n, d)
            return lambda gamma: stale_chain(law, L, gamma, settings.tau, sketch.weight)

        return OwnTheory((2 * sketch.n + 1) * sketch.d, build)

    @staticmethod
    def floats(k: int, sketch: Any, settings: MethodTable) -> Floats:
        """A block each way; at the start the model down and a gradient up."""
        sent = sketch.d + k * (sketch.total / sketch.n)
        return Floats(up=sent, down=sent)
