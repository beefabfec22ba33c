"""Whether a worker's quadratic is one: finite, symmetric and positive semidefinite."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ist_mpi.errors import Fault, InputError, apart
from ist_mpi.problems.quadratic import rounded
from ist_mpi.problems.source import Accepted, Quadratic

Float64 = NDArray[np.float64]

TOLERANCES = {"float64": 1e-10, "float32": 1e-5}
"""Of the largest entry of L: how far sums made in a precision may be from what they should be."""


def checked(L: NDArray[Any], b: Float64, precision: str, where: Callable[[str], str]) -> Quadratic:
    """The quadratic of L (d, d) and b (d,), rounded to the configured precision.

    An L that is, or will be, of float32 is accepted with the rounding errors of such sums, and
    made symmetric, where float64 would be refused; so is one as unsymmetric as the inverse of an
    ill-conditioned matrix comes out. `Accepted` says so. Costs a Cholesky factorisation.

    Parameters
    ----------
    L : ndarray
        As it came, in float32 or float64.
    where : callable
        Names an array of this worker: ``where("L")``.

    Raises
    ------
    InputError
    """
    single = L.dtype == np.float32 or precision == "float32"
    L = np.asarray(L, dtype=np.float64)
    for name, array in (("L", L), ("b", b)):
        if not np.isfinite(array).all():
            bad = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
            raise InputError(Fault(where(name), f"{array[bad]} at {bad}", "finite numbers"))
    refused = _trouble(L, where("L"), "float64")
    if refused is None:
        return rounded(Quadratic(L, b), precision)
    kept = "float32" if single else "float64"
    rounding = _rounding(L, kept)
    if not rounding:
        refused = _trouble(L, where("L"), kept) or refused
        if not single and _trouble(L, where("L"), "float32") is None:
            remedy = f'{refused.remedy or "(L + Lᵀ)/2"}; of sums in float32: precision = "float32"'
            refused = refused._replace(remedy=remedy)
        raise InputError(refused)
    note = f"{refused.where}: {refused.got}, within {rounding}: (L + Lᵀ)/2 is taken"
    accepted = Accepted(*rounded(Quadratic(0.5 * (L + L.T), b), precision))
    accepted.note = note
    return accepted


def _rounding(L: Float64, precision: str) -> str:
    """Which rounding errors explain what is wrong with L (d, d), in words; empty: none."""
    if precision == "float32" and _trouble(L, "L", precision) is None:
        return "the rounding of float32"
    eigenvalues = np.linalg.eigvalsh(0.5 * (L + L.T))
    if eigenvalues[0] <= 0.0:
        return ""
    condition = float(eigenvalues[-1] / eigenvalues[0])
    explained = float(np.finfo(precision).eps * condition * np.abs(L).max())
    within = float(np.abs(L - L.T).max()) <= explained
    return f"the rounding of an inverse of condition {condition:.0e}" if within else ""


def _trouble(L: Float64, where: str, precision: str) -> Fault | None:
    """What is wrong with a finite L (d, d), beyond what sums in that precision explain."""
    tolerance, scale = TOLERANCES[precision], float(np.max(np.abs(L), initial=0.0))
    skew = np.abs(L - L.T)
    if skew.max(initial=0.0) > tolerance * scale:
        j, k = (int(i) for i in np.unravel_index(skew.argmax(), skew.shape))
        one, other = apart(L[j, k], L[k, j])
        return Fault(
            where,
            f"L[{j}, {k}] = {one} but L[{k}, {j}] = {other}",
            "a symmetric matrix",
            "use (L + Lᵀ)/2, which gives the same function",
        )
    # Eigenvalues err by as much as the whole matrix, whose size grows with d.
    rounding = max(tolerance * scale, float(np.finfo(precision).eps * np.linalg.norm(L)))
    shifted = L + (rounding + np.finfo(float).tiny) * np.eye(len(L))
    try:
        np.linalg.cholesky(shifted)
    except np.linalg.LinAlgError:
        smallest = float(np.linalg.eigvalsh(L)[0])
        return Fault(where, f"an eigenvalue of {smallest:.6g}", "no negative eigenvalue")
    return None
