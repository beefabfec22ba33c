"""Extreme eigenvalues without d × d matrices on a rank: for problems too large to be dense.

Products with L̄ are made from its slabs of rows, together; Lanczos' method does the rest. What
comes out is an estimate from inside the spectrum, good to about `TOLERANCE`.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

from ist_mpi.objective import Objective
from ist_mpi.theory import FirstMoments

Float64 = NDArray[np.float64]
TOLERANCE = 1e-4
RESTARTS = 300
"""Of Lanczos' method, before an eigenvalue is given up."""


def mean_operator(objective: Objective, moments: FirstMoments) -> Callable[[Float64], Float64]:
    """v ↦ Mv for v (d,), M = α [ρ X + (1 − ρ) Diag(X)]; collective."""
    alpha, rho = moments.alpha, moments.rho
    rescaled = objective.rescaled
    diagonal = objective.prediction.diagonal if rescaled is None else 1.0
    X = objective.mean.L if rescaled is None else rescaled.L

    def apply(v: Float64) -> Float64:
        met = objective.product_everywhere(X, v) if rho > 0 else 0.0
        return np.asarray(alpha * (rho * met + (1 - rho) * diagonal * v))

    return apply


def extremes(apply: Callable[[Float64], Float64], d: int) -> tuple[float | None, float | None]:
    """λ_min and λ_max of a symmetric operator on R^d; None where Lanczos did not converge."""
    operator = LinearOperator((d, d), matvec=lambda v: apply(v.ravel()), dtype=np.float64)
    found: list[float | None] = []
    for which in ("SA", "LA"):
        try:
            values = eigsh(
                operator,
                k=1,
                which=which,
                v0=np.cos(np.arange(d)),  # the same on every rank, and so is all that follows
                tol=TOLERANCE,
                maxiter=RESTARTS,
                return_eigenvectors=False,
                rng=0,
            )
            found.append(float(values[0]))
        except ArpackError:
            found.append(None)
    return found[0], found[1]


def estimate(
    objective: Objective, moments: FirstMoments, gamma: float, d: int
) -> dict[str, float | None]:
    """The spectral radius of I − γM, and λ_min(W̄), W̄ = ½ (L̄M + ML̄); collective."""
    M = mean_operator(objective, moments)

    def L(v: Float64) -> Float64:
        return objective.product_everywhere(objective.mean.L, v)

    def W(v: Float64) -> Float64:
        return np.asarray(0.5 * (L(M(v)) + M(L(v))))

    smallest, largest = extremes(M, d)
    radius = None
    if smallest is not None and largest is not None:
        radius = max(abs(1.0 - gamma * smallest), abs(1.0 - gamma * largest))
    return {"spectral_radius": radius, "w_min_eigenvalue": extremes(W, d)[0]}
