"""Whether a worker's quadratic is one: finite, symmetric and positive semidefinite."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ist_mpi.errors import Fault, InputError, apart
from ist_mpi.problems.quadratic import Accepted, Quadratic, rounded

Float64 = NDArray[np.float64]

TOLERANCES = {"float64": 1e-10, "float32": 1e-5}
"""Of the largest entry of L: how far sums made in a precision may be from what they should be."""


def checked(L: NDArray[Any], b: Float64, precision: str, where: Callable[[str], str]) -> Quadratic:
    """The quadratic of L (d, d) and b (d,), rounded to the configured precision.

    An L that is, or will be, of float32 is accepted with the rounding errors of such sums, and
    made symmetric, where float64 would be refused; `Accepted` says so. Costs a
    Cholesky factorisation.

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
    refused = _trouble(L, where("L"), TOLERANCES["float64"])
    if refused is None or not single:
        if refused is not None:
            raise InputError(refused)
        return rounded(Quadratic(L, b), precision)
    if worse := _trouble(L, where("L"), TOLERANCES["float32"]):
        raise InputError(worse)
    note = f"{refused.where}: {refused.got}, within the rounding of float32: (L + Lᵀ)/2 is taken"
    accepted = Accepted(*rounded(Quadratic(0.5 * (L + L.T), b), precision))
    accepted.note = note
    return accepted


def _trouble(L: Float64, where: str, tolerance: float) -> Fault | None:
    """What is wrong with a finite L (d, d), beyond that tolerance."""
    scale = float(np.max(np.abs(L), initial=0.0))
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
    shifted = L + (tolerance * scale + np.finfo(float).tiny) * np.eye(len(L))
    try:
        np.linalg.cholesky(shifted)
    except np.linalg.LinAlgError:
        smallest = float(np.linalg.eigvalsh(L)[0])
        return Fault(where, f"an eigenvalue of {smallest:.6g}", "no negative eigenvalue")
    return None
