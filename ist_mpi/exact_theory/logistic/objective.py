"""f of logistic regression over all workers, and the way to its minimum; all is collective."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from scipy.sparse.linalg import LinearOperator, cg

from ist_mpi.exact_theory.cost import HESSIANS
from ist_mpi.exact_theory.logistic import submodels
from ist_mpi.exact_theory.logistic.minimise import Direction, Minimum, minimise
from ist_mpi.parallel.team import Team
from ist_mpi.problems.local_logistic import LocalLogistic
from ist_mpi.sums import exact_sum

Float64 = NDArray[np.float64]

Hessian = Callable[[int, Float64], Float64]
"""(worker, x) ↦ (d, d)."""


class Objective:
    """f = (1/n) Σ f_i, and means over the workers of what is theirs."""

    def __init__(self, team: Team, local: LocalLogistic, l2: float) -> None:
        self.team, self.local, self.l2 = team, local, l2

    def over_workers(self, parts: Callable[[int], tuple[float, Float64]]) -> tuple[float, Float64]:
        """The means of values and of vectors (d,) of the workers, on every rank."""
        team = self.team
        own = [parts(worker) for worker in range(team.first, team.last)]
        value = exact_sum(team.all_workers(np.array([one[0] for one in own]))) / team.n
        slab = team.mean_rows(lambda worker: own[worker - team.first][1], (team.d,))
        return value, np.asarray(team.whole(slab, everywhere=True))

    def _f(self, x: Float64) -> tuple[float, Float64]:
        local = self.local
        return self.over_workers(lambda i: (local.value(i, x), local.gradient(i, x)))

    def minimum(self) -> Minimum:
        """x* by Newton's method, its systems solved by Cholesky's or by conjugate gradients."""
        team, local = self.team, self.local
        start = np.zeros(team.d)
        if team.d > HESSIANS:
            return minimise(self._f, self._by_products, start)
        H = {i: local.half_samples(i) for i in range(team.first, team.last)}

        def hessian(worker: int, x: Float64) -> Float64:
            A = H[worker]
            bent = 4.0 * submodels.margins_curvature(2.0 * (A @ x)) / A.shape[0]
            found = submodels.gram(A, bent)
            found[np.diag_indices(team.d)] += self.l2
            return found

        return minimise(self._f, self.newton(hessian), start)

    def _by_products(self, x: Float64, g: Float64) -> Float64:
        """About Newton's direction for f, from products with Hessians of the workers alone."""
        team, local = self.team, self.local
        products = {i: local.curved(i, x) for i in range(team.first, team.last)}

        def image(p: Float64) -> Float64:
            slab = team.mean_rows(lambda i: products[i](p.ravel()), (team.d,))
            return np.asarray(team.whole(slab, everywhere=True))

        A = LinearOperator((team.d, team.d), matvec=image, dtype=np.float64)
        p, _ = cg(A, -g, rtol=1e-3, atol=0.0, maxiter=1000)
        return np.asarray(p)

    def mean_hessian(self, hessian: Hessian, x: Float64) -> Float64 | None:
        """The mean of the workers' Hessians (d, d) on rank 0."""
        team = self.team
        return team.whole(team.mean_rows(lambda i: hessian(i, x), (team.d, team.d)))

    def newton(self, hessian: Hessian) -> Direction:
        """Newton's direction from the Hessians of workers, solved for on rank 0."""

        def direction(x: Float64, g: Float64) -> Float64:
            whole = self.mean_hessian(hessian, x)
            found: Float64 = self.team.on_root(
                lambda: g if whole is None else linalg.solve(whole, -g, assume_a="pos")
            )
            return found

        return direction
