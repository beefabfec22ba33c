"""Products with symmetric matrices, whole or on blocks of coordinates.

A rank's m workers share u ≤ m distinct quadratics: worker i has ``L[which[i]]`` and
``b[which[i]]`` (u = 1 when the problem is homogeneous). Blocks are sorted, so that of L[S, S] only
the lower half has to be read: row a up to column a, four rows at a time, each entry used for its
own row and for the one it mirrors.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ist_mpi.kernels.ahead import SCATTERED, ask, ask_rows
from ist_mpi.kernels.summation import REDUCTION, compiled_once


class Matrices(NamedTuple):
    """The quadratics of a rank's workers, as matrices."""

    L: NDArray[np.float64] | NDArray[np.float32]
    """Shape (u, d, d), symmetric."""
    b: NDArray[np.float64]
    """Shape (u, d)."""
    which: NDArray[np.int64]
    """Shape (m,)."""


@njit(cache=True, fastmath=REDUCTION)
def half_product(L, block, w, out):  # type: ignore[no-untyped-def]  # numba infers
    """out = L[S, S] w for the sorted block S (q,), L (d, d), w (q,), from half of the entries.

    Each four rows ask for the entries of the next four.
    """
    compiled_once()
    q = block.size
    scattered = q * SCATTERED <= L.shape[1]
    for a in range(0, q - 3, 4):
        b = min(a + 4, q - 4)
        if scattered:
            ask_rows(L, block, b, b + 4)
        next0, next1, next2, next3 = (
            L[block[b]],
            L[block[b + 1]],
            L[block[b + 2]],
            L[block[b + 3]],
        )
        row0, row1, row2, row3 = L[block[a]], L[block[a + 1]], L[block[a + 2]], L[block[a + 3]]
        w0, w1, w2, w3 = w[a], w[a + 1], w[a + 2], w[a + 3]
        sum0 = sum1 = sum2 = sum3 = 0.0
        for c in range(a):
            j = block[c]
            # Where this was asked for already: what was too much for the memory then is not now.
            ask(next0, j)
            ask(next1, j)
            ask(next2, j)
            ask(next3, j)
            v0, v1, v2, v3 = row0[j], row1[j], row2[j], row3[j]
            sum0 += v0 * w[c]
            sum1 += v1 * w[c]
            sum2 += v2 * w[c]
            sum3 += v3 * w[c]
            out[c] += v0 * w0 + v1 * w1 + v2 * w2 + v3 * w3
        out[a], out[a + 1], out[a + 2], out[a + 3] = sum0, sum1, sum2, sum3
        _half_rows(L, block, w, out, a, a, a + 4)
    rest = q - q % 4
    out[rest:q] = 0.0
    _half_rows(L, block, w, out, np.int64(0), rest, q)  # a bare 0 would be a type of its own


@njit(cache=True, fastmath=REDUCTION)
def _half_rows(L, block, w, out, left, first, last):  # type: ignore[no-untyped-def]  # numba infers
    """Add rows first … last − 1 of the lower half of L[S, S], from column `left` on, to out."""
    for a in range(first, last):
        row = L[block[a]]
        total = row[block[a]] * w[a]
        for c in range(left, a):
            v = row[block[c]]
            total += v * w[c]
            out[c] += v * w[a]
        out[a] += total


@njit(cache=True)
def gather_half(L, block, half):  # type: ignore[no-untyped-def]  # numba infers
    """half = the lower half of L[S, S], row after row: q (q + 1) / 2 entries."""
    at = 0
    q = block.size
    scattered = q * SCATTERED <= L.shape[1]
    for a in range(q):
        b = min(a + 4, q - 1)
        if scattered:
            ask_rows(L, block, b, b + 1)
        row, later = L[block[a]], L[block[b]]
        for c in range(a + 1):
            j = block[c]
            ask(later, j)
            half[at + c] = row[j]
        at += a + 1


@njit(cache=True, fastmath=REDUCTION)
def gathered_product(half, w, out):  # type: ignore[no-untyped-def]  # numba infers
    """out = H w for the symmetric H (q, q) whose lower half `gather_half` has written."""
    compiled_once()
    at = 0
    for a in range(w.size):
        row = half[at : at + a + 1]
        total = row[a] * w[a]
        for c in range(a):
            total += row[c] * w[c]
            out[c] += row[c] * w[a]
        out[a] = total
        at += a + 1


@njit(cache=True, fastmath=REDUCTION)
def row_product(row, x):  # type: ignore[no-untyped-def]  # numba infers
    """⟨row, x⟩ in one fixed order."""
    compiled_once()
    total = 0.0
    for j in range(x.size):
        total += row[j] * x[j]
    return total


@njit(cache=True)
def rows_product(rows, x, out):  # type: ignore[no-untyped-def]  # numba infers
    """out = rows x for a slab of rows (r, d): each entry a dot product in one fixed order."""
    for a in range(rows.shape[0]):
        out[a] = row_product(rows[a], x)


@njit(cache=True)
def groups_product(rows, first, g, x, out):  # type: ignore[no-untyped-def]  # numba infers
    """out = BD(X) x for rows first, first + 1, … (r, d) of X: the columns of each row's own group.

    The groups are of g consecutive coordinates; each entry is a dot product in one fixed order.
    """
    for a in range(rows.shape[0]):
        start = (first + a) // g * g
        out[a] = row_product(rows[a, start : start + g], x[start : start + g])
