"""`run` from start to end: read and check on rank 0, prepare together, execute."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from threadpoolctl import threadpool_limits

from ist_mpi import budget, problems, runner
from ist_mpi.budget import Budget
from ist_mpi.config import Config, load
from ist_mpi.errors import Fault, InputError
from ist_mpi.exchange import ranks
from ist_mpi.experiment import Facts, facts_of, prepare
from ist_mpi.problems.quadratic import Source
from ist_mpi.progress import Watcher
from ist_mpi.runlog import Result


class Job(NamedTuple):
    """A checked configuration and where its logs go; the same on every rank."""

    config: Config
    facts: Facts
    budget: Budget
    outs: dict[int, Path | None]
    """The log of each run seed; None: no log."""


def run(
    source: Any, comm: Any = None, *, out: str | Path | None = None, force: bool = False
) -> Result:
    """See `ist_mpi.run`."""
    comm = ranks.world() if comm is None else comm
    with ranks.abort_on_error(comm):
        return next(results(comm, *open_job(comm, source, out=out, force=force), force=force))


def open_job(
    comm: Any,
    source: Any,
    overrides: Sequence[str] = (),
    out: str | Path | None = None,
    seeds: range | None = None,
    force: bool = False,
) -> tuple[Job, Source | None]:
    """Check everything that rank 0 can check; the opened problem is on rank 0 only; collective.

    Raises
    ------
    LauncherError, InputError
        On every rank, with every fault found.
    """
    ranks.check_launcher(comm)
    opened: Source | None = None

    def check() -> Job:
        nonlocal opened
        faults: list[Fault] = []
        path = Path(out) if out is not None else None
        config = None
        try:
            config = load(source, overrides)
        except InputError as error:
            faults += error.faults
        run_seed = config.run.seed if config is not None else 0
        outs = _outs(path, seeds if seeds is not None else [run_seed], split=seeds is not None)
        for log in outs.values():
            faults += output_faults(log, force)
        if config is not None:
            try:
                opened = problems.load(config.problem)
                facts = facts_of(config, opened)
            except InputError as error:
                faults += error.faults
        if faults or config is None:
            raise InputError(faults)
        needs = budget.estimate(config, facts.n, facts.d, facts.homogeneous, comm.size)
        for log in outs.values():
            faults += budget.disk_faults(needs, log) if log is not None else []
        if faults:
            raise InputError(faults)
        return Job(config.without_arrays(), facts, needs, outs)

    with threadpool_limits(limits=1):
        job = ranks.on_root(comm, check)
    hosts = ranks.hosts(comm)
    here = hosts[comm.rank]
    with ranks.agreeing(comm):
        if comm.rank == hosts.index(here):  # one rank speaks for its host
            faults = budget.memory_faults(job.budget, hosts.count(here), here == hosts[0])
            if faults:
                raise InputError(faults)
    return job, opened


def results(
    comm: Any,
    job: Job,
    problem: Source | None,
    force: bool = False,
    watch: Watcher | None = None,
) -> Iterator[Result]:
    """Build the problem once and run every seed of the job on it; collective."""
    with threadpool_limits(limits=1):
        experiment = prepare(comm, job.config, job.facts, problem)
    del problem  # a data set need not stay in rank 0's memory
    for seed, out in job.outs.items():
        config = job.config.with_values(run={"seed": seed})
        yield runner.execute(config, experiment, out, force, watch)


def _outs(path: Path | None, seeds: Sequence[int], split: bool) -> dict[int, Path | None]:
    """The log of every seed: ``name.h5``, or ``name-seed3.h5`` and so on."""
    if path is None or not split:
        return {seed: path for seed in seeds}
    return {seed: path.with_name(f"{path.stem}-seed{seed}{path.suffix}") for seed in seeds}


def output_faults(path: Path | None, force: bool) -> list[Fault]:
    """Whether a log can be put at `path`."""
    if path is None:
        return []
    try:
        return _output_faults(path, force)
    except OSError as error:  # a name that is too long, a folder that may not be entered
        got = error.strerror or str(error)
        return [Fault(f"--out {path}", got, "a path where a file can be made")]


def _output_faults(path: Path, force: bool) -> list[Fault]:
    where = f"--out {path}"
    if path.is_dir():
        return [Fault(where, "a directory", "the path of a file")]
    if path.exists() or path.is_symlink():
        if not force:
            return [Fault(where, "a file that exists", "a path where nothing is", "or use --force")]
        if not path.is_file():
            return [Fault(where, "a special file", "the path of a regular file")]
    folder = budget.existing_folder(path)
    if not folder.is_dir():
        return [Fault(where, f"{folder}, which is no directory", "a path inside directories")]
    if not os.access(folder, os.W_OK | os.X_OK):
        return [Fault(where, f"the folder {folder}, which cannot be written", "a writable folder")]
    return []
