"""The round's traffic: how the model goes to the workers and comes back.

The exchanges are interchangeable: the same pieces in the same order, so the same bits. Buffer
collectives only; nothing is pickled here.

alone        one rank: nothing to send
server       rank 0 holds the model: Scatterv, Gatherv; the paper's picture
replicated   every rank holds the model: Allgatherv
serverless   nobody does: every block goes from its owner straight to the next, Alltoallv
"""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ist_mpi.kernels import model as kernels
from ist_mpi.kernels import routes
from ist_mpi.parallel.mpi import MPI
from ist_mpi.parallel.team import Team
from ist_mpi.sketches import Blocks, Sketch

Float64 = NDArray[np.float64]


class Exchange(Protocol):
    """How a round moves the model between the workers.

    `x` is the model of shape (d,); it is up to date on the ranks that `hold` it, and a place to
    put it elsewhere. Rounds come in order. All methods are collective.
    """

    name: str
    alone: bool
    """Whether there is one rank only."""
    holds: bool
    """Whether this rank's x is the model, after every merge."""

    def broadcast(self, k: int) -> Blocks:
        """Round k's blocks, drawn on rank 0 and known to every rank."""

    def scatter(self, x: Float64, k: int) -> Float64:
        """This rank's workers' parts of the model, x[S_i] one after another."""

    def gather(self, pieces: Float64, k: int) -> Float64:
        """All workers' pieces, along pi, on the ranks that hold the model (else empty)."""

    def share(self, x: Float64) -> None:
        """Bring the model to every rank."""

    def close(self) -> None:
        """Wait for what is still under way; the exchange is of no use afterwards."""


class Alone:
    """One rank: nothing to send."""

    name = "alone"
    alone = holds = True

    def __init__(self, sketch: Sketch) -> None:
        self._sketch = sketch
        self._parts = np.empty(sketch.size)

    def broadcast(self, k: int) -> Blocks:
        """Drawn here."""
        return self._sketch.draw(k)

    def scatter(self, x: Float64, k: int) -> Float64:
        """x[pi]."""
        kernels.take(x, self._sketch.blocks(k).pi, self._parts)
        return self._parts

    def gather(self, pieces: Float64, k: int) -> Float64:
        """They are here."""
        return pieces

    def share(self, x: Float64) -> None:
        """It is here."""

    def close(self) -> None:
        """Nothing is under way."""


class _Together:
    """What the exchanges of several ranks have in common: the broadcast and the counts.

    A rank's workers have neighbouring spans of pi, so that a scatter or a gather is one collective.
    Every round, the next round's blocks set out as soon as this round's parts have arrived, and
    travel while the workers compute.
    """

    alone = False
    holds = False

    def __init__(self, team: Team, sketch: Sketch) -> None:
        self._comm, self._sketch, self._workers = team.comm, sketch, team.workers
        self._rank = team.rank
        self._edges = np.zeros(team.size + 1, dtype=np.int32)
        self._counts = np.zeros(team.size, dtype=np.int32)
        most = int(np.diff(team.workers)[team.rank]) * sketch.q
        self._parts = np.empty(min(most, sketch.size))
        self._changing = not sketch.same_sizes
        self._count(sketch.blocks(0))
        self._request = MPI.REQUEST_NULL
        self._sent = -1  # the last round whose blocks have set out

    def _send_blocks(self, k: int) -> None:
        """Let the blocks of round k set out from rank 0."""
        if self._rank == 0:
            self._sketch.draw(k)
        self._request = self._comm.Ibcast([self._sketch.message(k), MPI.INT32_T], root=0)
        self._sent = k

    def broadcast(self, k: int) -> Blocks:
        """Those that set out a round ago have arrived, or will now."""
        if self._sent != k:
            self._send_blocks(k)
        self._request.Wait()
        blocks = self._sketch.blocks(k)
        if self._changing:
            self._count(blocks)
        return blocks

    def _count(self, blocks: Blocks) -> None:
        """How much each rank has of these blocks, in the arrays that MPI was given."""
        self._edges[:] = blocks.offsets[self._workers]
        self._counts[:] = np.diff(self._edges)
        self._mine = self._parts[: self._counts[self._rank]]

    def close(self) -> None:
        """The next round's blocks may still be under way."""
        self._request.Wait()


class Server(_Together):
    """Rank 0 holds the model: Bcast of the blocks, Scatterv, Gatherv. The paper's picture."""

    name = "server"

    def __init__(self, team: Team, sketch: Sketch) -> None:
        super().__init__(team, sketch)
        self.holds = team.rank == 0
        self._all = np.empty(sketch.size if self.holds else 0)
        everything = [self._all, self._counts, self._edges[:-1], MPI.DOUBLE]
        self._everything = everything if self.holds else None

    def scatter(self, x: Float64, k: int) -> Float64:
        """One Scatterv of x[pi]."""
        if self.holds:
            kernels.take(x, self._sketch.blocks(k).pi, self._all)
        parts = self._mine
        self._comm.Scatterv(self._everything, [parts, MPI.DOUBLE], root=0)
        self._send_blocks(k + 1)
        return parts

    def gather(self, pieces: Float64, k: int) -> Float64:
        """One Gatherv to rank 0."""
        self._comm.Gatherv([pieces, MPI.DOUBLE], self._everything, root=0)
        return self._all

    def share(self, x: Float64) -> None:
        """One Bcast."""
        self._comm.Bcast([x, MPI.DOUBLE], root=0)


class Replicated(_Together):
    """Every rank holds the model: Bcast of the blocks, one Allgatherv."""

    name = "replicated"
    holds = True

    def __init__(self, team: Team, sketch: Sketch) -> None:
        super().__init__(team, sketch)
        self._all = np.empty(sketch.size)
        self._everything = [self._all, self._counts, self._edges[:-1], MPI.DOUBLE]

    def scatter(self, x: Float64, k: int) -> Float64:
        """Taken from this rank's own copy."""
        parts = self._mine
        first = self._edges[self._rank]
        kernels.take(x, self._sketch.blocks(k).pi[first : first + parts.size], parts)
        self._send_blocks(k + 1)
        return parts

    def gather(self, pieces: Float64, k: int) -> Float64:
        """One Allgatherv."""
        self._comm.Allgatherv([pieces, MPI.DOUBLE], self._everything)
        return self._all

    def share(self, x: Float64) -> None:
        """It is everywhere."""


class Serverless(_Together):
    """Nobody holds the model: every coordinate goes from this round's owner to the next round's.

    The blocks must be disjoint. Where a coordinate is, and where it goes, follows from the blocks
    of two rounds, which every rank knows, so that only numbers travel.
    """

    name = "serverless"

    def __init__(self, team: Team, sketch: Sketch) -> None:
        super().__init__(team, sketch)
        room = self._parts.size
        self._held: Float64 | None = None  # this rank's part of the model, after its last round
        self._blocks: Blocks | None = None  # the blocks of that round
        self._route = routes.Route(
            rank=team.rank,
            owner=np.empty(sketch.d, dtype=np.int32),
            place=np.empty(sketch.d, dtype=np.int32),
            leaving=np.empty(room, dtype=np.int32),
            arriving=np.empty(room, dtype=np.int32),
            leaving_edges=np.zeros(team.size + 1, dtype=np.int32),
            arriving_edges=np.zeros(team.size + 1, dtype=np.int32),
            leaving_counts=np.zeros(team.size, dtype=np.int32),
            arriving_counts=np.zeros(team.size, dtype=np.int32),
        )
        self._leaving, self._arriving = np.empty(room), np.empty(room)
        self._last_edges = np.zeros_like(self._edges)

    def scatter(self, x: Float64, k: int) -> Float64:
        """One Alltoallv; at first from x⁰, which every rank has."""
        blocks, parts, route = self._sketch.blocks(k), self._mine, self._route
        if self._held is None or self._blocks is None:
            first = self._edges[self._rank]
            kernels.take(x, blocks.pi[first : first + parts.size], parts)
        else:
            routes.find(route, self._blocks.pi, self._last_edges, blocks.pi, self._edges)
            kernels.take(self._held, route.leaving[: self._held.size], self._leaving)
            self._comm.Alltoallv(
                [self._leaving, route.leaving_counts, route.leaving_edges[:-1], MPI.DOUBLE],
                [self._arriving, route.arriving_counts, route.arriving_edges[:-1], MPI.DOUBLE],
            )
            kernels.place(parts, route.arriving[: parts.size], self._arriving)
        self._send_blocks(k + 1)
        return parts

    def gather(self, pieces: Float64, k: int) -> Float64:
        """They stay where they are."""
        self._held, self._blocks = pieces, self._sketch.blocks(k)
        self._last_edges[:] = self._edges
        return self._parts[:0]

    def share(self, x: Float64) -> None:
        """One Allgatherv."""
        if self._held is None or self._blocks is None:
            return
        everything = np.empty(x.size)
        self._comm.Allgatherv(
            [self._held, MPI.DOUBLE],
            [everything, np.diff(self._last_edges), self._last_edges[:-1], MPI.DOUBLE],
        )
        kernels.place(x, self._blocks.pi, everything)


KINDS: dict[str, Any] = {"server": Server, "replicated": Replicated, "serverless": Serverless}


def connect(team: Team, kind: str, sketch: Sketch) -> Exchange:
    """The exchange of that name; with one rank there is nothing to exchange."""
    if team.size == 1:
        return Alone(sketch)
    exchange: Exchange = KINDS[kind](team, sketch)
    return exchange
