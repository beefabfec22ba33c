"""Systems and eigenvalues of matrices that are known by their products alone.

Nothing here crosses ranks: every rank makes the same steps with the same products, dot products
in one fixed order included, and so comes to the same bits.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

from ist_mpi.kernels.matrices import row_product

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


class _Descent:
    """One system: its products counted, ‖A‖ bounded from below on the way."""

    def __init__(self, apply: Product, diagonal: Float64) -> None:
        self._apply = apply
        self._inverse = 1.0 / diagonal
        self.norm = 0.0
        self.definite = True
        self.products = 0

    def image(self, v: Float64) -> Float64:
        self.products += 1
        return self._apply(v)

    def minimise(self, r: Float64, reduction: float) -> Float64:
        """An x with Ax ≈ r (d,), ‖r − Ax‖ ≤ reduction ‖r‖ as the recurrence has it."""
        x, r = np.zeros_like(r), r.copy()
        goal = reduction * _length(r)
        z = self._inverse * r
        p = z.copy()
        rz = row_product(r, z)
        while _length(r) > goal and self.products < MAX_PRODUCTS:
            Ap = self.image(p)
            squared = row_product(p, p)
            curvature = row_product(p, Ap)
            self.norm = max(self.norm, float(np.sqrt(row_product(Ap, Ap) / squared)))
            if curvature <= r.size * EPSILON * self.norm * squared:
                self.definite = False
                break
            step = rz / curvature
            x += step * p
            r -= step * Ap
            z = self._inverse * r
            rz, before = row_product(r, z), rz
            p *= rz / before
            p += z
        return x


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
    descent = _Descent(apply, diagonal)
    x = np.zeros_like(b)
    residual, size = b, _length(b)
    reduction = max(goal, ONE_GO)
    while size > 0 and descent.products < MAX_PRODUCTS:
        candidate = x + descent.minimise(residual, reduction)
        if not descent.definite:
            break
        fresh = b - descent.image(candidate)
        left = _length(fresh)
        if left < size:
            x, residual = candidate, fresh
        if left > 0.5 * size or left <= goal * _length(b):
            size = min(size, left)
            break
        size, reduction = left, 1e-4
    scale = descent.norm * _length(x) + _length(b)
    relative = size / scale if scale > 0 else 0.0
    left = size / _length(b) if size > 0 else 0.0
    return Solution(x, relative, left, descent.norm, descent.definite, descent.products)


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
    operator = LinearOperator((d, d), matvec=lambda v: apply(v.ravel()), dtype=np.float64)
    if d == 1:
        return float(apply(np.ones(1))[0])
    try:
        values = eigsh(
            operator,
            k=1,
            which="LA" if largest else "SA",
            v0=np.cos(np.arange(d)),  # the same on every rank, and so is all that follows
            ncv=min(d, BASIS),
            tol=tolerance,
            maxiter=restarts,
            return_eigenvectors=False,
            rng=0,
        )
    except ArpackError:
        return None
    return float(values[0])


def _length(v: Float64) -> float:
    return float(np.sqrt(row_product(v, v)))
