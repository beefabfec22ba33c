"""For which step sizes the moments of the iterates stay bounded; see `recursions`.

What takes a `RoundMoments` sums over workers: all ranks call it together.
"""

from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigs, eigsh

from ist_mpi.exact_theory.arpack import ALIKE
from ist_mpi.exact_theory.moments.second import RoundMoments
from ist_mpi.exact_theory.updates import Map, Update, update

Float64 = NDArray[np.float64]

DENSE = 12
"""Up to this d the matrix of a map is formed, (d(d+1)/2)² numbers; beyond, Arnoldi's method."""
RESTARTS = 150
"""Of Arnoldi's method with few vectors, before it takes more of them."""


def step_size_limit(moments: RoundMoments, tolerance: float = 1e-7) -> float | None:
    """γ_max: E‖x^k‖² stays bounded for γ in (0, γ_max) and for none above.

    1 / spectral radius of 𝓜⁻¹T, 𝓜(P) = MP + PM and T(P) = E[B̄ P B̄ᵀ]. None for merges that
    multiply the model, where stability is not monotonous in γ, and where M is not symmetric and
    positive definite; see `is_stable`.

    Parameters
    ----------
    moments : RoundMoments
    tolerance : float
        Relative, of the iteration beyond d = `DENSE`; each of its tens of steps applies T once.
    """
    if moments.mean_sketch is not None or not moments.symmetric:
        return None
    w, V = linalg.eigh(moments.M)
    if w[0] <= len(w) * np.finfo(float).eps * np.abs(w).max():
        return None
    scaled = between_roots(moments.second, V, np.add.outer(w, w))
    return 1.0 / radius(scaled, len(w), moments.self_adjoint, tolerance)


def mean_spectral_radius(moments: RoundMoments, gamma: float) -> float:
    """The spectral radius of I − γM (of E C̄ − γM for merges that multiply the model)."""
    M = gamma * moments.M
    if moments.mean_sketch is not None:
        M = M + np.diag(1.0 - moments.mean_sketch)
    if not np.isfinite(M).all():
        return np.inf
    if not moments.symmetric:
        return float(np.abs(1.0 - linalg.eigvals(M)).max())
    w = linalg.eigvalsh(M)
    return float(max(abs(1.0 - w[0]), abs(1.0 - w[-1])))


def is_stable(moments: RoundMoments, gamma: float, tolerance: float = 1e-7) -> bool:
    """Whether the second moment of x^k converges, by the spectral radii of I − Ḡ and ℛ⁻¹N."""
    inner = inner_of(update(moments, gamma))
    return inner is not None and contracts(inner, moments.self_adjoint, tolerance)


def contracts(inner: "Inner", self_adjoint: bool, tolerance: float) -> bool:
    """Whether the spectral radius is below 1; the norm, that of the identity's image, is above."""
    if linalg.norm(inner.scaled(np.eye(inner.d)), 2) < 1.0:
        return True
    return radius(inner.scaled, inner.d, self_adjoint, tolerance) < 1.0


class Inner(NamedTuple):
    """A map similar to ℛ⁻¹N, and what leads there and back."""

    scaled: Map
    d: int
    enter: Map
    """From a right side E[r rᵀ] to that of the equation with `scaled`."""
    leave: Map
    """From its solution to P."""


def inner_of(now: Update) -> Inner | None:
    """ℛ^{−1/2} N ℛ^{−1/2} in the eigenbasis of Ḡ, or None where the mean diverges.

    Where Ḡ is not symmetric, ℛ⁻¹N itself.
    """
    G = now.mean
    if not np.isfinite(G).all():
        return None

    def noise_map(P: Float64) -> Float64:
        return now.second(P) - G @ P @ G.T

    if not now.symmetric:
        return _inner_of_any(np.eye(len(G)) - G, noise_map)
    w, V = linalg.eigh(G)
    if w[0] <= 0.0 or w[-1] >= 2.0:
        return None
    R = np.add.outer(w, w) - np.multiply.outer(w, w)  # 1 − (1 − w_i)(1 − w_j)
    roots = np.sqrt(R)
    return Inner(
        between_roots(noise_map, V, R),
        len(w),
        lambda noise: V.T @ noise @ V / roots,
        lambda Q: V @ (Q / roots) @ V.T,
    )


def _inner_of_any(H: Float64, noise_map: Map) -> Inner | None:
    """ℛ⁻¹N, ℛ(P) = P − HPHᵀ; None where H (d, d), the mean's map, does not contract."""
    if np.abs(linalg.eigvals(H)).max() >= 1.0:
        return None

    def inverse(Q: Float64) -> Float64:
        P = linalg.solve_discrete_lyapunov(H, Q)
        return np.asarray(0.5 * (P + P.T))

    return Inner(lambda Q: inverse(noise_map(Q)), len(H), inverse, lambda Q: Q)


def between_roots(inner: Map, V: Float64, weights: Float64) -> Map:
    """Q ↦ 𝓡^{−1/2} inner(𝓡^{−1/2} Q), where 𝓡 multiplies by `weights` in the basis V."""
    roots = np.sqrt(weights)

    def scaled(Q: Float64) -> Float64:
        image = V.T @ inner(V @ (Q / roots) @ V.T) @ V / roots
        return np.asarray(0.5 * (image + image.T))

    return scaled


def radius(apply: Map, d: int, self_adjoint: bool, tolerance: float) -> float:
    """The spectral radius of a map that keeps positive semidefinite matrices so.

    By Krein and Rutman it is the eigenvalue of a positive semidefinite matrix. Infinite where its
    images overflow.
    """
    start = apply(np.eye(d)).ravel()
    if not np.isfinite(start).all():
        return np.inf
    if d <= DENSE:
        rows, columns = np.tril_indices(d)
        images = []
        for i, j in zip(rows, columns, strict=True):
            unit = np.zeros((d, d))
            unit[i, j] = unit[j, i] = 1.0
            images.append(apply(unit)[rows, columns])
        return float(np.abs(linalg.eigvals(np.column_stack(images))).max())
    if not start.any():
        return 0.0
    if self_adjoint:
        return _arnoldi(eigsh, apply, d, start, tolerance, which="LA", ncv=12)
    for vectors in (12, 40):  # where others are nearly as large, few do not tell them apart
        with suppress(ArpackNoConvergence):
            how = {"which": "LM", "ncv": vectors, "maxiter": RESTARTS}
            return _arnoldi(eigs, apply, d, start, tolerance, **how)
    return _arnoldi(eigs, apply, d, start, tolerance, which="LM", ncv=12)


def _arnoldi(
    solver: Any, apply: Map, d: int, start: Float64, tolerance: float, **how: Any
) -> float:
    values = solver(
        operator(apply, d),
        k=1,
        v0=start,
        tol=tolerance,
        return_eigenvectors=False,
        **ALIKE,
        **how,
    )
    return float(np.abs(values).max())


def operator(apply: Map, d: int) -> LinearOperator:
    """A map as an operator on vectors of d² entries, by way of the symmetric part."""

    def on_vector(vector: Float64) -> Float64:
        Q = vector.reshape(d, d)
        return apply(0.5 * (Q + Q.T)).ravel()

    return LinearOperator((d * d, d * d), matvec=on_vector, dtype=np.float64)
