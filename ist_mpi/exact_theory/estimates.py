"""Extreme eigenvalues without d × d matrices on a rank: for problems too large to be dense.

Products with L̄ are made by all ranks together; Lanczos' method does the rest. What
comes out is an estimate from inside the spectrum, good to about `TOLERANCE`.
"""

from typing import NamedTuple

import numpy as np

from ist_mpi.exact_theory.first_moments import FirstMoments
from ist_mpi.exact_theory.krylov import BASIS, Product, extreme_eigenvalue
from ist_mpi.exact_theory.matrix_free import mean_product
from ist_mpi.exact_theory.objective import Objective

TOLERANCE = 1e-4
MAX_RESTARTS = 300
"""Of Lanczos' method, before an eigenvalue is given up for good."""
SECONDS = 60.0
"""For all eigenvalues, roughly, where nobody asked to wait longer."""
PRODUCT_RATE = 1e9
"""Numbers a second that a product reads, for that."""


class Estimates(NamedTuple):
    """What Lanczos' method found."""

    found: dict[str, float]
    """Of `spectral_radius` and `w_min_eigenvalue`, those that converged."""
    indefinite: bool
    """Whether W̄ is known to have a negative eigenvalue: then no θ exists."""


def few_restarts(entries: float) -> int:
    """Restarts that take about `SECONDS`, where a product reads so many numbers.

    They depend on that alone, and so are the same on any number of ranks.
    """
    products = 6 * BASIS  # a restart of λ_min(M), λ_max(M), and λ_min(W̄), which takes four
    return max(1, min(MAX_RESTARTS, int(SECONDS * PRODUCT_RATE / (products * entries))))


def mean_operator(objective: Objective, moments: FirstMoments) -> Product:
    """v ↦ Mv for v (d,), M = α [ρ X + (1 − ρ) BD(X)]; collective."""
    rescaled = objective.rescaled
    return mean_product(moments, objective.mean.L if rescaled is None else rescaled.L)


def extreme(apply: Product, d: int, largest: bool, restarts: int) -> float | None:
    """λ_min or λ_max of a symmetric operator on R^d; None where Lanczos did not converge."""
    return extreme_eigenvalue(apply, d, largest, TOLERANCE, restarts)


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


def _w_operator(objective: Objective, M: Product) -> Product:
    """v ↦ W̄v for v (d,); collective."""
    L = objective.mean.L.product_everywhere
    return lambda v: np.asarray(0.5 * (L(M(v)) + M(L(v))))
