"""Means of the workers' matrices as operators: kept in slabs of rows, or never formed.

A product has the same bits on any number of ranks: a slab's entries are dot products in a fixed
order, and what the workers add is added in worker order.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ist_mpi.kernels import matrices as kernels
from ist_mpi.parallel.team import Team
from ist_mpi.problems.quadratic import LocalQuadratics

Float64 = NDArray[np.float64]
WorkersProduct = Callable[[int, Float64], Float64]
"""Of a rank's distinct quadratic u with a w (d,)."""


class Operator(Protocol):
    """A symmetric matrix (d, d) spread over the ranks."""

    diagonal: Float64
    """Shape (d,), on every rank."""
    entries: float
    """Numbers that a product reads, on all ranks together."""

    def product(self, v: Float64) -> Float64 | None:
        """Its product with v (d,), which every rank knows, on rank 0; collective."""

    def product_everywhere(self, v: Float64) -> Float64:
        """The same on every rank; collective."""

    def groups_product(self, v: Float64, g: int) -> Float64:
        """The product of its g × g diagonal blocks with v (d,), on every rank; collective.

        Zeros take the place of the entries whose row and column are in different groups of g
        consecutive coordinates; at g = 1 that leaves the diagonal.
        """


class Slabs:
    """A matrix in slabs of rows (r, d) over the ranks."""

    def __init__(self, team: Team, rows: Float64) -> None:
        self._team = team
        self.rows = rows
        self.entries = float(rows.shape[1]) ** 2
        slab = team.slab
        on_diagonal = rows[np.arange(len(rows)), np.arange(slab.start, slab.stop)]
        self.diagonal = _everywhere(team, np.ascontiguousarray(on_diagonal))

    def _slab(self, v: Float64) -> Float64:
        out = np.empty(len(self.rows))
        kernels.rows_product(self.rows, v, out)
        return out

    def product(self, v: Float64) -> Float64 | None:
        """The product on rank 0."""
        return self._team.whole(self._slab(v))

    def product_everywhere(self, v: Float64) -> Float64:
        """The product on every rank."""
        return _everywhere(self._team, self._slab(v))

    def groups_product(self, v: Float64, g: int) -> Float64:
        """The product of the g × g diagonal blocks, on every rank."""
        if g == 1:
            return np.asarray(self.diagonal * v)
        out = np.empty(len(self.rows))
        kernels.groups_product(self.rows, self._team.slab.start, g, v, out)
        return _everywhere(self._team, out)

    def whole(self) -> Float64 | None:
        """The matrix (d, d) on rank 0; collective."""
        return self._team.whole(self.rows)


class MeanOfWorkers:
    """mean_i L_i, or mean_i D_i^{−1/2} L_i D_i^{−1/2}, from the workers' own products.

    Parameters
    ----------
    local : LocalQuadratics
    entries : float
        Numbers that all workers' products read.
    roots : ndarray, shape (u, d), optional
        D_i^{−1/2} of the rank's distinct quadratics.
    """

    def __init__(
        self,
        team: Team,
        local: LocalQuadratics,
        entries: float,
        roots: Float64 | None = None,
    ) -> None:
        self._team, self._local, self._roots = team, local, roots
        self.entries = entries
        d = team.d
        if roots is None:
            slab = team.mean_rows(lambda i: local.diagonal(self._of(i)), (d,))
            self.diagonal = _everywhere(team, slab)
        else:
            self.diagonal = np.ones(d)

    def _of(self, worker: int) -> int:
        return int(self._local.index[worker - self._team.first])

    def _slab(self, v: Float64, product: WorkersProduct) -> Float64:
        def image(worker: int) -> Float64:
            u = self._of(worker)
            if self._roots is None:
                return product(u, v)
            root = self._roots[u]
            return np.asarray(root * product(u, root * v))

        return self._team.mean_rows(image, (v.size,))

    def product(self, v: Float64) -> Float64 | None:
        """The product on rank 0."""
        return self._team.whole(self._slab(v, self._local.product))

    def product_everywhere(self, v: Float64) -> Float64:
        """The product on every rank."""
        return _everywhere(self._team, self._slab(v, self._local.product))

    def groups_product(self, v: Float64, g: int) -> Float64:
        """The product of the g × g diagonal blocks, on every rank.

        It reads what `product` reads, and keeps no block: for g of the order of d they would be as
        large as L̄.
        """
        if g == 1:
            return np.asarray(self.diagonal * v)
        slab = self._slab(v, lambda u, w: self._local.groups_product(u, w, g))
        return _everywhere(self._team, slab)


def _everywhere(team: Team, slab: Float64) -> Float64:
    return np.asarray(team.whole(slab, everywhere=True))
