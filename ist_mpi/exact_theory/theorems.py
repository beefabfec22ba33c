"""Theorems 1 and 2: θ, the rate of (16), and the bounds (15), (16), (30).

What takes a `RoundMoments` sums over workers: all ranks call it together.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from ist_mpi.exact_theory.moments.second import RoundMoments

Float64 = NDArray[np.float64]


class TheoremOne(NamedTuple):
    """The constants of Theorem 1."""

    theta: float | None
    """The smallest θ of (14), or None where there is none."""
    w_min_eigenvalue: float
    """λ_min(W̄)."""
    rate: float
    """λ_min(L̄^{−1/2} W̄ L̄^{−1/2}), of the sign of λ_min(W̄): (16) contracts by 1 − γ rate."""

    def contraction(self, gamma: float) -> float:
        """The factor of (16), which holds for 0 < γ ≤ 1/θ."""
        return 1.0 - gamma * self.rate


def theorem_one(moments: RoundMoments) -> TheoremOne | None:
    """θ, λ_min(W̄) and the rate of (16); None for merges that multiply the model.

    θ is the largest generalised eigenvalue of (E[B̄ᵀ L̄ B̄], W̄). Both are transformed by the
    Cholesky factor of L̄ first: W̄ = ½(L̄M + MᵀL̄) itself can be as ill conditioned as L̄².
    """
    if moments.mean_sketch is not None:
        return None
    spectrum = w_spectrum(moments)
    factor = spectrum.factor
    half = linalg.solve_triangular(
        factor, moments.second(moments.L_mean, transposed=True), lower=True
    )
    T = linalg.solve_triangular(factor, half.T, lower=True)
    T = 0.5 * (T + T.T)
    theta = _largest_quotient(T, spectrum.eigenvalues, spectrum.eigenvectors)
    return TheoremOne(theta, spectrum.w_min_eigenvalue, float(spectrum.eigenvalues[0]))


class WSpectrum(NamedTuple):
    """W̄ seen from L̄ = F Fᵀ: the eigenvalues of L̄^{−1/2} W̄ L̄^{−1/2}."""

    w_min_eigenvalue: float
    """λ_min(W̄) itself."""
    eigenvalues: Float64
    """Of F⁻¹ W̄ F⁻ᵀ, shape (d,), rising."""
    eigenvectors: Float64
    """Of the same, shape (d, d)."""
    factor: Float64
    """F, shape (d, d)."""

    @property
    def indefinite(self) -> bool:
        """Whether W̄ has an eigenvalue below zero, beyond rounding: then no θ exists."""
        return bool(self.eigenvalues[0] < -_rounding_of(self.eigenvalues))


def w_spectrum(moments: RoundMoments) -> WSpectrum:
    """What can be said of W̄ = ½ (L̄M + MᵀL̄) without second moments; O(d³)."""
    L, M = moments.L_mean, moments.M
    LM = L @ M
    w_min = float(linalg.eigvalsh(0.5 * (LM + LM.T), subset_by_index=[0, 0])[0])
    factor = linalg.cholesky(L, lower=True)
    # F⁻¹ W̄ F⁻ᵀ = ½ (Y + Yᵀ) with Y = F⁻¹ Mᵀ F
    Y = linalg.solve_triangular(factor, (M if moments.symmetric else M.T) @ factor, lower=True)
    w, V = linalg.eigh(0.5 * (Y + Y.T))
    return WSpectrum(w_min, w, V, factor)


def _largest_quotient(T: Float64, w: Float64, V: Float64) -> float | None:
    """The smallest θ with T ⪯ θW, or None, for T ⪰ 0 (d, d) and W = V Diag(w) Vᵀ, w rising.

    There is one exactly where W ⪰ 0 and T vanishes on the kernel of W.
    """
    rounding = len(w) * np.finfo(float).eps
    tolerance = _rounding_of(w)
    if w[0] < -tolerance:
        return None
    kernel = w <= tolerance
    if kernel.any() and np.abs(T @ V[:, kernel]).max() > rounding * np.abs(T).max():
        return None
    roots = V[:, ~kernel] / np.sqrt(w[~kernel])
    if not roots.size:
        return 0.0
    last = roots.shape[1] - 1
    return float(linalg.eigvalsh(roots.T @ T @ roots, subset_by_index=[last, last])[0])


def _rounding_of(w: Float64) -> float:
    """What of the eigenvalues w (d,) is within rounding of zero."""
    return float(len(w) * np.finfo(float).eps * np.abs(w).max())


def bound_15(first_gap: float, last_gap: float, gamma: float, rounds: int) -> float:
    """The right-hand side of (15) from f(x⁰) − f* and E f(x^K) − f*; holds for γ ≤ 1/θ."""
    return 2.0 * (first_gap - last_gap) / (gamma * rounds)


def bound_16(contraction: float, first_distance: float, rounds: int) -> float:
    """The right-hand side of (16) after `rounds` rounds, from ‖x⁰ − x*‖²_L̄."""
    return float(contraction**rounds * first_distance)


def bound_30(
    descent: float, gamma: float, bias_squared: float, sigma_squared: float, beta: float
) -> float:
    """The right-hand side of (30), preconditioned Perm-1.

    Parameters
    ----------
    descent : float
        `bound_15`.
    gamma, beta : float
        0 < β < ½ and 0 < γ ≤ (½ − β)/(½ + β). The largest such β, ½(1 − γ)/(1 + γ) at γ < 1, gives
        the smallest bound.
    bias_squared : float
        ‖h‖²_L̄, h = x* − m.
    sigma_squared : float

    Raises
    ------
    ValueError
        If γ and β are not as required.
    """
    largest = 0.5 * (1.0 - gamma) / (1.0 + gamma)
    if not (gamma > 0.0 and 0.0 < beta < 0.5 and beta <= largest * (1.0 + 1e-12)):
        raise ValueError(f"(30) needs 0 < β < ½ and 0 < γ ≤ (½−β)/(½+β): γ = {gamma}, β = {beta}")
    return descent + (2.0 / beta * (1.0 - gamma) + gamma) * bias_squared + gamma * sigma_squared


def sharper_bound(descent: float, gamma: float, bias_squared: float, sigma_squared: float) -> float:
    """The smaller right-hand side than (30)'s, for 0 < γ ≤ 1; parameters as for `bound_30`.

    2 (f(x⁰) − E f(x^K)) / (γK) + ‖h‖²_L̄ + γσ².
    """
    return descent + bias_squared + gamma * sigma_squared
