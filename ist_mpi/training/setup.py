"""Everything a run needs, made once: the problem on its ranks, its theory, its methods.

Set-up is collective, and whatever is wrong is found here, before the first round, and raised on
every rank.
"""

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ist_mpi.config import Config, Method
from ist_mpi.errors import Fault, InputError
from ist_mpi.exact_theory import reach
from ist_mpi.exact_theory.constants import Constants, compute
from ist_mpi.exact_theory.cost import Effort
from ist_mpi.exact_theory.moments.first import first_moments
from ist_mpi.exact_theory.objective import Objective, means, stand_ins, within_reach
from ist_mpi.exact_theory.prediction import predict
from ist_mpi.exact_theory.quantities import OfSketch, Quantities
from ist_mpi.exact_theory.step import Known, known_of
from ist_mpi.kernels.matrices import Matrices
from ist_mpi.methods.method import Tools, check_vectors
from ist_mpi.parallel.connect import connect
from ist_mpi.parallel.nodes import SharedArray, lacking
from ist_mpi.parallel.serverless import Serverless
from ist_mpi.parallel.team import Team
from ist_mpi.problems import digest
from ist_mpi.problems.given import unmasked
from ist_mpi.problems.quadratic import LocalQuadratics, assemble
from ist_mpi.problems.source import Facts, Source
from ist_mpi.registry import speaks_for
from ist_mpi.sketches import drawing_of, has_kernel
from ist_mpi.sketches.own import OwnDraws
from ist_mpi.threads import one_thread
from ist_mpi.training import functions
from ist_mpi.training.budget import kept_bytes
from ist_mpi.training.columns import COLUMNS
from ist_mpi.training.functions import FunctionMetrics, FunctionObjective
from ist_mpi.training.kept import Kept, Laid

Float64 = NDArray[np.float64]
LOGGER = logging.getLogger(__name__)
LOGGED = 10**9
"""Numbers of L, at most, that are made of samples for a log."""


class Experiment(NamedTuple):
    """A problem laid out over the ranks, with what theory says of the configured method."""

    team: Team
    method: Method
    """Its step size a number."""
    sketch: Any
    known: Known
    """Of a round of that method, on this problem."""
    problem: Any
    """The rank's workers' functions: `LocalQuadratics`, or `LocalFunctions`."""
    objective: Objective | FunctionObjective
    constants: Constants
    x0: Float64
    n: int
    d: int
    digest: str
    """Of the workers' data and x⁰, the same on every rank; see `problems.digest`."""
    columns: Mapping[str, tuple[str, str]] = COLUMNS
    """Of the log: units and long names."""
    notes: tuple[str, ...] = ()
    """What the user should know of the data."""
    first: FunctionMetrics | None = None
    """Of x⁰, on rank 0, where the problem is no quadratic: what it is made of is not known."""
    memory: SharedArray | None = None
    """What the ranks of a host share of the problem."""

    @property
    def comm(self) -> Any:
        """The team's communicator."""
        return self.team.comm

    def free(self) -> None:
        """Give shared memory back; the experiment is of no use afterwards; collective."""
        if self.memory is not None:
            self.memory.free()


def facts_of(config: Config, source: Source) -> Facts:
    """The facts of an opened problem; raises InputError if the sketch does not fit them."""
    units = getattr(source, "units", None)
    facts = Facts(source.n, source.d, source.homogeneous, source.data_bytes, source.stored, units)
    sketch = facts.sketch(config.method)
    if config.run.exchange == "serverless" and not serverless(config.method, sketch):
        raise InputError(
            Fault(
                "run.exchange",
                f'"serverless" with blocks that overlap (n = {source.n}, d = {source.d})',
                'name = "ist" with the permutation sketch and n ≤ d (groups: n ≤ d/g)',
                '"server", "replicated" or "auto"',
            )
        )
    if not has_kernel(sketch):
        OwnDraws(sketch, config.run.seed).blocks(0)
        if sketch.varying and config.log.permutations:
            got = f"true with blocks of {type(sketch).__name__}, whose number varies"
            raise InputError(Fault("log.permutations", got, "false"))
    if not source.stored.quadratic:
        functions.check(config, sketch, source)
    elif config.log.problem and source.stored.kind != "matrix":
        numbers = source.n * source.d**2
        if numbers > LOGGED:
            raise InputError(
                Fault(
                    "log.problem",
                    f"true, where workers keep samples and L has n d² = {numbers:.3g} numbers",
                    f"at most {LOGGED:.3g}",
                    "false: the log's configuration names the data set",
                )
            )
    return facts


def serverless(method: Method, sketch: Any) -> bool:
    """Whether nobody need hold the model: its blocks are disjoint, and all that a worker sees."""
    kind = type(method).method_class
    submodels = kind.submodels and speaks_for(kind, "submodels", "round", "rounds")
    return bool(sketch.disjoint and submodels)


def prepare(
    comm: Any,
    config: Config,
    facts: Facts,
    source: Source | None,
    effort: Effort,
    kept: Kept | None = None,
) -> Experiment:
    """Lay the configured problem out over the ranks; collective.

    Parameters
    ----------
    source : Source or None
        The opened problem, on rank 0.
    effort : {"none", "cheap", "dense", "full"}
        How much theory.
    kept : Kept, optional
        What there is of the problem from the run before.

    Raises
    ------
    InputError
        On every rank: a worker's data are wrong, L̄ is singular, or a preconditioned sketch
        meets a zero diagonal entry.
    """
    with one_thread(), np.errstate(over="ignore", invalid="ignore"):
        return _prepare(comm, config, facts, source, effort, kept)


def _prepare(
    comm: Any,
    config: Config,
    facts: Facts,
    source: Source | None,
    effort: Effort,
    kept: Kept | None,
) -> Experiment:
    n, d = facts.n, facts.d
    LOGGER.info("handing the problem out to its workers")
    team = Team.of(comm, n, d)
    x0 = team.on_root(lambda: _start(source, d) if source is not None else None)
    if not facts.stored.quadratic:
        return _of_functions(team, config, facts, source, x0, effort)

    def lay() -> Laid:
        return _local_quadratics(team, facts, source)

    local, memory = lay() if kept is None else kept.quadratics(team, facts, source, lay)
    data = _digest(team, local, x0)
    method = config.method
    sketch = facts.sketch(method)
    known = within_reach(known_of(method, sketch), facts.stored, d)
    replaced = stand_ins(team, local, facts.stored, known)
    LOGGER.info("averaging the problem over its workers")
    mean = means(team, local, facts.stored)
    reach.check_means(mean)
    quantities = Quantities(team, local, mean, known, sketch)
    method = type(method).method_class.resolved(method, quantities)
    known = within_reach(known_of(method, sketch), facts.stored, d)
    LOGGER.info("solving for x* and x∞")
    prediction = predict(team, known, method.gamma, mean, replaced, x0)
    moments = None
    if known.theorem_one and known.both is not None:
        moments = first_moments(*known.both)
    objective = Objective(team, mean, prediction, moments, replaced)
    _check_reach(team, objective, x0)
    constants = compute(team, local, objective, known, method.gamma, x0, effort)
    return Experiment(
        team,
        method,
        sketch,
        known,
        local,
        objective,
        constants,
        x0,
        n,
        d,
        data,
        notes=_notes(team, local),
        memory=memory,
    )


def _start(source: Source, d: int) -> Float64:
    """x⁰ (d,); raises InputError if the problem's is none."""
    where, expected = f"{type(source).__name__}.start", f"finite numbers, shape ({d},)"
    try:
        x0 = np.array(unmasked(source.start(), where), dtype=np.float64)
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        raise InputError(Fault(where, str(error), expected)) from error
    if x0.shape != (d,) or not np.isfinite(x0).all():
        raise InputError(Fault(where, f"shape {x0.shape}, or not finite", expected))
    return x0


def _check_reach(team: Team, objective: Objective, x0: Float64) -> None:
    """Refuse a problem whose measurements are out of reach; collective."""
    x_infinity = objective.prediction.fixed_point
    start = objective.measure(x0)
    limit = None if x_infinity is None else objective.measure(x_infinity)

    def check() -> None:
        if start is not None:
            reach.check_squares(objective.mean, objective.prediction, x0, start, limit)

    team.on_root(check)


def _of_functions(
    team: Team, config: Config, facts: Facts, source: Any, x0: Float64, effort: Effort
) -> Experiment:
    """The experiment of a problem that is no quadratic; collective."""
    sketch = facts.sketch(config.method)
    local = functions.local_functions(team, config, source, x0)
    held_out = None if source is None else source.held_out()
    data = functions.data_digest(team, local, held_out, x0)
    known = functions.unknown(known_of(config.method, sketch))
    theory = functions.theory_of(team, config, local, sketch, effort)
    quantities = OfSketch(sketch) if theory is None else theory.quantities
    method = type(config.method).method_class.resolved(config.method, quantities)
    objective = functions.FunctionObjective(team, local, theory, held_out)
    return Experiment(
        team=team,
        method=method,
        sketch=sketch,
        known=known,
        problem=local,
        objective=objective,
        constants=functions.constants(theory, known, objective, x0),
        x0=x0,
        n=team.n,
        d=team.d,
        columns=objective.columns,
        digest=data,
        notes=team.on_root(lambda: tuple(source.notes)),
        first=objective.measure(x0),
    )


def _local_quadratics(team: Team, facts: Facts, source: Source | None) -> Laid:
    """The quadratics of this rank's workers, and the memory that they share with others."""
    share_of = source.share if source is not None else None
    if not facts.homogeneous or team.size == 1:
        shares = list(team.deal(share_of))
        with team.agreeing():
            return assemble(shares, facts.d, facts.homogeneous, facts.stored), None
    share = team.on_root(lambda: share_of(0) if share_of is not None else None)
    if lacking(team.comm, kept_bytes(facts)):  # a copy for every rank, as was said before the run
        copies = [share] * (team.last - team.first)
        with team.agreeing():
            return assemble(copies, facts.d, True, facts.stored), None
    memory = SharedArray(team.comm, (1, facts.d, facts.d), facts.stored.precision)
    one = None
    with team.agreeing():
        if memory.leads:
            one = assemble([share], facts.d, True, facts.stored, memory.array)
    others = memory.from_leader(
        None if one is None else (one.b, one.constant, one.digests, one.notes)
    )
    index = np.zeros(team.last - team.first, dtype=np.int64)
    quadratics = Matrices(memory.array, others[0], index)
    return LocalQuadratics(quadratics, others[1], True, *others[2:]), memory


def _digest(team: Team, local: LocalQuadratics, x0: Float64) -> str:
    """What the workers' data and x⁰ are, on every rank; collective."""
    own = [] if local.homogeneous and team.rank > 0 else local.digests
    every = team.comm.allgather(own)
    return digest.of_words([*(word for words in every for word in words), digest.of_arrays([x0])])


def _notes(team: Team, local: LocalQuadratics) -> tuple[str, ...]:
    """The first of what there is to say of the workers, and how many more; collective."""
    own = () if local.homogeneous and team.rank > 0 else local.notes
    every = [note for notes in team.comm.allgather(own) for note in notes]
    more = f" (and so for {len(every) - 1} more)" if len(every) > 1 else ""
    return (every[0] + more,) if every else ()


def method_of(config: Config, experiment: Experiment, exchange: str) -> tuple[Any, Tools]:
    """The configured method at x⁰, and its tools, by the exchange of that name; collective.

    Raises
    ------
    InputError
        On every rank, if the method carries what checkpoints, or the exchange, cannot hold.
    """
    team, problem, sketch = experiment.team, experiment.problem, experiment.sketch
    diagonals = problem.diagonals if sketch.rescales else None
    seed, first, last = config.run.seed, team.first, team.last
    even, odd = (drawing_of(sketch, seed, first, last, diagonals, problem.index) for _ in range(2))
    traffic = connect(team, exchange, sketch, (even, odd))
    tools = Tools(problem, sketch, traffic, team, seed)
    method = type(config.method).method_class(config.method, tools, experiment.x0)
    with team.agreeing():
        whole = traffic.alone or traffic.name != Serverless.name
        check_vectors(method, experiment.d, last - first, whole)
    return method, tools
