"""The terms of second moments where a permutation moves groups of coordinates.

A worker has whole groups, so that the chance that it has given slots (see `moments`) depends on
which of the slots are in the same group. In the terms Φ_σ, "the same group" takes the place of "the
same coordinate": BD, the g × g blocks on the diagonal, that of Diag, and products of blocks that of
products of entries. The coefficients are those of N = d/g coordinates.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ist_mpi.exact_theory.diagonals import (
    add_blocks,
    blocks_of,
    product_blocks,
    times_left,
    times_right,
)

Float64 = NDArray[np.float64]
Weights = Mapping[str, float]
"""The coefficient of each partition, by its name."""


def second_term(c: Weights, X: Float64, A: Float64, g: int) -> Float64:
    """Σ_σ c_σ Φ_σ over the 15 partitions of a, c, e, b: `moments.second_term` in groups of g.

    Two products of matrices, and none where blocks are one group; the rest takes O(d² g).

    Parameters
    ----------
    c : mapping
    X, A : ndarray, shape (d, d)
        Symmetric.
    g : int

    Returns
    -------
    ndarray, shape (d, d)
    """
    x, a = blocks_of(X, g), blocks_of(A, g)
    whole = c["a|c|e|b"] or c["ac|e|b"] or c["ab|c|e"]
    XA = X @ A if whole else None
    xa = blocks_of(XA, g) if XA is not None else product_blocks(X, A, g)

    out = c["ac|eb"] * times_left(x, times_right(A, x))
    if c["ae|cb"]:
        out += c["ae|cb"] * _entrywise(X, A, g)
    half = times_left(c["ae|c|b"] * xa + c["ace|b"] * x @ a, X)
    corner = c["acb|e"] * xa @ x
    blocks = c["aceb"] * x @ a @ x + corner + corner.transpose(0, 2, 1)
    product = np.zeros_like(X)
    if c["a|ce|b"] or c["ab|ce"]:
        Xa = times_right(X, a)
        product += c["a|ce|b"] * Xa
        blocks += c["ab|ce"] * product_blocks(Xa, X, g)
    if XA is not None:
        product += c["a|c|e|b"] * XA
        half += c["ac|e|b"] * times_right(XA, x)
        if c["ab|c|e"]:
            blocks += c["ab|c|e"] * product_blocks(XA, X, g)
    out += half
    out += half.T
    if c["a|ce|b"] or c["a|c|e|b"]:
        out += product @ X
    add_blocks(out, blocks)
    return np.asarray(out)


def _entrywise(X: Float64, A: Float64, g: int) -> Float64:
    """X ∘ A ∘ X with g × g blocks for entries: X_IJ A_JI X_IJ in block (I, J), shape (d, d)."""
    d = len(X)
    shape = (d // g, g, d // g, g)
    X_blocks = np.ascontiguousarray(X.reshape(shape).transpose(0, 2, 1, 3))
    A_blocks = np.ascontiguousarray(A.reshape(shape).transpose(2, 0, 1, 3))
    return np.asarray((X_blocks @ A_blocks @ X_blocks).transpose(0, 2, 1, 3).reshape(d, d))


def cross_term(c: Weights, X: Float64, y: Float64, Q: Float64, g: int) -> Float64:
    """Σ_σ c_σ Φ_σ over the 5 partitions of a, c, b: `moments.cross_term` in groups of g.

    Parameters
    ----------
    c : mapping
    X : ndarray, shape (d, d)
        Symmetric.
    y : ndarray, shape (d,)
    Q : ndarray, shape (d, d) or (d, 1)
        One column stands for d equal ones.
    g : int

    Returns
    -------
    ndarray, shape (d, d)
    """
    x, q = blocks_of(X, g), blocks_of(Q, g)
    XQ = X @ Q if c["a|c|b"] or c["ab|c"] else np.zeros_like(Q)
    out = c["a|c|b"] * XQ + c["ac|b"] * times_left(x, Q) + c["a|cb"] * times_right(X, q)
    add_blocks(out, c["ab|c"] * blocks_of(XQ, g) + c["acb"] * x @ q)
    return np.asarray(out * y)
