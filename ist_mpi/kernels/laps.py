"""Loops to be timed: the parts of a round by themselves, and what the memory alone would take.

Many rounds in one call, so that the call itself costs nothing. What is read is added up and
returned: a compiler leaves out what nobody asks for.
"""

import numpy as np
from numba import njit

from ist_mpi.kernels.draws import draw
from ist_mpi.kernels.storage import local_steps
from ist_mpi.kernels.summation import REDUCTION

LINE = 64
"""Bytes of a cache line."""


@njit(cache=True)
def draw_rounds(plan, first, last):  # type: ignore[no-untyped-def]  # numba infers
    """Draw the blocks of rounds first … last − 1, one over the other."""
    for k in range(first, last):
        draw(plan, k)


@njit(cache=True)
def keep_rounds(plan, first, pi, offsets):  # type: ignore[no-untyped-def]  # numba infers
    """Draw the blocks of rounds first, first + 1, … into pi (r, t) and offsets (r, n + 1)."""
    for r in range(pi.shape[0]):
        draw(plan, first + r)
        pi[r] = plan.pi
        offsets[r] = plan.offsets


@njit(cache=True)
def local_steps_of_rounds(storage, pi, edges, C, gamma, steps, w, product, room, ready):  # type: ignore[no-untyped-def]  # numba infers
    """The local steps of a rank's workers in rounds with blocks pi (r, t), edges (r, m + 1)."""
    for r in range(pi.shape[0]):
        e = edges[r]
        block = pi[r, e[0] : e[e.size - 1]]
        local_steps(storage, block, e, C, gamma, steps, w, product, room, ready)


@njit(cache=True)
def half_lines(block, d, per_line, first, lines):  # type: ignore[no-untyped-def]  # numba infers
    """List the cache lines of the lower half of a matrix's block; returns how many there are.

    Parameters
    ----------
    block : ndarray of int32, shape (q,)
        Sorted.
    d : int
        The matrix is (d, d).
    per_line : int
        Entries of a cache line.
    first : int
        Where in its line the matrix begins, in entries.
    lines : ndarray of uint32, shape (≥ q (q + 1) / 2,)
        Written: an entry in each line, as a place in the flat matrix, in the order in which the
        kernel meets them: four rows at a time, column by column.
    """
    found = 0
    q = block.size
    seen = np.empty(4, dtype=np.int64)
    for a in range(0, q, 4):
        seen[:] = -1
        last = min(a + 4, q)
        for c in range(last):
            for row in range(max(a, c), last):
                at = np.int64(block[row]) * d + block[c]
                line = (first + at) // per_line
                if line != seen[row - a]:
                    seen[row - a] = line
                    lines[found] = at
                    found += 1
    return found


@njit(cache=True, fastmath=REDUCTION)
def _sum_of(entries):  # type: ignore[no-untyped-def]  # numba infers
    total = 0.0
    for at in range(entries.size):  # by its index: iteration does not vectorise
        total += entries[at]
    return total


@njit(cache=True)
def read_spans(flat, starts, size):  # type: ignore[no-untyped-def]  # numba infers
    """Read `size` neighbouring entries from each of `starts` (k,), in vectors."""
    total = 0.0
    for start in starts:
        total += _sum_of(flat[start : start + size])
    return total


@njit(cache=True)
def touch_lines(flat, size, starts, edges, lines, times):  # type: ignore[no-untyped-def]  # numba infers
    """Read one entry of each line, so many times.

    Of the matrix with `size` entries from flat[starts[s]] on, those in
    lines[edges[s]:edges[s + 1]]. One after another: vectors of scattered entries are slower.
    """
    total = 0.0
    for _ in range(times):
        for s in range(starts.size):
            matrix = flat[starts[s] : starts[s] + size]
            for at in range(edges[s], edges[s + 1]):
                total += matrix[lines[at]]
    return total
