"""What to say of a log at a moment, while another process writes it.

A log is replaced whole, so each look opens it, reads it, and closes it; nothing is locked, written
or kept open. A log that is as it was at the last look is not read again.
"""

import errno
import math
import os
import time
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from ist_mpi.errors import DamagedError, Fault, InputError
from ist_mpi.store import checkpoint, locks
from ist_mpi.store import log as runlog
from ist_mpi.store.locks import Lock
from ist_mpi.store.log import COMMIT_SECONDS, COMMIT_SHARE, Run

State = Literal[
    "absent", "unreadable", "setting up", "running", "gone", "stopped", "failed", "finished"
]
EXIT_CODES: Mapping[State, int] = {"finished": 0, "failed": 1, "stopped": 75, "gone": 75}
"""Of the states in which a run has ended; in the last two it can go on."""
GOING_ON: tuple[State, ...] = ("stopped", "gone")
_ENDS: Mapping[str, State] = {"finished": "finished", "failed": "failed", "stopped": "stopped"}
"""The states of a log that has ended."""

RECENT_SECONDS = 60.0
"""The rate is that of the run's last minute."""
PATIENCE = 3.0
"""Times as long as usual without a new version of the log are worth mentioning."""
ENDING_SECONDS = 5.0
"""A run holds its lock a little longer than it writes."""
SLOW_DISK = 50e6
"""Bytes a second; what a log's size says about the time between its versions."""
READING_SHARE = 0.05
"""Largest share of the time spent on reading a log."""
ATTEMPTS = 3
"""To read a log that another host replaces in that very moment."""
_FLEETING = {errno.ESTALE, errno.EIO, errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENOTCONN}
"""What a shared file system answers that may be well again soon."""


class Sight(NamedTuple):
    """What is on disk at a moment."""

    log: Path
    lock: Lock
    run: Run | None = None
    age: float = 0.0
    """Seconds since the log was put there."""
    size: int = 0
    """Bytes of the log."""
    checkpoint: int | None = None
    """The round of the newest checkpoint, looked for where there is no log."""
    trouble: str = ""
    """Why the log cannot be read just now."""


class Moment(NamedTuple):
    """What there is to say of a log at a moment."""

    state: State
    log: Path
    run: Run | None = None
    note: str = ""
    """What is remarkable, in words."""
    silent: bool = False
    """Whether a running run has not been heard of for unusually long."""
    rounds: int = 0
    """How many the run is to make."""
    rate: float = math.nan
    """Rounds per second, lately."""
    left: float = math.nan
    """Seconds to the last round at that rate, from now on."""
    at_most: bool = False
    """Whether the run may end before its last round, by its tolerance."""
    age: float = math.nan
    """Seconds since the log was put there."""

    def is_over(self, follow: bool) -> bool:
        """Whether nothing more is to come; `follow`: a run that can go on is waited for."""
        return self.state in EXIT_CODES and not (follow and self.state in GOING_ON)


def judge(sight: Sight) -> Moment:
    """What there is to say of what was seen.

    Raises
    ------
    DamagedError
        If the log's configuration is none.
    """
    log, run = sight.log, sight.run
    if sight.trouble:
        return Moment("unreadable", log, note=f"cannot be read just now ({sight.trouble})")
    if run is None:
        return _without_log(sight)
    settings = _settings(run, log)
    rounds, rate = settings["rounds"], recent_rate(run.rounds["round"], run.rounds["seconds"])
    left = math.nan
    if rate > 0:
        left = max(0.0, (rounds - run.rounds["round"][-1]) / rate - sight.age)
    moment = Moment(
        "running",
        log,
        run,
        rounds=rounds,
        rate=rate,
        left=left,
        at_most=settings["tolerance"] > 0,
        age=sight.age,
    )
    if run.status in _ENDS:
        return _with_end(moment, _ENDS[run.status], sight.lock)
    if sight.lock.state in ("left", "free"):
        return moment._replace(state="gone", note=_obituary(sight))
    if sight.age > PATIENCE * usual_pause(run, sight.size):
        alive = f"{sight.lock.holder} is there" if sight.lock.state == "held" else ""
        return moment._replace(silent=True, note=alive)
    return moment


def _without_log(sight: Sight) -> Moment:
    lock, newest = sight.lock, sight.checkpoint
    if lock.state == "held":
        return Moment("setting up", sight.log, note=f"{lock.holder} is at work, no log yet")
    note = "nothing there yet"
    if newest is not None:
        note = f"only a checkpoint, of round {newest}: ist-mpi resume {sight.log} goes on from it"
    return Moment("absent", sight.log, note=note)


def _with_end(moment: Moment, end: State, lock: Lock) -> Moment:
    """A run that has ended, unless it is just being taken up again, or replaced."""
    if lock.state == "held" and moment.age < ENDING_SECONDS:
        return moment
    if lock.state == "held":
        note = f"{end} before; {lock.holder} is continuing it, or starting over"
        return moment._replace(state="setting up", note=note)
    note = f"ist-mpi resume {moment.log} goes on" if end == "stopped" else ""
    return moment._replace(state=end, note=note)


def _obituary(sight: Sight) -> str:
    if sight.lock.state == "left":
        return f"{sight.lock.holder} was killed: ist-mpi resume {sight.log} goes on"
    return f"no process is writing this log: ist-mpi resume {sight.log} goes on"


def recent_rate(rounds: Any, seconds: Any) -> float:
    """Rounds per second in the last minute of a run, NaN where nothing was timed.

    Parameters
    ----------
    rounds, seconds : arrays (rows,)
        Columns of a log.
    """
    last = len(rounds) - 1
    first = min(int(np.searchsorted(seconds, seconds[-1] - RECENT_SECONDS)), last - 1)
    if first < 0 or not seconds[last] > seconds[first]:
        return math.nan
    return float((rounds[last] - rounds[first]) / (seconds[last] - seconds[first]))


def usual_pause(run: Run, size: int) -> float:
    """Seconds between two versions of a log, roughly and rather too many.

    A version comes with a row, not before `COMMIT_SECONDS`, and so late that writing `size` bytes
    takes no more than its share of the run.
    """
    seconds = run.rounds["seconds"]
    between_rows = float(seconds[-1] - seconds[-2]) if len(seconds) > 1 else 0.0
    return max(COMMIT_SECONDS, between_rows, size / SLOW_DISK / COMMIT_SHARE)


def limits(run: Run) -> dict[str, float]:
    """Where theory sees the relative gap in the end, by what it is; without what is unknown."""
    known = {
        "fixed point": run.theory.get("fixed_point_relative_gap"),
        "limit of its expectation": run.theory.get("limit_relative_gap"),
    }
    return {
        name: float(value)
        for name, value in known.items()
        if isinstance(value, int | float) and math.isfinite(value)
    }


def _settings(run: Run, log: Path) -> dict[str, Any]:
    """What of the configuration matters here."""
    try:
        section = tomllib.loads(run.attributes["config"])["run"]
        return {"rounds": int(section["rounds"]), "tolerance": float(section["tolerance"])}
    except (ValueError, KeyError, TypeError) as error:
        got = f"a damaged log: its configuration is none ({error})"
        raise DamagedError(Fault(str(log), got, "a run log")) from error


class Stamp(NamedTuple):
    """What tells that a log is still the one that was read."""

    inode: int
    size: int
    modified: int
    """Nanoseconds since 1970."""


class Watch:
    """Looks at a log again and again.

    Parameters
    ----------
    log : Path
        It need not exist yet.
    """

    def __init__(self, log: Path) -> None:
        self.log = log
        self._run: Run | None = None
        self._stamp: Stamp | None = None
        self._since = 0.0
        self._took = 0.0

    def pause(self, interval: float) -> float:
        """How long to wait for the next look: `interval`, or longer if reading takes long."""
        return max(interval, self._took / READING_SHARE)

    def look(self) -> Moment:
        """What there is to say now.

        Raises
        ------
        InputError
            As for `runlog.open_run`, except where there is no file yet; so DamagedError if the log
            is damaged.
        """
        for _ in range(ATTEMPTS):
            before = locks.look(self.log)
            trouble = self._refresh()
            # A run may have begun or ended meanwhile: it was there if it was seen before or after.
            after = locks.look(self.log)
            lock = before if before.state in ("held", "unknown") else after
            if lock.state in ("held", "unknown") or not self._is_outdated():
                break  # else it began and ended meanwhile: its end is in the log
        return judge(
            Sight(
                self.log,
                lock,
                self._run,
                age=time.monotonic() - self._since,
                size=self._stamp.size if self._stamp is not None else 0,
                checkpoint=_newest_checkpoint(self.log) if self._run is None else None,
                trouble=trouble,
            )
        )

    def _is_outdated(self) -> bool:
        """Whether the log is another by now than the one that was read."""
        if self._stamp is None:
            return False
        try:
            return stamp_of(self.log) != self._stamp
        except OSError as error:
            return isinstance(error, FileNotFoundError)

    def _refresh(self) -> str:
        """Read the log if it is another than before; why it cannot be read just now."""
        try:
            stamp = stamp_of(self.log)
            if stamp == self._stamp:
                return ""
            began = time.monotonic()
            run, stamp = read(self.log)
        except FileNotFoundError:
            self._run = self._stamp = None
            return ""
        except OSError as error:
            if error.errno not in _FLEETING:
                raise _refusal(self.log, error) from error
            return error.strerror or str(error)
        self._took = time.monotonic() - began
        self._since = time.monotonic()
        if self._stamp is None:  # it may be old; the clock of a file server may be another
            self._since -= max(0.0, time.time() - stamp.modified / 1e9)
        self._run, self._stamp = run, stamp
        return ""


def stamp_of(log: Path) -> Stamp:
    """The stamp of a log; raises OSError."""
    status = os.stat(log)
    return Stamp(status.st_ino, status.st_size, status.st_mtime_ns)


def read(log: Path) -> tuple[Run, Stamp]:
    """A log as it is now, while it may be replaced at any moment.

    What is wrong with a file counts if it is wrong with the same file twice: on a shared file
    system one that is replaced while it is read can look damaged, or be gone.

    Raises
    ------
    InputError
        As for `runlog.open_run`.
    OSError
        If there is no file, or the file system fails.
    """
    failed: Stamp | None = None
    attempts = 0
    while True:
        attempts += 1
        try:
            stamp = stamp_of(log)
            return runlog.open_run(log, bulk=False), stamp
        except InputError:
            if stamp == failed or attempts == ATTEMPTS:
                raise
            failed = stamp
        except OSError as error:
            if error.errno != errno.ESTALE or attempts == ATTEMPTS:
                raise


def _refusal(log: Path, error: OSError) -> InputError:
    got = error.strerror or str(error)
    return InputError(Fault(str(log), got, "the path of a run log"))


def _newest_checkpoint(log: Path) -> int | None:
    try:
        return next(iter(checkpoint.rounds(checkpoint.folder_of(log))), None)
    except OSError:  # removed in this moment
        return None
