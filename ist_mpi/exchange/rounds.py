"""The round's traffic: how the model goes to the workers and comes back.

The exchanges are interchangeable: the same pieces in the same order, so the same bits. Buffer
collectives only; nothing is pickled here.
"""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ist_mpi.exchange.mpi import MPI
from ist_mpi.exchange.workers import Layout
from ist_mpi.kernels import model as kernels
from ist_mpi.sketches import Blocks, Sketch

Float64 = NDArray[np.float64]


class Exchange(Protocol):
    """How a round moves the model between the server and the workers.

    `x` is the model of shape (d,); it is up to date on the ranks that `hold` it, and a place to
    put it elsewhere. All methods but `holds` are collective.
    """

    holds: bool

    def broadcast(self, going_on: bool, blocks: Blocks) -> bool:
        """Tell every rank the round's blocks, and whether there is a round: rank 0 decides."""

    def scatter(self, x: Float64, blocks: Blocks) -> Float64:
        """This rank's workers' parts of the model, x[S_i] one after another."""

    def gather(self, pieces: Float64, blocks: Blocks) -> Float64:
        """All workers' pieces, along pi, on the ranks that hold the model (else empty)."""

    def share(self, x: Float64) -> None:
        """Bring the model to every rank."""


class Alone:
    """One rank: nothing to send."""

    holds = True

    def __init__(self, sketch: Sketch) -> None:
        self._parts = np.empty(sketch.size)

    def broadcast(self, going_on: bool, blocks: Blocks) -> bool:
        """Rank 0 knows."""
        return going_on

    def scatter(self, x: Float64, blocks: Blocks) -> Float64:
        """x[pi]."""
        kernels.take(x, blocks.pi, self._parts)
        return self._parts

    def gather(self, pieces: Float64, blocks: Blocks) -> Float64:
        """They are here."""
        return pieces

    def share(self, x: Float64) -> None:
        """It is here."""


class _Together:
    """What the exchanges of several ranks have in common: the broadcast and the counts.

    A rank's workers have neighbouring spans of pi, so a scatter or a gather is one collective.
    """

    def __init__(self, comm: Any, sketch: Sketch, where: Layout) -> None:
        self._comm, self._sketch, self._workers = comm, sketch, where.workers
        self._rank = comm.rank
        # The blocks with one word in front: whether there is a round.
        self._message = np.zeros(1 + sketch.message.size, dtype=np.int32)
        self._all = np.empty(sketch.size)
        self._edges = np.zeros(comm.size + 1, dtype=np.int64)
        self._counts = np.zeros(comm.size, dtype=np.int64)

    def broadcast(self, going_on: bool, blocks: Blocks) -> bool:
        """One Bcast of the blocks from rank 0, the verdict in front."""
        message, own = self._message, self._sketch.message
        if self._rank == 0:
            message[0] = going_on
            message[1:] = own
        self._comm.Bcast([message, MPI.INT32_T], root=0)
        if self._rank != 0:
            own[:] = message[1:]
        self._edges = blocks.offsets[self._workers].astype(np.int64)
        self._counts = np.diff(self._edges)
        return bool(message[0])

    @property
    def _mine(self) -> slice:
        return slice(int(self._edges[self._rank]), int(self._edges[self._rank + 1]))


class Server(_Together):
    """Rank 0 holds the model: Bcast of the blocks, Scatterv, Gatherv. The paper's picture."""

    def __init__(self, comm: Any, sketch: Sketch, where: Layout) -> None:
        super().__init__(comm, sketch, where)
        self.holds = comm.rank == 0
        self._parts = np.empty(sketch.size)

    def scatter(self, x: Float64, blocks: Blocks) -> Float64:
        """One Scatterv of x[pi]."""
        send = None
        if self.holds:
            kernels.take(x, blocks.pi, self._all)
            send = [self._all, self._counts, self._edges[:-1], MPI.DOUBLE]
        parts = self._parts[: self._counts[self._rank]]
        self._comm.Scatterv(send, [parts, MPI.DOUBLE], root=0)
        return parts

    def gather(self, pieces: Float64, blocks: Blocks) -> Float64:
        """One Gatherv to rank 0."""
        receive = None
        if self.holds:
            receive = [self._all, self._counts, self._edges[:-1], MPI.DOUBLE]
        self._comm.Gatherv([pieces, MPI.DOUBLE], receive, root=0)
        return self._all if self.holds else self._all[:0]

    def share(self, x: Float64) -> None:
        """One Bcast."""
        self._comm.Bcast([x, MPI.DOUBLE], root=0)


class Replicated(_Together):
    """Every rank holds the model: Bcast of the blocks, one Allgatherv."""

    holds = True

    def __init__(self, comm: Any, sketch: Sketch, where: Layout) -> None:
        super().__init__(comm, sketch, where)
        self._parts = np.empty(sketch.size)

    def scatter(self, x: Float64, blocks: Blocks) -> Float64:
        """Taken from this rank's own copy."""
        parts = self._parts[: self._counts[self._rank]]
        kernels.take(x, blocks.pi[self._mine], parts)
        return parts

    def gather(self, pieces: Float64, blocks: Blocks) -> Float64:
        """One Allgatherv."""
        self._comm.Allgatherv(
            [pieces, MPI.DOUBLE], [self._all, self._counts, self._edges[:-1], MPI.DOUBLE]
        )
        return self._all

    def share(self, x: Float64) -> None:
        """It is everywhere."""


def connect(comm: Any, kind: str, sketch: Sketch, where: Layout) -> Exchange:
    """The configured exchange; with one rank there is nothing to exchange."""
    if comm.size == 1:
        return Alone(sketch)
    return Server(comm, sketch, where) if kind == "server" else Replicated(comm, sketch, where)
