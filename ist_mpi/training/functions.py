"""A problem that is no quadratic, made ready to run: what is measured, and what is not known."""

import importlib
import math
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ist_mpi import problems, registry
from ist_mpi.config import Config
from ist_mpi.errors import Fault, InputError
from ist_mpi.exact_theory.bounds import NOT_QUADRATIC
from ist_mpi.exact_theory.constants import Constants
from ist_mpi.exact_theory.cost import Effort
from ist_mpi.exact_theory.step import Known, known_of
from ist_mpi.parallel.team import Team
from ist_mpi.problems import digest
from ist_mpi.problems.functions import Columns, HeldOut, LocalFunctions, OfProblem, read_only
from ist_mpi.problems.given import unmasked
from ist_mpi.sums import exact_sum
from ist_mpi.training.columns import of_functions

Float64 = NDArray[np.float64]


class Solution(NamedTuple):
    """What is known of the minimiser, in the place of a `Prediction`."""

    x_star: Float64 | None
    f_star: float
    fixed_point: Float64 | None = None
    mean_step_size_limit: float = math.nan


class FunctionTheory(Protocol):
    """What is known of a kind of functions without running; its class is `FunctionSource.theory`.

    Made by all ranks together, as (team, local functions, known, sketch, settings of [problem],
    effort).
    """

    quantities: Any
    """What step sizes are made of, as `exact_theory.quantities.Quantities`."""
    prediction: Any
    """A `Solution`."""
    columns: Columns
    """What it measures of a model, besides."""

    def measure(self, x: Float64) -> Mapping[str, float]:
        """A number for each of its columns, on every rank; collective."""

    def constants(self, x0: Float64, value: Any, known: Known) -> Constants:
        """The constants that it knows; `value` is f on every rank; collective."""


class FunctionMetrics(NamedTuple):
    """One measurement of x, as the log's columns define them."""

    value: float
    gap: float
    distance_to_solution: float
    distance_to_fixed_point: float
    gradient_norm_squared: float
    further: Mapping[str, float]
    """What the problem, its held-out samples, and what is known of it measure besides."""

    def row(self) -> dict[str, float]:
        """By the names of columns."""
        own = self._asdict()
        return {**own.pop("further"), **own}


class FunctionObjective:
    """Measures iterates by the workers' values and gradients, added up in worker order.

    Parameters
    ----------
    team : Team
    local : LocalFunctions
    theory : FunctionTheory or None
    held_out : HeldOut or None
        On rank 0.
    """

    def __init__(
        self,
        team: Team,
        local: LocalFunctions,
        theory: FunctionTheory | None = None,
        held_out: HeldOut | None = None,
    ) -> None:
        self._team, self._local = team, local
        self._theory, self._held_out = theory, held_out
        if theory is not None:
            self.prediction = theory.prediction
            return
        x_star, f_star = local.x_star, math.nan
        if x_star is not None:
            x_star = np.array(x_star, dtype=np.float64)
            f_star = self.value(x_star)
        self.prediction = Solution(x_star, f_star)

    @property
    def columns(self) -> Columns:
        """Of the log; those of held-out samples on rank 0."""
        parts = [part.columns for part in (self._theory, self._local, self._held_out) if part]
        further = {name: words for part in parts for name, words in part.items()}
        return of_functions(further, self.prediction.fixed_point is not None)

    def value(self, x: Float64) -> float:
        """f(x), on every rank; collective."""
        local, team = self._local, self._team
        seen = read_only(x)
        own = np.array([float(local.value(i, seen)) for i in range(team.first, team.last)])
        return exact_sum(team.all_workers(own)) / team.n

    def gap(self, x: Float64) -> float:
        """f(x) − f* of an x (d,) known to every rank, on every rank; NaN without x*; collective."""
        return float(self.value(x) - self.prediction.f_star)

    def measure(self, x: Float64) -> FunctionMetrics | None:
        """The metrics of x (d,), known to every rank; on rank 0, None elsewhere; collective."""
        team = self._team
        value = self.value(x)
        slab = team.mean_rows(lambda worker: self._local.gradient(worker, x), x.shape)
        gradient = team.whole(slab)
        further = self._means(x)
        if self._theory is not None:
            further |= self._theory.measure(x)
        if gradient is None:
            return None
        if (other := self._held_out) is not None:
            further |= zip(other.columns, map(float, other.values(read_only(x))), strict=True)
        prediction = self.prediction
        squared = exact_sum(gradient**2) if np.isfinite(gradient).all() else math.nan
        return FunctionMetrics(
            value=value,
            gap=value - prediction.f_star,
            distance_to_solution=_distance(x, prediction.x_star),
            distance_to_fixed_point=_distance(x, prediction.fixed_point),
            gradient_norm_squared=squared,
            further=further,
        )

    def _means(self, x: Float64) -> dict[str, float]:
        """The means over the workers of what they measure, on every rank; collective."""
        local, team = self._local, self._team
        names = list(local.columns)
        if not names:
            return {}
        seen = read_only(x)
        own = [list(local.measurements(i, seen)) for i in range(team.first, team.last)]
        every = [row for rows in team.comm.allgather(own) for row in rows]
        columns = zip(names, *every, strict=True)
        return {name: exact_sum(values) / team.n for name, *values in columns}


def _distance(x: Float64, other: Float64 | None) -> float:
    """‖x − other‖; NaN where there is no other."""
    return math.nan if other is None else math.sqrt(exact_sum((x - other) ** 2))


def local_functions(team: Team, config: Config, source: Any, x0: Float64) -> LocalFunctions:
    """The functions of this rank's workers, dealt or of a problem made on each rank; collective.

    Raises
    ------
    InputError
        On every rank: they cannot be made, or gradients at x0 (d,) are not of shape (d,).
    """
    kind = registry.load("problems", config.problem.kind)
    if kind.dealt:
        shares = list(team.deal(None if source is None else source.share))
        with team.agreeing():
            local: LocalFunctions = kind.local(config.problem, shares, team.first, team.d)
        return local
    with team.agreeing():
        made = source if source is not None else problems.load(config.problem)
        if (made.n, made.d) != (team.n, team.d):
            where = f"{type(made).__name__}.__init__"
            got = f"n, d = {made.n}, {made.d} on rank {team.rank}"
            raise InputError(Fault(where, got, f"{team.n}, {team.d}, as on rank 0"))
        for worker in range(team.first, team.last):
            where = f"{type(made).__name__}.gradient, worker {worker}"
            found = np.shape(unmasked(made.gradient(worker, x0), where))
            if found != x0.shape:
                raise InputError(Fault(where, f"shape {found}", str(x0.shape)))
            count, names = len(made.measurements(worker, x0)), list(made.columns)
            if count != len(names):
                where = f"{type(made).__name__}.measurements, worker {worker}"
                raise InputError(Fault(where, f"{count} numbers", f"one for each of {names}"))
    return OfProblem(made, team.first, team.last)


def data_digest(team: Team, local: LocalFunctions, held_out: HeldOut | None, x0: Float64) -> str:
    """What the workers' data, those held out and x⁰ are, on every rank; collective."""
    own = list(local.digests)
    if team.rank == 0 and (other := getattr(held_out, "digest", None)) is not None:
        own.insert(0, other)
    words = [word for words in team.comm.allgather(own) for word in words]
    of_start = digest.of_arrays([x0])
    return digest.of_words([*words, of_start]) if words else of_start


def check(config: Config, sketch: Any, source: Any) -> None:
    """Refuse what needs a quadratic.

    Raises
    ------
    InputError
    """
    faults = []
    for name in sorted(config.method.unresolved) if not source.theory else ():
        word = getattr(config.method, name)
        if isinstance(word, str):
            got = f'"{word}", but {NOT_QUADRATIC}'
            faults.append(Fault(f"method.{name}", got, "a number"))
    if sketch.rescales and not source.theory:
        got = f'"{config.method.scaling}", which needs the diagonals of quadratics'
        faults.append(Fault("method.scaling", got, "another scaling"))
    if config.log.problem:
        faults.append(Fault("log.problem", "true for a problem that is no quadratic", "false"))
    if config.run.tolerance > 0 and not source.theory and source.x_star is None:
        got = f"{config.run.tolerance:g}, where no x* is known"
        faults.append(Fault("run.tolerance", got, "0, or a problem with x_star"))
    if faults:
        raise InputError(faults)


def unknown(known: Known) -> Known:
    """What is known of a round where the functions are not quadratic: no moments."""
    return known._replace(obstacle=NOT_QUADRATIC, own=None)


def theory_of(
    team: Team, config: Config, local: LocalFunctions, sketch: Any, effort: Effort
) -> FunctionTheory | None:
    """What is known of such functions without running; collective."""
    place = registry.load("problems", config.problem.kind).theory
    if not place:
        return None
    module, _, name = place.partition(":")
    found: FunctionTheory = getattr(importlib.import_module(module), name)(
        team, local, known_of(config.method, sketch), sketch, config.problem, effort
    )
    return found


def constants(
    theory: FunctionTheory | None, known: Known, objective: FunctionObjective, x0: Float64
) -> Constants:
    """Those that are known; of all others the reason; collective."""
    found = Constants.of({}, dict.fromkeys(Constants().values(), known.why_not))
    if theory is not None:
        found = theory.constants(x0, objective.value, known)
    return found.explained(known, objective.prediction)
