"""Commands started on ranks, watched, killed: what the tests of faults do to them."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

DRIVE = str(Path(__file__).with_name("drive.py"))
SECONDS = 300.0
"""What nothing here takes, also on a slow machine that has other work."""
ORPHANED_SECONDS = 60.0
"""Likewise from the end of mpiexec to that of the last rank."""
_MARK = "IST_FAULTS_JOB"
CONFIG = """
[problem]
kind = "synthetic"
d = 23
n = 5
[method]
name = "ist"
step_size = 1e-3
[run]
rounds = {rounds}
[log]
every = 7
"""


class Job:
    """A python command on p ranks (0: no launcher), in processes that it can find and end.

    Parameters
    ----------
    p : int
    arguments : tuple of str
        After ``python``.
    folder : Path
        Where it runs, and where its output is kept.
    drive : dict
        What drive.py should do; see there.
    """

    def __init__(self, p: int, *arguments: str, folder: Path, **drive: Any) -> None:
        self.p = p
        self._mark = uuid.uuid4().hex
        self._out, self._err = folder / f"{self._mark}.out", folder / f"{self._mark}.err"
        mpiexec = str(Path(sys.executable).with_name("mpiexec"))
        launcher = [mpiexec, "-n", str(p)] if p else []
        environment = {**os.environ, _MARK: self._mark, "IST_DRIVE": json.dumps(drive)}
        self.began = time.monotonic()
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [*launcher, sys.executable, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=folder,
                env=environment,
                start_new_session=True,
            )

    def members(self) -> list[psutil.Process]:
        """All its processes that there still are, orphans too."""
        found = []
        for process in psutil.process_iter():
            try:
                mine = process.environ().get(_MARK) == self._mark
                if mine and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def ranks(self) -> dict[int, psutil.Process]:
        """The processes of its ranks."""
        found = {}
        for process in self.members():
            try:
                if Path(process.exe()).name.startswith("python"):
                    found[int(process.environ().get("PMI_RANK", "0"))] = process
            except psutil.Error:
                continue
        return found

    def patience(self, seconds: float) -> float:
        """So many seconds, or as long as the job has been there: who starts slowly ends slowly."""
        return max(seconds, time.monotonic() - self.began)

    def signal(self, number: int, rank: int | None = None) -> None:
        """Send a signal to a rank, or to what was started: mpiexec, or the only process."""
        if rank is None:
            self.process.send_signal(number)
        elif (process := self.ranks().get(rank)) is not None:
            process.send_signal(number)

    def wait(self, seconds: float = SECONDS) -> int:
        """Its exit code; a failure if it has none by then, or leaves processes behind."""
        try:
            code = self.process.wait(seconds)
            deadline = time.monotonic() + ORPHANED_SECONDS
            while self.members():
                if time.monotonic() > deadline:
                    raise AssertionError(f"processes are left: {self.members()}")
                time.sleep(0.02)
            return code
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"no end after {seconds} s\n{self.errors}\n{self.output}"
            ) from None
        finally:
            self.end()

    def end(self) -> None:
        """Nothing of it is left."""
        while members := self.members():
            for process in members:
                try:
                    process.send_signal(signal.SIGKILL)
                except psutil.Error:
                    continue
            time.sleep(0.02)
        self.process.wait()

    def until(self, condition: Any, seconds: float = SECONDS) -> bool:
        """Wait for a condition; false if the command ended before."""
        deadline = time.monotonic() + seconds
        while not condition():
            if self.process.poll() is not None:
                return False
            assert time.monotonic() < deadline, f"waited in vain\n{self.errors}"
            time.sleep(0.005)
        return True

    @property
    def output(self) -> str:
        """What it has printed."""
        return self._out.read_text(errors="replace")

    @property
    def errors(self) -> str:
        """What it has printed on stderr."""
        return self._err.read_text(errors="replace")

    @property
    def complaints(self) -> list[str]:
        """The lines on stderr that are neither progress nor about more ranks than cores."""
        usual = (" rounds/s ", "is oversubscribed")
        return [
            line for line in self.errors.splitlines() if not any(text in line for text in usual)
        ]


Start = Callable[..., Job]
"""Starts a command by drive.py."""
