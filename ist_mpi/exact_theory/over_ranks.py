"""Sums over workers that are spread over the ranks."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ist_mpi.exact_theory.moments.second import RoundMoments, round_moments
from ist_mpi.exact_theory.objective import Means
from ist_mpi.exact_theory.step import Known
from ist_mpi.exact_theory.units import Units
from ist_mpi.exact_theory.workers import Quadratic
from ist_mpi.parallel.team import Team
from ist_mpi.parallel.watchdog import beat
from ist_mpi.problems.quadratic import LocalQuadratics

Float64 = NDArray[np.float64]


class OverRanks:
    """Workers spread over the ranks of a team, in units for a round on their problem."""

    def __init__(self, team: Team, local: LocalQuadratics, known: Known, mean: Means) -> None:
        self._team, self._local = team, local
        self.units = units = Units.of(known, mean.L.diagonal, mean.b)
        self.curvature = units.curvature
        self._mine = [units.quadratic(local.matrix(u), local.b[u]) for u in range(len(local.b))]

    def sum(self, term: Callable[[Quadratic], Float64]) -> Float64:
        """Σ_i term(f_i)."""
        team = self._team
        if self._local.homogeneous:  # one term, the same on every rank that has a worker
            one = term(self._mine[0]) if team.rank == 0 else None
            return team.n * np.asarray(team.comm.bcast(one))
        return self.sum_each(lambda worker, f: term(f))

    def sum_each(self, term: Callable[[int, Quadratic], Float64]) -> Float64:
        """Σ_i term(i, f_i)."""
        team, index = self._team, self._local.index
        workers = [(i, self._mine[index[i - team.first]]) for i in range(team.first, team.last)]
        if team.size == 1:
            total = np.zeros(())
            for worker, f in workers:
                total = total + term(worker, f)
            return total
        terms = [term(worker, f) for worker, f in workers]
        shape = team.comm.bcast(terms[0].shape if team.rank == 0 else None)
        return team.sum_everywhere(terms, shape)

    def beat(self) -> None:
        """Tell the watchdog of progress."""
        beat()


def moments_of(
    team: Team, local: LocalQuadratics, known: Known, mean: Means
) -> tuple[RoundMoments, Units]:
    """The moments of one round, on every rank, and the units that they are in."""
    workers = OverRanks(team, local, known, mean)
    return round_moments(known.step, known.law, team.n, team.d, workers), workers.units
