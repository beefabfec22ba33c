"""Extreme eigenvalues without d × d matrices on a rank: for problems too large to be dense.

Products with L̄ are made from its slabs of rows, together; Lanczos' method does the rest. What
comes out is an estimate from inside the spectrum, good to about `TOLERANCE`.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

from ist_mpi.objective import Objective
from ist_mpi.theory import FirstMoments

Float64 = NDArray[np.float64]
TOLERANCE = 1e-4
MAX_RESTARTS = 300
"""Of Lanczos' method, before an eigenvalue is given up for good."""
SECONDS = 60.0
"""For all eigenvalues, roughly, where nobody asked to wait longer."""
PRODUCT_RATE = 1e9
"""Entries of L̄ a second in a product, for that."""
BASIS = 20
"""Vectors of Lanczos' method; a restart makes at most so many new ones."""


class Estimates(NamedTuple):
    """What Lanczos' method found."""

    found: dict[str, float]
    """Of `spectral_radius` and `w_min_eigenvalue`, those that converged."""
    indefinite: bool
    """Whether W̄ is known to have a negative eigenvalue: then no θ exists."""


def few_restarts(d: int) -> int:
    """Restarts that take about `SECONDS`; by d alone, the same on any number of ranks."""
    products = 6 * BASIS  # a restart of λ_min(M), λ_max(M), and λ_min(W̄), which takes four
    return max(1, min(MAX_RESTARTS, int(SECONDS * PRODUCT_RATE / (products * float(d) ** 2))))


def mean_operator(objective: Objective, moments: FirstMoments) -> Callable[[Float64], Float64]:
    """v ↦ Mv for v (d,), M = α [ρ X + (1 − ρ) BD(X)]; collective."""
    alpha, rho = moments.alpha, moments.rho
    rescaled = objective.rescaled
    diagonal = objective.prediction.diagonal if rescaled is None else 1.0
    X = objective.mean.L if rescaled is None else rescaled.L

    def around(v: Float64) -> Float64:
        if moments.group_size > 1:
            return (1 - rho) * objective.groups_product(X, v, moments.group_size)
        return np.asarray((1 - rho) * diagonal * v)

    def apply(v: Float64) -> Float64:
        met = objective.product_everywhere(X, v) if rho > 0 else 0.0
        return np.asarray(alpha * (rho * met + around(v)))

    return apply


def extreme(
    apply: Callable[[Float64], Float64], d: int, largest: bool, restarts: int
) -> float | None:
    """λ_min or λ_max of a symmetric operator on R^d; None where Lanczos did not converge."""
    operator = LinearOperator((d, d), matvec=lambda v: apply(v.ravel()), dtype=np.float64)
    try:
        values = eigsh(
            operator,
            k=1,
            which="LA" if largest else "SA",
            v0=np.cos(np.arange(d)),  # the same on every rank, and so is all that follows
            ncv=min(d, BASIS),
            tol=TOLERANCE,
            maxiter=restarts,
            return_eigenvectors=False,
            rng=0,
        )
    except ArpackError:
        return None
    return float(values[0])


def estimate(
    objective: Objective, moments: FirstMoments, gamma: float, d: int, restarts: int
) -> Estimates:
    """The spectral radius of I − γM, and λ_min(W̄), W̄ = ½ (L̄M + ML̄); collective."""
    M = mean_operator(objective, moments)
    found = {}
    smallest = extreme(M, d, largest=False, restarts=restarts)
    largest = extreme(M, d, largest=True, restarts=restarts)
    if smallest is not None and largest is not None:
        found["spectral_radius"] = max(abs(1.0 - gamma * smallest), abs(1.0 - gamma * largest))
    if objective.rescaled is None and moments.rho == 1.0:
        # M = αL̄, as for gradient descent, and W̄ = M²/α; L̄ is positive definite.
        w_min = None if smallest is None else smallest**2 / moments.alpha
    else:
        w_min = extreme(_w_operator(objective, M), d, largest=False, restarts=restarts)
    if w_min is None:
        return Estimates(found, indefinite=False)
    found["w_min_eigenvalue"] = w_min
    # The true one is no larger; about d ε ‖W̄‖ of it can be rounding.
    size = objective.prediction.diagonal.max() * (np.inf if largest is None else largest)
    return Estimates(found, bool(w_min < -d * np.finfo(float).eps * size))


def _w_operator(
    objective: Objective, M: Callable[[Float64], Float64]
) -> Callable[[Float64], Float64]:
    """v ↦ W̄v for v (d,); collective."""

    def L(v: Float64) -> Float64:
        return objective.product_everywhere(objective.mean.L, v)

    return lambda v: np.asarray(0.5 * (L(M(v)) + M(L(v))))
