"""Collectives with nothing else: what a round's traffic costs by itself, and single operations.

The buffers have the sizes of the real ones and are made once.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ist_mpi.parallel.mpi import MPI
from ist_mpi.partition import spans

Int32 = NDArray[np.int32]
Repeated = Callable[[int], None]
"""Does it so many times; collective."""

STREAM = 64
"""Messages in a row of the operation `stream`."""


def raw_round(comm: Any, exchange: str, words: int, counts: Int32) -> Repeated:
    """The collectives of a round of this exchange, as the exchange itself calls them.

    Parameters
    ----------
    words : int
        Size of the plan, the blocks' message, in int32.
    counts : ndarray of int32, shape (p,)
        Numbers (float64) that each rank has in a round.
    """
    down, up = _traffic(comm, exchange, counts)
    plan = [np.zeros(words, dtype=np.int32), MPI.INT32_T]

    def rounds(count: int) -> None:
        request = comm.Ibcast(plan, root=0)
        for k in range(count):
            request.Wait()
            down()
            if k + 1 < count:
                request = comm.Ibcast(plan, root=0)  # a round ahead
            up()

    return rounds


def _traffic(comm: Any, exchange: str, counts: Int32) -> tuple[Callable[[], None], ...]:
    """How the numbers of a round go down, and up."""
    mine = np.zeros(counts[comm.rank])
    if exchange == "serverless":
        return _alltoallv(comm, counts), _nothing
    everything = _parts(counts)
    if exchange == "replicated":
        return _nothing, lambda: comm.Allgatherv([mine, MPI.DOUBLE], everything)
    at_root = everything if comm.rank == 0 else None
    return (
        lambda: comm.Scatterv(at_root, [mine, MPI.DOUBLE], root=0),
        lambda: comm.Gatherv([mine, MPI.DOUBLE], at_root, root=0),
    )


def _nothing() -> None:
    return None


def _parts(counts: Int32) -> list[Any]:
    """A buffer with so many numbers of every rank."""
    edges = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return [np.zeros(edges[-1]), counts, edges[:-1], MPI.DOUBLE]


def _alltoallv(comm: Any, counts: Int32) -> Callable[[], None]:
    """Every rank's numbers, spread evenly over all."""
    shares = np.array([np.diff(spans(int(count), comm.size)) for count in counts], dtype=np.int32)
    leaving = _parts(np.ascontiguousarray(shares[comm.rank]))
    arriving = _parts(np.ascontiguousarray(shares[:, comm.rank]))
    return lambda: comm.Alltoallv(leaving, arriving)


OPERATIONS = (
    "barrier",
    "pingpong",
    "stream",
    "bcast",
    "scatterv",
    "gatherv",
    "allgatherv",
    "alltoallv",
)
"""pingpong: a message from the first rank to the last, and back. stream: STREAM messages that way,
and an empty one back. Every collective is followed by a barrier, so that no call overlaps the next.
"""


def operation(comm: Any, name: str, size: int) -> Repeated:
    """One of OPERATIONS with `size` numbers (float64) of every rank; alltoallv: to every rank."""
    if name in ("pingpong", "stream"):
        return _messages(comm, 1 if name == "pingpong" else STREAM, size)
    counts = np.full(comm.size, size * (comm.size if name == "alltoallv" else 1), dtype=np.int32)
    mine = np.zeros(size)
    calls: dict[str, Callable[[], None]] = {
        "barrier": _nothing,
        "bcast": lambda: comm.Bcast([mine, MPI.DOUBLE], root=0),
        "scatterv": _traffic(comm, "server", counts)[0],
        "gatherv": _traffic(comm, "server", counts)[1],
        "allgatherv": _traffic(comm, "replicated", counts)[1],
        "alltoallv": _traffic(comm, "serverless", counts)[0],
    }
    call = calls[name]

    def repeated(count: int) -> None:
        for _ in range(count):
            call()
            comm.Barrier()

    return repeated


def _messages(comm: Any, many: int, size: int) -> Repeated:
    """`many` messages of `size` numbers from the first rank to the last; then as large a reply.

    The reply to more than one message is empty.
    """
    first, last = comm.rank == 0, comm.rank == comm.size - 1
    buffer = [np.zeros(size), MPI.DOUBLE]
    reply = buffer if many == 1 else [np.zeros(0), MPI.DOUBLE]
    other = comm.size - 1 if first else 0

    def repeated(count: int) -> None:
        for _ in range(count):
            if first:
                for _ in range(many):
                    comm.Send(buffer, dest=other)
                comm.Recv(reply, source=other)
            elif last:
                for _ in range(many):
                    comm.Recv(buffer, source=other)
                comm.Send(reply, dest=other)

    return repeated
