"""The runs of a sweep here, some at a time, each in processes of its own."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple

from ist_mpi.batch import attempts
from ist_mpi.batch.points import Plan, Point
from ist_mpi.batch.status import Status, status_of
from ist_mpi.errors import Fault, InputError
from ist_mpi.parallel import signals
from ist_mpi.parallel.launcher import untied
from ist_mpi.store.files import as_word

PAUSE = 0.05
"""Seconds between two looks at who has ended."""
TAIL = 2000
"""Bytes of what a process said last that may be its reason to fail."""


class _Child(NamedTuple):
    """A run that is being made."""

    point: Point
    process: subprocess.Popen[bytes]
    messages: IO[bytes]


def mpiexec(ranks: int) -> list[str]:
    """The words that start a command on so many ranks; none for one.

    Raises InputError if there is no mpiexec beside this python.
    """
    if ranks == 1:
        return []
    path = Path(sys.executable).with_name("mpiexec")
    if not path.exists():
        expected = f"an mpiexec beside {sys.executable}"
        remedy = 'pip install "ist_mpi[mpich]", or leave --ranks out and start more --jobs'
        raise InputError(Fault(f"--ranks {ranks}", f"no {path}", expected, remedy))
    return [str(path), "-n", str(ranks)]


def command(found: Plan, folder: Path) -> list[str]:
    """The command that makes one run of a sweep, without its index."""
    words = ["sweep", "run", as_word(found.sweep.path), "--folder", as_word(folder)]
    return [*words, "--expect", found.sweep.digest]


def run_points(
    points: Sequence[Point],
    command: Sequence[str],
    jobs: int,
    ranks: int,
    tell: Callable[[Point, Status, str], None],
) -> list[Status]:
    """Make runs, `jobs` at a time, until all have ended or this process is told to stop.

    A run that fails does not stop the others. When this process gets a signal that asks it to stop,
    every run is asked too, writes its checkpoint, and no other is begun. On a second Ctrl-C all
    processes are killed. What comes back is the status of each point in turn; those not begun are
    as they were.

    `command` makes a run, as words after ``python -m ist_mpi``; its index is added. `tell` is
    called with every run that has ended, how, and how many have: ``3/12``.
    """
    words = [*mpiexec(ranks), sys.executable, "-m", "ist_mpi", *command, "--index"]
    waiting, active, stopping = deque(points), list[_Child](), False
    found: dict[int, Status] = {}
    try:
        while active or waiting:
            if signals.requested() and not stopping:
                stopping = True
                waiting.clear()
                for child in active:
                    child.process.send_signal(signal.SIGTERM)
            while waiting and len(active) < jobs:
                active.append(_start(waiting.popleft(), words))
            for child in [child for child in active if child.process.poll() is not None]:
                active.remove(child)
                found[child.point.index] = status = _ended(child, stopping)
                tell(child.point, status, f"{len(found)}/{len(points)}")
            time.sleep(PAUSE)
    finally:
        for child in active:  # on a second Ctrl-C, or a bug
            with suppress(ProcessLookupError):
                os.killpg(child.process.pid, signal.SIGKILL)
            child.process.wait()
    return [found.get(point.index) or status_of(point) for point in points]


def _start(point: Point, words: Sequence[str]) -> _Child:
    """Begin a run, out of reach of the terminal: its Ctrl-C is passed on, once."""
    messages = tempfile.TemporaryFile()  # noqa: SIM115 (closed in _ended)
    process = subprocess.Popen(
        [*words, str(point.index)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=messages,
        env=untied(),
        start_new_session=True,
    )
    return _Child(point, process, messages)


def _ended(child: _Child, stopping: bool) -> Status:
    """How a run has ended; if it could not say why, what can be seen from here is noted."""
    code = child.process.returncode
    with child.messages as messages:
        messages.seek(max(0, messages.seek(0, os.SEEK_END) - TAIL))
        said = messages.read().decode(errors="replace")
    status = status_of(child.point)
    if status.state == "killed" or (status.state == "missing" and not stopping):
        reason = _reason(code, said)
        attempts.fail(child.point, reason, code)
        return status._replace(state="failed", reason=reason)  # also where nothing can be noted
    return status


def _reason(code: int, said: str) -> str:
    """Why a process ended, from its code and its last line."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    ended = f"exit code {code}"
    if code < 0:
        with suppress(ValueError):
            ended = f"killed by {signals.name(-code)}"
    return f"{ended}: {lines[-1]}" if lines else ended
