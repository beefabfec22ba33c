"""``ist-mpi watch``."""

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from ist_mpi.cli.messages import INTERRUPTED
from ist_mpi.errors import ReadError
from ist_mpi.parallel import launcher


def watch(
    log: Annotated[
        Path, typer.Argument(metavar="RUN.h5", help="The log of a run, which need not exist yet.")
    ],
    interval: Annotated[
        float, typer.Option(min=0.1, max=86400, metavar="SECONDS", help="Time between two looks.")
    ] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Look once, and end.")] = False,
    follow: Annotated[
        bool,
        typer.Option(
            "--follow", help="When the run stops or is killed, wait for it to be resumed."
        ),
    ] = False,
) -> None:
    """Follow a run of another process until it ends.

    Here or on a shared file system. It only reads. Exit codes are the run's: 0 finished, 1 failed,
    75 stopped or killed; 0 also for a run that goes on, with --once; 65 a damaged log; 74 the disk
    failed; 130 after Ctrl-C.
    """
    launcher.stay_alone()
    # A view leaves a terminal as it found it, also when it is asked to end.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        from ist_mpi.cli.report import live
        from ist_mpi.training import watching

        moment = live.follow(watching.Watch(log), interval, once, follow)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)  # past typer, and in silence: this is how one leaves
    if moment.state in watching.EXIT_CODES:
        raise typer.Exit(watching.EXIT_CODES[moment.state])
    if moment.run is None:
        raise typer.Exit(ReadError.exit_code if moment.state == "unreadable" else 2)
