"""How many rounds to make before looking up again: for signals, progress and the log."""

import time

STRETCH_SECONDS = 0.1
"""About the longest time between two looks, where a round takes less."""


class Pace:
    """Lengthens or shortens stretches of rounds towards `STRETCH_SECONDS`.

    Parameters
    ----------
    k : int
        The first round.
    most : int
        The longest stretch, in rounds.
    """

    def __init__(self, k: int, most: int) -> None:
        self._most, self._next = most, 1
        self._began, self._from = time.monotonic(), k

    def rounds(self, k: int) -> int:
        """The length of the stretch that begins now with round k, at least 1."""
        now = time.monotonic()
        made, took = k - self._from, now - self._began
        if made:
            fitting = int(made * STRETCH_SECONDS / max(took, 1e-9))
            self._next = max(1, min(self._most, 2 * self._next, fitting))
        self._began, self._from = now, k
        return self._next
