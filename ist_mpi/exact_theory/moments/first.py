"""What one round does on average, and where that leads.

The mean iterate obeys E x^{k+1} = E C̄ E x^k − γ (M E x^k − m), with E C̄ = I except for merges
that multiply the model. Every M and m has the form

    M = α [ρ X + (1 − ρ) Diag(X)],    m = β y

where (X, y) = (L̄, b̄), or for preconditioned sketches the means of D_i^{−1/2} L_i D_i^{−1/2} and
D_i^{−1/2} b_i; ρ is n times the chance that two given coordinates are both in worker i's block.
Where the permutation moves groups of g consecutive coordinates,

    M = α [ρ X + (1 − ρ) BD(X)],

BD(X) the g × g blocks on the diagonal of X, and α, ρ, β are those of N = d/g coordinates. Of a
`Finite` law (X, y) are M and m themselves, α = ρ = β = 1.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from scipy.sparse.linalg import ArpackError, eigsh

from ist_mpi.errors import Fault, InputError
from ist_mpi.exact_theory.arpack import ALIKE
from ist_mpi.exact_theory.moments import diagonals
from ist_mpi.exact_theory.step import Step
from ist_mpi.exact_theory.units import exponent
from ist_mpi.sketches.law import Finite, Law

Float64 = NDArray[np.float64]


class FirstMoments(NamedTuple):
    """The numbers that make M and m of one local step; see the module's text."""

    alpha: float
    rho: float
    beta: float
    """Also that of E C̄ = β mean_i D_i^{−1/2}, or β I."""
    group_size: int = 1
    """g."""


def first_moments(step: Step, law: Law) -> FirstMoments:
    """The first moments of one round with one local step."""
    if isinstance(law, Finite):
        return FirstMoments(1.0, 1.0, 1.0)
    if not step.two_sided:
        return FirstMoments(law.beta, 1.0, law.beta)
    if not step.scaled:
        return FirstMoments(law.beta, law.rho, law.beta, law.group_size)
    return FirstMoments(law.alpha, law.rho, law.beta, law.group_size)


def mean_operator(moments: FirstMoments, X: Float64) -> Float64:
    """M = α [ρ X + (1 − ρ) BD(X)] in place of X, shape (d, d)."""
    if moments.group_size > 1:
        blocks = diagonals.blocks_of(X, moments.group_size)
        X *= moments.alpha * moments.rho
        diagonals.add_blocks(X, moments.alpha * (1.0 - moments.rho) * blocks)
        return X
    diagonal = np.diagonal(X).copy()
    X *= moments.alpha * moments.rho
    X[np.diag_indices_from(X)] = moments.alpha * diagonal
    return X


class Solved(NamedTuple):
    """A symmetric positive definite system's solution, and its factor for more of them."""

    solution: Float64
    factor: tuple[Float64, bool]


def solve_mean(L_mean: Float64, b_mean: Float64) -> Solved:
    """x* = L̄⁻¹ b̄ by Cholesky, in place of L̄ (d, d).

    Raises
    ------
    InputError
        If L̄ is singular to working precision: x* is not unique.
    """
    where, expected = "L̄ = (1/n) Σ L_i", "a positive definite matrix: x* must be unique"
    remedy = "with ridge, set problem.l2 > 0"
    norm = float(np.abs(L_mean).sum(axis=0).max())
    try:
        factor = linalg.cho_factor(L_mean.T, lower=True, overwrite_a=True, check_finite=False)
    except linalg.LinAlgError:
        got = "a singular or indefinite matrix"
        raise InputError(Fault(where, got, expected, remedy)) from None
    reciprocal, _ = linalg.lapack.dpocon(factor[0], norm, uplo="L")
    if reciprocal < len(b_mean) * np.finfo(float).eps:
        got = f"a singular matrix (reciprocal condition number {reciprocal:.1e})"
        raise InputError(Fault(where, got, expected, remedy))
    return Solved(linalg.cho_solve(factor, b_mean, check_finite=False), factor)


def is_solution(x: Float64, image: Float64, b_mean: Float64, largest: float) -> bool:
    """Whether L̄x = b̄ holds as well as rounding lets anything hold.

    The entries of L̄ are at most its largest diagonal one, so that of L̄x − b̄, which are sums of d
    products, (d + 16) ε (max_j L̄_jj ‖x‖_∞ + ‖b̄‖_∞) is within rounding of zero.

    Parameters
    ----------
    x, image, b_mean : ndarray, shape (d,)
        x, L̄x and b̄.
    largest : float
        max_j L̄_jj.
    """
    size = largest * np.abs(x).max() + np.abs(b_mean).max()
    rounding = (len(x) + 16) * np.finfo(float).eps * size
    return bool(np.isfinite(rounding) and np.abs(image - b_mean).max() <= rounding)


def fixed_point(
    M: Float64,
    m: Float64,
    gamma: float,
    mean_sketch: Float64 | None = None,
    symmetric: bool = True,
) -> Float64 | None:
    """x∞ = M⁻¹ m, or (I − E C̄ + γM)⁻¹ γm when a merge multiplies the model; destroys M.

    Parameters
    ----------
    M : ndarray, shape (d, d)
    m : ndarray, shape (d,)
    mean_sketch : ndarray, shape (d,), optional
        The diagonal of E C̄, where it is not the identity.
    symmetric : bool
        Whether M is.

    Returns
    -------
    ndarray, shape (d,), or None where the system is singular.
    """
    if mean_sketch is not None:
        M[np.diag_indices_from(M)] += (1.0 - mean_sketch) / gamma
    try:
        if not symmetric:
            return np.asarray(linalg.solve(M, m, check_finite=False))
        return np.asarray(
            linalg.solve(M.T, m, assume_a="sym", overwrite_a=True, check_finite=False)
        )
    except linalg.LinAlgError:
        return None


def mean_step_size_limit(M: Float64, symmetric: bool = True) -> float:
    """The γ below which I − γM contracts: 2/λ_max(M), or min 2 Re λ/|λ|² where M is not symmetric.

    NaN where there is none, since an eigenvalue is not to the right of 0.
    """
    if symmetric:
        return 2.0 / largest_eigenvalue(M)
    w = linalg.eigvals(M)
    limit = float((2.0 * w.real / np.abs(w) ** 2).min())
    return limit if limit > 0.0 else math.nan


def largest_eigenvalue(M: Float64) -> float:
    """λ_max of a symmetric (d, d) matrix, to about eight digits."""
    d = len(M)
    if d <= 64:
        return float(linalg.eigvalsh(M)[-1])
    unit = exponent(np.diagonal(M))
    if unit:  # what is far below 1 counts as nothing in ARPACK
        M = np.ldexp(M, -unit)
    start = np.cos(np.arange(d))  # fixed, so that the result is the same on every run
    try:
        found = eigsh(M, k=1, which="LA", v0=start, tol=1e-8, return_eigenvectors=False, **ALIKE)
        return float(np.ldexp(found[0], unit))
    except ArpackError:
        return float(np.ldexp(linalg.eigvalsh(M)[-1], unit))
