"""``ist-mpi run``: two hops from here to Algorithm 1, by `training.api` and `training.loop`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ist_mpi.cli import options
from ist_mpi.cli.messages import progress, say, show, warn
from ist_mpi.parallel import launcher


def run(
    config: options.Config,
    override: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="SECTION.KEY=VALUE",
            help="Override a setting; the value is TOML, else a plain string. Repeatable.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The log; default: results/<name of the configuration>.h5."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing log.")] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print what would run and what it needs; run nothing."),
    ] = False,
    seeds: Annotated[
        str | None,
        typer.Option(
            metavar="A:B",
            help="Run with seeds A, …, B-1 on one problem, one log each (name-seedA.h5, …).",
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Continue logs that exist and are not finished; leave finished ones alone.",
        ),
    ] = False,
    only_compile: Annotated[
        bool,
        typer.Option(
            "--compile",
            help="Run nothing; fill numba's cache with what the run needs, in one process.",
        ),
    ] = False,
) -> None:
    """Train on all ranks: mpiexec -n 4 ist-mpi run CONFIG.toml

    An existing file is never replaced without --force. SIGTERM, SIGUSR1, SIGHUP and Ctrl-C stop
    the run with a checkpoint. Exit codes: 0 finished, also by tolerance; 1 diverged, or a bug;
    2 wrong input, nothing was run; 65 a log or checkpoint that is damaged or of another run; 73
    another run is writing the log; 74 the disk failed; 75 stopped with a checkpoint: run with
    --resume; 141 nobody reads what it prints.
    """
    if resume and force:
        raise typer.BadParameter("--resume and --force do not go together")
    if only_compile:
        compile_only(config, override or ())
        return
    from ist_mpi.parallel import ranks

    comm = ranks.world()
    with ranks.abort_on_error(comm), progress(comm, config.stem) as watch:
        from ist_mpi.cli.report.plans import show_plan
        from ist_mpi.training import api
        from ist_mpi.training import job as jobs

        path = out if out is not None else Path("results") / f"{config.stem}.h5"
        going_on: jobs.GoingOn = "resume" if resume else "no"
        free = force or dry_run  # what replaces nothing may find a log
        job, problem = jobs.open_job(comm, config, override or (), path, seeds, free, going_on)
        warn(comm, job.config.cautions())
        if dry_run:
            checked = api.rehearse(comm, job, problem)
            if comm.rank == 0:
                logs = list(job.outs.values())
                show_plan(job.config, job.facts, job.budget, logs, comm.size, checked)
            return
        runs = api.results(comm, job, problem, force, watch, going_on, say)
        del problem  # so that only `results` has it, and can let go of it
        code = show(comm, job, runs)
    raise typer.Exit(code)


def compile_only(config: Path, overrides: Sequence[str]) -> None:
    """Fill the cache of compiled functions; without MPI, which may not start in one process."""
    launcher.stay_alone()
    from ist_mpi.config import load
    from ist_mpi.training import compiling

    compiling.check_folder()

    compiling.compile_for(load(config, overrides))
