"""The team of ranks: who has which workers and rows, and sums in worker order.

A `Team` is a communicator and its layout. Everything on it is collective unless it says otherwise,
and every sum runs over the workers in their order, so that its bits do not depend on the ranks.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ist_mpi.errors import ISTError
from ist_mpi.parallel import ranks
from ist_mpi.parallel.mpi import MPI
from ist_mpi.parallel.watchdog import beat
from ist_mpi.partition import owners, spans

Float64 = NDArray[np.float64]

PIECE = 1 << 20
"""Numbers of an array that are sent to a rank at a time: 8 MiB."""


class Team(NamedTuple):
    """The ranks of a run, and which workers and rows each has: neighbouring near-equal spans."""

    comm: Any
    workers: NDArray[np.int64]
    """Edges (p + 1,): rank r has workers workers[r]:workers[r + 1]."""
    rows: NDArray[np.int64]
    """Edges (p + 1,): rank r has rows rows[r]:rows[r + 1] of matrices kept in slabs."""

    @classmethod
    def of(cls, comm: Any, n: int, d: int) -> "Team":
        """The team of a communicator for n workers and d rows; not collective."""
        return cls(comm, spans(n, comm.size), spans(d, comm.size))

    @property
    def rank(self) -> int:
        """This rank."""
        return int(self.comm.rank)

    @property
    def size(self) -> int:
        """p."""
        return int(self.comm.size)

    @property
    def n(self) -> int:
        """Workers of all ranks."""
        return int(self.workers[-1])

    @property
    def d(self) -> int:
        """Rows of all ranks."""
        return int(self.rows[-1])

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

    def on_root(self, function: Callable[[], Any]) -> Any:
        """``function()`` on rank 0, its result on every rank, its ISTError too."""
        return ranks.on_root(self.comm, function)

    def agree(self, error: ISTError | None = None) -> None:
        """Raise the first rank's error on every rank, or return on every rank."""
        ranks.agree(self.comm, error)

    def agreeing(self) -> AbstractContextManager[None]:
        """Let a rank's ISTError in the body be raised on every rank; no collectives in it."""
        return ranks.agreeing(self.comm)

    def deal(self, share: Callable[[int], Any] | None) -> Iterator[Any]:
        """Yield this rank's workers' shares, made by ``share(worker)`` on rank 0.

        One worker at a time, so that rank 0 never holds copies for all of them.
        """
        for worker, owner in enumerate(owners(self.workers)):
            beat()
            if self.rank == 0 and share is not None:
                if owner == 0:
                    yield share(worker)
                else:
                    self.comm.send(share(worker), dest=int(owner), tag=0)
            elif self.rank == owner:
                yield self.comm.recv(source=0, tag=0)

    def sum_rows(self, array_of: Callable[[int], Float64], shape: tuple[int, ...]) -> Float64:
        """This rank's rows of Σ_i array_i, added up in worker order.

        Parameters
        ----------
        array_of : callable
            The array of a worker, called on the worker's owner only.
        shape : tuple of int
            Shape of each worker's array; the first axis is spread over the ranks.
        """
        tail = shape[1:]
        mine = self.slab
        total = np.zeros((mine.stop - mine.start, *tail))
        if self.size == 1:
            for worker in range(self.n):
                total += array_of(worker)
            return total
        width = int(np.prod(tail, dtype=np.int64))
        high = max(1, PIECE // max(1, width))
        part = np.empty((min(high, len(total)), *tail))
        for worker, owner in enumerate(owners(self.workers)):
            array = np.ascontiguousarray(array_of(worker)) if self.rank == owner else None
            for low in range(0, int(np.diff(self.rows).max()), high):
                first = np.minimum(self.rows[:-1] + low, self.rows[1:])
                counts = np.minimum(first + high, self.rows[1:]) - first
                send = None if array is None else [array, counts * width, first * width, MPI.DOUBLE]
                rows = int(counts[self.rank])
                self.comm.Scatterv(send, part[:rows], root=int(owner))
                total[low : low + rows] += part[:rows]
            beat()
        return total

    def mean_rows(self, array_of: Callable[[int], Float64], shape: tuple[int, ...]) -> Float64:
        """This rank's rows of (1/n) Σ_i array_i; see `sum_rows`."""
        total = self.sum_rows(array_of, shape)
        total /= self.n
        return total

    def whole(self, slab: Float64, everywhere: bool = False) -> Float64 | None:
        """Put slabs of rows together: the whole array on rank 0 (or everywhere), else None."""
        if self.size == 1:
            return slab.copy()
        width = int(np.prod(slab.shape[1:], dtype=np.int64))
        counts, starts = np.diff(self.rows) * width, self.rows[:-1] * width
        shape = (self.d, *slab.shape[1:])
        if everywhere:
            full = np.empty(shape)
            self.comm.Allgatherv(slab, [full, counts, starts, MPI.DOUBLE])
            return full
        if self.rank == 0:
            full = np.empty(shape)
            self.comm.Gatherv(slab, [full, counts, starts, MPI.DOUBLE], root=0)
            return full
        self.comm.Gatherv(slab, None, root=0)
        return None

    def workers_array(
        self, array_of: Callable[[int], Float64], shape: tuple[int, ...]
    ) -> Float64 | None:
        """All workers' arrays of one shape, (n, *shape), on rank 0; None elsewhere."""
        n = self.n
        result = np.empty((n, *shape)) if self.rank == 0 else None
        for worker, owner in enumerate(owners(self.workers)):
            if self.rank == 0 and result is not None:
                if owner == 0:
                    result[worker] = array_of(worker)
                else:
                    self.comm.Recv(result[worker], source=int(owner), tag=1)
            elif self.rank == owner:
                self.comm.Send(np.ascontiguousarray(array_of(worker)), dest=0, tag=1)
        return result

    def all_workers(self, values: Float64) -> Float64:
        """Every worker's number, in worker order, on every rank, from each rank's (m,)."""
        return np.concatenate(self.comm.allgather(values))

    def sum_everywhere(self, arrays: list[Float64], shape: tuple[int, ...]) -> Float64:
        """Σ_i array_i in worker order, on every rank, from this rank's workers' arrays.

        All arrays of a rank exist at once, so that the ranks have made them side by side.
        """
        slab = self.sum_rows(lambda worker: arrays[worker - self.first], shape)
        return np.asarray(self.whole(slab, everywhere=True))
