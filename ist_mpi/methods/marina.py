"""MARINA (Gorbunov, Burlachenko, Li, Richtárik, 2021): now and then whole gradients go up."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ist_mpi.config import Method as MethodTable
from ist_mpi.config.types import Probability, Section
from ist_mpi.exact_theory.rules import StepRule, no_rule
from ist_mpi.exact_theory.step import OwnTheory
from ist_mpi.methods.coins import Coins
from ist_mpi.methods.method import Float64, Floats, Method, Room, Tools, Vector

if TYPE_CHECKING:
    from ist_mpi.exact_theory.quantities import Quantities


class MarinaSettings(Section):
    """What the method adds to [method]."""

    refresh_probability: Probability | None = None
    """p, of a round with whole gradients; default 1/N = q/d."""


class Marina(Method):
    """In round 0, and with probability p, g = ∇f(x);  x ← x − γ g.

    Else g ← g + Σ A_i C_i (∇f_i(x) − ∇f_i(x_previous)).
    """

    Settings = MarinaSettings
    replay = "ist_mpi.verify.unbiased:Marina"
    resolves = ("refresh_probability",)
    effort: ClassVar[Mapping[str, str]] = {"theory": "none", "default": "none"}
    room: ClassVar[Room] = Room(rank=2, worker=1)

    def __init__(self, settings: MethodTable, tools: Tools, x0: Float64) -> None:
        super().__init__(settings, tools, x0)
        self.g, self.previous = np.zeros_like(x0), x0.copy()
        self.coins = Coins(tools.seed, probability_of(settings))

    def vectors(self) -> Sequence[Vector]:
        """The model, that of a round ago, which every rank keeps, and the estimate."""
        return [
            Vector("x", "server", self.x),
            Vector("previous", "server", self.previous),
            Vector("g", "server", self.g),
        ]

    def round(self, k: int) -> None:
        """The model goes down, a block of differences or a whole gradient comes up."""
        problem, exchange = self.tools.problem, self.tools.exchange
        S = exchange.broadcast(k)
        exchange.share(self.x)
        if k == 0 or self.coins.up(k):
            self.g[:] = exchange.reduce(problem.whole_gradients(self.x))
            self.g /= self.tools.sketch.n
        else:
            change = problem.differences(self.x, self.previous, S)
            change *= S.A * S.C
            exchange.add(self.g, change)
        self.previous[:] = self.x
        if exchange.holds:
            self.x -= self.gamma * self.g

    @staticmethod
    def own_theory(settings: Any, sketch: Any) -> OwnTheory | None:
        """Of z = (e, g): anew with probability p, else g ← g − γ Σ A_i C_i L_i g."""
        from ist_mpi.exact_theory.chains.chain import Linear, blockwise, matrices

        def build(law: Any, workers: Any, n: int, d: int) -> Any:
            each, eye, zero = matrices(workers, n, d), np.eye(d), np.zeros((d, d))
            L, p = each.mean(axis=0), probability_of(settings, sketch)
            F = [np.hstack([zero, one]) for one in each]

            def at(gamma: float) -> Linear:
                A = np.block([[eye, -gamma * eye], [zero, eye]])
                R = np.block([[eye, -gamma * eye], [L, -gamma * L]])
                moved = [np.vstack([zero, -gamma * eye])] * n
                parts = blockwise(law, n, F, None, moved)
                return Linear(np.vstack([eye, L]), A, *parts, anew=(p, R))

            return at

        return OwnTheory(2 * sketch.d, build)

    @classmethod
    def resolved(cls, settings: MethodTable, quantities: "Quantities") -> MethodTable:
        """See `Method.resolved`."""
        return super().resolved(with_probability(settings, quantities), quantities)

    @staticmethod
    def theory_step(settings: MethodTable, quantities: "Quantities") -> StepRule:
        """None is proved here."""
        raise no_rule("theory", "none is proved here", 'a number, or "default"')

    @staticmethod
    def default_step(settings: MethodTable, quantities: "Quantities") -> StepRule:
        """1/(l0 + v √((1 − p)/p)), v² = λ_max(mean L_i² − L̄²), or (N − 1) rms²/n."""
        p = probability_of(settings)
        v = float(quantities.spread) if p < 1.0 else 0.0
        if p < 1.0 and quantities.independent:
            v = float(np.sqrt((quantities.blocks - 1.0) / quantities.n)) * quantities.rms
        step = 1.0 / (quantities.l0 + v * float(np.sqrt((1.0 - p) / p)))
        return StepRule(step, "1/(λ_max(L̄) + v √((1 − p)/p))", proved=False)

    @staticmethod
    def floats(k: int, sketch: Any, settings: MethodTable) -> Floats:
        """The model down; a block up, or with probability p, and at first, a gradient."""
        p, d, q = probability_of(settings, sketch), float(sketch.d), sketch.total / sketch.n
        whole = 1.0 + p * (k - 1) if k else 0.0
        return Floats(up=whole * d + (k - whole) * q, down=k * d)

    @staticmethod
    def floats_of_round(
        sketch: Any, settings: MethodTable, seed: int
    ) -> Callable[[int], Floats] | None:
        """By the coins."""
        d, q = float(sketch.d), sketch.total / sketch.n
        coins = Coins(seed, probability_of(settings, sketch))
        return lambda k: Floats(up=d if k == 0 or coins.up(k) else q, down=d)


def probability_of(settings: Any, sketch: Any = None) -> float:
    """p of the settings, where they have none as yet 1/N of the sketch."""
    p: float | None = settings.refresh_probability
    if p is None:
        return float(sketch.total / (sketch.n * sketch.d))
    return p


def with_probability(settings: MethodTable, quantities: "Quantities") -> MethodTable:
    """The settings with p = 1/N, where nobody gave another."""
    if getattr(settings, "refresh_probability", None) is not None:
        return settings
    return settings.model_copy(update={"refresh_probability": 1.0 / quantities.blocks})
