"""Arrays that a caller gives in memory: real, of so many dimensions, none of them missing."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ist_mpi.config.types import wrong
from ist_mpi.errors import Fault, InputError


def has_masked(value: Any) -> bool:
    """Whether entries are masked, in an array or in arrays in lists: numpy forgets it silently."""
    if isinstance(value, np.ma.MaskedArray):
        return bool(np.ma.getmaskarray(value).any())
    return isinstance(value, list | tuple) and any(has_masked(item) for item in value)


def check_masked(value: Any, expected: str = "an array without missing values") -> None:
    """Raise what a validator raises, if entries are masked."""
    if not has_masked(value):
        return
    got = "masked entries"
    if isinstance(value, np.ma.MaskedArray):
        mask = np.ma.getmaskarray(value)
        first = ", ".join(str(int(i)) for i in np.argwhere(mask)[0])
        got = f"a masked array with {int(mask.sum())} missing, the first at ({first})"
    raise wrong("", got, expected)


def real_array(value: Any, ndim: int) -> NDArray[Any]:
    """The array as it came; raises what a validator raises if it is not real of `ndim` axes."""
    check_masked(value)
    try:
        array = np.asarray(value)
    except ValueError:
        array = np.empty(0, dtype=object)  # ragged lists
    if array.ndim != ndim or array.dtype.kind not in "fiu":
        got = f"{array.dtype} of shape {array.shape}"
        raise wrong("", got, f"a real array of {ndim} dimension(s)")
    return array


def canonical(A: Any) -> sparse.csr_array:
    """A matrix in the one way in which samples are kept: CSR, each entry once, in order, no 0."""
    found = sparse.csr_array(A, dtype=np.float64)
    if found.has_canonical_format and found.data.all():
        return found
    found = found.copy()
    found.sum_duplicates()
    found.eliminate_zeros()
    return found


def unmasked(value: Any, where: str) -> Any:
    """What code of a user's own returned, as it is; raises InputError if entries are masked."""
    if has_masked(value):
        raise InputError(Fault(where, "masked entries", "an array without missing values"))
    return value
