"""What the second moments of a round say about a run: exact expectations.

With a step size γ a round is x⁺ = x − (G x − h), where G = γB̄ − (C̄ − I) and h = γc; C̄ = I except
for merges that multiply the model. Around any point p, z = x − p and r = h − Gp, independent of z:

    E z⁺      = E z − Ḡ E z + r̄
    E z⁺z⁺ᵀ   = P − ḠP − PḠᵀ + E[GPGᵀ] + (E[(z − Gz) rᵀ] + its transpose) + E[r rᵀ],    P = E z zᵀ.

At the fixed point p = x∞ = Ḡ⁻¹ h̄ of the mean, r̄ = 0, and in the limit E z = 0 and

    P − ℛ⁻¹ N(P) = ℛ⁻¹ E[r rᵀ],  ℛ(P) = ḠP + PḠᵀ − ḠPḠᵀ,  N(P) = E[GPGᵀ] − ḠPḠᵀ.

Every function here that takes a `RoundMoments` sums over workers: all ranks call it together.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from scipy.sparse.linalg import cg, gmres

from ist_mpi.exact_theory.moments.second import RoundMoments
from ist_mpi.exact_theory.stability import contracts, inner_of, operator
from ist_mpi.exact_theory.updates import Map, Update, update

Float64 = NDArray[np.float64]


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
    means = np.empty((rounds + 1, len(x0)))
    rows = np.empty((rounds + 1, 3))
    with np.errstate(over="ignore", invalid="ignore"):
        for k, (mean, row) in zip(
            range(rounds + 1), expectations(moments, gamma, x0), strict=False
        ):
            means[k], rows[k] = mean, row
    return Trajectory(means, rows[:, 0], rows[:, 1], rows[:, 2])


def expectations(
    moments: RoundMoments, gamma: float, x0: Float64
) -> Iterator[tuple[Float64, tuple[float, float, float]]]:
    """E x^k (d,), and the other three of `Trajectory`, for k = 0, 1, … without end."""
    now = update(moments, gamma)
    solution = linalg.solve(moments.L_mean, moments.b_mean, assume_a="pos")
    fixed_point = _mean_fixed_point(now)
    p = solution if fixed_point is None else fixed_point
    G, r = now.mean, now.offset - now.mean @ p
    noise = now.noise(p)
    z = x0 - p
    P = np.multiply.outer(z, z)
    while True:
        away = np.nan if fixed_point is None else float(np.trace(P))
        yield p + z, (*_distances(moments.L_mean, P, z, p - solution), away)
        zp, zr, GP = np.multiply.outer(z, p), np.multiply.outer(z, r), G @ P
        change = zr - GP - now.cross(z)
        P = P + 2.0 * change + now.second(P + zp + zp.T) + noise
        P = 0.5 * (P + P.T)  # also because what is not symmetric would never decay
        z = z - G @ z + r


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
    inner = inner_of(now)
    if inner is None:
        return None
    if stable is None:
        stable = contracts(inner, moments.self_adjoint, 1e-7)
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
    vector, _ = solver(operator(apply, d), source.ravel(), rtol=tolerance, maxiter=1000)
    Q = vector.reshape(d, d)
    Q = 0.5 * (Q + Q.T)
    return Q, float(linalg.norm(source - apply(Q))) / size
