"""f(x) = (1/n) Σ f_i(x): its minimiser, its prediction, and the measurements of an iterate.

L̄ is kept in slabs of rows over the ranks; no rank needs the memory of n matrices, and rank 0 holds
a whole one only while it solves for x* and x∞. Where the workers keep samples and d is large, L̄ is
never formed, and x* and x∞ are found by conjugate gradients (`matrix_free`). A measurement is one
product with L̄, the same on any number of ranks.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from ist_mpi.config import Method
from ist_mpi.errors import Fault, InputError
from ist_mpi.exact_theory import first_moments as theory
from ist_mpi.exact_theory import matrix_free
from ist_mpi.exact_theory.operators import MeanOfWorkers, Operator, Slabs
from ist_mpi.kernels import matrices as kernels
from ist_mpi.parallel.team import Team
from ist_mpi.problems.quadratic import LocalQuadratics, Stored

Float64 = NDArray[np.float64]
SLABS = 6000
"""Largest d for which L̄ is formed where the workers keep samples; beyond nothing has d² entries."""


class Means(NamedTuple):
    """Means over the workers."""

    L: Operator
    """L̄."""
    b: Float64
    """b̄, shape (d,), on every rank."""
    constant: float
    """The mean of the constants f_i(0)."""
    least: float = 0.0
    """A number that no eigenvalue of L̄ is below: l2 where samples are kept."""


class Preconditioned(NamedTuple):
    """Means of the rescaled quadratics D_i^{−1/2} L_i D_i^{−1/2}."""

    L: Operator
    """Their mean."""
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
    unknown: bool = False
    """Whether there is an x∞ that could not be found without a d × d matrix."""


class Metrics(NamedTuple):
    """One measurement of x, as the log's columns define them."""

    gap: float
    distance_to_solution: float
    distance_to_fixed_point: float
    gradient_norm_squared: float
    gradient_norm_squared_w: float


def by_products(stored: Stored, d: int) -> bool:
    """Whether L̄ is known by its products alone."""
    return stored.kind != "matrix" and d > SLABS


def _mean_operator(
    team: Team, local: LocalQuadratics, stored: Stored, roots: Float64 | None = None
) -> Operator:
    """L̄; with roots (u, d) the mean of the rescaled matrices; collective."""
    d = team.d
    if by_products(stored, d):
        entries = 2.0 * stored.total + team.n * d
        return MeanOfWorkers(team, local, entries, roots)

    if local.homogeneous and roots is None:
        return Slabs(team, local.matrix(0)[team.slab])

    def L_of(worker: int) -> Float64:
        u = int(local.index[worker - team.first])
        L = local.matrix(u)
        return L if roots is None else np.asarray(roots[u][:, None] * L * roots[u])

    return Slabs(team, team.mean_rows(L_of, (d, d)))


def means(team: Team, local: LocalQuadratics, stored: Stored) -> Means:
    """L̄, b̄ and the mean constant, added up in worker order; collective."""

    def b_of(worker: int) -> Float64:
        return np.asarray(local.b[local.index[worker - team.first]])

    d = team.d
    L = _mean_operator(team, local, stored)
    if local.homogeneous:
        return Means(L, local.b[0], float(local.constant[0]), local.least)
    b = team.whole(team.mean_rows(b_of, (d,)), everywhere=True)
    constants = team.all_workers(local.constant[local.index])
    mean = math.fsum(constants) / len(constants)
    return Means(L, np.asarray(b), mean, local.least)


def preconditioned_means(team: Team, local: LocalQuadratics, stored: Stored) -> Preconditioned:
    """The means of the preconditioned quadratics; collective.

    Raises
    ------
    InputError
        On every rank, if a diagonal entry of some L_i is not positive: names worker, coordinate.
    """
    diagonals = local.diagonals
    with team.agreeing():
        bad = np.argwhere(diagonals[local.index] <= 0)
        if bad.size:
            worker, coordinate = team.first + int(bad[0, 0]), int(bad[0, 1])
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
        return int(local.index[worker - team.first])

    def b_of(worker: int) -> Float64:
        return np.asarray(roots[of(worker)] * local.b[of(worker)])

    def root_of(worker: int) -> Float64:
        return np.asarray(roots[of(worker)])

    def vector(array_of: Any) -> Float64:
        slab = team.mean_rows(array_of, (team.d,))
        return np.asarray(team.whole(slab, everywhere=True))

    L = _mean_operator(team, local, stored, roots)
    return Preconditioned(L, vector(b_of), vector(root_of))


def predict(
    team: Team,
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
    d, n = len(mean.b), team.n
    moments = theory.first_moments(method, n, d)
    if isinstance(mean.L, Slabs):
        x_star = _solution(team, mean.L, mean.b)
    else:
        x_star = matrix_free.solution(mean.L, mean.b, mean.least)
    if _is_solution(team, mean, x0):
        x_star = x0.copy()
    X = mean.L if rescaled is None else rescaled.L
    m = moments.beta * (mean.b if rescaled is None else rescaled.b)
    mean_sketch = None
    if method.multiplies_model and rescaled is not None:
        mean_sketch = moments.root_mean * rescaled.inverse_root
    known = None
    if moments.rho == 1.0 and mean_sketch is None and rescaled is None:
        known = np.asarray(x_star * (moments.beta / moments.alpha))
    wanted = method.local_steps == 1
    if isinstance(X, Slabs):
        found = _fixed_point(team, X, moments, method, m, mean_sketch, known, wanted)
    else:
        limit = math.nan if mean_sketch is not None else matrix_free.step_size_limit(moments, X)
        x_infinity = known if wanted else None
        if wanted and known is None:
            x_infinity = matrix_free.fixed_point(moments, X, m, method.gamma, mean_sketch)
        found = x_infinity, limit
    f_star = mean.constant - 0.5 * float(kernels.row_product(mean.b, x_star))
    unknown = wanted and found[0] is None and not isinstance(X, Slabs)
    return Prediction(x_star, f_star, *found, mean.L.diagonal, unknown)


Found = tuple[Float64 | None, float]
"""x∞ and the limit of the step size."""


def _fixed_point(
    team: Team,
    X: Slabs,
    moments: theory.FirstMoments,
    method: Method,
    m: Float64,
    mean_sketch: Float64 | None,
    known: Float64 | None,
    wanted: bool,
) -> Found:
    """x∞, if it is wanted and not known, and 2/λ_max(M), by dense algebra on rank 0."""
    whole = X.whole()

    def solve() -> Found:
        if whole is None:
            return None, math.nan
        M = theory.mean_operator(moments, whole)
        limit = math.nan
        if mean_sketch is None:
            limit = 2.0 / theory.largest_eigenvalue(M)
        if not wanted or known is not None:
            return known if wanted else None, limit
        return theory.fixed_point(M, m, method.gamma, mean_sketch), limit

    found: Found = team.on_root(solve)
    return found


def _is_solution(team: Team, mean: Means, x: Float64) -> bool:
    """`theory.is_solution` of an x (d,) that all ranks know, on every rank; collective."""
    image = mean.L.product(x)
    largest = float(np.max(mean.L.diagonal))
    return bool(
        team.on_root(lambda: image is not None and theory.is_solution(x, image, mean.b, largest))
    )


def _solution(team: Team, L: Slabs, b: Float64) -> Float64:
    """x* on every rank: Cholesky on rank 0, then two steps of iterative refinement."""
    L_whole = L.whole()
    solved = None

    def factorise() -> Float64:
        nonlocal solved
        if L_whole is None:
            return np.empty(0)
        solved = theory.solve_mean(L_whole, b)
        return solved.solution

    x = team.on_root(factorise)
    for _ in range(2):
        image = L.product(x)

        def correct(image: Float64 | None = image, x: Float64 = x) -> Float64:
            if solved is None or image is None:
                return x
            residual = b - image
            step = linalg.cho_solve(solved.factor, residual, check_finite=False)
            return np.asarray(x + step)

        x = team.on_root(correct)
    return np.ascontiguousarray(x)


class Objective:
    """Measures iterates.

    Parameters
    ----------
    team : Team
    mean : Means
    prediction : Prediction
    moments : FirstMoments or None
        Of the method, for the norm of Theorem 1; None where the theorem does not apply.
    rescaled : Preconditioned or None
    """

    def __init__(
        self,
        team: Team,
        mean: Means,
        prediction: Prediction,
        moments: theory.FirstMoments | None,
        rescaled: Preconditioned | None,
    ) -> None:
        self.mean, self.prediction = mean, prediction
        self._team = team
        self._moments, self.rescaled = moments, rescaled

    def gap(self, x: Float64) -> float:
        """f(x) − f* of an x (d,) known to every rank, on every rank; collective."""
        metrics = self.measure(x)
        return float(self._team.comm.bcast(metrics.gap if metrics is not None else None))

    def measure(self, x: Float64) -> Metrics | None:
        """The metrics of x (d,), known to every rank; on rank 0, None elsewhere; collective.

        The gap is ½⟨∇f(x), x − x*⟩ with ∇f(x) = L̄(x − x*), never a difference of two values of f.
        """
        error = x - self.prediction.x_star
        gradient = self.mean.L.product(error)
        around, turned = self._images(error)
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

    def _images(self, error: Float64) -> tuple[Float64 | None, Float64 | None]:
        """BD(X) e on every rank, and Xe on rank 0, X as in `theory`; collective.

        The first is None without Theorem 1; the second where M has no part of it, or where it is
        L̄e, which is known anyway.
        """
        if self._moments is None:
            return None, None
        if self.rescaled is None:
            return self.mean.L.groups_product(error, self._moments.group_size), None
        X = self.rescaled.L
        around = X.groups_product(error, self._moments.group_size)
        return around, X.product(error) if self._moments.rho > 0 else None

    def _w_norm(self, gradient: Float64, around: Float64 | None, turned: Float64 | None) -> float:
        """(x − x*)ᵀ W̄ (x − x*) = ⟨L̄e, Me⟩, since W̄ = ½ (L̄M + ML̄); NaN without Theorem 1.

        `around` and `turned` (d,) are those of `_images`.
        """
        if self._moments is None or around is None:
            return math.nan
        alpha, rho = self._moments.alpha, self._moments.rho
        if self.rescaled is None:
            turned = gradient
        same = kernels.row_product(gradient, around)
        if turned is None:
            return float(alpha * (1 - rho) * same)
        met = kernels.row_product(gradient, turned)
        return float(alpha * (rho * met + (1 - rho) * same))
