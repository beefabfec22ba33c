"""`run` from start to end: check a job, prepare together, execute its runs."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from ist_mpi.config import Config
from ist_mpi.errors import ISTError, LogError
from ist_mpi.parallel import ranks
from ist_mpi.parallel.watchdog import SETUP_FACTOR, Watchdog
from ist_mpi.problems.source import Source
from ist_mpi.store import checkpoint
from ist_mpi.store.locks import locked
from ist_mpi.store.log import Result, open_run
from ist_mpi.training import loop, resume
from ist_mpi.training.job import GoingOn, Job, open_job
from ist_mpi.training.kept import Kept
from ist_mpi.training.progress import Callback, Watcher
from ist_mpi.training.resume import OVER, Found, standing
from ist_mpi.training.setup import Experiment, prepare


def run(
    source: Any,
    comm: Any = None,
    *,
    out: str | Path | None = None,
    force: bool = False,
    watch: Watcher | None = None,
    callback: Callback | None = None,
) -> Result:
    """See `ist_mpi.run`; `watch` is told a few times a second how far the run is."""
    comm = ranks.communicator(comm)
    with ranks.abort_on_error(comm), ranks.alone_on(comm):
        ranks.meet(comm)
        job, problem = open_job(comm, source, out=out, force=force)
        if comm.rank == 0:
            for caution in job.config.cautions():
                warnings.warn(caution, stacklevel=3)
        runs = results(comm, job, problem, force=force, watch=watch, callback=callback)
        del problem  # so that only `results` has it, and can let go of it
        result = next(runs)
        next(runs, None)  # lets go of the problem
        return result


def results(
    comm: Any,
    job: Job,
    problem: Source | None,
    force: bool = False,
    watch: Watcher | None = None,
    going_on: GoingOn = "no",
    tell: Callable[[str], None] = warnings.warn,
    held: bool = False,
    callback: Callback | None = None,
    kept: Kept | None = None,
) -> Iterator[Result]:
    """Build the problem once and run every seed of the job on it, until one is stopped; collective.

    `tell` is called on rank 0 with what the user should know of the data, and of a run that goes
    on; `held`: the caller is `alone_at` the logs already; `kept`: the problem of the run before.
    """
    if not job.outs:
        return
    with Watchdog(
        job.config.run.watchdog_seconds * SETUP_FACTOR, f"rank {comm.rank} of {comm.size}"
    ):
        experiment = prepare(comm, job.config, job.facts, problem, job.effort, kept)
    del problem  # a data set need not stay in rank 0's memory
    for note in experiment.notes if comm.rank == 0 else ():
        tell(note)
    for seed, out in job.outs.items():
        config = job.config.with_values(run={"seed": seed})
        config = config.model_copy(update={"method": experiment.method})
        with nullcontext() if held else alone_at(comm, out):
            found = _found(comm, config, experiment, out, going_on, tell)
            if isinstance(found, Result):
                result = found
            else:
                again = force or going_on != "no"
                result = loop.execute(config, experiment, out, again, watch, found.start, callback)
        yield result
        if result.status == "stopped":
            break
    experiment.free()


def _found(
    comm: Any,
    config: Config,
    experiment: Experiment,
    out: Path | None,
    going_on: GoingOn,
    tell: Callable[[str], None],
) -> Found | Result:
    """Where a run goes on, whose log is ours now; or the run itself, if it is over; collective."""
    found = Found(None, [])
    if going_on == "resume" and out is not None:
        # Asked again: the run that had the log when it was looked at may just have finished it.
        if ranks.on_root(comm, partial(standing, config, out)) in OVER:
            finished: Result = ranks.on_root(comm, lambda: open_run(out).without_bulk())
            return finished
        if ranks.from_root(comm, _begun(out)):
            found = resume.resume(config, experiment, out)
    elif going_on == "extend" and out is not None:
        found = resume.extend(config, experiment, out)
    for note in found.notes if comm.rank == 0 else ():
        tell(f"{out}: {note}")
    return found


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
