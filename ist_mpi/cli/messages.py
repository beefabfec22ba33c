"""What the commands that train say while they do, and the exit codes that it comes to."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from ist_mpi.errors import printable

STOPPED = 75
"""Exit code of a run that was stopped and can go on."""
INTERRUPTED = 130
"""Exit code after a second Ctrl-C, as shells have it."""


def say(text: str) -> None:
    """A line for people, beside what the command prints."""
    print(printable(f"ist-mpi: {text}"), file=sys.stderr, flush=True)


def warn(comm: Any, cautions: list[str]) -> None:
    """Say once what is allowed but seldom meant, crowded hosts too; collective."""
    from ist_mpi.parallel import ranks

    census = ranks.census(comm)
    for caution in cautions + ranks.crowded(census) if comm.rank == 0 else ():
        say(f"caution: {caution}")


def progress(comm: Any, label: str) -> Any:
    """The progress of a run shown on rank 0, and before that what is waited for; a context."""
    from ist_mpi.cli.report.progress import ProgressReport

    return ProgressReport(label) if comm.rank == 0 else nullcontext()


def waiting(rank: int = 0) -> Any:
    """What is waited for, shown on rank 0, as a context."""
    from rich.console import Console

    from ist_mpi.cli.report.progress import Waiting

    return Waiting(Console(stderr=True)) if rank == 0 else nullcontext()


def show(comm: Any, job: Any, runs: Iterator[Any]) -> int:
    """Make the runs of a job and show what came out; the exit code; collective."""
    from ist_mpi.cli.report.runs import show_outcome

    statuses = [status for _, status in job.done]
    for log, status in job.done:
        say_done(comm, log, status)
    for result in runs:
        statuses.append(result.status)
        if comm.rank == 0:
            show_outcome(result)
    return code_of(statuses)


def say_done(comm: Any, log: Path, status: str) -> None:
    """That a run is over already."""
    if comm.rank == 0:
        say(f"{log}: {status} already, nothing to do")


def code_of(statuses: Sequence[str]) -> int:
    """The exit code of a job whose runs ended so."""
    if "stopped" in statuses:
        return STOPPED
    return 1 if "failed" in statuses else 0
