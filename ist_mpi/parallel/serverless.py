"""The exchange without a server: every block goes from its owner straight to the next one."""

import numpy as np
from numpy.typing import NDArray

from ist_mpi.kernels import model as kernels
from ist_mpi.kernels import routes
from ist_mpi.parallel.exchange import Drawings, Together
from ist_mpi.parallel.mpi import MPI
from ist_mpi.parallel.team import Team
from ist_mpi.sketches import Drawing, Sketch

Float64 = NDArray[np.float64]


class Serverless(Together):
    """Nobody holds the model: every coordinate goes from this round's owner to the next round's.

    The blocks must be disjoint. Where a coordinate is, and where it goes, follows from the blocks
    of two rounds, which every rank knows, so that only numbers travel.
    """

    name = "serverless"

    def __init__(self, team: Team, sketch: Sketch, drawings: Drawings) -> None:
        super().__init__(team, sketch, drawings)
        room = self._parts.size
        self._held: Float64 | None = None  # this rank's part of the model, after its last round
        self._blocks: Drawing | None = None  # the blocks of that round
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

    def scatter(self, x: Float64) -> Float64:
        """One Alltoallv; at first from x⁰, which every rank has."""
        blocks, parts, route = self.drawing, self._mine, self._route
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
        self._send_blocks(self._sent + 1)
        return parts

    def place(self, x: Float64, pieces: Float64) -> None:
        """They stay where they are."""
        self._held, self._blocks = pieces, self.drawing
        self._last_edges[:] = self._edges

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
