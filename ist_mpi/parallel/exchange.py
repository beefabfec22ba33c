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
from ist_mpi.parallel.mpi import MPI
from ist_mpi.parallel.team import PIECE, Team
from ist_mpi.sketches import Blocks, Drawing, Sketch

Float64 = NDArray[np.float64]


class Exchange(Protocol):
    """How a round moves the model between the workers.

    `x` is a vector of the server, shape (d,): up to date on the ranks that `hold` it, and a place
    to put it elsewhere. `pieces` (t,) are of this rank's workers, one after another along their
    blocks. Rounds come in order. All methods are collective.
    """

    name: str
    alone: bool
    """Whether there is one rank only."""
    holds: bool
    """Whether this rank's x is the model, after every round."""
    drawing: Drawing
    """Where this round's blocks are, of all workers."""

    def broadcast(self, k: int) -> Blocks:
        """Round k's blocks of this rank's workers, drawn on rank 0 and known to every rank."""

    def scatter(self, x: Float64) -> Float64:
        """This rank's workers' parts of the model, x[S_i] one after another."""

    def place(self, x: Float64, pieces: Float64) -> None:
        """x[S_i] = pieces, for disjoint blocks that cover every coordinate."""

    def add(self, x: Float64, pieces: Float64) -> None:
        """x[S_i] += pieces, in worker order."""

    def total(self, x: Float64, pieces: Float64) -> None:
        """x = Σ_i of the pieces, in worker order, and zero where there are none."""

    def reduce(self, pieces: Float64) -> Float64:
        """Σ_i of the pieces, one (q,) of every worker, in worker order, on every rank.

        `pieces` (m, q) are of this rank's workers.
        """

    def share(self, x: Float64) -> None:
        """Bring a vector of the server to every rank."""

    def close(self) -> None:
        """Wait for what is still under way; the exchange is of no use afterwards."""


Drawings = tuple[Drawing, Drawing]
"""Room for the blocks of two rounds, even and odd: the next round's are drawn and sent while this
round's are in use."""


class _Merging:
    """What is done with the pieces of all workers, where they have arrived."""

    holds: bool
    drawing: Drawing

    def _gather(self, pieces: Float64) -> Float64:
        """All workers' pieces, along pi, on the ranks that hold the model (else empty)."""
        raise NotImplementedError

    def place(self, x: Float64, pieces: Float64) -> None:
        """See `Exchange`."""
        gathered = self._gather(pieces)
        if self.holds:
            kernels.place(x, self.drawing.pi, gathered)

    def add(self, x: Float64, pieces: Float64) -> None:
        """See `Exchange`."""
        gathered = self._gather(pieces)
        if self.holds:
            kernels.add(x, self.drawing.pi, gathered)

    def total(self, x: Float64, pieces: Float64) -> None:
        """See `Exchange`."""
        gathered = self._gather(pieces)
        if self.holds:
            x[:] = 0.0
            kernels.add(x, self.drawing.pi, gathered)


class Alone(_Merging):
    """One rank: nothing to send."""

    name = "alone"
    alone = holds = True

    def __init__(self, team: Team, sketch: Sketch, drawings: Drawings) -> None:
        self.drawing = drawings[0]
        self._parts = np.empty(sketch.total)

    def broadcast(self, k: int) -> Blocks:
        """Drawn here."""
        self.drawing.draw(k)
        return self.drawing.own()

    def scatter(self, x: Float64) -> Float64:
        """x[pi]."""
        pi = self.drawing.pi
        parts = self._parts[: pi.size]
        kernels.take(x, pi, parts)
        return parts

    def _gather(self, pieces: Float64) -> Float64:
        return pieces

    def reduce(self, pieces: Float64) -> Float64:
        """All workers are here."""
        out = np.empty(pieces.shape[1])
        kernels.add_rows(pieces, out)
        return out

    def share(self, x: Float64) -> None:
        """It is here."""

    def close(self) -> None:
        """Nothing is under way."""


class Together(_Merging):
    """What the exchanges of several ranks have in common: the broadcast and the counts.

    A rank's workers have neighbouring spans of pi, so that a scatter or a gather is one collective.
    Every round, the next round's blocks set out as soon as this round's parts have arrived, and
    travel while the workers compute.
    """

    alone = False
    holds = False

    def __init__(self, team: Team, sketch: Sketch, drawings: Drawings) -> None:
        self._comm, self._drawings, self._workers = team.comm, drawings, team.workers
        self.drawing = drawings[0]
        self._rank = team.rank
        self._edges = np.zeros(team.size + 1, dtype=np.int32)
        self._counts = np.zeros(team.size, dtype=np.int32)
        most = (team.last - team.first) * sketch.largest
        self._parts = np.empty(min(most, sketch.total))
        self._changing = not (sketch.same_sizes and self.drawing.compiled)
        self._random = sketch.random or not self.drawing.compiled
        if not self._changing:
            self._count(self.drawing)
        self._request = MPI.REQUEST_NULL
        self._sent = -1  # the last round whose blocks have set out

    def _send_blocks(self, k: int) -> None:
        """Let the blocks of round k set out from rank 0."""
        drawing = self._drawings[k % 2]
        self._sent = k
        if not self._random:
            return
        if self._rank == 0:
            drawing.draw(k)
        if drawing.message is None:
            drawing.put(self._comm.bcast(drawing.contents() if self._rank == 0 else None))
        else:
            self._request = self._comm.Ibcast([drawing.message, MPI.INT32_T], root=0)

    def broadcast(self, k: int) -> Blocks:
        """Those that set out a round ago have arrived, or will now."""
        if self._sent != k:
            self._send_blocks(k)
        self._request.Wait()
        self.drawing = self._drawings[k % 2]
        if self._changing:
            self._count(self.drawing)
        return self.drawing.own()

    def reduce(self, pieces: Float64) -> Float64:
        """Gathered a few columns at a time and added up where the model is held."""
        n, q = int(self._workers[-1]), pieces.shape[1]
        out, width = np.empty(q), max(1, PIECE // n)
        workers = np.diff(self._workers)
        for low in range(0, q, width):
            part = out[low : low + width]
            mine = np.ascontiguousarray(pieces[:, low : low + width])
            counts = workers * part.size
            rows = self._rows(mine, counts, (n, part.size))
            if self.holds:
                kernels.add_rows(rows, part)
        self._share_reduced(out)
        return out

    def _rows(self, mine: Float64, counts: Any, shape: tuple[int, int]) -> Float64:
        """All workers' rows on the ranks that hold the model, else empty."""
        raise NotImplementedError

    def _share_reduced(self, out: Float64) -> None:
        """Bring what was added up to the ranks that did not."""

    def _count(self, blocks: Drawing) -> None:
        """How much each rank has of these blocks, in the arrays that MPI was given."""
        self._edges[:] = blocks.offsets[self._workers]
        self._counts[:] = np.diff(self._edges)
        self._mine = self._parts[: self._counts[self._rank]]

    def close(self) -> None:
        """The next round's blocks may still be under way."""
        self._request.Wait()


class Server(Together):
    """Rank 0 holds the model: Bcast of the blocks, Scatterv, Gatherv. The paper's picture."""

    name = "server"

    def __init__(self, team: Team, sketch: Sketch, drawings: Drawings) -> None:
        super().__init__(team, sketch, drawings)
        self.holds = team.rank == 0
        self._all = np.empty(sketch.total if self.holds else 0)
        everything = [self._all, self._counts, self._edges[:-1], MPI.DOUBLE]
        self._everything = everything if self.holds else None

    def scatter(self, x: Float64) -> Float64:
        """One Scatterv of x[pi]."""
        if self.holds:
            kernels.take(x, self.drawing.pi, self._all)
        parts = self._mine
        self._comm.Scatterv(self._everything, [parts, MPI.DOUBLE], root=0)
        self._send_blocks(self._sent + 1)
        return parts

    def _gather(self, pieces: Float64) -> Float64:
        """One Gatherv to rank 0."""
        self._comm.Gatherv([pieces, MPI.DOUBLE], self._everything, root=0)
        return self._all

    def _rows(self, mine: Float64, counts: Any, shape: tuple[int, int]) -> Float64:
        """One Gatherv to rank 0."""
        rows = np.empty(shape if self.holds else (0, 0))
        all_rows = [rows, counts, MPI.DOUBLE] if self.holds else None
        self._comm.Gatherv([mine, MPI.DOUBLE], all_rows, root=0)
        return rows

    def _share_reduced(self, out: Float64) -> None:
        """One Bcast."""
        self.share(out)

    def share(self, x: Float64) -> None:
        """One Bcast."""
        self._comm.Bcast([x, MPI.DOUBLE], root=0)


class Replicated(Together):
    """Every rank holds the model: Bcast of the blocks, one Allgatherv."""

    name = "replicated"
    holds = True

    def __init__(self, team: Team, sketch: Sketch, drawings: Drawings) -> None:
        super().__init__(team, sketch, drawings)
        self._all = np.empty(sketch.total)
        self._everything = [self._all, self._counts, self._edges[:-1], MPI.DOUBLE]

    def scatter(self, x: Float64) -> Float64:
        """Taken from this rank's own copy."""
        parts = self._mine
        first = self._edges[self._rank]
        kernels.take(x, self.drawing.pi[first : first + parts.size], parts)
        self._send_blocks(self._sent + 1)
        return parts

    def _gather(self, pieces: Float64) -> Float64:
        """One Allgatherv."""
        self._comm.Allgatherv([pieces, MPI.DOUBLE], self._everything)
        return self._all

    def _rows(self, mine: Float64, counts: Any, shape: tuple[int, int]) -> Float64:
        """One Allgatherv."""
        rows = np.empty(shape)
        self._comm.Allgatherv([mine, MPI.DOUBLE], [rows, counts, MPI.DOUBLE])
        return rows

    def share(self, x: Float64) -> None:
        """It is everywhere."""
