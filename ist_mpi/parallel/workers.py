"""Workers over ranks: who has which, the dealing of their data, and sums in worker order."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ist_mpi.parallel.mpi import MPI
from ist_mpi.parallel.watchdog import beat
from ist_mpi.partition import owners, spans

Float64 = NDArray[np.float64]


PIECE = 1 << 20
"""Numbers of an array that are sent to a rank at a time: 8 MiB."""


class Layout(NamedTuple):
    """Which workers and which rows each rank has: neighbouring near-equal spans."""

    workers: NDArray[np.int64]
    """Edges (p + 1,): rank r has workers workers[r]:workers[r + 1]."""
    rows: NDArray[np.int64]
    """Edges (p + 1,): rank r has rows rows[r]:rows[r + 1] of matrices kept in slabs."""
    rank: int

    @property
    def first(self) -> int:
        """This rank's first worker."""
        return int(self.workers[self.rank])

    @property
    def last(self) -> int:
        """One past this rank's last worker."""
        return int(self.workers[self.rank + 1])

    @property
    def slab(self) -> slice:
        """This rank's rows."""
        return slice(int(self.rows[self.rank]), int(self.rows[self.rank + 1]))


def layout(comm: Any, n: int, d: int) -> Layout:
    """The layout of n workers and d rows over the ranks of a communicator."""
    return Layout(spans(n, comm.size), spans(d, comm.size), comm.rank)


def deal(comm: Any, where: Layout, share: Callable[[int], Any] | None) -> Iterator[Any]:
    """Yield this rank's workers' shares, made by ``share(worker)`` on rank 0; collective.

    One worker at a time, so that rank 0 never holds copies for all of them.
    """
    for worker, owner in enumerate(owners(where.workers)):
        beat()
        if comm.rank == 0 and share is not None:
            if owner == 0:
                yield share(worker)
            else:
                comm.send(share(worker), dest=int(owner), tag=0)
        elif comm.rank == owner:
            yield comm.recv(source=0, tag=0)


def sum_rows(
    comm: Any, where: Layout, array_of: Callable[[int], Float64], shape: tuple[int, ...]
) -> Float64:
    """This rank's rows of Σ_i array_i, added up in worker order; collective.

    Parameters
    ----------
    array_of : callable
        The array of a worker, called on the worker's owner only.
    shape : tuple of int
        Shape of each worker's array; the first axis is spread over the ranks.
    """
    tail = shape[1:]
    mine = where.slab
    total = np.zeros((mine.stop - mine.start, *tail))
    if comm.size == 1:
        for worker in range(int(where.workers[-1])):
            total += array_of(worker)
        return total
    width = int(np.prod(tail, dtype=np.int64))
    high = max(1, PIECE // max(1, width))
    part = np.empty((min(high, len(total)), *tail))
    for worker, owner in enumerate(owners(where.workers)):
        array = np.ascontiguousarray(array_of(worker)) if comm.rank == owner else None
        for low in range(0, int(np.diff(where.rows).max()), high):
            first = np.minimum(where.rows[:-1] + low, where.rows[1:])
            counts = np.minimum(first + high, where.rows[1:]) - first
            send = None if array is None else [array, counts * width, first * width, MPI.DOUBLE]
            rows = int(counts[comm.rank])
            comm.Scatterv(send, part[:rows], root=int(owner))
            total[low : low + rows] += part[:rows]
        beat()
    return total


def mean_rows(
    comm: Any, where: Layout, array_of: Callable[[int], Float64], shape: tuple[int, ...]
) -> Float64:
    """This rank's rows of (1/n) Σ_i array_i; see `sum_rows`."""
    total = sum_rows(comm, where, array_of, shape)
    total /= int(where.workers[-1])
    return total


def whole(comm: Any, where: Layout, slab: Float64, everywhere: bool = False) -> Float64 | None:
    """Put slabs of rows together: the whole array on rank 0 (or everywhere), else None."""
    if comm.size == 1:
        return slab.copy()
    width = int(np.prod(slab.shape[1:], dtype=np.int64))
    counts, starts = np.diff(where.rows) * width, where.rows[:-1] * width
    shape = (int(where.rows[-1]), *slab.shape[1:])
    if everywhere:
        full = np.empty(shape)
        comm.Allgatherv(slab, [full, counts, starts, MPI.DOUBLE])
        return full
    if comm.rank == 0:
        full = np.empty(shape)
        comm.Gatherv(slab, [full, counts, starts, MPI.DOUBLE], root=0)
        return full
    comm.Gatherv(slab, None, root=0)
    return None


def workers_array(
    comm: Any, where: Layout, array_of: Callable[[int], Float64], shape: tuple[int, ...]
) -> Float64 | None:
    """All workers' arrays of one shape, (n, *shape), on rank 0; None elsewhere; collective."""
    n = int(where.workers[-1])
    result = np.empty((n, *shape)) if comm.rank == 0 else None
    for worker, owner in enumerate(owners(where.workers)):
        if comm.rank == 0 and result is not None:
            if owner == 0:
                result[worker] = array_of(worker)
            else:
                comm.Recv(result[worker], source=int(owner), tag=1)
        elif comm.rank == owner:
            comm.Send(np.ascontiguousarray(array_of(worker)), dest=0, tag=1)
    return result


def all_workers(comm: Any, values: Float64) -> Float64:
    """Every worker's number, in worker order, on every rank, from each rank's (m,); collective."""
    return np.concatenate(comm.allgather(values))


def sum_everywhere(
    comm: Any, where: Layout, arrays: list[Float64], shape: tuple[int, ...]
) -> Float64:
    """Σ_i array_i in worker order, on every rank, from this rank's workers' arrays; collective.

    All arrays of a rank exist at once, so that the ranks have made them side by side.
    """
    slab = sum_rows(comm, where, lambda worker: arrays[worker - where.first], shape)
    return np.asarray(whole(comm, where, slab, everywhere=True))
