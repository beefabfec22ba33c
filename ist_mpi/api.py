"""`run` from start to end: read and check on rank 0, prepare together, execute."""

import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

from threadpoolctl import threadpool_limits

from ist_mpi import budget, checkpoint, continuation, problems, runner
from ist_mpi.budget import Budget
from ist_mpi.config import Config, load
from ist_mpi.constants import EFFORTS, Effort, Wish, wish_of_run
from ist_mpi.continuation import OVER, Found, standing
from ist_mpi.errors import Fault, InputError, ISTError, LogError
from ist_mpi.exchange import ranks
from ist_mpi.experiment import Experiment, facts_of, prepare
from ist_mpi.files import followed
from ist_mpi.locks import locked, path_of
from ist_mpi.problems.quadratic import Facts, Source
from ist_mpi.progress import Watcher
from ist_mpi.randomness import MAX_SEED
from ist_mpi.runlog import Result, open_run
from ist_mpi.watchdog import SETUP_FACTOR, Watchdog

GoingOn = Literal["no", "resume", "extend"]

MAX_SEEDS = 100_000
"""Most runs of one --seeds: all their logs are checked before the first starts."""


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


def run(
    source: Any, comm: Any = None, *, out: str | Path | None = None, force: bool = False
) -> Result:
    """See `ist_mpi.run`."""
    comm = ranks.world() if comm is None else comm
    with ranks.abort_on_error(comm):
        job, problem = open_job(comm, source, out=out, force=force)
        if comm.rank == 0:
            for caution in job.config.cautions():
                warnings.warn(caution, stacklevel=3)
        runs = results(comm, job, problem, force=force)
        del problem  # so that only `results` has it, and can let go of it
        result = next(runs)
        next(runs, None)  # lets go of the problem
        return result


def open_job(
    comm: Any,
    source: Any,
    overrides: Sequence[str] = (),
    out: str | Path | None = None,
    seeds: str | None = None,
    force: bool = False,
    going_on: GoingOn = "no",
    wish_of: Callable[[Config, Facts], Wish] = wish_of_run,
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

    Raises
    ------
    LauncherError, InputError
        On every rank, with every fault found.
    """
    ranks.check_launcher(comm)
    opened: Source | None = None

    def check() -> Job:
        nonlocal opened
        job, opened = checked(source, comm.size, overrides, out, seeds, force, going_on)
        return job

    with threadpool_limits(limits=1):
        job = ranks.on_root(comm, check)
    return _fitted(comm, job, wish_of), opened


def checked(
    source: Any,
    size: int,
    overrides: Sequence[str] = (),
    out: str | Path | None = None,
    seeds: str | None = None,
    force: bool = False,
    going_on: GoingOn = "no",
) -> tuple[Job, Source]:
    """What one process can check of a run on `size` ranks, and the opened problem.

    That is everything but the memory of the hosts. Parameters as for `open_job`.

    Raises
    ------
    InputError
        With every fault found.
    MismatchError
        If a log that is to be gone on with is of another configuration.
    """
    faults: list[Fault] = []
    config, chosen, opened = None, None, None
    with collecting(faults):
        config = load(source, overrides)
    with collecting(faults):
        chosen = seed_range(seeds) if seeds is not None else None
    run_seed = config.run.seed if config is not None else 0
    outs = _outs(Path(out) if out is not None else None, run_seed, chosen)
    faults += output_faults(outs.values(), force or going_on != "no")
    faults += companion_faults(outs.values())
    faults += input_faults(outs.values(), source, config)
    facts = None
    if config is not None:
        with collecting(faults):
            opened = problems.load(config.problem)
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
    if faults := budget.disk_faults(needs, [log for log in outs.values() if log is not None]):
        raise InputError(faults)
    return Job(config.without_arrays(), facts, needs, outs, done=done), opened


def _fitted(comm: Any, job: Job, wish_of: Callable[[Config, Facts], Wish]) -> Job:
    """The job with as much theory as fits into memory on every host; collective.

    Raises
    ------
    InputError
        On every rank, where not even the least of theory fits, or the job itself.
    """
    hosts = ranks.hosts(comm)
    here = hosts[comm.rank]
    wanted, least = wish_of(job.config, job.facts)

    def needs(effort: Effort) -> Budget:
        return budget.with_theory(job.budget, effort, job.config, job.facts, comm.size)

    def faults(effort: Effort) -> list[Fault]:
        return budget.memory_faults(needs(effort), hosts.count(here), here == hosts[0])

    fits = EFFORTS.index(wanted)
    with ranks.agreeing(comm):
        if comm.rank == hosts.index(here):  # one rank speaks for its host
            if found := faults(least):
                raise InputError(found)
            while fits > 0 and faults(EFFORTS[fits]):
                fits -= 1
    effort = EFFORTS[min(comm.allgather(fits))]
    most = EFFORTS[max(EFFORTS.index(effort), EFFORTS.index(least))]
    return job._replace(effort=effort, budget=needs(most))


@contextmanager
def collecting(faults: list[Fault]) -> Iterator[None]:
    """Add the faults of an InputError in the body to a list, and go on."""
    try:
        yield
    except InputError as error:
        faults += error.faults


def results(
    comm: Any,
    job: Job,
    problem: Source | None,
    force: bool = False,
    watch: Watcher | None = None,
    going_on: GoingOn = "no",
    tell: Callable[[str], None] = warnings.warn,
    held: bool = False,
) -> Iterator[Result]:
    """Build the problem once and run every seed of the job on it, until one is stopped; collective.

    `tell` is called on rank 0 with what the user should know of a run that goes on; `held`: the
    caller is `alone_at` the logs already.
    """
    if not job.outs:
        return
    with Watchdog(
        job.config.run.watchdog_seconds * SETUP_FACTOR, f"rank {comm.rank} of {comm.size}"
    ):
        experiment = prepare(comm, job.config, job.facts, problem, job.effort)
    del problem  # a data set need not stay in rank 0's memory
    for seed, out in job.outs.items():
        step = {"step_size": experiment.method.gamma}
        config = job.config.with_values(run={"seed": seed}, method=step)
        with nullcontext() if held else alone_at(comm, out):
            result = _run_of(comm, config, experiment, out, force, watch, going_on, tell)
        yield result
        if result.status == "stopped":
            break
    experiment.free()


def _run_of(
    comm: Any,
    config: Config,
    experiment: Experiment,
    out: Path | None,
    force: bool,
    watch: Watcher | None,
    going_on: GoingOn,
    tell: Callable[[str], None],
) -> Result:
    """One run of a job, whose log is ours now; collective."""
    found = Found(None, [])
    if going_on == "resume" and out is not None:
        # Asked again: the run that had the log when it was looked at may just have finished it.
        if ranks.on_root(comm, partial(standing, config, out)) in OVER:
            finished: Result = ranks.on_root(comm, lambda: open_run(out).without_bulk())
            return finished
        if ranks.from_root(comm, _begun(out)):
            found = continuation.resume(comm, config, experiment, out)
    elif going_on == "extend" and out is not None:
        found = continuation.extend(comm, config, experiment, out)
    for note in found.notes if comm.rank == 0 else ():
        tell(f"{out}: {note}")
    replace = force or going_on != "no"
    return runner.execute(config, experiment, out, replace, watch, found.start)


def _begun(out: Path | None) -> bool:
    return out is not None and (out.exists() or checkpoint.folder_of(out).exists())


@contextmanager
def alone_at(comm: Any, log: Path | None) -> Iterator[None]:
    """Rank 0 holds the lock of the log; LockedError or LogError on every rank; collective."""
    with ExitStack() as stack:
        with ranks.agreeing(comm):
            if comm.rank == 0 and log is not None:
                try:
                    stack.enter_context(locked(log))
                except ISTError:
                    raise
                except OSError as error:
                    raise LogError(f"{log} cannot be locked: {error}") from error
        yield


def reopen(comm: Any, log: Path, rounds: int | None = None) -> tuple[Job, Source | None]:
    """`open_job` for a run that has begun, with its own configuration; collective.

    Parameters
    ----------
    rounds : int, optional
        The new number of rounds in all, for a finished run; None: resume an unfinished one.

    Raises
    ------
    InputError, MismatchError
        On every rank.
    """

    def configuration() -> Config:
        config = continuation.config_of(followed(log))
        if rounds is None:
            return config
        continuation.check_extensible(open_run(log), rounds)
        return config.with_values(run={"rounds": rounds})

    config = ranks.on_root(comm, configuration)
    going_on: GoingOn = "resume" if rounds is None else "extend"
    return open_job(comm, config, out=log, going_on=going_on)


def status_if_over(comm: Any, log: Path) -> str | None:
    """The status of a run that is over, whatever has become of its problem; collective."""
    ranks.check_launcher(comm)
    status: str | None = ranks.on_root(comm, lambda: continuation.over(log))
    return status


def seed_range(text: str) -> range:
    """The run seeds that ``A:B`` means; raises InputError."""
    first, colon, last = text.partition(":")
    seeds = range(0)
    if colon and _is_seed(first) and _is_seed(last):
        seeds = range(int(first), int(last))
    if not 1 <= len(seeds) <= MAX_SEEDS:
        expected = f"A:B with 0 ≤ A < B ≤ {MAX_SEED}, at most {MAX_SEEDS} seeds"
        raise InputError(Fault("--seeds", repr(text[:60]), expected))
    return seeds


def _is_seed(word: str) -> bool:
    return word.isascii() and word.isdecimal() and len(word) < 20 and int(word) <= MAX_SEED


def _outs(path: Path | None, run_seed: int, seeds: range | None) -> dict[int, Path | None]:
    """The log of every seed: the path itself, or with --seeds ``name-seed3.h5`` and so on."""
    if path is None:
        return dict.fromkeys(seeds if seeds is not None else [run_seed])
    if seeds is None or not path.name:  # "." is refused as the directory that it is
        return {run_seed: followed(path)}
    return {
        seed: followed(path.with_name(f"{path.stem}-seed{seed}{path.suffix}")) for seed in seeds
    }


def output_faults(paths: Iterable[Path | None], force: bool, option: str = "--out") -> list[Fault]:
    """Whether files can be put there; of many paths in one folder, what ails it is said once."""
    faults: dict[Fault, None] = {}
    for path in paths:
        if path is not None:
            try:
                found = _output_fault(path, force, option)
            except OSError as error:  # a name that is too long, a folder that may not be entered
                got = error.strerror or str(error)
                found = Fault(f"{option} {path}", got, "a path where a file can be made")
            if found is not None:
                faults[found] = None
    return list(faults)


def input_faults(
    paths: Iterable[Path | None], source: Any, config: Config | None, option: str = "--out"
) -> list[Fault]:
    """Whether a file that --force would replace is what the run is made of."""
    inputs = {"the configuration": source if isinstance(source, str | Path) else None}
    if config is not None:
        inputs["the data"] = getattr(config.problem, "path", None)
    return [
        Fault(f"{option} {path}", f"{name} of the run itself", "another file")
        for path in paths
        for name, other in inputs.items()
        if path is not None and other is not None and _is_same(path, Path(other))
    ]


def _is_same(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except (OSError, ValueError):  # one of them is not there, or cannot be
        return False


def _output_fault(path: Path, force: bool, option: str) -> Fault | None:
    where = f"{option} {path}"
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return Fault(where, "a name that is not UTF-8", "one that can be printed")
    if path.is_dir():
        return Fault(where, "a directory", "the path of a file")
    if path.exists() or path.is_symlink():
        if not force:
            return Fault(where, "a file that exists", "a path where nothing is", "or use --force")
        if not path.is_file():
            return Fault(where, "a special file", "the path of a regular file")
    folder = budget.existing_folder(path)
    if not folder.is_dir():
        return Fault(where, f"{folder}, which is no directory", "a path inside directories")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        got = f"the folder {folder}, which cannot be written ({error.strerror})"
        return Fault(option, got, "a writable folder")
    return None


def companion_faults(logs: Iterable[Path | None]) -> list[Fault]:
    """Whether what comes to lie beside the logs, locks and checkpoints, has its place there."""
    faults = []
    for log in logs:
        if log is None:
            continue
        lock, folder = path_of(log), checkpoint.folder_of(log)
        try:
            if lock.is_symlink() or (lock.exists() and not lock.is_file()):
                got = "something else than a file"
                faults.append(Fault(f"the lock {lock}", got, "a path where a file can be made"))
            if (folder.exists() or folder.is_symlink()) and not folder.is_dir():
                got = "something else than a folder"
                where = f"the checkpoints {folder}"
                faults.append(Fault(where, got, "a path where a folder can be made"))
        except OSError as error:  # a name that is too long with their suffixes
            got = error.strerror or str(error)
            faults.append(Fault(f"--out {log}", got, "a path where files can be made"))
    return faults


REHEARSAL_ENTRIES = 10**8
"""Largest n d² for which a dry run makes the matrices, to check them too."""


def rehearse(comm: Any, job: Job, problem: Source | None, entries: int = REHEARSAL_ENTRIES) -> bool:
    """Prepare a run that will not be made, unless that is costly; whether it was; collective.

    `entries` is the largest n d² for which it is done.

    Raises
    ------
    InputError
        On every rank, as the run would.
    """
    if job.facts.n * job.facts.d**2 > entries:
        return False
    prepare(comm, job.config, job.facts, problem, job.effort)
    return True
