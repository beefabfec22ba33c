"""Requests to stop: signals that leave a note, which the main loop finds after its round.

This module imports nothing of the package and nothing heavy, so that its handlers can be in place
before anything else is loaded.
"""

import signal
from types import FrameType

STOPPING = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
"""What asks a run to stop: batch systems send the first two, Ctrl-C the third."""

_received: list[int] = []


def install() -> None:
    """From now on these signals are noted; a second SIGINT interrupts at once."""
    for number in STOPPING:
        signal.signal(number, _note)


def _note(number: int, _frame: FrameType | None) -> None:
    if number == signal.SIGINT and signal.SIGINT in _received:
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
