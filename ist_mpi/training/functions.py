"""A problem that is no quadratic, made ready to run: what is measured, and what is not known."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ist_mpi import problems
from ist_mpi.config import Config
from ist_mpi.errors import Fault, InputError
from ist_mpi.exact_theory.constants import Constants
from ist_mpi.exact_theory.step import Known
from ist_mpi.parallel.team import Team
from ist_mpi.problems.functions import FunctionProblem, LocalFunctions, read_only
from ist_mpi.problems.given import unmasked

Float64 = NDArray[np.float64]

NOT_QUADRATIC = "the problem is not quadratic"
"""Why there is no exact theory."""


class Solution(NamedTuple):
    """What is known of the minimiser, in the place of a `Prediction`."""

    x_star: Float64 | None
    f_star: float
    fixed_point: None = None
    mean_step_size_limit: float = math.nan


class FunctionMetrics(NamedTuple):
    """One measurement of x, as the log's columns define them."""

    value: float
    gap: float
    distance_to_solution: float
    gradient_norm_squared: float


class FunctionObjective:
    """Measures iterates by the workers' values and gradients, added up in worker order."""

    def __init__(self, team: Team, local: LocalFunctions) -> None:
        self._team, self._local = team, local
        x_star, f_star = local.problem.x_star, math.nan
        if x_star is not None:
            x_star = np.array(x_star, dtype=np.float64)
            f_star = self._value(x_star)
        self.prediction = Solution(x_star, f_star)

    def _value(self, x: Float64) -> float:
        """f(x), on every rank; collective."""
        problem, team = self._local.problem, self._team
        seen = read_only(x)
        own = np.array([float(problem.value(i, seen)) for i in range(team.first, team.last)])
        return math.fsum(team.all_workers(own)) / team.n

    def gap(self, x: Float64) -> float:
        """f(x) − f* of an x (d,) known to every rank, on every rank; NaN without x*; collective."""
        return self._value(x) - self.prediction.f_star

    def measure(self, x: Float64) -> FunctionMetrics | None:
        """The metrics of x (d,), known to every rank; on rank 0, None elsewhere; collective."""
        team = self._team
        value = self._value(x)
        slab = team.mean_rows(lambda worker: self._local.gradient(worker, x), x.shape)
        gradient = team.whole(slab)
        if gradient is None:
            return None
        x_star, distance = self.prediction.x_star, math.nan
        if x_star is not None:
            distance = math.sqrt(math.fsum((x - x_star) ** 2))
        squared = math.fsum(gradient**2) if np.isfinite(gradient).all() else math.nan
        return FunctionMetrics(value, value - self.prediction.f_star, distance, squared)


def local_functions(
    team: Team, config: Config, source: FunctionProblem | None, x0: Float64
) -> LocalFunctions:
    """The problem, made on every rank, and tried at x0 (d,); collective.

    Raises
    ------
    InputError
        On every rank: it cannot be made, or its gradients are not of shape (d,).
    """
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
    return LocalFunctions(made, team.first, team.last)


def check(config: Config, sketch: Any, source: FunctionProblem) -> None:
    """Refuse what needs a quadratic.

    Raises
    ------
    InputError
    """
    faults = []
    for name in sorted(config.method.unresolved):
        word = getattr(config.method, name)
        if isinstance(word, str):
            got = f'"{word}", but {NOT_QUADRATIC}'
            faults.append(Fault(f"method.{name}", got, "a number"))
    if sketch.rescales:
        got = f'"{config.method.scaling}", which needs the diagonals of quadratics'
        faults.append(Fault("method.scaling", got, "another scaling"))
    if config.log.problem:
        faults.append(Fault("log.problem", "true for a problem that is no quadratic", "false"))
    if config.run.tolerance > 0 and source.x_star is None:
        got = f"{config.run.tolerance:g}, where no x* is known"
        faults.append(Fault("run.tolerance", got, "0, or a problem with x_star"))
    if faults:
        raise InputError(faults)


def unknown(known: Known) -> Known:
    """What is known of a round where the functions are not quadratic: nothing."""
    return known._replace(obstacle=NOT_QUADRATIC, own=None)


def no_constants(known: Known) -> Constants:
    """None of them, with the reason."""
    return Constants.of({}, dict.fromkeys(Constants().values(), known.why_not))
