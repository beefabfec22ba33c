"""Requests to stop: signals that leave a note, which the main loop finds after its round.

This module imports nothing of the package and nothing heavy, so that its handlers can be in place
before anything else is loaded.
"""

import signal
import time
from types import FrameType

STOPPING = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
"""What asks a run to stop: batch systems send the first two, Ctrl-C the third."""

SAME_SECONDS = 0.5
"""Two SIGINTs closer than this are one Ctrl-C: the terminal sends it to all processes, and a
launcher passes on the one that it got itself."""

_received: list[int] = []
_interrupted = 0.0


def install() -> None:
    """From now on these signals are noted; a second SIGINT interrupts at once."""
    for number in STOPPING:
        signal.signal(number, _note)


def _note(number: int, _frame: FrameType | None) -> None:
    global _interrupted
    if number == signal.SIGINT:
        before, _interrupted = _interrupted, time.monotonic()
        if signal.SIGINT in _received and _interrupted - before > SAME_SECONDS:
            raise KeyboardInterrupt
    _received.append(number)


def requested() -> int:
    """The number of the first signal received, 0 if none was."""
    return _received[0] if _received else 0


def forget() -> None:
    """Start anew: the request has been fulfilled."""
    _received.clear()


def name(number: int) -> str:
    """SIGTERM and so on."""
    return signal.Signals(number).name
