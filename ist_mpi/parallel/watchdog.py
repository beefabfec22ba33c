"""Ends a process that makes no progress, with the stacks of all its threads.

A thread of Python's looks at the main loop's beats. Where the main thread is stuck in compiled code
that never lets another thread run, a countdown, which needs nobody's consent, does the same a
little later. What comes before the main loop has its settings is guarded by a countdown alone, and
before compiled functions are loaded by a timer of faulthandler's. Time in which the process stands
still, suspended or stopped, counts for none of them but that timer.
"""

import faulthandler
import os
import sys
import threading
import time
import traceback
from types import TracebackType

GRACE_SECONDS = 5.0
"""Between a rank's report and its end, so that the other ranks can report too, also one that only
the countdown can end."""
EXIT_CODE = 1
STDERR = 2
"""Where faulthandler's timer writes: sys.stderr need not be a file, as in a notebook."""
START_SECONDS = 1800.0
"""Longest time from the start of a program to its problem, data read and all."""
SETUP_FACTOR = 10.0
"""A set-up may go so much longer without a beat than the main loop: its steps are long ones."""

_beats = [0]
_limit = [0.0]
"""Seconds of the limit whose timer runs; 0: of none."""


def beat() -> None:
    """There is progress; for whoever works long."""
    _beats[0] += 1


def limit(seconds: float) -> None:
    """End the process, with its stacks, unless the next limit or `Watchdog` comes before."""
    _limit[0] = seconds
    faulthandler.dump_traceback_later(seconds, exit=True, file=STDERR)


def hand_over() -> None:
    """Let the countdown take the place of the limit's timer; with compiled functions, so late."""
    if not _limit[0]:
        return
    from ist_mpi.kernels import countdown

    text = f"ist-mpi: Timeout ({_limit[0]:g} s) of a start:\n"
    countdown.start(_limit[0], text, EXIT_CODE)
    _lift()


def _lift() -> None:
    """End the limit's timer."""
    _limit[0] = 0.0
    faulthandler.cancel_dump_traceback_later()


class Awake:
    """A clock that stands still while the process does: stopped, suspended, moved to another host.

    Parameters
    ----------
    most : float
        Seconds between two looks that count at most: more than they are apart.
    """

    def __init__(self, most: float) -> None:
        self._most, self._seconds, self._looked = most, 0.0, time.monotonic()

    def seconds(self) -> float:
        """Seconds awake so far; a look."""
        now = time.monotonic()
        self._seconds += min(now - self._looked, self._most)
        self._looked = now
        return self._seconds


class Watchdog:
    """Watches the body of a ``with``, in which `beat` says that there is progress.

    Parameters
    ----------
    seconds : float
        Longest time without a beat; 0: nothing is watched.
    who : str
        Whose stacks these are, e.g. ``rank 2 of 4``.
    """

    def __init__(self, seconds: float, who: str) -> None:
        self._seconds, self._who = seconds, who
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def __enter__(self) -> "Watchdog":
        _lift()
        # Compiled, so loaded late: this module is there before anything heavy is.
        from ist_mpi.kernels import countdown

        self._countdown = countdown
        if self._seconds > 0:
            self._thread.start()
        else:
            countdown.cancel()  # it may have had the limit's place
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        if self._seconds > 0:
            self._thread.join()
            self._countdown.cancel()

    def _watch(self) -> None:
        pause = min(1.0, self._seconds / 4)
        seen, since, awake = -1, 0.0, Awake(2 * pause)
        # After the reports of the ranks that can report, and well before their grace is over.
        later = self._seconds + pause + GRACE_SECONDS / 2
        text = f"ist-mpi: {self._who}: Timeout ({later:g} s) of what lets nothing else run:\n"
        while not self._over.is_set():
            self._countdown.start(later, text, EXIT_CODE)
            if self._over.wait(pause):
                return
            now = awake.seconds()
            if _beats[0] != seen:
                seen, since = _beats[0], now
            elif now - since > self._seconds:
                self._countdown.start(2 * GRACE_SECONDS, text, EXIT_CODE)
                self._report()
                time.sleep(GRACE_SECONDS)
                os._exit(EXIT_CODE)

    def _report(self) -> None:
        lines = [f"ist-mpi: {self._who}: no progress for {self._seconds:g} s; its stacks:\n"]
        for number, frame in sys._current_frames().items():
            if number != threading.get_ident():
                lines += traceback.format_stack(frame)
        sys.stderr.write("".join(lines))
        sys.stderr.flush()
