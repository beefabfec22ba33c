"""Products with L_i = A_iᵀA_i/m_i + l2 I from the samples A_i (m_i, d) themselves.

A block S takes its columns only: r = Σ_{c ∈ S} A[:, c] w_c, then out_a = ⟨A[:, S_a], r⟩/m + l2 w_a:
2 q m numbers where the matrix takes q²/2, and m d to be kept where the matrix takes d². Columns are
contiguous, dense or sparse (CSC), so that a block is gathered by whole columns.

A rank's m workers share u ≤ m distinct quadratics, as in `Matrices`.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ist_mpi.kernels.summation import REDUCTION, compiled_once


class DenseSamples(NamedTuple):
    """The quadratics of a rank's workers, as the columns of their samples."""

    columns: NDArray[np.float64] | NDArray[np.float32]
    """Shape (u, d, width): column j of A_u is columns[u, j, :samples[u]]."""
    samples: NDArray[np.int64]
    """Shape (u,): m_u."""
    l2: float
    every: NDArray[np.int32]
    """All coordinates, 0 … d − 1: the block of a whole model."""
    b: NDArray[np.float64]
    """Shape (u, d)."""
    which: NDArray[np.int64]
    """The quadratic of each worker."""


class SparseSamples(NamedTuple):
    """Likewise, of sparse samples: the stored entries, column after column."""

    values: NDArray[np.float64] | NDArray[np.float32]
    """Shape (e,), of all quadratics one after another."""
    rows: NDArray[np.int32]
    """Shape (e,): the sample of each value."""
    starts: NDArray[np.int64]
    """Shape (u, d + 1): column j of A_u is between starts[u, j] and starts[u, j + 1]."""
    samples: NDArray[np.int64]
    """Shape (u,): m_u."""
    l2: float
    every: NDArray[np.int32]
    """All coordinates, 0 … d − 1."""
    b: NDArray[np.float64]
    """Shape (u, d)."""
    which: NDArray[np.int64]
    """The quadratic of each worker."""


@njit(cache=True, fastmath=REDUCTION)
def add_columns(columns, block, w, r):  # type: ignore[no-untyped-def]  # numba infers
    """r (m,) += Σ_{c ∈ S} A[:, c] w_c."""
    compiled_once()
    q = block.size
    m = r.size
    for a in range(0, q - 3, 4):
        c0, c1 = columns[block[a]][:m], columns[block[a + 1]][:m]
        c2, c3 = columns[block[a + 2]][:m], columns[block[a + 3]][:m]
        w0, w1, w2, w3 = w[a], w[a + 1], w[a + 2], w[a + 3]
        for s in range(m):
            r[s] += c0[s] * w0 + c1[s] * w1 + c2[s] * w2 + c3[s] * w3
    for a in range(q - q % 4, q):
        column, factor = columns[block[a]][:m], w[a]
        for s in range(m):
            r[s] += column[s] * factor


@njit(cache=True, fastmath=REDUCTION)
def column_products(columns, block, r, out):  # type: ignore[no-untyped-def]  # numba infers
    """out_a = ⟨A[:, S_a], r⟩ for r (m,), each in one fixed order."""
    compiled_once()
    q = block.size
    m = r.size
    for a in range(0, q - 3, 4):
        c0, c1 = columns[block[a]][:m], columns[block[a + 1]][:m]
        c2, c3 = columns[block[a + 2]][:m], columns[block[a + 3]][:m]
        sum0 = sum1 = sum2 = sum3 = 0.0
        for s in range(m):
            sum0 += c0[s] * r[s]
            sum1 += c1[s] * r[s]
            sum2 += c2[s] * r[s]
            sum3 += c3[s] * r[s]
        out[a], out[a + 1], out[a + 2], out[a + 3] = sum0, sum1, sum2, sum3
    for a in range(q - q % 4, q):
        column = columns[block[a]][:m]
        total = 0.0
        for s in range(m):
            total += column[s] * r[s]
        out[a] = total


@njit(cache=True)
def dense_products(columns, m, taken, w, block, out, room):  # type: ignore[no-untyped-def]  # numba infers
    """out = A[:, S]ᵀ A[:, T] w / m for the blocks S (q,) and T `taken`; room for m numbers."""
    r = room[:m]
    r[:] = 0.0
    add_columns(columns, taken, w, r)
    column_products(columns, block, r, out)
    for a in range(block.size):
        out[a] /= m


@njit(cache=True)
def sparse_image(values, rows, starts, block, w, r):  # type: ignore[no-untyped-def]  # numba infers
    """r (m,) = A[:, S] w for the block S (q,).

    Every sum is made entry after entry. Indices are unsigned, as they need no look at whether they
    are negative: a third of the time.
    """
    r[:] = 0.0
    for a in range(block.size):
        lo, hi = np.uint64(starts[block[a]]), np.uint64(starts[block[a] + 1])
        factor = w[a]
        for e in range(lo, hi):
            r[np.uint32(rows[e])] += values[e] * factor


@njit(cache=True)
def sparse_image_of_whole(values, rows, starts, x, r):  # type: ignore[no-untyped-def]  # numba infers
    """r (m,) = A x: the same for all coordinates, in half the time where most have no entry."""
    r[:] = 0.0
    lo = np.uint64(starts[0])
    for j in range(x.size):
        hi = np.uint64(starts[j + 1])
        for e in range(lo, hi):
            r[np.uint32(rows[e])] += values[e] * x[j]
        lo = hi


@njit(cache=True)
def sparse_products(values, rows, starts, r, block, out):  # type: ignore[no-untyped-def]  # numba infers
    """out = A[:, S]ᵀ r / m for the block S (q,), r (m,)."""
    m = r.size
    for a in range(block.size):
        lo, hi = np.uint64(starts[block[a]]), np.uint64(starts[block[a] + 1])
        total = 0.0
        for e in range(lo, hi):
            total += values[e] * r[np.uint32(rows[e])]
        out[a] = total / m


@njit(cache=True)
def dense_normal(A, u, taken, w, block, out, room):  # type: ignore[no-untyped-def]  # numba infers
    """`dense_products` of quadratic u."""
    dense_products(A.columns[u], A.samples[u], taken, w, block, out, room)


@njit(cache=True)
def dense_normal_of_whole(A, u, x, block, out, room):  # type: ignore[no-untyped-def]  # numba infers
    """The same for T all coordinates."""
    dense_normal(A, u, A.every, x, block, out, room)


@njit(cache=True)
def sparse_normal(A, u, taken, w, block, out, room):  # type: ignore[no-untyped-def]  # numba infers
    """out = A_u[:, S]ᵀ A_u[:, T] w / m for the blocks S (q,) and T `taken`; room for m numbers."""
    r = room[: A.samples[u]]
    sparse_image(A.values, A.rows, A.starts[u], taken, w, r)
    sparse_products(A.values, A.rows, A.starts[u], r, block, out)


@njit(cache=True)
def sparse_normal_of_whole(A, u, x, block, out, room):  # type: ignore[no-untyped-def]  # numba infers
    """The same for T all coordinates."""
    r = room[: A.samples[u]]
    sparse_image_of_whole(A.values, A.rows, A.starts[u], x, r)
    sparse_products(A.values, A.rows, A.starts[u], r, block, out)


@njit(cache=True)
def dense_groups(A, u, g, w, out, room):  # type: ignore[no-untyped-def]  # numba infers
    """out = A[:, J]ᵀ A[:, J] w_J / m in every group J of g consecutive coordinates, w, out (d,)."""
    for start in range(0, w.size, g):
        end = start + g
        group = A.every[start:end]
        dense_normal(A, u, group, w[start:end], group, out[start:end], room)


@njit(cache=True)
def sparse_groups(A, u, g, w, out, room):  # type: ignore[no-untyped-def]  # numba infers
    """`dense_groups` of sparse samples: it costs what is stored, not m for every group."""
    starts, m = A.starts[u], A.samples[u]
    r = room[:m]
    r[:] = 0.0
    for start in range(0, w.size, g):
        end = start + g
        for j in range(start, end):
            for e in range(starts[j], starts[j + 1]):
                r[A.rows[e]] += A.values[e] * w[j]
        for j in range(start, end):
            total = 0.0
            for e in range(starts[j], starts[j + 1]):
                total += A.values[e] * r[A.rows[e]]
            out[j] = total / m
        for e in range(starts[start], starts[end]):
            r[A.rows[e]] = 0.0
