"""Nesterov's momentum with a constant a = √(μγ)/N, N = 1 for whole models."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple, Self

import numpy as np

from ist_mpi.config import Method as MethodTable
from ist_mpi.config.types import Field, Positive, Section, model_validator
from ist_mpi.errors import Fault, InputError
from ist_mpi.methods.method import Float64, Method, Room, Tools, Vector

if TYPE_CHECKING:
    from ist_mpi.exact_theory.chains.chain import Linear
    from ist_mpi.exact_theory.quantities import Quantities


class MomentumSettings(Section):
    """What methods with momentum add to [method]."""

    momentum: (
        Annotated[Literal["none", "nesterov"], Field(description='"none" or "nesterov"')] | None
    ) = None
    """None stands for "none"."""
    mu: Positive | None = None
    """A number that no eigenvalue of L̄ is below; default: the smallest, or a bound on it."""

    @model_validator(mode="after")
    def _none_is_absent(self) -> Self:
        if self.momentum == "none":
            object.__setattr__(self, "momentum", None)
        return self


class Momentum(NamedTuple):
    """The recursion's numbers."""

    a: float
    step: float
    """γ/(N a), of z."""

    def mix(self, x: Float64, z: Float64) -> None:
        """x ← y = (x + a z)/(1 + a), z ← (1 − a) z + a y, both (d,)."""
        a = self.a
        x += a * z
        x /= 1.0 + a
        z *= 1.0 - a
        z += a * x


def momentum_of(settings: Any, blocks: float) -> Momentum | None:
    """The momentum of resolved settings, N = `blocks`; None without."""
    if settings.momentum is None:
        return None
    a = float(np.sqrt(settings.mu * settings.gamma)) / blocks
    return Momentum(a, settings.gamma / (blocks * a))


class WithMomentum(Method):
    """What methods with momentum have in common: a replica of x and z on every rank."""

    Settings = MomentumSettings
    resolves = ("mu",)
    room: ClassVar[Room] = Room(rank=1, worker=0)

    def __init__(self, settings: MethodTable, tools: Tools, x0: Float64) -> None:
        super().__init__(settings, tools, x0)
        sketch = tools.sketch
        self.momentum = momentum_of(settings, sketch.n * sketch.d / sketch.total)
        self.z = x0.copy()

    def vectors(self) -> Sequence[Vector]:
        """The model, and with momentum z."""
        found = [Vector("x", "server", self.x)]
        return [*found, Vector("z", "server", self.z)] if self.momentum else found

    @classmethod
    def resolved(cls, settings: MethodTable, quantities: "Quantities") -> MethodTable:
        """See `Method.resolved`."""
        return with_mu(super().resolved(settings, quantities), quantities)


def momentum_chain(
    law: Any, n: int, L: Float64, mu: float, gamma: float, blocks: float
) -> "Linear":
    """The exact moments of z = (e, ζ) from L̄ (d, d): y = Yz, then −γ and −γ/(Na) times P L̄Yz."""
    from ist_mpi.exact_theory.chains.chain import Linear, blockwise

    eye, a = np.eye(len(L)), float(np.sqrt(mu * gamma)) / blocks
    Y = np.hstack([eye, a * eye]) / (1.0 + a)
    A = np.vstack([Y, np.hstack([0.0 * eye, (1.0 - a) * eye]) + a * Y])
    step = np.vstack([-gamma * eye, -gamma / (blocks * a) * eye])
    parts = blockwise(law, n, [L @ Y], [step], None)
    return Linear(np.vstack([eye, eye]), A, *parts, certain=blocks == 1.0)


def with_mu(settings: MethodTable, quantities: "Quantities") -> MethodTable:
    """The settings with μ, where momentum needs it and nobody gave it; collective."""
    if getattr(settings, "momentum", None) is None or getattr(settings, "mu", None) is not None:
        return settings
    mu = quantities.mu
    if not mu > 0.0:
        expected = "a number that no eigenvalue of L̄ is below"
        error = InputError(Fault("method.mu", "nothing, and no bound is known", expected))
        error.agreed = True
        raise error
    return settings.model_copy(update={"mu": mu})
