"""x*, f* and x∞ of a method on a problem.

Rank 0 holds a whole d × d matrix only while it solves for them; where L̄ is never formed, they are
found by conjugate gradients (`matrix_free`).
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from ist_mpi.exact_theory import matrix_free
from ist_mpi.exact_theory.moments import first as theory
from ist_mpi.exact_theory.objective import Means, Prediction, StandIns
from ist_mpi.exact_theory.operators import Slabs
from ist_mpi.exact_theory.step import Known
from ist_mpi.kernels import matrices as kernels
from ist_mpi.parallel.team import Team

Float64 = NDArray[np.float64]


def predict(
    team: Team,
    known: Known,
    gamma: float,
    mean: Means,
    replaced: StandIns | None,
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
    if isinstance(mean.L, Slabs):
        x_star = _solution(team, mean.L, mean.b)
    else:
        x_star = matrix_free.solution(mean.L, mean.b, mean.least)
    if _is_solution(team, mean, x0):
        x_star = x0.copy()
    X = mean.L if replaced is None else replaced.X
    found: Found = None, math.nan
    if known.both is not None:
        moments = theory.first_moments(*known.both)
        found = _fixed_point(team, known, gamma, mean, replaced, moments, x_star)
    elif known.own is not None:
        found = x_star.copy(), math.nan
    f_star = mean.constant - 0.5 * float(kernels.row_product(mean.b, x_star))
    unknown = known.closed and found[0] is None and not isinstance(X, Slabs)
    return Prediction(x_star, f_star, *found, mean.L.diagonal, unknown)


Found = tuple[Float64 | None, float]
"""x∞ and the limit of the step size."""


def _fixed_point(
    team: Team,
    known: Known,
    gamma: float,
    mean: Means,
    replaced: StandIns | None,
    moments: theory.FirstMoments,
    x_star: Float64,
) -> Found:
    """x∞, where a round has a closed form, and 2/λ_max(M)."""
    X, y = (mean.L, mean.b) if replaced is None else (replaced.X, replaced.y)
    m, mean_sketch, x_infinity = moments.beta * y, None, None
    if known.multiplies_model and replaced is not None:
        mean_sketch = moments.beta * replaced.z
    if moments.rho == 1.0 and replaced is None:
        x_infinity = np.asarray(x_star * (moments.beta / moments.alpha))
    if isinstance(X, Slabs):
        symmetric = replaced is None or replaced.symmetric
        return _dense(team, X, moments, known, gamma, m, mean_sketch, x_infinity, symmetric)
    limit = math.nan if mean_sketch is not None else matrix_free.step_size_limit(moments, X)
    if not known.closed:
        return None, limit
    if x_infinity is None:
        x_infinity = matrix_free.fixed_point(moments, X, m, gamma, mean_sketch)
    return x_infinity, limit


def _dense(
    team: Team,
    X: Slabs,
    moments: theory.FirstMoments,
    known: Known,
    gamma: float,
    m: Float64,
    mean_sketch: Float64 | None,
    x_infinity: Float64 | None,
    symmetric: bool,
) -> Found:
    """The same by dense algebra on rank 0, x∞ where it is not known."""
    whole = X.whole()

    def solve() -> Found:
        if whole is None:
            return None, math.nan
        M = theory.mean_operator(moments, whole)
        limit = math.nan
        if mean_sketch is None:
            limit = theory.mean_step_size_limit(M, symmetric)
        if not known.closed or x_infinity is not None:
            return x_infinity if known.closed else None, limit
        return theory.fixed_point(M, m, gamma, mean_sketch, symmetric), limit

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
