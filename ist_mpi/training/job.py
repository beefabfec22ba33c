"""A run as it was asked for, checked on rank 0 before it begins; the same on every rank."""

import hashlib
import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ist_mpi import problems
from ist_mpi.config import Config, Problem, know_classes, load, sameness
from ist_mpi.config.tables import Code
from ist_mpi.errors import Caution, Fault, InputError, collecting
from ist_mpi.exact_theory.cost import EFFORTS, Effort, Wish, wish_of_run
from ist_mpi.parallel import nodes, ranks, watchdog
from ist_mpi.problems.source import Facts, Source
from ist_mpi.store.files import followed
from ist_mpi.store.log import open_run
from ist_mpi.threads import one_thread
from ist_mpi.training import budget, resume
from ist_mpi.training.budget import Budget
from ist_mpi.training.outputs import (
    companion_faults,
    input_faults,
    logs_of,
    output_faults,
    seed_range,
)
from ist_mpi.training.resume import OVER, standing
from ist_mpi.training.setup import facts_of

LOGGER = logging.getLogger(__name__)
GoingOn = Literal["no", "resume", "extend"]


class Job(NamedTuple):
    """A checked configuration and where its logs go; the same on every rank."""

    config: Config
    facts: Facts
    budget: Budget
    outs: dict[int, Path | None]
    """The log of each run seed; None: no log."""
    effort: Effort = "none"
    """How much theory fits into memory, of what is wanted."""
    done: tuple[tuple[Path, str], ...] = ()
    """The logs of runs that are over already, and their status; with --resume."""


def open_job(
    comm: Any,
    source: Any,
    overrides: Sequence[str] = (),
    out: str | Path | None = None,
    seeds: str | None = None,
    force: bool = False,
    going_on: GoingOn = "no",
    wish_of: Callable[[Config, Facts], Wish] = wish_of_run,
    opener: Callable[[Problem], Source] = problems.load,
) -> tuple[Job, Source | None]:
    """Check everything that rank 0 can check; the opened problem is on rank 0 only; collective.

    Parameters
    ----------
    source : Config, mapping or path
    overrides : sequence of str
        ``section.key=value``.
    out : path, optional
    seeds : str, optional
        ``A:B``: the run seeds A, …, B − 1, each with a log of its own.
    force : bool
    going_on : {"no", "resume", "extend"}
        Whether logs that exist are gone on with: the unfinished, or those at their end.
    wish_of : callable
        How much theory is wanted; default: as `run.theory` says.
    opener : callable
        What opens the problem.

    Raises
    ------
    LauncherError, InputError
        On every rank, with every fault found.
    """
    ranks.check_launcher(comm)
    watchdog.hand_over()
    options = {"--set": list(overrides), "--seeds": seeds, "force": force, "going on": going_on}
    _agree_on(comm, source, options)
    know_classes(source)
    opened: Source | None = None

    def check() -> Job:
        nonlocal opened
        given = (source, comm.size, overrides, out, seeds, force, going_on)
        job, opened = checked(*given, opener=opener)
        return job

    with one_thread():
        job = ranks.on_root(comm, check)
    return _fitted(comm, job, wish_of), opened


def _agree_on(comm: Any, source: Any, options: dict[str, Any]) -> None:
    """Refuse what differs between the ranks: options, and configurations; collective.

    None as a configuration is rank 0's.

    Raises
    ------
    InputError
        On every rank.
    """
    if comm.size == 1:
        return
    mine = None if source is None else sameness.as_given(source) | sameness.of_options(options)
    words = mine and sorted(mine.items())
    first, *others = comm.allgather(words and hashlib.sha256(repr(words).encode()).hexdigest())
    if all(other in (None, first) for other in others):
        return
    found = None if source is None else sameness.as_read(source) | sameness.of_options(options)
    read = comm.allgather(found)
    expected = read[0] or {}
    faults = []
    for rank, found in enumerate(read):
        for name in sorted(set(expected) | set(found)) if found is not None else ():
            if expected.get(name) != found.get(name):
                got = f"on rank {rank} another value than on rank 0"
                remedy = ""
                if name not in options:
                    remedy = "ranks other than 0 may give None, for what rank 0 gives"
                faults.append(Fault(name or "configuration", got, "the same on all ranks", remedy))
    if faults:
        error = InputError(faults)
        error.agreed = True
        raise error


def checked(
    source: Any,
    size: int,
    overrides: Sequence[str] = (),
    out: str | Path | None = None,
    seeds: str | None = None,
    force: bool = False,
    going_on: GoingOn = "no",
    opener: Callable[[Problem], Source] = problems.load,
) -> tuple[Job, Source]:
    """What one process can check of a run on `size` ranks, and the opened problem.

    That is everything but the memory of the hosts and the disk. Parameters as for `open_job`.

    Raises
    ------
    InputError
        With every fault found.
    MismatchError
        If a log that is to be gone on with is of another configuration.
    CheckpointError
        If a checkpoint cannot be read now.
    """
    faults: list[Fault] = []
    config, chosen, opened = None, None, None
    with collecting(faults):
        config = load(source, overrides)
    with collecting(faults):
        chosen = seed_range(seeds) if seeds is not None else None
    run_seed = config.run.seed if config is not None else 0
    outs = logs_of(Path(out) if out is not None else None, run_seed, chosen)
    faults += output_faults(outs.values(), force or going_on != "no")
    faults += companion_faults(outs.values())
    faults += input_faults(outs.values(), source, config)
    facts = None
    if config is not None:
        with collecting(faults):
            LOGGER.info("opening the problem")
            opened = opener(config.problem)
            facts = facts_of(config, opened)
    if config is None or opened is None or facts is None or faults:
        raise InputError(faults)
    done: tuple[tuple[Path, str], ...] = ()
    if going_on == "resume":
        of_seed = {seed: config.with_values(run={"seed": seed}) for seed in outs}
        found = {log: standing(of_seed[seed], log) for seed, log in outs.items() if log is not None}
        done = tuple((log, status) for log, status in found.items() if status in OVER)
        outs = {seed: log for seed, log in outs.items() if log not in dict(done)}
    needs = budget.estimate(config, facts, size)
    return Job(config.without_arrays(), facts, needs, outs, done=done), opened


def _fitted(comm: Any, job: Job, wish_of: Callable[[Config, Facts], Wish]) -> Job:
    """The job with as much theory as fits into memory on every host, if its logs do; collective.

    Raises
    ------
    InputError
        On every rank, where not even the least of theory fits, or the job itself, or its logs.
    """
    hosts = ranks.hosts(comm)
    here = hosts[comm.rank]
    if job.budget.shared and (short := nodes.lacking(comm, job.budget.shared)):
        job = job._replace(budget=budget.with_copies(job.budget))
        if comm.rank == 0:
            warnings.warn(_copies(job, short), Caution, stacklevel=2)
    wanted, least = wish_of(job.config, job.facts)

    def needs(effort: Effort) -> Budget:
        return budget.with_theory(job.budget, effort, job.config, job.facts, comm.size)

    def faults(effort: Effort) -> list[Fault]:
        return budget.memory_faults(needs(effort), hosts.count(here), here == hosts[0])

    fits = EFFORTS.index(wanted)
    with ranks.agreeing(comm):
        if comm.rank == hosts.index(here):  # one rank speaks for its host
            found = faults(least)
            if comm.rank == 0:  # with those of memory: what fits into neither hears of both
                found += disk_faults(job)
            if found:
                raise InputError(found)
            while fits > 0 and faults(EFFORTS[fits]):
                fits -= 1
    effort = EFFORTS[min(comm.allgather(fits))]
    most = EFFORTS[max(EFFORTS.index(effort), EFFORTS.index(least))]
    return job._replace(effort=effort, budget=needs(most))


def disk_faults(job: Job) -> list[Fault]:
    """Whether the logs of the job fit on their disk."""
    return budget.disk_faults(job.budget, [log for log in job.outs.values() if log is not None])


def _copies(job: Job, short: Mapping[str, int]) -> str:
    """That the ranks of a host do not share what they could, and why."""
    least = min(short, key=lambda host: short[host])
    each = budget.size_text(budget.kept_bytes(job.facts))
    free = budget.size_text(short[least])
    return (
        f"every rank has a copy of the workers' matrix, {each}: {nodes.PLACE} of {least} has only "
        f"{free} free; containers have an option for more, as --shm-size"
    )


def reopen(
    comm: Any, log: Path, rounds: int | None = None, code: Code = None
) -> tuple[Job, Source | None]:
    """`open_job` for a run that has begun, with its own configuration; collective.

    Parameters
    ----------
    rounds : int, optional
        The new number of rounds in all, for a finished run; None: resume an unfinished one.
    code : Path or sequence of Path, optional
        The files of the method, sketch or problem that the log names, if it names any.

    Raises
    ------
    InputError, MismatchError, CheckpointError
        On every rank.
    """

    def configuration() -> Config:
        config = resume.config_of(followed(log), code)
        if rounds is None:
            return config
        resume.check_extensible(open_run(log), rounds)
        return config.with_values(run={"rounds": rounds})

    _agree_on(comm, {}, {"--rounds": rounds})
    config = ranks.on_root(comm, configuration)
    going_on: GoingOn = "resume" if rounds is None else "extend"
    return open_job(comm, config, out=log, going_on=going_on)


def status_if_over(comm: Any, log: Path) -> str | None:
    """The status of a run that is over, whatever has become of its problem; collective."""
    ranks.check_launcher(comm)
    status: str | None = ranks.on_root(comm, lambda: resume.over(log))
    return status
