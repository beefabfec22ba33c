"""The collectives of a round with nothing else: what its traffic costs by itself.

The buffers have the sizes of the real ones and are made once.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ist_mpi.parallel.mpi import MPI
from ist_mpi.partition import spans

Int32 = NDArray[np.int32]


def raw_rounds(comm: Any, exchange: str, words: int, counts: Int32) -> Callable[[int], None]:
    """The collectives of so many rounds of this exchange, as the exchange itself calls them.

    Parameters
    ----------
    words : int
        Size of the blocks' message, in int32.
    counts : ndarray of int32, shape (p,)
        Numbers (float64) that each rank has in a round.
    """
    scatter, gather = traffic(comm, exchange, counts)
    blocks = [np.zeros(words, dtype=np.int32), MPI.INT32_T]

    def rounds(count: int) -> None:
        request = comm.Ibcast(blocks, root=0)
        for k in range(count):
            request.Wait()
            scatter()
            if k + 1 < count:
                request = comm.Ibcast(blocks, root=0)  # a round ahead
            gather()

    return rounds


def traffic(comm: Any, exchange: str, counts: Int32) -> tuple[Callable[[], None], ...]:
    """How the numbers of a round are scattered, and gathered."""
    mine = [np.zeros(counts[comm.rank]), MPI.DOUBLE]
    if exchange == "serverless":  # every rank's numbers, spread evenly over all
        shares = [np.diff(spans(int(count), comm.size)) for count in counts]
        table = np.array(shares, dtype=np.int32)
        leaving, arriving = _parts(table[comm.rank]), _parts(table[:, comm.rank])
        return lambda: comm.Alltoallv(leaving, arriving), lambda: None
    everything = _parts(counts)
    if exchange == "replicated":
        return lambda: None, lambda: comm.Allgatherv(mine, everything)
    at_root = everything if comm.rank == 0 else None
    return (
        lambda: comm.Scatterv(at_root, mine, root=0),
        lambda: comm.Gatherv(mine, at_root, root=0),
    )


def _parts(counts: Int32) -> list[Any]:
    """A buffer with so many numbers of every rank."""
    edges = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return [np.zeros(edges[-1]), np.ascontiguousarray(counts), edges[:-1], MPI.DOUBLE]
