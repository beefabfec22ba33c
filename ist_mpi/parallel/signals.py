"""Requests to stop: signals that leave a note, which the main loop finds after its round.

This module imports nothing of the package and nothing heavy, so that its handlers can be in place
before anything else is loaded.
"""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

OUTSPOKEN = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
"""What asks a run to stop: batch systems send the first two, Ctrl-C the third."""
IGNORABLE = (signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR2, signal.SIGXCPU)
"""So do these: a terminal that closes, Ctrl-\\, other batch systems, a limit of processor time.
Where one was ignored at the start it stays so: nohup, or a shell's background, wants it."""
STOPPING = OUTSPOKEN + IGNORABLE

SAME_SECONDS = 0.5
"""Two SIGINTs closer than this are one Ctrl-C: the terminal sends it to all processes, and a
launcher passes on the one that it got itself."""

_received: list[int] = []
_interrupted = 0.0


def install() -> None:
    """From now on these signals are noted; a second SIGINT interrupts at once."""
    for number in STOPPING:
        if number in OUTSPOKEN or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _note)


@contextmanager
def interrupt_deferred() -> Iterator[None]:
    """In the body the first SIGINT only asks to stop: KeyboardInterrupt is raised after it.

    Where SIGINT is not Python's own to answer, or this is not the main thread, nothing changes.
    """
    own = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not own or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, _note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        interrupted = signal.SIGINT in _received
        if interrupted:
            _received.remove(signal.SIGINT)
    if interrupted:
        raise KeyboardInterrupt


@contextmanager
def kept() -> Iterator[None]:
    """What the body, which loads an MPI library, makes of SIGHUP is undone.

    UCX catches it for its debugging: what a closed terminal was to end would go on for ever. Of
    SIGUSR1, which MPICH catches, it tells whoever had it before.
    """
    before = signal.getsignal(signal.SIGHUP)
    try:
        yield
    finally:
        # No other thread can have a say, and what was not Python's cannot be put back.
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGHUP, before)


def _note(number: int, _frame: FrameType | None) -> None:
    global _interrupted
    if number == signal.SIGINT:
        before, _interrupted = _interrupted, time.monotonic()
        if signal.SIGINT in _received and _interrupted - before > SAME_SECONDS:
            raise KeyboardInterrupt
    request(number)  # once: SIGXCPU comes every second


def request(number: int) -> None:
    """Ask this process to stop, as if it had got this signal."""
    if number not in _received:
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
