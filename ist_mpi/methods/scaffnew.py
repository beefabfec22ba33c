"""Scaffnew (Mishchenko, Malinovsky, Stich, Richtárik, 2022): local steps that do not drift."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ist_mpi.config import Method as MethodTable
from ist_mpi.config.types import Probability, Section
from ist_mpi.errors import Fault, InputError
from ist_mpi.exact_theory.rules import StepRule, no_rule
from ist_mpi.methods.coins import Coins
from ist_mpi.methods.method import Float64, Floats, Method, Room, Tools, Vector

if TYPE_CHECKING:
    from ist_mpi.exact_theory.quantities import Quantities


class ScaffnewSettings(Section):
    """What the method adds to [method]."""

    probability: Probability | None = None
    """p, that a local step is the last before the workers meet; default √(μγ)."""


class Scaffnew(Method):
    """Until a coin of probability p comes up x_i ← x_i − γ (∇f_i(x_i) − h_i), from x_i = x.

    Then x = mean x_i, h_i ← h_i + (p/γ)(x − x_i). One round is one communication.
    """

    Settings = ScaffnewSettings
    replay = "ist_mpi.verify.unbiased:Scaffnew"
    sketch = "identity"
    ignores = ("sketch", "scaling", "form", "q", "group_size")
    resolves = ("probability",)
    effort: ClassVar[Mapping[str, str]] = {"theory": "none", "default": "none"}
    room: ClassVar[Room] = Room(rank=0, worker=4)

    def __init__(self, settings: MethodTable, tools: Tools, x0: Float64) -> None:
        super().__init__(settings, tools, x0)
        self.shifts = np.zeros((tools.team.last - tools.team.first, x0.size))
        self.p: float = getattr(settings, "probability", 1.0)
        self.coins = Coins(tools.seed, self.p)

    def vectors(self) -> Sequence[Vector]:
        """The model, and a shift on every worker."""
        return [Vector("x", "server", self.x), Vector("shifts", "worker", self.shifts)]

    def round(self, k: int) -> None:
        """The model goes down, the workers' models come up."""
        problem, exchange = self.tools.problem, self.tools.exchange
        exchange.broadcast(k)
        exchange.share(self.x)
        models = np.tile(self.x, (len(self.shifts), 1))
        for _ in range(self.coins.trials(k)):
            step = problem.whole_gradients(models)
            step -= self.shifts
            step *= self.gamma
            models -= step
        self.x[:] = exchange.reduce(models)
        self.x /= self.tools.sketch.n
        self.shifts += self.p / self.gamma * (self.x - models)

    @classmethod
    def resolved(cls, settings: MethodTable, quantities: "Quantities") -> MethodTable:
        """See `Method.resolved`."""
        settings = super().resolved(settings, quantities)
        if getattr(settings, "probability", None) is not None:
            return settings
        mu = quantities.mu
        if not mu > 0.0:
            got = "nothing, and no bound on λ_min(L̄) is known"
            error = InputError(Fault("method.probability", got, "a number above 0, at most 1"))
            error.agreed = True
            raise error
        p = min(1.0, float(np.sqrt(mu * settings.gamma)))
        return settings.model_copy(update={"probability": p})

    @staticmethod
    def theory_step(settings: MethodTable, quantities: "Quantities") -> StepRule:
        """None is proved here."""
        raise no_rule("theory", "none is proved here", 'a number, or "default"')

    @staticmethod
    def default_step(settings: MethodTable, quantities: "Quantities") -> StepRule:
        """1/max_i λ_max(L_i)."""
        return StepRule(1.0 / quantities.largest, "1/max_i λ_max(L_i)", proved=False)

    @staticmethod
    def floats(k: int, sketch: Any, settings: MethodTable) -> Floats:
        """The model both ways."""
        d = float(sketch.d)
        return Floats(up=k * d, down=k * d)
