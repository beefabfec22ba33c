"""The ledger of a run: what has been sent until each x^k, chance included."""

import math
from typing import Any

from ist_mpi.config import Method as MethodTable
from ist_mpi.methods.method import Floats, Method

UNKNOWN = Floats(math.nan, math.nan)


def sent(settings: MethodTable, sketch: Any, k: int) -> Floats:
    """What has been sent once x^k is reached, on average; NaN where the blocks' sizes vary."""
    if sketch.varying:
        return UNKNOWN
    return Floats(*type(settings).method_class.floats(k, sketch, settings))


class Ledger:
    """Numbers sent to and from a worker, mean over the workers, cumulative and exact.

    What a round sends follows from (seed, round) alone, and so does the ledger of a run that goes
    on: it is counted anew.

    Parameters
    ----------
    settings : Method
        The table [method] of the configuration.
    sketch : Sketch
    seed : int
        The run's.
    """

    def __init__(self, settings: MethodTable, sketch: Any, seed: int) -> None:
        self._settings, self._sketch = settings, sketch
        self._method: type[Method] = type(settings).method_class
        self._of_round = None
        if not sketch.varying:
            self._of_round = self._method.floats_of_round(sketch, settings, seed)
        self._first = sent(settings, sketch, 0)
        self._k = 0
        self._sent = self._first

    def at(self, k: int) -> Floats:
        """What has been sent once x^k is reached."""
        if self._of_round is None:
            return sent(self._settings, self._sketch, k)
        if k < self._k:
            self._k, self._sent = 0, self._first
        up, down = self._sent
        for before in range(self._k, k):
            more = self._of_round(before)
            up, down = up + more.up, down + more.down
        self._k, self._sent = k, Floats(up, down)
        return self._sent
