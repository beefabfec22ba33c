"""f(x) = (1/n) Σ f_i(x): its minimiser, its prediction, and the measurements of an iterate.

L̄ is kept in slabs of rows over the ranks; no rank needs the memory of n matrices, and rank 0 holds
a whole one only while it solves for x* and x∞. A measurement is one product with L̄ whose every
entry is a dot product in a fixed order, so it is the same on any number of ranks.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from ist_mpi import theory
from ist_mpi.config import Method
from ist_mpi.errors import Fault, InputError
from ist_mpi.exchange import ranks, workers
from ist_mpi.exchange.workers import Layout
from ist_mpi.kernels import matrices as kernels
from ist_mpi.problems.quadratic import LocalQuadratics

Float64 = NDArray[np.float64]


class Means(NamedTuple):
    """Means over the workers; matrices in slabs of this rank's rows."""

    L: Float64
    """L̄, shape (r, d)."""
    b: Float64
    """b̄, shape (d,), on every rank."""
    constant: float
    """The mean of the constants f_i(0)."""


class Preconditioned(NamedTuple):
    """Means of the rescaled quadratics D_i^{−1/2} L_i D_i^{−1/2}."""

    L: Float64
    """Shape (r, d)."""
    b: Float64
    """mean D_i^{−1/2} b_i, shape (d,), on every rank."""
    inverse_root: Float64
    """mean D_i^{−1/2}, shape (d,), on every rank."""


class Prediction(NamedTuple):
    """What theory says of a method on this problem, on every rank."""

    x_star: Float64
    """The minimiser x* = L̄⁻¹ b̄, shape (d,); x⁰ itself, where that is it to rounding."""
    f_star: float
    fixed_point: Float64 | None
    """x∞, shape (d,), where the iterates tend to on average; None where undefined."""
    mean_step_size_limit: float
    """The mean iterate is stable for γ below this: 2/λ_max(M); NaN where undefined."""
    diagonal: Float64
    """Diag(L̄), shape (d,)."""


class Metrics(NamedTuple):
    """One measurement of x, as the log's columns define them."""

    gap: float
    distance_to_solution: float
    distance_to_fixed_point: float
    gradient_norm_squared: float
    gradient_norm_squared_w: float


def means(comm: Any, where: Layout, local: LocalQuadratics, d: int) -> Means:
    """L̄, b̄ and the mean constant, added up in worker order; collective."""

    def L_of(worker: int) -> Float64:
        return local.matrix(int(local.index[worker - where.first]))

    def b_of(worker: int) -> Float64:
        return np.asarray(local.b[local.index[worker - where.first]])

    L = workers.mean_rows(comm, where, L_of, (d, d))
    b = workers.whole(comm, where, workers.mean_rows(comm, where, b_of, (d,)), everywhere=True)
    constants = workers.all_workers(comm, local.constant[local.index])
    return Means(L, np.asarray(b), math.fsum(constants) / len(constants))


def preconditioned_means(
    comm: Any, where: Layout, local: LocalQuadratics, d: int
) -> Preconditioned:
    """The means of the preconditioned quadratics; collective.

    Raises
    ------
    InputError
        On every rank, if a diagonal entry of some L_i is not positive: names worker, coordinate.
    """
    diagonals = local.diagonals
    with ranks.agreeing(comm):
        bad = np.argwhere(diagonals[local.index] <= 0)
        if bad.size:
            worker, coordinate = where.first + int(bad[0, 0]), int(bad[0, 1])
            raise InputError(
                Fault(
                    'method.scaling = "preconditioned"',
                    f"a zero diagonal entry of L_i at coordinate {coordinate} of worker {worker} "
                    f"(both counted from 0; {len(bad)} such entries on its rank)",
                    "positive diagonals, which D_i^{−1/2} needs",
                    "set problem.l2 > 0, or drop the column",
                )
            )
    roots = 1.0 / np.sqrt(diagonals)

    def of(worker: int) -> int:
        return int(local.index[worker - where.first])

    def L_of(worker: int) -> Float64:
        root = roots[of(worker)]
        return np.asarray(root[:, None] * local.matrix(of(worker)) * root)

    def b_of(worker: int) -> Float64:
        return np.asarray(roots[of(worker)] * local.b[of(worker)])

    def root_of(worker: int) -> Float64:
        return np.asarray(roots[of(worker)])

    def vector(array_of: Any) -> Float64:
        slab = workers.mean_rows(comm, where, array_of, (d,))
        return np.asarray(workers.whole(comm, where, slab, everywhere=True))

    L = workers.mean_rows(comm, where, L_of, (d, d))
    return Preconditioned(L, vector(b_of), vector(root_of))


def predict(
    comm: Any,
    where: Layout,
    method: Method,
    mean: Means,
    rescaled: Preconditioned | None,
    x0: Float64,
) -> Prediction:
    """x*, f* and x∞, solved on rank 0 and known everywhere; collective.

    An x⁰ (d,) that solves L̄x = b̄ to rounding is x*: beside another solution, which is no better,
    its gap would be made of rounding errors, and so would all that is relative to it.

    Raises
    ------
    InputError
        On every rank, if L̄ is singular.
    """
    d, n = len(mean.b), int(where.workers[-1])
    x_star = _solution(comm, where, mean)
    diagonal_slab = mean.L[np.arange(len(mean.L)), np.arange(where.slab.start, where.slab.stop)]
    diagonal = workers.whole(comm, where, np.ascontiguousarray(diagonal_slab), everywhere=True)
    if _is_solution(comm, where, mean, x0, float(np.max(np.asarray(diagonal)))):
        x_star = x0.copy()
    moments = theory.first_moments(method, n, d)
    X = workers.whole(comm, where, mean.L if rescaled is None else rescaled.L)

    def solve() -> tuple[Float64 | None, float]:
        if X is None:
            return None, math.nan
        M = theory.mean_operator(moments, X)
        m = moments.beta * (mean.b if rescaled is None else rescaled.b)
        mean_sketch = None
        limit = math.nan
        if method.multiplies_model and rescaled is not None:
            mean_sketch = moments.root_mean * rescaled.inverse_root
        else:
            limit = 2.0 / theory.largest_eigenvalue(M)
        if method.local_steps > 1:
            return None, limit
        if moments.rho == 1.0 and mean_sketch is None and rescaled is None:
            return np.asarray(x_star * (moments.beta / moments.alpha)), limit
        return theory.fixed_point(M, m, method.gamma, mean_sketch), limit

    x_infinity, limit = ranks.on_root(comm, solve)
    f_star = mean.constant - 0.5 * float(kernels.row_product(mean.b, x_star))
    return Prediction(x_star, f_star, x_infinity, limit, np.asarray(diagonal))


def _is_solution(comm: Any, where: Layout, mean: Means, x: Float64, largest: float) -> bool:
    """`theory.is_solution` of an x (d,) that all ranks know, on every rank; collective."""
    product = np.empty(len(mean.L))
    kernels.rows_product(mean.L, x, product)
    image = workers.whole(comm, where, product)
    return bool(
        ranks.on_root(
            comm, lambda: image is not None and theory.is_solution(x, image, mean.b, largest)
        )
    )


def _solution(comm: Any, where: Layout, mean: Means) -> Float64:
    """x* on every rank: Cholesky on rank 0, then two steps of iterative refinement."""
    L_whole = workers.whole(comm, where, mean.L)
    solved = None

    def factorise() -> Float64:
        nonlocal solved
        if L_whole is None:
            return np.empty(0)
        solved = theory.solve_mean(L_whole, mean.b)
        return solved.solution

    x = ranks.on_root(comm, factorise)
    product = np.empty(len(mean.L))
    for _ in range(2):
        kernels.rows_product(mean.L, x, product)
        image = workers.whole(comm, where, product)

        def correct(image: Float64 | None = image, x: Float64 = x) -> Float64:
            if solved is None or image is None:
                return x
            residual = mean.b - image
            step = linalg.cho_solve(solved.factor, residual, check_finite=False)
            return np.asarray(x + step)

        x = ranks.on_root(comm, correct)
    return np.ascontiguousarray(x)


class Objective:
    """Measures iterates; owns the slabs of L̄ and the buffers of a measurement.

    Parameters
    ----------
    comm : communicator
    where : Layout
    mean : Means
    prediction : Prediction
    moments : FirstMoments or None
        Of the method, for the norm of Theorem 1; None where the theorem does not apply.
    rescaled : Preconditioned or None
    """

    def __init__(
        self,
        comm: Any,
        where: Layout,
        mean: Means,
        prediction: Prediction,
        moments: theory.FirstMoments | None,
        rescaled: Preconditioned | None,
    ) -> None:
        self.mean, self.prediction = mean, prediction
        self._comm, self._where = comm, where
        self._moments, self.rescaled = moments, rescaled
        self._slab = np.empty(len(mean.L))

    def _product(self, rows: Float64, vector: Float64) -> Float64 | None:
        """The product of a matrix in slabs with a vector, on rank 0; collective."""
        kernels.rows_product(rows, vector, self._slab)
        return workers.whole(self._comm, self._where, self._slab)

    def product_everywhere(self, rows: Float64, vector: Float64) -> Float64:
        """The product of a matrix in slabs (r, d) with a vector (d,), on every rank; collective."""
        kernels.rows_product(rows, vector, self._slab)
        full = workers.whole(self._comm, self._where, self._slab, everywhere=True)
        return np.asarray(full)

    def groups_product(self, rows: Float64, vector: Float64, g: int) -> Float64:
        """BD(X) v of a matrix X in slabs (r, d) and groups of g, on every rank; collective."""
        kernels.groups_product(rows, self._where.slab.start, g, vector, self._slab)
        full = workers.whole(self._comm, self._where, self._slab, everywhere=True)
        return np.asarray(full)

    def _around(self, error: Float64) -> Float64:
        """BD(X) e of an error (d,), X as in `theory`, on every rank; collective if g > 1."""
        g = 1 if self._moments is None else self._moments.group_size
        if g > 1:
            X = self.mean.L if self.rescaled is None else self.rescaled.L
            return self.groups_product(X, error, g)
        if self.rescaled is None:
            return self.prediction.diagonal * error
        return error  # Diag(D^{−1/2} L D^{−1/2}) = I

    def gap(self, x: Float64) -> float:
        """f(x) − f* of an x (d,) known to every rank, on every rank; collective."""
        metrics = self.measure(x)
        return float(self._comm.bcast(metrics.gap if metrics is not None else None))

    def measure(self, x: Float64) -> Metrics | None:
        """The metrics of x (d,), known to every rank; on rank 0, None elsewhere; collective.

        The gap is ½⟨∇f(x), x − x*⟩ with ∇f(x) = L̄(x − x*), never a difference of two values of f.
        """
        error = x - self.prediction.x_star
        gradient = self._product(self.mean.L, error)
        needs_rescaled = (
            self.rescaled is not None and self._moments is not None and self._moments.rho > 0
        )
        turned = None
        if needs_rescaled and self.rescaled is not None:
            turned = self._product(self.rescaled.L, error)
        around = self._around(error)
        if gradient is None:
            return None
        away = math.nan
        if self.prediction.fixed_point is not None:
            offset = x - self.prediction.fixed_point
            away = math.sqrt(kernels.row_product(offset, offset))
        return Metrics(
            gap=0.5 * float(kernels.row_product(gradient, error)),
            distance_to_solution=math.sqrt(kernels.row_product(error, error)),
            distance_to_fixed_point=away,
            gradient_norm_squared=float(kernels.row_product(gradient, gradient)),
            gradient_norm_squared_w=self._w_norm(gradient, around, turned),
        )

    def _w_norm(self, gradient: Float64, around: Float64, turned: Float64 | None) -> float:
        """(x − x*)ᵀ W̄ (x − x*) = ⟨L̄e, Me⟩, since W̄ = ½ (L̄M + ML̄); NaN without Theorem 1.

        `around` (d,) is BD(X) e; `turned` (d,) is Xe of the preconditioned sketch, None for ρ = 0.
        """
        if self._moments is None:
            return math.nan
        alpha, rho = self._moments.alpha, self._moments.rho
        if self.rescaled is None:
            turned = gradient
        same = kernels.row_product(gradient, around)
        if turned is None:
            return float(alpha * (1 - rho) * same)
        met = kernels.row_product(gradient, turned)
        return float(alpha * (rho * met + (1 - rho) * same))
