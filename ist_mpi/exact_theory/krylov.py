"""Systems and eigenvalues of matrices that are known by their products alone, by scipy.

Nothing here crosses ranks: every rank makes the same steps with the same products, on whole
vectors, and so comes to the same bits.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackError, LinearOperator, cg, eigsh

from ist_mpi.exact_theory.arpack import ALIKE
from ist_mpi.exact_theory.units import exponent

Float64 = NDArray[np.float64]
Product = Callable[[Float64], Float64]
"""v ↦ Av for v (d,), A symmetric."""

EPSILON = float(np.finfo(float).eps)
MAX_PRODUCTS = 20_000
"""Of one solution; at 10⁷ numbers kept, ten minutes or so."""
ONE_GO = 1e-13
"""How far conjugate gradients reduce a residual before it is computed anew."""
ACCURATE = 1e-12
"""Largest residual of a solution, relative to ‖A‖‖x‖ + ‖b‖."""
PROBED = 1e-3
"""Largest residual of a probe, relative to ‖b‖/√d: well below its part in any one direction."""
BASIS = 20
"""Vectors of Lanczos' method; a restart makes at most so many new ones."""


class Solution(NamedTuple):
    """What conjugate gradients came to."""

    x: Float64
    """Shape (d,)."""
    residual: float
    """‖b − Ax‖ relative to ‖A‖‖x‖ + ‖b‖, with a lower bound of ‖A‖."""
    left: float
    """‖b − Ax‖ relative to ‖b‖."""
    norm: float
    """That bound: the largest ‖Ap‖/‖p‖ that was met."""
    definite: bool
    """Whether pᵀAp > d ε ‖A‖ ‖p‖² for every p that was met; if not, x is of no use."""
    products: int

    @property
    def accurate(self) -> bool:
        """Whether x solves the system nearly to machine precision."""
        return self.definite and self.residual <= ACCURATE


class _IndefiniteError(Exception):
    """A direction p of conjugate gradients has no positive pᵀAp, beyond rounding."""


class _Watched:
    """A, its products counted, ‖A‖ bounded from below and its definiteness watched on the way."""

    def __init__(self, apply: Product) -> None:
        self._apply = apply
        self.norm = 0.0
        self.products = 0

    def image(self, v: Float64) -> Float64:
        self.products += 1
        return self._apply(v)

    def along(self, p: Float64) -> Float64:
        """Ap for a direction of conjugate gradients."""
        Ap = self.image(p)
        squared = float(p @ p)
        self.norm = max(self.norm, float(np.sqrt((Ap @ Ap) / squared)))
        if p @ Ap <= p.size * EPSILON * self.norm * squared:
            raise _IndefiniteError
        return Ap


def solve(apply: Product, b: Float64, diagonal: Float64, goal: float = 0.0) -> Solution:
    """Ax = b for a positive definite A by conjugate gradients, its diagonal the preconditioner.

    Its residual is computed anew and corrected for as long as that makes it half as large.

    Parameters
    ----------
    apply : callable
        v ↦ Av.
    b, diagonal : ndarray, shape (d,)
        The right side; the diagonal of A, positive.
    goal : float
        A relative residual that is small enough; default: as small as can be had.
    """
    shape, watched, definite = (b.size, b.size), _Watched(apply), True
    A = LinearOperator(shape, matvec=lambda p: watched.along(p.ravel()), dtype=np.float64)
    preconditioner = LinearOperator(shape, matvec=lambda r: r.ravel() / diagonal, dtype=np.float64)
    x = np.zeros_like(b)
    residual, size = b, _length(b)
    reduction = max(goal, ONE_GO)
    while size > 0 and watched.products < MAX_PRODUCTS:
        most = MAX_PRODUCTS - watched.products
        try:
            change, _ = cg(A, residual, rtol=reduction, atol=0.0, maxiter=most, M=preconditioner)
        except _IndefiniteError:
            definite = False
            break
        candidate = x + change
        fresh = b - watched.image(candidate)
        left = _length(fresh)
        if left < size:
            x, residual = candidate, fresh
        if left > 0.5 * size or left <= goal * _length(b):
            size = min(size, left)
            break
        size, reduction = left, 1e-4
    scale = watched.norm * _length(x) + _length(b)
    relative = size / scale if scale > 0 else 0.0
    left = size / _length(b) if size > 0 else 0.0
    return Solution(x, relative, left, watched.norm, definite, watched.products)


def is_definite(apply: Product, diagonal: Float64) -> bool:
    """Whether a positive semidefinite A has no eigenvalue below about d ε ‖A‖.

    A right side with a part in every direction has a solution only then.
    """
    probe = np.cos(np.arange(diagonal.size))
    goal = PROBED / float(np.sqrt(diagonal.size))
    found = solve(apply, probe, diagonal, goal)
    return found.definite and found.left <= goal


def extreme_eigenvalue(
    apply: Product, d: int, largest: bool, tolerance: float, restarts: int
) -> float | None:
    """λ_min or λ_max of a symmetric matrix, from inside; None where Lanczos did not converge."""
    if d == 1:
        return float(apply(np.ones(1))[0])
    start = np.cos(np.arange(d))  # the same on every rank, and so is all that follows
    unit = exponent(apply(start))  # what is far below 1 counts as nothing in ARPACK

    def scaled(v: Float64) -> Float64:
        return np.ldexp(apply(v.ravel()), -unit) if unit else apply(v.ravel())

    operator = LinearOperator((d, d), matvec=scaled, dtype=np.float64)
    try:
        values = eigsh(
            operator,
            k=1,
            which="LA" if largest else "SA",
            v0=start,
            ncv=min(d, BASIS),
            tol=tolerance,
            maxiter=restarts,
            return_eigenvectors=False,
            **ALIKE,
        )
    except ArpackError:
        return None
    return float(np.ldexp(values[0], unit))


def _length(v: Float64) -> float:
    return float(np.sqrt(v @ v))
