"""Least squares by their samples: when they are kept in place of L_i, and how.

L_i = A_iᵀA_i/m_i + l2 I takes d² numbers, A_i takes m_i d, or its non-zero entries.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ist_mpi.errors import Fault, InputError
from ist_mpi.kernels.samples import DenseSamples, SparseSamples

Float64 = NDArray[np.float64]

LINE = 8
"""Entries of L that come with one: a cache line."""
OVERLAP = 2
"""How many times faster lines are that are asked for before they are needed."""
DENSE_COLUMN = 100.0
"""Time of a dense column besides its entries, in those of an entry."""
SPARSE_ENTRY = 6.0
"""Time of a sparse entry, likewise."""
SPARSE_COLUMN = 60.0
"""Time of a sparse column besides, likewise."""
FATTEST = 4.0
"""Memory of dense samples, at most, in that of sparse ones."""
HEAVIEST = 16.0
"""Memory of matrices that save time, at most, in that of samples."""


class Samples(NamedTuple):
    """One worker's least-squares problem: f_i(x) = (1/2m) ‖A x − y‖² + (l2/2) ‖x‖²."""

    A: Any
    """Shape (m, d): ndarray or sparse array, float64 or float32."""
    y: Float64
    """Shape (m,)."""
    l2: float


def cheapest(wish: str, m: int, d: int, n: int, density: float) -> str:
    """How a worker's least-squares problem is kept: "matrix", "dense" or "sparse".

    The time of a product with a permutation's block of q = d/n coordinates is counted in entries of
    dense columns: q (m + 100) for dense samples, read twice but the second time mostly from the
    cache; q (6 m density + 60) for sparse ones; q²/2 max(1, min(n, 8)/2) for half of a matrix's
    block, of which one entry in n is wanted, so that from n = 8 on each costs a cache line of 8, of
    which half the time is hidden. Whatever is least is chosen, but no dense samples that take 4
    times the memory of sparse ones, and no matrix that takes 16 times that of samples. It does not
    depend on the number of ranks.

    Measured, in µs a block, ten (or n) workers one after another with new blocks each time; the
    least of 38, on one core of a shared AMD EPYC with 32 MiB of L3:

    ==== === ==== ====== ===== =========== ============ ======= ==================
    d    n   m    matrix dense sparse, 0.3 sparse, 0.1  0.01    least by this rule
    ==== === ==== ====== ===== =========== ============ ======= ==================
    112  10  80   0.2    1.0   1.3         1.0          0.9     matrix; 0.01: sparse
    112  10  812  0.2    5.5   20.7        5.0          1.2     matrix
    1000 10  100  10.0   15.8  22.1        11.2         4.1     matrix; ≤ 0.1: sparse
    1000 10  400  10.0   28.3  57.0        25.9         5.9     matrix; ≤ 0.1: sparse
    1000 10  1000 10.0   58.6  100.9       44.1         9.8     matrix; 0.01: sparse
    1000 100 100  0.2    1.4   2.0         1.3          1.0     matrix; ≤ 0.1: sparse
    1000 2   250  73     66    79          32           13      matrix; ≤ 0.1: sparse
    1000 2   1000 73     270   317         124          23      matrix; 0.01: sparse
    3000 10  300  147    71    141         67           14      dense; ≤ 0.1: sparse
    3000 10  1000 147    203   391         143          30      matrix; ≤ 0.1: sparse
    3000 10  3000 147    930   846         403          64      matrix; 0.01: sparse
    3000 3   1000 408    679   987         346          48      matrix; ≤ 0.1: sparse
    3000 3   3000 408    2977  5767        1182         130     matrix; 0.01: sparse
    ==== === ==== ====== ===== =========== ============ ======= ==================

    Parameters
    ----------
    wish : {"auto", "matrix", "samples"}
        `problem.storage`.
    m : int
        Samples of the largest worker.
    d, n : int
        Coordinates, workers.
    density : float
        Share of the entries of the samples that are not zero.
    """
    if wish == "matrix":
        return "matrix"
    q = max(1, d // n)
    dense, thin = m + DENSE_COLUMN, SPARSE_ENTRY * m * density + SPARSE_COLUMN
    fat = m > FATTEST * (1.5 * m * density + 1)  # a sparse entry takes 12 bytes, a column 8
    samples, kind = (thin, "sparse") if fat or thin < dense else (dense, "dense")
    numbers = 1.5 * m * density + 1 if kind == "sparse" else m
    matrix = 0.5 * q * max(1.0, min(n, LINE) / OVERLAP)
    if wish == "samples" or samples < matrix or d > HEAVIEST * numbers:
        return kind
    return "matrix"


SMALLEST = 1e-30
"""Of the largest number that is kept in float32: what is a millionth of it is still one."""


def rounded(values: Float64, precision: str, what: str) -> Any:
    """The array in the configured precision.

    Raises
    ------
    InputError
        If a finite number becomes infinite, or all of them vanish.
    """
    if precision == "float64":
        return values
    with np.errstate(over="ignore"):
        result = values.astype(np.float32)
    largest = float(np.abs(values).max(initial=0.0))
    if not np.isfinite(result).all() or 0.0 < largest < SMALLEST:
        expected = f"the largest between {SMALLEST:g} and {np.finfo(np.float32).max:.3g}"
        got = f'"float32", but {what} has {largest:.3g}'
        raise InputError(Fault("problem.precision", got, expected, '"float64"'))
    return result


def pack(
    parts: Sequence[Samples], kind: str, precision: str, d: int, which: NDArray[np.int64]
) -> DenseSamples | SparseSamples:
    """The samples of a rank's distinct quadratics, in columns; `kind`: "dense" or "sparse"."""
    u = len(parts)
    samples = np.array([part.y.size for part in parts], dtype=np.int64)
    l2 = float(parts[0].l2) if parts else 0.0
    every = np.arange(d, dtype=np.int32)
    b = np.empty((u, d))
    for i, part in enumerate(parts):
        b[i] = part.A.T @ part.y / part.y.size
    if kind == "dense":
        columns = np.zeros((u, d, int(samples.max(initial=0))), dtype=precision)
        for i, part in enumerate(parts):
            A = part.A.toarray() if sparse.issparse(part.A) else part.A
            columns[i, :, : part.y.size] = A.T
        return DenseSamples(columns, samples, l2, every, b, which)
    entries = np.cumsum([0] + [_entries(part.A) for part in parts])
    values = np.empty(int(entries[-1]), dtype=precision)
    rows = np.empty(values.size, dtype=np.int32)
    starts = np.empty((u, d + 1), dtype=np.int64)
    for i, part in enumerate(parts):
        A = sparse.csc_array(part.A)
        values[entries[i] : entries[i + 1]] = A.data
        rows[entries[i] : entries[i + 1]] = A.indices
        starts[i] = A.indptr
        starts[i] += entries[i]
    return SparseSamples(values, rows, starts, samples, l2, every, b, which)


def _entries(A: Any) -> int:
    """The entries that are stored of A once it is sparse."""
    return int(A.nnz) if sparse.issparse(A) else int(np.count_nonzero(A))


def _own_columns(kept: DenseSamples, u: int) -> Float64:
    """The columns of A_u in float64, shape (d, m_u), in an array of their own.

    The stored ones are as far apart as the rank's largest worker asks for, and how a library adds
    up may depend on a sum's length, on strides and on where an array begins: a worker's bits must
    not depend on who else is on its rank.
    """
    return np.array(kept.columns[u, :, : int(kept.samples[u])], dtype=np.float64, order="C")


def diagonal(kept: DenseSamples | SparseSamples, u: int) -> Float64:
    """Diag(L_u), shape (d,)."""
    m, d = int(kept.samples[u]), kept.every.size
    if isinstance(kept, DenseSamples):
        squares = np.array([float(c @ c) for c in _own_columns(kept, u)])
    else:
        lo, hi = kept.starts[u, 0], kept.starts[u, -1]
        column = np.repeat(kept.every, np.diff(kept.starts[u]))
        weights = kept.values[lo:hi].astype(np.float64) ** 2
        squares = np.bincount(column, weights=weights, minlength=d)
    return np.asarray(squares / m + kept.l2)


def matrix(kept: DenseSamples | SparseSamples, u: int) -> Float64:
    """L_u = A_uᵀA_u/m + l2 I, shape (d, d)."""
    m, d = int(kept.samples[u]), kept.every.size
    if isinstance(kept, DenseSamples):
        columns = _own_columns(kept, u)
        L = columns @ columns.T
    else:
        lo, hi = kept.starts[u, 0], kept.starts[u, -1]
        indices = kept.rows[lo:hi], kept.starts[u] - lo
        A = sparse.csc_array((kept.values[lo:hi].astype(np.float64), *indices), shape=(m, d))
        L = (A.T @ A).toarray()
    L /= m
    L[np.diag_indices(d)] += kept.l2
    return np.asarray(L)
