"""Stale submodels moved by compressed differences of the model, now and then whole."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ist_mpi.config import Method as MethodTable
from ist_mpi.methods.coins import Coins
from ist_mpi.methods.marina import MarinaSettings, probability_of, with_probability
from ist_mpi.methods.method import Float64, Floats, Room, Tools, Vector
from ist_mpi.methods.shifts import Shifted

if TYPE_CHECKING:
    from ist_mpi.exact_theory.quantities import Quantities


class MarinaP(Shifted):
    """w_i ← w_i + C_i (x − x_previous);  δ_i = P_i (∇f_i(w_i) − h_i);  x ← x − γ mean h_i.

    With probability p instead w_i = x, h_i = ∇f_i(x), whole both ways.
    """

    Settings = MarinaSettings
    replay = "ist_mpi.verify.unbiased:MarinaP"
    sketches = ("permutation",)
    resolves = ("refresh_probability",)
    room: ClassVar[Room] = Room(rank=4, worker=3)

    def __init__(self, settings: MethodTable, tools: Tools, x0: Float64) -> None:
        super().__init__(settings, tools, x0)
        self.models, self.previous = np.tile(x0, (len(self.shifts), 1)), x0.copy()
        self.coins = Coins(tools.seed, probability_of(settings))

    def vectors(self) -> Sequence[Vector]:
        """Those of all methods with shifts, the workers' models, and the model of a round ago."""
        return [
            *super().vectors(),
            Vector("previous", "server", self.previous),
            Vector("models", "worker", self.models),
        ]

    def round(self, k: int) -> None:
        """A block of the way down and a block of differences up, or all of both."""
        from ist_mpi.kernels import shifts

        problem, exchange = self.tools.problem, self.tools.exchange
        S = exchange.broadcast(k)
        if self.coins.up(k):
            exchange.share(self.x)
            self.models[:] = self.x
            self.shifts[:] = problem.whole_gradients(self.x)
            self.mean_shift[:] = exchange.reduce(self.shifts) / self.tools.sketch.n
            self.previous[:] = self.x
            self.x -= self.gamma * self.mean_shift
            return
        way = exchange.scatter(self.x - self.previous)
        shifts.move(self.models, S.pi, S.offsets, S.C * way)
        self.previous[:] = self.x
        self.step_with_mean(self.learn(S, problem.gradients_apart(self.models, S)))

    @classmethod
    def resolved(cls, settings: MethodTable, quantities: "Quantities") -> MethodTable:
        """See `Method.resolved`."""
        return super().resolved(with_probability(settings, quantities), quantities)

    @staticmethod
    def floats(k: int, sketch: Any, settings: MethodTable) -> Floats:
        """A block each way, or with probability p, and at the start, the whole of both."""
        p, d, q = probability_of(settings, sketch), float(sketch.d), sketch.total / sketch.n
        sent = d + k * (p * d + (1.0 - p) * q)
        return Floats(up=sent, down=sent)

    @staticmethod
    def floats_of_round(
        sketch: Any, settings: MethodTable, seed: int
    ) -> Callable[[int], Floats] | None:
        """By the coins."""
        d, q = float(sketch.d), sketch.total / sketch.n
        coins = Coins(seed, probability_of(settings, sketch))

        def of_round(k: int) -> Floats:
            sent = d if coins.up(k) else q
            return Floats(up=sent, down=sent)

        return of_round
