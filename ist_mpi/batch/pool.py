"""The runs of a sweep here, some at a time, in processes that make one after another.

A worker is a process, or ranks of a launcher, that loads everything once: ``sweep run --serve``
reads the indices of points, a line each, makes their runs and writes a line when each has ended. A
run that takes its worker along fails alone; the rest go on in a new one.
"""

import os
import select
import signal
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, cast

from ist_mpi.batch import attempts
from ist_mpi.batch.points import Plan, Point
from ist_mpi.batch.status import Status, status_of
from ist_mpi.config import Problem
from ist_mpi.errors import Fault, InputError
from ist_mpi.parallel import signals
from ist_mpi.parallel.launcher import untied
from ist_mpi.store.files import as_word

PAUSE = 0.05
"""Seconds between two looks at whether this process is to stop."""
TAIL = 2000
"""Bytes of what a worker said last that may be a run's reason to fail."""


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
    """The command that makes runs of a sweep, without what says which."""
    words = ["sweep", "run", as_word(found.sweep.path), "--folder", as_word(folder)]
    return [*words, "--expect", found.sweep.digest]


class _Worker:
    """A process that makes one run after another, out of reach of the terminal: Ctrl-C is passed
    on to it, once.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self._messages = tempfile.TemporaryFile()  # noqa: SIM115 (closed in end)
        self._process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._messages,
            env=untied(),
            start_new_session=True,
        )
        self._questions = cast("IO[bytes]", self._process.stdin)
        self._answers = cast("IO[bytes]", self._process.stdout)
        self.point: Point | None = None
        """Whose run is being made."""
        self._said_before = 0

    def fileno(self) -> int:
        """Where it says that a run has ended, or ends itself; for `select`."""
        return self._answers.fileno()

    def begin(self, point: Point) -> None:
        """Let it make a run."""
        self.point = point
        self._said_before = self._messages.seek(0, os.SEEK_END)
        with suppress(BrokenPipeError):  # it has ended: that is seen at once
            os.write(self._questions.fileno(), f"{point.index}\n".encode())

    def heard(self) -> bool:
        """Whether it is still there; call it when there is something to hear."""
        return bool(os.read(self.fileno(), 4096))

    def ask_to_stop(self) -> None:
        """Pass on a signal that asks this process to stop."""
        self._process.send_signal(signal.SIGTERM)

    def end(self) -> tuple[int, str]:
        """Wait until it has ended by itself: its exit code, and what it said of its last run."""
        self._questions.close()
        self._answers.close()
        code = self._process.wait()
        with self._messages as messages:
            end = messages.seek(0, os.SEEK_END)
            messages.seek(max(self._said_before, end - TAIL))
            return code, messages.read().decode(errors="replace")

    def kill(self) -> None:
        """End it with all of its ranks, as on a second Ctrl-C."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self.end()


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

    `command` makes runs, as words after ``python -m ist_mpi``. `tell` is called with every run that
    has ended, how, and how many have: ``3/12``.
    """
    words = [*mpiexec(ranks), sys.executable, "-m", "ist_mpi", *command, "--serve"]
    waiting, workers, stopping = deque(points), list[_Worker](), False
    found: dict[int, Status] = {}

    of_problem: dict[Problem, int] = {}
    problem_of = {p.index: of_problem.setdefault(p.config.problem, p.index) for p in points}

    def next_of(last: Point | None) -> Point:
        """The first with the problem of a worker's last run, which it keeps; else the first."""
        same = (p for p in waiting if last and problem_of[p.index] == problem_of[last.index])
        chosen = next(same, waiting[0])
        waiting.remove(chosen)
        return chosen

    def ended(point: Point, status: Status) -> None:
        found[point.index] = status
        tell(point, status, f"{len(found)}/{len(points)}")

    try:
        while waiting or workers:
            if signals.requested() and not stopping:
                stopping = True
                waiting.clear()
                for worker in workers:
                    worker.ask_to_stop()
            while waiting and len(workers) < jobs:
                workers.append(_Worker(words))
                workers[-1].begin(next_of(None))
            for worker in select.select(workers, [], [], PAUSE)[0]:
                point, alive = worker.point, worker.heard()
                if alive and point is not None:
                    ended(point, status_of(point))
                    worker.point = None
                    if waiting:
                        worker.begin(next_of(point))
                        continue
                workers.remove(worker)
                code, said = worker.end()
                if not alive and point is not None:
                    ended(point, _status_of_lost(point, code, said, stopping))
    finally:
        for worker in workers:  # on a second Ctrl-C, or a bug
            worker.kill()
    return [found.get(point.index) or status_of(point) for point in points]


def _status_of_lost(point: Point, code: int, said: str, stopping: bool) -> Status:
    """How a run has ended whose worker is gone; what it could not say itself is noted."""
    status = status_of(point)
    if status.state == "killed" or (status.state == "missing" and not stopping):
        reason = _reason(code, said)
        attempts.fail(point, reason, code)
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
