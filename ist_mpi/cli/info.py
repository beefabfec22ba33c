"""``ist-mpi info``."""

from pathlib import Path
from typing import Annotated

import typer

from ist_mpi.cli import options
from ist_mpi.cli.messages import waiting
from ist_mpi.parallel import launcher


def info(
    log: Annotated[Path, typer.Argument(metavar="RUN.h5", help="A log.")],
    as_json: options.Json = False,
) -> None:
    """Show what ran, where, how it ended, and the last metrics."""
    launcher.stay_alone()
    from ist_mpi.cli.report import runs, text
    from ist_mpi.store import log as runlog

    with waiting():
        found = runlog.open_run(log)
    if as_json:
        print(runs.info_json(found))
    else:
        text.console().print(runs.info(found))
