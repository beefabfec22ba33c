"""What the second moments of a round say about a run: stability, exact expectations (SPEC §4).

With a step size γ a round is x⁺ = x − (G x − h), where G = γB̄ − (C̄ − I) and h = γc; C̄ = I except
for merges that multiply the model. Around any point p, z = x − p and r = h − Gp, independent of z:

    E z⁺      = E z − Ḡ E z + r̄
    E z⁺z⁺ᵀ   = P − ḠP − PḠᵀ + E[GPGᵀ] + (E[(z − Gz) rᵀ] + its transpose) + E[r rᵀ],    P = E z zᵀ.

At the fixed point p = x∞ = Ḡ⁻¹ h̄ of the mean, r̄ = 0, and in the limit E z = 0 and

    P − ℛ⁻¹ N(P) = ℛ⁻¹ E[r rᵀ],  ℛ(P) = ḠP + PḠᵀ − ḠPḠᵀ,  N(P) = E[GPGᵀ] − ḠPḠᵀ.

Every function here that takes a `RoundMoments` sums over workers: all ranks call it together.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from scipy.sparse.linalg import LinearOperator, cg, eigs, eigsh, gmres

from ist_mpi.exact_theory.moments import RoundMoments

Float64 = NDArray[np.float64]
Map = Callable[[Float64], Float64]
"""A linear map of symmetric (d, d) matrices."""

DENSE = 12
"""Up to this d the matrix of a map is formed, (d(d+1)/2)² numbers; beyond, Arnoldi's method."""


class Trajectory(NamedTuple):
    """Exact expectations after rounds 0 … K."""

    mean: Float64
    """E x^k, shape (K + 1, d)."""
    gap: Float64
    """E f(x^k) − f*, shape (K + 1,), like the next two."""
    to_solution: Float64
    """E‖x^k − x*‖²."""
    to_fixed_point: Float64
    """E‖x^k − x∞‖²; nan where there is no x∞."""


class Limits(NamedTuple):
    """Exact expectations as k → ∞."""

    mean: Float64
    """x∞, shape (d,)."""
    gap: float
    to_solution: float
    to_fixed_point: float
    residual: float
    """Of the solve, relative."""


@dataclass(frozen=True)
class Update:
    """The moments of G and h; see the module's text."""

    mean: Float64
    """Ḡ, shape (d, d)."""
    offset: Float64
    """h̄, shape (d,)."""
    second: Map
    """A ↦ E[G A Gᵀ]."""
    cross: Map
    """x (d,) ↦ E[G x hᵀ], shape (d, d)."""
    outer: Float64
    """E[h hᵀ], shape (d, d)."""
    one_draw: bool
    """Whether G and h are the same in every round."""
    symmetric: bool
    """Whether Ḡ is symmetric."""
    self_adjoint: bool
    """Whether G is, in every draw, so that N is self-adjoint."""

    def noise(self, p: Float64) -> Float64:
        """E[r rᵀ], shape (d, d), for r = h − Gp.

        Where all of its diagonal is within rounding of the terms that cancel, as for equal workers
        with one coordinate each, it is zero: so the distance to x∞ can fall without a floor.
        """
        if self.one_draw:
            r = self.offset - self.mean @ p
            return np.multiply.outer(r, r)
        second, cross = self.second(np.multiply.outer(p, p)), self.cross(p)
        noise = second - cross - cross.T + self.outer
        terms = np.diagonal(second) + 2.0 * np.abs(np.diagonal(cross)) + np.diagonal(self.outer)
        rounding = (len(p) + 16) * np.finfo(float).eps
        return noise if (np.diagonal(noise) > rounding * terms).any() else np.zeros_like(noise)


def update(moments: RoundMoments, gamma: float) -> Update:
    """The moments of G and h at step size γ."""
    M, m, mean_sketch = moments.M, moments.m, moments.mean_sketch
    gamma = np.float64(gamma)  # which overflows to infinity, not to an exception
    if mean_sketch is None:
        return Update(
            gamma * M,
            gamma * m,
            lambda A: gamma**2 * moments.second(A),
            lambda x: gamma**2 * moments.cross(x),
            gamma**2 * moments.outer(),
            moments.one_draw,
            moments.symmetric,
            moments.self_adjoint,
        )
    excess = mean_sketch - 1.0
    sketch_sketch, sketch_vector = moments.sketch_outer()
    # s − 1 in place of s, the diagonal of C̄
    sketch_sketch -= mean_sketch[:, None] + excess
    sketch_vector -= m

    def second(A: Float64) -> Float64:
        cross = moments.sketch_cross(A) - M @ A
        return gamma**2 * moments.second(A) - gamma * (cross + cross.T) + A * sketch_sketch

    return Update(
        gamma * M - np.diag(excess),
        gamma * m,
        second,
        lambda x: gamma * (gamma * moments.cross(x) - x[:, None] * sketch_vector),
        gamma**2 * moments.outer(),
        moments.one_draw,
        moments.symmetric,
        moments.self_adjoint,
    )


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
    scaled = _between_roots(moments.second, V, np.add.outer(w, w))
    return 1.0 / _radius(scaled, len(w), moments.self_adjoint, tolerance)


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
    inner = _inner(update(moments, gamma))
    return inner is not None and _contracts(inner, moments.self_adjoint, tolerance)


def _contracts(inner: "_Inner", self_adjoint: bool, tolerance: float) -> bool:
    """Whether the spectral radius is below 1; the norm, that of the identity's image, is above."""
    if linalg.norm(inner.scaled(np.eye(inner.d)), 2) < 1.0:
        return True
    return _radius(inner.scaled, inner.d, self_adjoint, tolerance) < 1.0


class _Inner(NamedTuple):
    """A map similar to ℛ⁻¹N, and what leads there and back."""

    scaled: Map
    d: int
    enter: Map
    """From a right side E[r rᵀ] to that of the equation with `scaled`."""
    leave: Map
    """From its solution to P."""


def _inner(now: Update) -> _Inner | None:
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
    return _Inner(
        _between_roots(noise_map, V, R),
        len(w),
        lambda noise: V.T @ noise @ V / roots,
        lambda Q: V @ (Q / roots) @ V.T,
    )


def _inner_of_any(H: Float64, noise_map: Map) -> _Inner | None:
    """ℛ⁻¹N, ℛ(P) = P − HPHᵀ; None where H (d, d), the mean's map, does not contract."""
    if np.abs(linalg.eigvals(H)).max() >= 1.0:
        return None

    def inverse(Q: Float64) -> Float64:
        P = linalg.solve_discrete_lyapunov(H, Q)
        return np.asarray(0.5 * (P + P.T))

    return _Inner(lambda Q: inverse(noise_map(Q)), len(H), inverse, lambda Q: Q)


def _between_roots(inner: Map, V: Float64, weights: Float64) -> Map:
    """Q ↦ 𝓡^{−1/2} inner(𝓡^{−1/2} Q), where 𝓡 multiplies by `weights` in the basis V."""
    roots = np.sqrt(weights)

    def scaled(Q: Float64) -> Float64:
        image = V.T @ inner(V @ (Q / roots) @ V.T) @ V / roots
        return np.asarray(0.5 * (image + image.T))

    return scaled


def _radius(apply: Map, d: int, self_adjoint: bool, tolerance: float) -> float:
    """The spectral radius of a map that keeps positive semidefinite matrices so.

    By Krein and Rutman it is the eigenvalue of a positive semidefinite matrix.
    """
    if d <= DENSE:
        rows, columns = np.tril_indices(d)
        images = []
        for i, j in zip(rows, columns, strict=True):
            unit = np.zeros((d, d))
            unit[i, j] = unit[j, i] = 1.0
            images.append(apply(unit)[rows, columns])
        return float(np.abs(linalg.eigvals(np.column_stack(images))).max())
    start = apply(np.eye(d)).ravel()
    if not start.any():
        return 0.0
    solver, which = (eigsh, "LA") if self_adjoint else (eigs, "LM")
    values = solver(
        _operator(apply, d),
        k=1,
        which=which,
        v0=start,
        ncv=12,
        tol=tolerance,
        return_eigenvectors=False,
        rng=np.random.default_rng(0),  # the same on every run and rank
    )
    return float(np.abs(values).max())


def _operator(apply: Map, d: int) -> LinearOperator:
    """A map as an operator on vectors of d² entries, by way of the symmetric part."""

    def on_vector(vector: Float64) -> Float64:
        Q = vector.reshape(d, d)
        return apply(0.5 * (Q + Q.T)).ravel()

    return LinearOperator((d * d, d * d), matvec=on_vector, dtype=np.float64)


def _mean_fixed_point(now: Update) -> Float64 | None:
    """x∞ = Ḡ⁻¹ h̄, shape (d,), or None where Ḡ is singular to working precision."""
    if not np.isfinite(now.mean).all():
        return None
    if not now.symmetric:
        if np.linalg.cond(now.mean) * len(now.mean) * np.finfo(float).eps >= 1.0:
            return None
        return np.asarray(linalg.solve(now.mean, now.offset))
    w, V = linalg.eigh(now.mean)
    if np.abs(w).min() <= len(w) * np.finfo(float).eps * np.abs(w).max():
        return None
    return np.asarray(V @ ((V.T @ now.offset) / w))


def trajectory(moments: RoundMoments, gamma: float, x0: Float64, rounds: int) -> Trajectory:
    """Exact expectations after rounds 0 … K from x⁰ (d,); one application of T per round."""
    now = update(moments, gamma)
    solution = linalg.solve(moments.L_mean, moments.b_mean, assume_a="pos")
    fixed_point = _mean_fixed_point(now)
    p = solution if fixed_point is None else fixed_point
    G, r = now.mean, now.offset - now.mean @ p
    noise = now.noise(p)
    z = x0 - p
    P = np.multiply.outer(z, z)
    means = np.empty((rounds + 1, len(p)))
    rows = np.empty((rounds + 1, 3))
    with np.errstate(over="ignore", invalid="ignore"):
        for k in range(rounds + 1):
            means[k] = p + z
            rows[k, :2] = _distances(moments.L_mean, P, z, p - solution)
            rows[k, 2] = np.nan if fixed_point is None else np.trace(P)
            if k == rounds:
                break
            zp, zr, GP = np.multiply.outer(z, p), np.multiply.outer(z, r), G @ P
            change = zr - GP - now.cross(z)
            P = P + 2.0 * change + now.second(P + zp + zp.T) + noise
            P = 0.5 * (P + P.T)  # also because what is not symmetric would never decay
            z = z - G @ z + r
    return Trajectory(means, rows[:, 0], rows[:, 1], rows[:, 2])


def _distances(L: Float64, P: Float64, z: Float64, bias: Float64) -> tuple[float, float]:
    """E f(x) − f* and E‖x − x*‖² from P = E z zᵀ and E z, where x − x* = z + bias."""
    Lb = L @ bias
    gap = 0.5 * np.sum(L * P) + z @ Lb + 0.5 * bias @ Lb
    return float(gap), float(np.trace(P) + 2.0 * z @ bias + bias @ bias)


def limits(
    moments: RoundMoments, gamma: float, stable: bool | None = None, tolerance: float = 1e-10
) -> Limits | None:
    """The limits of `trajectory`, from any x⁰; None where the second moment diverges.

    Parameters
    ----------
    moments : RoundMoments
    gamma : float
    stable : bool, optional
        Whether γ < γ_max, where that is known; else `is_stable` finds out.
    tolerance : float
        Relative residual of the iterative solve; it takes about log(1/tolerance) √(γ_max/(γ_max −
        γ)) applications of T. None is returned also where the residual stays above 100 times this:
        γ is then γ_max to within rounding.
    """
    if stable is False:
        return None
    now = update(moments, gamma)
    inner = _inner(now)
    if inner is None:
        return None
    if stable is None:
        stable = _contracts(inner, moments.self_adjoint, 1e-7)
    fixed_point = _mean_fixed_point(now)
    if not stable or fixed_point is None:
        return None
    source = inner.enter(now.noise(fixed_point))
    source = 0.5 * (source + source.T)
    Q, residual = _solve(lambda Q: Q - inner.scaled(Q), source, moments.self_adjoint, tolerance)
    if not residual <= 100.0 * tolerance:
        return None
    P = inner.leave(Q)
    solution = linalg.solve(moments.L_mean, moments.b_mean, assume_a="pos")
    zero = np.zeros_like(solution)
    gap, to_solution = _distances(moments.L_mean, P, zero, fixed_point - solution)
    return Limits(fixed_point, gap, to_solution, float(np.trace(P)), residual)


def _solve(
    apply: Map, source: Float64, self_adjoint: bool, tolerance: float
) -> tuple[Float64, float]:
    """The symmetric Q (d, d) with apply(Q) = source, and the relative residual."""
    size = float(linalg.norm(source))
    if size == 0.0:
        return source, 0.0
    d = len(source)
    solver = cg if self_adjoint else gmres
    vector, _ = solver(_operator(apply, d), source.ravel(), rtol=tolerance, maxiter=1000)
    Q = vector.reshape(d, d)
    Q = 0.5 * (Q + Q.T)
    return Q, float(linalg.norm(source - apply(Q))) / size
