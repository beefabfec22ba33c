"""What every method works with on a rank: the workers' quadratics, the sketch, the exchange."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ist_mpi.exchange.rounds import Exchange
from ist_mpi.exchange.workers import Layout
from ist_mpi.problems.quadratic import LocalQuadratics
from ist_mpi.sketches import Blocks, Factors, Sketch

Float64 = NDArray[np.float64]


class Bench(NamedTuple):
    """One rank's tools."""

    problem: LocalQuadratics
    sketch: Sketch
    factors: Factors
    exchange: Exchange
    where: Layout

    def mine(self) -> Blocks:
        """The blocks of this rank's workers in the current round."""
        pi, offsets = self.sketch.blocks
        first, last = self.where.first, self.where.last
        return Blocks(pi[offsets[first] : offsets[last]], offsets[first : last + 1])

    @property
    def workers(self) -> int:
        """How many workers this rank has."""
        return self.where.last - self.where.first
