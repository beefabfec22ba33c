"""Some of the ranks at work while the others sleep: for measuring p = 1, 2, 4, … in one job.

A rank that waits inside MPI may take a core from one that works, so the others look only now and
then whether it is their turn.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

POLL_SECONDS = 1e-3


def rank_counts(ranks: int) -> list[int]:
    """1, 2, 4, … and the number of ranks itself."""
    return sorted({2**power for power in range(ranks.bit_length()) if 2**power <= ranks} | {ranks})


def first_ranks(comm: Any, count: int) -> Any:
    """A communicator of the first `count` ranks; None on the others; collective."""
    part = comm.Split(0 if comm.rank < count else 1, comm.rank)
    if comm.rank < count:
        return part
    part.Free()
    return None


@contextmanager
def others_asleep(comm: Any) -> Iterator[None]:
    """Nobody goes on before all ranks of `comm` are through the body; who is early sleeps."""
    try:
        yield
    finally:  # after an error too: the others would wait for ever
        request = comm.Ibarrier()
        while not request.Test():
            time.sleep(POLL_SECONDS)
