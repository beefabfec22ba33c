"""The model between rounds: taken apart, put together, and looked at, in a fixed order."""

import numpy as np
from numba import njit


@njit(cache=True)
def take(x, pi, out):  # type: ignore[no-untyped-def]  # numba infers
    """out = x[pi]."""
    for a in range(pi.size):
        out[a] = x[pi[a]]


@njit(cache=True)
def place(x, pi, pieces):  # type: ignore[no-untyped-def]  # numba infers
    """x[pi] = pieces: the merge of disjoint blocks that cover every coordinate."""
    for a in range(pi.size):
        x[pi[a]] = pieces[a]


@njit(cache=True)
def add(x, pi, pieces):  # type: ignore[no-untyped-def]  # numba infers
    """x[pi] += pieces, in the order of pi: overlapping blocks add up in worker order."""
    for a in range(pi.size):
        x[pi[a]] += pieces[a]


@njit(cache=True)
def add_rows(rows, out):  # type: ignore[no-untyped-def]  # numba infers
    """out (q,) = the sum of rows (n, q), one after another."""
    out[:] = 0.0
    for i in range(rows.shape[0]):
        for a in range(out.size):
            out[a] += rows[i, a]


@njit(cache=True)
def all_finite(x):  # type: ignore[no-untyped-def]  # numba infers
    """Whether no entry of x is infinite or NaN."""
    for value in x:  # noqa: SIM110 - a plain loop compiles to a plain loop
        if not np.isfinite(value):
            return False
    return True
