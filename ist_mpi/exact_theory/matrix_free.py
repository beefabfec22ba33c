"""x*, x∞ and eigenvalues from products with L̄ alone, for problems too large for d × d matrices.

Every rank makes the same steps with products that all ranks make together, and comes to the same
bits; so all functions are collective. Eigenvalues are estimates from inside the spectrum, by
Lanczos' method, good to about `TOLERANCE`.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ist_mpi.errors import Fault, InputError
from ist_mpi.exact_theory import krylov
from ist_mpi.exact_theory.moments.first import FirstMoments
from ist_mpi.exact_theory.operators import Operator

Float64 = NDArray[np.float64]
TOLERANCE = 1e-4
"""Of estimates, relative."""
LIMIT_TOLERANCE = 1e-8
LIMIT_RESTARTS = 100


def solution(L: Operator, b: Float64, least: float) -> Float64:
    """x* = L̄⁻¹ b̄, shape (d,), by conjugate gradients, on every rank.

    Parameters
    ----------
    L : Operator
        L̄, positive semidefinite.
    b : ndarray, shape (d,)
        b̄, known to every rank.
    least : float
        A number that no eigenvalue of L̄ is below; where it is no more than rounding, it takes a
        second solution to know that L̄ is not singular.

    Raises
    ------
    InputError
        On every rank, if L̄ is singular to working precision, or x* is not reached.
    """
    where, expected = "L̄ = (1/n) Σ L_i", "a positive definite matrix: x* must be unique"
    remedy = "with ridge, set problem.l2 > 0"
    apply, diagonal = L.product_everywhere, L.diagonal
    empty = int(np.count_nonzero(diagonal <= 0))
    if empty:
        got = f"{empty} zero diagonal entries: columns of the data that are empty"
        raise _agreed(Fault(where, got, expected, remedy))
    found = krylov.solve(apply, b, diagonal)
    rounding = diagonal.size * krylov.EPSILON * max(found.norm, float(diagonal.max()))
    unsure = least <= rounding
    if not found.definite or (unsure and not krylov.is_definite(apply, diagonal)):
        raise _agreed(Fault(where, "a singular matrix", expected, remedy))
    if not found.accurate:
        got = f"a residual of {found.residual:.1e} after {found.products} products with L̄"
        expected = f"x* by conjugate gradients to {krylov.ACCURATE:.0e}"
        remedy = "a larger problem.l2, or problem.standardize, makes it better conditioned"
        raise _agreed(Fault(where, got, expected, remedy))
    return found.x


def mean_product(moments: FirstMoments, X: Operator) -> krylov.Product:
    """v ↦ Mv for v (d,), M = α [ρ X + (1 − ρ) BD(X)]."""
    alpha, rho = moments.alpha, moments.rho

    def apply(v: Float64) -> Float64:
        met = X.product_everywhere(v) if rho > 0 else 0.0
        same = X.groups_product(v, moments.group_size) if rho < 1 else 0.0
        return np.asarray(alpha * (rho * met + (1 - rho) * same))

    return apply


def step_size_limit(moments: FirstMoments, X: Operator) -> float:
    """2/λ_max(M), on every rank; NaN where Lanczos' method does not converge."""
    M, d = mean_product(moments, X), X.diagonal.size
    largest = krylov.extreme_eigenvalue(M, d, True, LIMIT_TOLERANCE, LIMIT_RESTARTS)
    return math.nan if largest is None else 2.0 / largest


def fixed_point(
    moments: FirstMoments,
    X: Operator,
    m: Float64,
    gamma: float,
    mean_sketch: Float64 | None = None,
) -> Float64 | None:
    """x∞ = M⁻¹ m, or (I − E C̄ + γM)⁻¹ γm when a merge multiplies the model, on every rank.

    Conjugate gradients take a positive definite matrix; None where it is not, which the second can
    be, or where they do not converge.

    Parameters
    ----------
    X : Operator
        What M is made of.
    m : ndarray, shape (d,)
    mean_sketch : ndarray, shape (d,), optional
        The diagonal of E C̄, where it is not the identity.
    """
    M = mean_product(moments, X)
    shift = np.zeros_like(m) if mean_sketch is None else (1.0 - mean_sketch) / gamma
    diagonal = moments.alpha * X.diagonal + shift
    if (diagonal <= 0).any():
        return None
    found = krylov.solve(lambda v: M(v) + shift * v, m, diagonal)
    return found.x if found.accurate else None


class Estimates(NamedTuple):
    """What Lanczos' method found."""

    found: dict[str, float]
    """Of `spectral_radius` and `w_min_eigenvalue`, those that converged."""
    indefinite: bool
    """Whether W̄ is known to have a negative eigenvalue: then no θ exists."""


def extreme(apply: krylov.Product, d: int, largest: bool, restarts: int) -> float | None:
    """λ_min or λ_max of a symmetric operator on R^d; None where Lanczos did not converge."""
    return krylov.extreme_eigenvalue(apply, d, largest, TOLERANCE, restarts)


def estimate(
    L: Operator, X: Operator, moments: FirstMoments, gamma: float, restarts: int
) -> Estimates:
    """The spectral radius of I − γM, and λ_min(W̄), W̄ = ½ (L̄M + ML̄).

    Parameters
    ----------
    L, X : Operator
        L̄, and what M is made of; the same object where that is L̄.
    moments : FirstMoments
    gamma : float
    restarts : int
        Of Lanczos' method, for each eigenvalue.
    """
    M, d = mean_product(moments, X), L.diagonal.size
    found = {}
    smallest = extreme(M, d, largest=False, restarts=restarts)
    largest = extreme(M, d, largest=True, restarts=restarts)
    if smallest is not None and largest is not None:
        found["spectral_radius"] = max(abs(1.0 - gamma * smallest), abs(1.0 - gamma * largest))
    if X is L and moments.rho == 1.0:
        # M = αL̄, as for gradient descent, and W̄ = M²/α; L̄ is positive definite.
        w_min = None if smallest is None else smallest**2 / moments.alpha
    else:
        of_L = L.product_everywhere
        w_min = extreme(
            lambda v: np.asarray(0.5 * (of_L(M(v)) + M(of_L(v)))),
            d,
            largest=False,
            restarts=restarts,
        )
    if w_min is None:
        return Estimates(found, indefinite=False)
    found["w_min_eigenvalue"] = w_min
    # The true one is no larger; about d ε ‖W̄‖ of it can be rounding.
    size = L.diagonal.max() * (np.inf if largest is None else largest)
    return Estimates(found, bool(w_min < -d * krylov.EPSILON * size))


def _agreed(fault: Fault) -> InputError:
    """An error that every rank raises, since all came to the same numbers."""
    error = InputError(fault)
    error.agreed = True
    return error
