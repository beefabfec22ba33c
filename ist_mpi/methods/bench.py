"""What every method works with on a rank: the workers' quadratics, the sketch, the exchange."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ist_mpi.parallel.rounds import Exchange
from ist_mpi.parallel.team import Team
from ist_mpi.problems.quadratic import LocalQuadratics
from ist_mpi.sketches import Blocks, Factors, Sketch

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Bench:
    """One rank's tools."""

    problem: LocalQuadratics
    sketch: Sketch
    factors: Factors
    exchange: Exchange
    team: Team
    _mine: dict[int, Blocks] = field(default_factory=dict)

    def mine(self, k: int) -> Blocks:
        """The blocks of this rank's workers in round k."""
        if self.sketch.same_sizes and k % 2 in self._mine:
            return self._mine[k % 2]
        pi, offsets = self.sketch.blocks(k)
        first, last = self.team.first, self.team.last
        mine = Blocks(pi[offsets[first] : offsets[last]], offsets[first : last + 1])
        self._mine[k % 2] = mine
        return mine

    @property
    def most(self) -> int:
        """The most coordinates that this rank's workers have in a round."""
        workers = self.team.last - self.team.first
        return min(workers * self.sketch.q, self.sketch.size)
