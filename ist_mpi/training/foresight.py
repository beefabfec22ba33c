"""The `theory` command: the constants of a configuration and its exact expected trajectory."""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from ist_mpi.config import Config, Method
from ist_mpi.errors import Fault, InputError
from ist_mpi.exact_theory import recursions
from ist_mpi.exact_theory.bounds import NOT_QUADRATIC
from ist_mpi.exact_theory.chains.chain import Chain, rounds_to
from ist_mpi.exact_theory.constants import NO_MEMORY, SLOW, Constants
from ist_mpi.exact_theory.cost import (
    AUTO_DENSE,
    DENSE,
    EFFORTS,
    PATIENCE,
    Effort,
    Wish,
    chain_seconds,
    effort_of_step,
    patient_effort,
)
from ist_mpi.exact_theory.objective import Objective
from ist_mpi.exact_theory.over_ranks import OverRanks, moments_of
from ist_mpi.exact_theory.step import Known, known_of
from ist_mpi.exact_theory.units import Units
from ist_mpi.exact_theory.updates import update
from ist_mpi.exact_theory.verdict import Reached
from ist_mpi.methods.ledger import sent
from ist_mpi.parallel import ranks
from ist_mpi.problems.source import Facts
from ist_mpi.threads import one_thread
from ist_mpi.training import job as jobs
from ist_mpi.training import outputs
from ist_mpi.training.setup import Experiment, prepare

Float64 = NDArray[np.float64]

COLUMNS = (
    "round",
    "expected_gap",
    "expected_relative_gap",
    "expected_distance_to_solution_squared",
    "expected_distance_to_fixed_point_squared",
    "mean_iterate_gap",
    "mean_iterate_relative_gap",
)
"""Of the trajectory's table: E f(x^k) − f* and so on, and f(E x^k) − f*."""

MAX_ROUNDS = 100_000
"""That are followed to a relative gap."""
MAX_NUMBERS = 2**28  # of a trajectory in memory: 2 GiB
CHANGED = Fault(
    "problem", "data that have changed since", "those of this theory; ask ist_mpi.theory anew"
)


class Foresight(NamedTuple):
    """What theory says of a configuration."""

    digest: str
    """Of the data; see `problems.digest`."""
    method: Method
    known: Known
    constants: Constants
    f_star: float
    mean_step_size_limit: float
    x_star: Float64 | None
    """Shape (d,)."""
    fixed_point: Float64 | None
    """Shape (d,)."""
    floats_down: float
    floats_up: float
    tolerance: float
    """The configured one, or 1e-6."""
    reached: dict[float, Reached]
    """Rounds and floats to relative gaps, of a method with exact theory of its own."""
    trajectory: Float64 | None
    """Shape (K + 1, len(COLUMNS)), if asked for; NaN where left out for its cost."""
    can_be_followed: bool
    """Whether there is such a trajectory."""


def foresee(
    comm: Any,
    source: Any,
    overrides: Sequence[str] = (),
    rounds: int | None = None,
    full: bool = False,
    table: Path | None = None,
    force: bool = False,
    constants: bool = True,
) -> Foresight:
    """Everything theory knows of a configuration; collective.

    Parameters
    ----------
    rounds : int, optional
        K, for the trajectory of rounds 0 … K.
    full : bool
        Compute what is left out for its cost otherwise: constants, and second moments of the
        trajectory beyond d = 300.
    table : path, optional
        Where the trajectory will be written: refused now, if it cannot be.
    force : bool
        Whether a file already there may be replaced.
    constants : bool
        Whether the constants are wanted too, which may take longer than the trajectory.

    Raises
    ------
    InputError
        On every rank.
    """
    with ranks.abort_on_error(comm) if comm.size > 1 else nullcontext():
        wish_of = _wishes(constants, rounds is not None, full)
        job, problem = jobs.open_job(comm, source, overrides, wish_of=wish_of)
        with ranks.agreeing(comm):
            faults = _trajectory_faults(job, rounds) if rounds is not None else []
            if comm.rank == 0:
                faults += outputs.output_faults([table], force, "--csv")
                faults += outputs.input_faults([table], source, job.config, "--csv")
            if faults:
                raise InputError(faults)
        experiment = prepare(comm, job.config, job.facts, problem, job.effort)
        found = experiment.constants
        if job.effort != wish_of(job.config, job.facts).wanted:
            found = found.because(SLOW, NO_MEMORY)
        del problem
        total = job.config.run.rounds
        expected = None
        if rounds is not None:
            with one_thread(), np.errstate(over="ignore", invalid="ignore"):
                expected = trajectory(experiment, rounds, _second_moments(full, job.facts.d))
        tolerance = job.config.run.tolerance or 1e-6
        with one_thread(), np.errstate(over="ignore", invalid="ignore"):
            reached = _reached(experiment, sorted({tolerance, 1e-12})) if constants else {}
        return Foresight(
            digest=experiment.digest,
            method=experiment.method,
            known=experiment.known,
            constants=found,
            f_star=experiment.objective.prediction.f_star,
            mean_step_size_limit=experiment.objective.prediction.mean_step_size_limit,
            x_star=experiment.objective.prediction.x_star,
            fixed_point=experiment.objective.prediction.fixed_point,
            floats_down=job.budget.floats_down / total,
            floats_up=job.budget.floats_up / total,
            tolerance=tolerance,
            reached=reached,
            trajectory=expected,
            can_be_followed=not _trajectory_faults(job, 0),
        )


def _second_moments(full: bool, d: int) -> bool:
    """Whether a trajectory has them."""
    return full or d <= AUTO_DENSE


def _wishes(constants: bool, trajectory: bool, full: bool) -> Callable[[Config, Facts], Wish]:
    """How much theory: constants as patience allows, whatever is asked for at any rate."""

    def wish_of(config: Config, facts: Facts) -> Wish:
        known = known_of(config.method, facts.sketch(config.method))
        wanted: Effort = "full" if full else patient_effort(facts, known.own)
        least: list[Effort] = ["full" if full else "none", effort_of_step(config)]
        if trajectory:
            least.append("full" if _second_moments(full, facts.d) else "cheap")
        return Wish(wanted if constants else "none", max(least, key=EFFORTS.index))

    return wish_of


def _trajectory_faults(job: jobs.Job, rounds: int) -> list[Fault]:
    """Whether the expectations of rounds 0 … K can be had."""
    faults = []
    method = job.config.method
    known = known_of(method, job.facts.sketch(method))
    if not job.facts.stored.quadratic:
        faults.append(Fault("--rounds", NOT_QUADRATIC, "quadratics, for exact expectations"))
    elif known.own is not None:
        pass
    elif known.both is None:
        faults.append(Fault("--rounds", known.why_not, "a method and a sketch with exact theory"))
    elif not known.closed:
        got = f"method.local_steps = {method.local_steps}"
        faults.append(Fault("--rounds", got, "one local step"))
    if job.facts.d > DENSE:
        faults.append(Fault("--rounds", f"d = {job.facts.d}", f"d ≤ {DENSE}"))
    most = MAX_NUMBERS // (job.facts.d + len(COLUMNS))
    if rounds >= most:
        faults.append(Fault("--rounds", str(rounds), f"fewer than {most}"))
    return faults


def trajectory(experiment: Experiment, rounds: int, second_moments: bool) -> Float64:
    """The exact expected trajectory, rows 0 … K, columns as COLUMNS; collective."""
    x0, gamma = experiment.x0, experiment.method.gamma
    if experiment.known.own is not None:
        return _own_trajectory(experiment, rounds)
    objective = cast(Objective, experiment.objective)
    moments, units = moments_of(
        experiment.team, experiment.problem, experiment.known, objective.mean
    )
    x0, x_star = units.model(x0), units.model(objective.prediction.x_star)
    gamma = units.step_size(gamma)
    table = np.full((rounds + 1, len(COLUMNS)), np.nan)
    table[:, 0] = np.arange(rounds + 1)
    if second_moments:
        exact = recursions.trajectory(moments, gamma, x0, rounds)
        table[:, 1], table[:, 3], table[:, 4] = exact.gap, exact.to_solution, exact.to_fixed_point
    step = update(moments, gamma)
    mean = x0.copy()
    for k in range(rounds + 1):
        error = mean - x_star
        table[k, 5] = 0.5 * error @ (moments.L_mean @ error)
        mean = mean - step.mean @ mean + step.offset
    table[:, [1, 5]] = units.own(table[:, [1, 5]], 1, 2)
    table[:, [3, 4]] = units.own(table[:, [3, 4]], 0, 2)
    if table[0, 5] > 0:
        table[:, 2], table[:, 6] = table[:, 1] / table[0, 5], table[:, 5] / table[0, 5]
    return table


def follow(
    comm: Any, source: Any, full: bool, digest: str, enough: Callable[[int, float], bool]
) -> None:
    """Tell `enough` of each round k, and of E f(x^k) − f* over f(x⁰) − f*, until it is; collective.

    Nothing is told where second moments are left out; InputError if the data have changed.
    """
    job, problem = jobs.open_job(comm, source, wish_of=_wishes(False, True, full))
    experiment = prepare(comm, job.config, job.facts, problem, job.effort)
    with ranks.agreeing(comm):
        if experiment.digest != digest:
            raise InputError(CHANGED)
    if not _second_moments(full, job.facts.d):
        return
    with one_thread(), np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for k, gap in enumerate(_relative_gaps(experiment)):
            if enough(k, gap):
                return


def _relative_gaps(experiment: Experiment) -> Iterator[float]:
    """(E f(x^k) − f*) / (f(x⁰) − f*), k = 0, 1, … without end; collective."""
    if experiment.known.own is not None:
        chain, L, e, _ = _chain(experiment)
        gaps = (0.5 * float(np.sum(L * now.second)) for now in chain.errors(e))
    else:
        objective, known = cast(Objective, experiment.objective), experiment.known
        moments, units = moments_of(experiment.team, experiment.problem, known, objective.mean)
        L, x0 = moments.L_mean, units.model(experiment.x0)
        e = x0 - units.model(objective.prediction.x_star)
        gamma = units.step_size(experiment.method.gamma)
        gaps = (row[0] for _, row in recursions.expectations(moments, gamma, x0))
    first = np.float64(0.5 * e @ (L @ e))
    return (float(gap / first) for gap in gaps)


def _chain(experiment: Experiment) -> tuple[Chain, Float64, Float64, Units]:
    """The chain of a method with exact theory of its own, L̄, and x⁰ − x*, in units; collective."""
    known, team = experiment.known, experiment.team
    objective = cast(Objective, experiment.objective)
    e = experiment.x0 - objective.prediction.x_star
    workers = OverRanks(team, experiment.problem, known, objective.mean)
    units = workers.units.of_errors(e)
    L = workers.sum(lambda f: f.L) / team.n
    own: Any = known.own
    chain_at = own.build(known.law, workers, team.n, team.d)
    chain: Chain = chain_at(units.step_size(experiment.method.gamma))
    return chain, L, units.model(e), units


def _own_trajectory(experiment: Experiment, rounds: int) -> Float64:
    """`trajectory` of a method with exact theory of its own."""
    chain, L, e, units = _chain(experiment)
    table = np.full((rounds + 1, len(COLUMNS)), np.nan)
    table[:, 0] = np.arange(rounds + 1)
    for row, now in zip(table, chain.errors(e), strict=False):
        row[1] = 0.5 * np.sum(L * now.second)
        row[3] = row[4] = np.trace(now.second)
        row[5] = 0.5 * now.mean @ L @ now.mean
    table[:, [1, 5]] = units.own(table[:, [1, 5]], 1, 2)
    table[:, [3, 4]] = units.own(table[:, [3, 4]], 0, 2)
    if table[0, 5] > 0:
        table[:, 2], table[:, 6] = table[:, 1] / table[0, 5], table[:, 5] / table[0, 5]
    return table


def _reached(experiment: Experiment, goals: Sequence[float]) -> dict[float, Reached]:
    """What it takes to relative gaps, as far as rounds can be followed in time; collective."""
    known, method = experiment.known, experiment.method
    contraction = experiment.constants.cycle_contraction
    if known.own is None or contraction is None or contraction >= 1.0:
        return {}
    most = min(MAX_ROUNDS, int(PATIENCE / chain_seconds(known.own, 1)))
    chain, L, e, _ = _chain(experiment)
    found = {}
    for goal, k in rounds_to(chain, L, e, goals, most).items():
        up, down = sent(method, experiment.sketch, k)
        found[goal] = Reached(k, (up + down) / experiment.d)
    return found


def write_csv(table: Float64, path: Path) -> None:
    """Write a trajectory; empty cells for what was left out.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in table:
        cells = ["" if np.isnan(value) else repr(float(value)) for value in row[1:]]
        writer.writerow([int(row[0]), *cells])
    outputs.put_text(path, text.getvalue(), "--csv")


def to_document(foresight: Foresight) -> dict[str, Any]:
    """The constants for programs: null where undefined or left out."""
    constants = foresight.constants
    return {
        **constants.values(),
        **constants.words,
        "step_size": foresight.method.gamma,
        "mean_step_size_limit": foresight.mean_step_size_limit,
        "f_star": foresight.f_star,
        "floats_down_per_round": foresight.floats_down,
        "floats_up_per_round": foresight.floats_up,
        "not_computed": list(constants.not_computed),
        "not_computed_because": constants.why,
        "estimated": list(constants.estimated),
        "step_size_rule": foresight.method.step_size_rule,
        "reached": {
            f"{goal:g}": {"rounds": one.rounds, "floats": one.floats}
            for goal, one in foresight.reached.items()
        },
    }
