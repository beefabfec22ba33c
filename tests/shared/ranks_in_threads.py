"""Ranks that are threads of one process: any number of them in milliseconds, without a launcher.

As much of a communicator as a run needs that shares no memory of a host. What each rank sends is
copied before anybody reads it.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from threading import Barrier, BrokenBarrierError, Thread
from typing import Any

import numpy as np

SECONDS = 60.0
"""What no rank waits for another."""


class _Job:
    """What the ranks of a communicator share."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.barrier = Barrier(size, timeout=SECONDS)
        self.slots: list[Any] = [None] * size
        self.mail: defaultdict[Any, SimpleQueue[Any]] = defaultdict(SimpleQueue)


class _Done:
    """A request that is over."""

    def Wait(self) -> None:
        """It was."""


def _parts(spec: Any) -> tuple[np.ndarray, Sequence[int], Sequence[int]]:
    """An array with counts and starts, from what buffer collectives take."""
    array, counts, starts = spec[:3]
    return array.reshape(-1), counts, starts


def _flat(spec: Any) -> np.ndarray:
    array = spec[0] if isinstance(spec, list) else spec
    return np.asarray(array.reshape(-1))


class Rank:
    """One rank's communicator."""

    def __init__(self, job: _Job, rank: int) -> None:
        self._job, self.rank, self.size = job, rank, job.size

    def _exchange(self, mine: Any) -> list[Any]:
        self._job.slots[self.rank] = mine
        self._job.barrier.wait()
        found = list(self._job.slots)
        self._job.barrier.wait()
        return found

    def Barrier(self) -> None:
        """All are here."""
        self._exchange(None)

    def allgather(self, value: Any) -> list[Any]:
        """Everybody's value."""
        return self._exchange(value)

    def bcast(self, value: Any, root: int = 0) -> Any:
        """The root's value."""
        return self._exchange(value)[root]

    def gather(self, value: Any, root: int = 0) -> Any:
        """Everybody's value, on the root."""
        found = self._exchange(value)
        return found if self.rank == root else None

    def Bcast(self, spec: Any, root: int = 0) -> None:
        """The root's numbers."""
        sent = self._exchange(_flat(spec).copy())[root]
        _flat(spec)[:] = sent

    def Ibcast(self, spec: Any, root: int = 0) -> _Done:
        """The same, at once."""
        self.Bcast(spec, root)
        return _Done()

    def Allreduce(self, _: Any, spec: Any, op: Any = None) -> None:
        """The largest of everybody's, in place."""
        _flat(spec)[:] = np.max(self._exchange(_flat(spec).copy()), axis=0)

    def Scatterv(self, send: Any, receive: Any, root: int = 0) -> None:
        """The root's parts, one for each rank."""
        mine = None if send is None else (_parts(send)[0].copy(), *map(np.copy, _parts(send)[1:]))
        array, counts, starts = self._exchange(mine)[root]
        low = starts[self.rank]
        _flat(receive)[: counts[self.rank]] = array[low : low + counts[self.rank]]

    def Gatherv(self, send: Any, receive: Any, root: int = 0) -> None:
        """Every rank's part, on the root."""
        found = self._exchange(_flat(send).copy())
        if self.rank == root:
            array, counts, starts = _parts(receive)
            for part, count, low in zip(found, counts, starts, strict=True):
                array[low : low + count] = part[:count]

    def Allgatherv(self, send: Any, receive: Any) -> None:
        """Every rank's part, everywhere."""
        for root in range(self.size):
            self.Gatherv(send, receive, root)

    def Alltoallv(self, send: Any, receive: Any) -> None:
        """A part from every rank to every rank."""
        array, counts, starts = _parts(send)
        parts = [array[a : a + k].copy() for a, k in zip(starts, counts, strict=True)]
        out, sizes, places = _parts(receive)
        for sent, size, low in zip(self._exchange(parts), sizes, places, strict=True):
            out[low : low + size] = sent[self.rank]

    def send(self, value: Any, dest: int, tag: int = 0) -> None:
        """Meets `recv` on that rank; nobody else is asked."""
        self._job.mail[self.rank, dest, tag].put(value)

    def recv(self, source: int, tag: int = 0) -> Any:
        """What was sent first of what was not received yet."""
        return self._job.mail[source, self.rank, tag].get(timeout=SECONDS)

    def Send(self, array: Any, dest: int, tag: int = 0) -> None:
        """See `send`."""
        self.send(array.copy(), dest, tag)

    def Recv(self, array: Any, source: int, tag: int = 0) -> None:
        """See `recv`."""
        array[...] = self.recv(source, tag)


def together(p: int, function: Callable[[Rank], Any]) -> list[Any]:
    """``function(comm)`` on p ranks: what each returns, or the error of the first that raises."""
    job = _Job(p)
    results: list[Any] = [None] * p
    errors: list[BaseException] = []

    def work(rank: int) -> None:
        try:
            results[rank] = function(Rank(job, rank))
        except BaseException as error:
            if not isinstance(error, BrokenBarrierError):
                errors.append(error)
            job.barrier.abort()

    threads = [Thread(target=work, args=(rank,)) for rank in range(p)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results
