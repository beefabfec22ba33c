"""What a method is, and what it works with on a rank.

A method is one class in one file: what it adds to the configuration, its vectors, its round, what a
round sends, and what is exactly known of it.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ist_mpi.config import Method as MethodTable
from ist_mpi.config import Section
from ist_mpi.errors import Fault, InputError
from ist_mpi.exact_theory.rules import StepRule
from ist_mpi.exact_theory.step import OwnTheory, Step
from ist_mpi.parallel.exchange import Exchange
from ist_mpi.parallel.team import Team

if TYPE_CHECKING:
    from ist_mpi.exact_theory.quantities import Quantities

Float64 = NDArray[np.float64]


class Vector(NamedTuple):
    """What a method carries from round to round; checkpoints need no more."""

    name: str
    holder: Literal["server", "worker"]
    array: Float64
    """Shape (d,), up to date where the exchange holds the model; or (m, d), a row for each of the
    rank's m workers. The array itself, not a copy: who fills it restores the method."""


class Room(NamedTuple):
    """Vectors of d numbers that a method has at once, besides the model and what its blocks hold.

    Those that it carries, and those that a round makes.
    """

    rank: int = 0
    """On every rank."""
    worker: int = 0
    """For each of the rank's workers, besides."""


class Floats(NamedTuple):
    """Numbers sent so far, mean over the workers, indices not counted."""

    up: float
    down: float


@dataclass(frozen=True)
class Tools:
    """What every method works with on a rank."""

    problem: Any
    """The rank's workers' functions: `LocalQuadratics`, or another problem's."""
    sketch: Any
    exchange: Exchange
    team: Team
    seed: int = 0
    """The run's, for what chance decides beside the sketch."""

    @property
    def most(self) -> int:
        """The most coordinates that this rank's workers have in a round."""
        workers = self.team.last - self.team.first
        return min(workers * int(self.sketch.largest), int(self.sketch.total))


class Method:
    """One method at work on a rank; a method of one's own may derive from it.

    Class attributes say what it takes: `sketch`, the name of the only sketch that it has, or None;
    `sketches`, those that it is defined for, or None for any; `ignores`, settings of [method] that
    mean nothing to it; `replay`, where its second implementation for verify is,
    "module:class"; `resolves`, settings of its own that become numbers once the problem is
    known; `rescales`, whether biased scalings of a sketch are for it; `steps`, whether it takes
    local steps; `submodels`, whether a worker sees nothing of the model but its block; `room`, the
    memory it needs; `effort`, how much theory (`cost.Effort`) the words for a step size need.
    """

    Settings: ClassVar[type[Section]] = Section
    sketch: ClassVar[str | None] = None
    sketches: ClassVar[tuple[str, ...] | None] = None
    replay: ClassVar[str] = ""
    resolves: ClassVar[tuple[str, ...]] = ()
    effort: ClassVar[Mapping[str, str]] = {"theory": "dense", "default": "full"}
    ignores: ClassVar[tuple[str, ...]] = ()
    rescales: ClassVar[bool] = False
    steps: ClassVar[bool] = False
    room: ClassVar[Room] = Room()
    submodels: ClassVar[bool] = False

    def __init__(self, settings: MethodTable, tools: Tools, x0: Float64) -> None:
        self.settings, self.tools = settings, tools
        self.gamma = settings.gamma
        self.x = x0.copy()

    def vectors(self) -> Sequence[Vector]:
        """All that is carried from round to round; here the model alone."""
        return [Vector("x", "server", self.x)]

    def rounds(self, first: int, last: int) -> None:
        """Rounds first … last − 1: take x^first to x^last; collective."""
        for k in range(first, last):
            self.tools.problem.open_round(self.tools.seed, k)
            self.round(k)

    def round(self, k: int) -> None:
        """Round k, which leads from x^k to x^{k+1}; collective."""
        raise NotImplementedError

    @staticmethod
    def step(settings: MethodTable) -> Step | None:
        """One round as exact theory sees it; None: there is no exact theory of this method."""
        return None

    @staticmethod
    def own_theory(settings: MethodTable, sketch: Any) -> OwnTheory | None:
        """The exact moments of a method whose round is no such step; None: they are not known.

        Asked for sketches with an `Exchangeable` law.
        """
        return None

    @classmethod
    def resolved(cls, settings: MethodTable, quantities: "Quantities") -> MethodTable:
        """The settings with numbers in place of words, once the problem is known; collective.

        Raises
        ------
        InputError
            On every rank, where there is no rule.
        """
        if not isinstance(settings.step_size, str):
            return settings
        find = cls.theory_step if settings.step_size == "theory" else cls.default_step
        rule = find(settings, quantities)
        found = {"step_size": rule.step_size, "step_size_rule": rule.words}
        return settings.model_copy(update=found)

    @staticmethod
    def theory_step(settings: MethodTable, quantities: "Quantities") -> StepRule:
        """The largest step size that is proved to be good; see `resolved`."""
        return StepRule(quantities.theorem_one_limit(), "1/θ of Theorem 1", proved=True)

    @staticmethod
    def default_step(settings: MethodTable, quantities: "Quantities") -> StepRule:
        """A step size that is a good one to begin with; see `resolved`."""
        return quantities.theorem_or_half_limit()

    @staticmethod
    def floats(k: int, sketch: Any, settings: MethodTable) -> Floats:
        """What has been sent once x^k is reached; on average, where chance decides.

        NaN where it is not known, as here.
        """
        return Floats(math.nan, math.nan)

    @staticmethod
    def floats_of_round(
        sketch: Any, settings: MethodTable, seed: int
    ) -> Callable[[int], Floats] | None:
        """k ↦ what round k of a run sends, where chance decides; None: `floats` is exact."""
        return None


def check_vectors(method: Any, d: int, workers: int, everywhere: bool) -> None:
    """Refuse a method that carries what a checkpoint cannot hold.

    Parameters
    ----------
    everywhere : bool
        Whether some rank holds every vector of the server, and not a part of the model each.

    Raises
    ------
    InputError
        If a vector is no float64 array of shape (d,), or (workers, d), or is a copy, or the model
        is not one.
    """
    where = f"{type(method).__name__}.vectors"
    vectors = list(method.vectors())
    names = [vector.name for vector in vectors]
    if names.count("x") != 1 or len(set(names)) != len(names):
        raise InputError(Fault(where, f"the names {names}", 'different names, one of them "x"'))
    for name, holder, array in vectors:
        shape = {"server": (d,), "worker": (workers, d)}.get(holder)
        expected = f'"server" with ({d},) or "worker" with ({workers}, {d}) of float64'
        if shape is None or getattr(array, "shape", None) != shape or array.dtype != np.float64:
            got = f'"{holder}" with {getattr(array, "shape", type(array).__name__)}'
            raise InputError(Fault(f"{where}: {name}", got, expected))
        if not array.flags.writeable:
            raise InputError(Fault(f"{where}: {name}", "an array that is not writeable", expected))
    again = {vector.name: vector.array for vector in method.vectors()} | {"x": method.x}
    for name, _, array in vectors:
        if not np.shares_memory(array, again[name]) and array.size:
            whose = "x of the method" if name == "x" else "what the method works on"
            raise InputError(Fault(f"{where}: {name}", "a copy", f"the array itself, {whose}"))
    others = [name for name, holder, _ in vectors if holder == "server" and name != "x"]
    if others and not everywhere:
        got = f'"serverless" with {", ".join(others)} on the server beside the model'
        raise InputError(Fault("run.exchange", got, '"server", "replicated" or "auto"'))


def restore(method: Any, server: dict[str, Float64], workers: dict[str, Float64]) -> None:
    """Put a checkpoint's vectors into a method; `workers` has this rank's rows.

    Raises
    ------
    InputError
        On every rank, if some are missing: a finished log has the model only.
    """
    vectors = list(method.vectors())
    missing = [vector.name for vector in vectors if vector.name not in server | workers]
    if missing:
        got = f"no {', '.join(missing)}, which {type(method).__name__} carries beside the model"
        expected, remedy = "all that it carries", "a finished log has the model: run it anew"
        error = InputError(Fault("what the run goes on from", got, expected, remedy))
        error.agreed = True
        raise error
    for name, holder, array in vectors:
        array[:] = (server if holder == "server" else workers)[name]
