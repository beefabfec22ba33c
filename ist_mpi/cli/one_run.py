"""One run of a sweep on the ranks that were started, or many, as they are asked for."""

import os
import signal
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from ist_mpi.cli.messages import progress, say, show, warn
from ist_mpi.errors import InputError, failure_of
from ist_mpi.parallel import launcher, signals

if TYPE_CHECKING:
    from ist_mpi.training.kept import Kept

PAUSE = 0.2
"""Seconds between two looks at whether this process is to stop, while nobody asks for a run."""


def make(
    sweep: Path, folder: Path | None, index: int, expected: str, kept: "Kept | None" = None
) -> int:
    """Make one run on all ranks, or go on with it; the exit code; collective."""
    from ist_mpi.parallel import ranks

    comm = ranks.world()
    with ranks.abort_on_error(comm):
        from ist_mpi import problems
        from ist_mpi.batch import attempts, points
        from ist_mpi.training import api
        from ist_mpi.training import job as checks

        ranks.check_launcher(comm)
        point = ranks.on_root(comm, lambda: points.point(sweep, index, folder, expected))
        shown = progress(comm, f"{sweep.stem} {index}")
        with attempts.attempting(comm, point), shown as watch:
            opener = problems.load if kept is None else kept.load
            job, problem = checks.open_job(
                comm, point.config, out=point.log, going_on="resume", opener=opener
            )
            warn(comm, job.config.cautions())
            runs = api.results(
                comm, job, problem, False, watch, "resume", say, held=True, kept=kept
            )
            del problem
            return show(comm, job, runs)


def serve(sweep: Path, folder: Path | None, expected: str) -> None:
    """Make the runs whose indices come in, a line each, and say when each has ended; collective.

    What a run has to say goes where errors go; whoever asked reads its log. Code of the user's
    finds nothing to read. A run that is being made when whoever asked is gone stops.
    """
    from ist_mpi.parallel import ranks
    from ist_mpi.training.kept import Kept

    comm, kept = ranks.world(), Kept()
    source = _take_input()
    next_line = _lines_of(source) if comm.rank == 0 else str
    answers = os.dup(1)
    os.dup2(2, 1)
    while (line := ranks.on_root(comm, next_line)).strip():
        try:
            make(sweep, folder, int(line), expected, kept)
        except Exception as error:  # the note of the attempt has the reason
            failure = failure_of(error)
            say(failure[1] if failure is not None else traceback.format_exc())
        if any(comm.allgather(signals.requested())):
            break  # whoever asked sees this process end
        if comm.rank == 0:
            os.write(answers, f"\n{line}".encode())  # a line of its own, whoever began one
    kept.forget()


def _take_input() -> int:
    """A descriptor of this process's input, in whose place there is nothing to read."""
    source, nothing = os.dup(0), os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return source


def _lines_of(source: int) -> Callable[[], str]:
    """What gives the next line of a file that is read from now on, and "" after its end.

    Its end asks this process to stop, so that it is noticed during a run; "" too where it is asked
    to stop while there is no line.
    """
    lines = SimpleQueue[str]()

    def listen() -> None:
        with os.fdopen(source) as file:
            for line in file:
                lines.put(line)
        signals.request(signal.SIGHUP)
        lines.put("")

    def next_line() -> str:
        while True:
            with suppress(Empty):
                return lines.get(timeout=PAUSE)
            if signals.requested():
                return ""

    threading.Thread(target=listen, daemon=True).start()
    return next_line


def compile_for(sweep: Path, folder: Path | None, index: int) -> None:
    """Fill the cache of compiled functions for a run; what is wrong with it the run itself says."""
    launcher.stay_alone()
    from ist_mpi.batch import points
    from ist_mpi.training import compiling

    compiling.check_folder()
    with suppress(InputError):
        compiling.compile_for(points.point(sweep, index, folder).config)
