"""A countdown that needs nobody's consent: it runs where another thread keeps Python to itself.

It counts pauses of its own, not the time of day: while the whole process stands still, stopped by a
terminal or suspended by a batch system, so does the count.
"""

import faulthandler
import signal
import threading

import numpy as np
from numba import njit, types

PAUSE_SECONDS = 0.25
_PAUSE = int(PAUSE_SECONDS * 1e6)
_STACKS = signal.SIGRTMAX - 1
"""The signal at which faulthandler tells all stacks, of the process to itself; nobody else's."""
_STDERR = 2

_sleep = types.ExternalFunction("usleep", types.int32(types.uint32))
_write = types.ExternalFunction("write", types.intp(types.int32, types.intp, types.intp))
_raise = types.ExternalFunction("raise", types.int32(types.int32))
_exit = types.ExternalFunction("_exit", types.void(types.int32))

_text = np.zeros(256, dtype=np.uint8)
_state = np.zeros(4, dtype=np.int64)
"""How often it was set; pauses to count, 0: none; the exit code; the length of the text."""
_lock = threading.Lock()


@njit("void(int64[::1], uint8[::1])", nogil=True, cache=True)
def _count(state, text):  # type: ignore[no-untyped-def]  # numba
    """Count down whenever it is set, without an end: no thread of Python's may be needed for it."""
    seen, left = 0, 0
    while state[0] >= 0:
        _sleep(_PAUSE)
        if state[0] != seen:
            seen, left = state[0], state[1]
        elif left > 0:
            left -= 1
            if left == 0:
                _write(_STDERR, text.ctypes.data, state[3])
                _raise(_STACKS)
                _exit(state[2])


def start(seconds: float, text: str, code: int) -> None:
    """In so many seconds say `text` and the stacks of all threads, and end the process, unless this
    or `cancel` is called before.
    """
    words = text.encode()[: _text.size]
    with _lock:
        if _state[0] == 0:
            faulthandler.register(_STACKS, file=_STDERR, all_threads=True)
            thread = threading.Thread(
                target=_count, args=(_state, _text), name="countdown", daemon=True
            )
            thread.start()
        _text[: len(words)] = np.frombuffer(words, dtype=np.uint8)
        _state[1:] = max(1, round(seconds / PAUSE_SECONDS)), code, len(words)
        _state[0] += 1


def cancel() -> None:
    """Count no more."""
    with _lock:
        _state[1] = 0
        _state[0] += _state[0] > 0
