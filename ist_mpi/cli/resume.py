"""``ist-mpi resume`` and ``extend``: go on with what is in a log."""

from pathlib import Path
from typing import Annotated

import typer

from ist_mpi.cli import options
from ist_mpi.cli.messages import code_of, progress, say, say_done, show, warn


def resume(
    log: Annotated[Path, typer.Argument(metavar="RUN.h5", help="The log of a run that stopped.")],
    code: options.Code = None,
) -> None:
    """Continue a run that was stopped or killed, on any ranks.

    It starts from the newest whole checkpoint, with the configuration in the log. Exit codes as
    for run.
    """
    _go_on(log, None, code)


def extend(
    log: Annotated[Path, typer.Argument(metavar="RUN.h5", help="The log of a finished run.")],
    rounds: Annotated[
        int, typer.Option(min=1, metavar="N", help="The new total number of rounds.")
    ],
    code: options.Code = None,
) -> None:
    """Continue a finished run beyond its end, to N rounds in all. Exit codes as for run."""
    _go_on(log, rounds, code)


def _go_on(log: Path, rounds: int | None, code: options.Code) -> None:
    """Resume an unfinished run, or extend a finished one."""
    from ist_mpi.parallel import ranks

    comm = ranks.world()
    with ranks.abort_on_error(comm), progress(comm, log.stem) as watch:
        from ist_mpi.training import api
        from ist_mpi.training import job as jobs

        over = jobs.status_if_over(comm, log) if rounds is None else None
        if over is None:
            going_on: jobs.GoingOn = "resume" if rounds is None else "extend"
            job, problem = jobs.reopen(comm, log, rounds, code)
            warn(comm, [])
            runs = api.results(comm, job, problem, False, watch, going_on, say)
            del problem
            ended = show(comm, job, runs)
        else:
            say_done(comm, log, over)
            ended = code_of([over])
    raise typer.Exit(ended)
