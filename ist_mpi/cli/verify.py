"""``ist-mpi verify``."""

from pathlib import Path
from typing import Annotated

import typer

from ist_mpi.cli import options
from ist_mpi.cli.messages import waiting
from ist_mpi.parallel import launcher


def verify(
    logs: Annotated[list[Path], typer.Argument(metavar="RUN.h5…", help="Logs.")],
    replay: Annotated[
        bool,
        typer.Option(
            "--replay/--no-replay",
            help="Repeat the runs from their blocks or seeds, and compare.",
        ),
    ] = True,
    seconds: Annotated[
        float,
        typer.Option(
            min=0, metavar="SECONDS", help="Longest replay of a log; a longer one is not judged."
        ),
    ] = 60.0,
    code: options.Code = None,
) -> None:
    """Judge whether logs say what theory and the seed give.

    Each log alone, and 20 seeds or more of one configuration against theory. Exit code 1 if
    anything failed. What could not be judged is listed with the reason.
    """
    launcher.stay_alone()
    from ist_mpi import verify as verification
    from ist_mpi.cli.report.judgement import show_findings

    with waiting():
        found = verification.verify(logs, replay=replay, seconds=seconds, code=code)
    show_findings(found)
    if found.failed:
        raise typer.Exit(1)
