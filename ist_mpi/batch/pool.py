"""The runs of a sweep here, some at a time, in processes that make one after another.

A worker is a process, or ranks of a launcher, that loads everything once: ``sweep run --serve``
reads the indices of points, a line each, makes their runs and writes the same line when each has
ended; what else a launcher writes there is no answer. A run that takes its worker along fails
alone; the rest go on in a new one. A run with code of the user's, which may leave anything behind
in its process, is the only one of its worker's. A worker that nobody asks any more stops with a
checkpoint.
"""

import logging
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

from ist_mpi import registry
from ist_mpi.batch import attempts
from ist_mpi.batch.points import Plan, Point
from ist_mpi.batch.status import Status, status_of
from ist_mpi.config import Config, Problem
from ist_mpi.errors import Fault, InputError
from ist_mpi.parallel import signals
from ist_mpi.parallel.launcher import untied
from ist_mpi.store.files import as_word

LOGGER = logging.getLogger(__name__)
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


def command(found: Plan) -> list[str]:
    """The command that makes runs of a sweep, without what says which."""
    words = ["sweep", "run", as_word(found.sweep.path), "--folder", as_word(found.folder)]
    return [*words, "--expect", found.sweep.digest]


class _Worker:
    """A process that makes one run after another, out of reach of the terminal: Ctrl-C is passed
    on to it, once.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self._messages = tempfile.TemporaryFile("a+b")  # noqa: SIM115 (closed in end)
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
        self._heard = b""

    def fileno(self) -> int:
        """Where it says that a run has ended; for `select`."""
        return self._answers.fileno()

    def begin(self, point: Point) -> None:
        """Let it make a run."""
        self.point = point
        self._said_before = self._messages.seek(0, os.SEEK_END)
        with suppress(BrokenPipeError):  # it has ended: that is seen at once
            os.write(self._questions.fileno(), f"{point.index}\n".encode())

    def hear(self) -> str:
        """What it has come to: "answered", "gone", or "" where nothing is known yet.

        A process that it leaves behind may hold on to where answers come from: there is no end of
        them then, but what it said itself is there before it is gone.
        """
        over = self._process.poll() is not None
        while select.select([self], [], [], 0)[0]:
            if not (heard := os.read(self.fileno(), 4096)):
                return "gone"
            *lines, self._heard = (self._heard + heard).split(b"\n")
            if self.point is not None and str(self.point.index).encode() in lines:
                return "answered"
        return "gone" if over else ""

    def said(self) -> str:
        """The end of what it said of its last run."""
        end = self._messages.seek(0, os.SEEK_END)
        self._messages.seek(max(self._said_before, end - TAIL))
        return self._messages.read().decode(errors="replace")

    def dismiss(self) -> None:
        """Ask it for no other run: it ends, which is heard."""
        self.point = None
        self._questions.close()

    def ask_to_stop(self) -> None:
        """Pass on a signal that asks this process to stop."""
        self._process.send_signal(signal.SIGTERM)

    def end(self) -> tuple[int, str]:
        """Wait until it has ended by itself: its exit code, and what it said of its last run."""
        self._questions.close()
        self._answers.close()
        code = self._process.wait()
        with self._messages:
            return code, self.said()

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
    pool = _Pool(points, words, jobs, tell)
    try:
        pool.make_all()
    finally:
        for worker in pool.workers:  # on a second Ctrl-C, or a bug
            worker.kill()
    return [pool.found.get(point.index) or status_of(point) for point in points]


class _Pool:
    """The workers, what they are at, and what is still to be made."""

    def __init__(
        self,
        points: Sequence[Point],
        words: Sequence[str],
        jobs: int,
        tell: Callable[[Point, Status, str], None],
    ) -> None:
        self.workers: list[_Worker] = []
        self.found: dict[int, Status] = {}
        """Of the runs that have ended, by the point's index."""
        self._waiting, self._words, self._jobs, self._tell = deque(points), words, jobs, tell
        self._count, self._stopping = len(points), False
        of_problem: dict[Problem, int] = {}
        self._problem_of = {
            point.index: of_problem.setdefault(point.config.problem, point.index)
            for point in points
        }

    def stop(self) -> None:
        """Begin no other run, and ask those at work to stop with a checkpoint."""
        self._stopping = True
        self._waiting.clear()
        for worker in self.workers:
            worker.ask_to_stop()

    def make_all(self) -> None:
        """Make runs until none is waiting and none at work."""
        while self._waiting or self.workers:
            if signals.requested() and not self._stopping:
                self.stop()
            while self._waiting and len(self._busy()) < self._jobs:
                self.workers.append(_Worker(self._words))
                self._begin(self.workers[-1])
                self._say()
            select.select(self.workers, [], [], PAUSE)
            for worker in tuple(self.workers):
                if heard := worker.hear():
                    self._next(worker, gone=heard == "gone")

    def _next(self, worker: _Worker, gone: bool) -> None:
        """Take note of how a worker's run has ended, and give it another one if there is any."""
        if gone:
            self.workers.remove(worker)
        point, (code, said) = worker.point, worker.end() if gone else (0, worker.said())
        if point is None:
            return
        self._ended(point, code, said)
        if not gone and self._waiting and _leaves_nothing(point.config):
            self._begin(worker)
        elif not gone:
            worker.dismiss()
        self._say()

    def _busy(self) -> list[Point]:
        """The points whose runs are being made."""
        return [worker.point for worker in self.workers if worker.point is not None]

    def _begin(self, worker: _Worker) -> None:
        """Give a worker the first point with the problem of its last run, which it keeps."""
        last = worker.point
        same = (
            point
            for point in self._waiting
            if last and self._problem_of[point.index] == self._problem_of[last.index]
        )
        chosen = next(same, self._waiting[0])
        self._waiting.remove(chosen)
        worker.begin(chosen)

    def _ended(self, point: Point, code: int, said: str) -> None:
        """Tell how a run has ended; what it could not say itself is noted."""
        status = status_of(point)
        if status.state == "killed" or (status.state == "missing" and not self._stopping):
            reason = _reason(code, said)
            attempts.fail(point, reason, code or 1)
            status = status._replace(state="failed", reason=reason)  # also where nothing is noted
        self.found[point.index] = status
        self._tell(point, status, f"{len(self.found)}/{self._count}")

    def _say(self) -> None:
        """What there is still to wait for."""
        if busy := ", ".join(str(point.index) for point in self._busy()):
            words = "stopping" if self._stopping else "at work on"
            LOGGER.info("%d of %d runs are over, %s %s", len(self.found), self._count, words, busy)


def _leaves_nothing(config: Config) -> bool:
    """Whether a run is of this package's own code alone, which leaves its process as it was."""
    method = config.method
    names = {"methods": method.name, "sketches": method.sketch, "problems": config.problem.kind}
    return all(name in registry.BUILT_IN[room] for room, name in names.items())


def _reason(code: int, said: str) -> str:
    """Why a run ended, from its worker's exit code, 0 if it is still there, and its last line."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    if code == 0 and lines:
        return lines[-1].removeprefix("ist-mpi: ")
    ended = f"exit code {code}"
    if code < 0:
        with suppress(ValueError):
            ended = f"killed by {signals.name(-code)}"
    return f"{ended}: {lines[-1]}" if lines else ended
