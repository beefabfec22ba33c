"""The workers' quadratics, and sums over them: all here, or spread over the ranks."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ist_mpi.parallel.team import Team
from ist_mpi.problems.quadratic import LocalQuadratics

Float64 = NDArray[np.float64]


class Quadratic(NamedTuple):
    """f_i(x) = ½ xᵀ L x − bᵀ x, which `copies` workers have."""

    L: Float64
    """Shape (d, d), symmetric; for the preconditioned sketch with a positive diagonal."""
    b: Float64
    """Shape (d,)."""
    copies: int = 1


class Workers(Protocol):
    """Sums over all workers, in worker order, the same to the bit on all ranks; collective."""

    def sum(self, term: Callable[[Quadratic], Float64]) -> Float64:
        """Σ_i term(f_i)."""

    def sum_each(self, term: Callable[[int, Quadratic], Float64]) -> Float64:
        """Σ_i term(i, f_i), for a term that depends on who the worker is."""


class Here:
    """Workers that are all here."""

    def __init__(self, quadratics: Sequence[Quadratic]) -> None:
        self._quadratics = quadratics

    def sum(self, term: Callable[[Quadratic], Float64]) -> Float64:
        """Σ_i term(f_i)."""
        return np.asarray(sum(f.copies * term(f) for f in self._quadratics))

    def sum_each(self, term: Callable[[int, Quadratic], Float64]) -> Float64:
        """Σ_i term(i, f_i)."""
        each = [f for f in self._quadratics for _ in range(f.copies)]
        return np.asarray(sum(term(i, f) for i, f in enumerate(each)))


class OverRanks:
    """Workers spread over the ranks of a team."""

    def __init__(self, team: Team, local: LocalQuadratics) -> None:
        self._team, self._local = team, local
        self._mine = [Quadratic(local.matrix(u), local.b[u]) for u in range(len(local.b))]

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
