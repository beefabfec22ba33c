"""The terms Φ_σ of second moments (see `second`), weighed and added up.

At g = 1 slots coincide that hold the same coordinate; in groups of g, those in the same group. BD,
the g × g blocks on the diagonal, then takes the place of Diag, and products of blocks that of
products of entries: `diagonals` has both.
"""

import numpy as np
from numpy.typing import NDArray

from ist_mpi.exact_theory.moments.diagonals import (
    add_blocks,
    around,
    blocks_of,
    both_sides,
    multiply,
    multiply_around,
    multiply_both_ways,
    product_blocks,
    sandwich,
    scale_columns,
    squares_of,
    times_left,
    times_right,
)
from ist_mpi.exact_theory.moments.partitions import Weights

Float64 = NDArray[np.float64]


def second_term(c: Weights, X: Float64, A: Float64, g: int = 1) -> Float64:
    """Σ_σ c_σ Φ_σ over the 15 partitions of a, c, e, b, with Φ_σ(X, A)_ab = Σ X_ac A_ce X_eb.

    Two products of matrices, and none where blocks have one coordinate or one group.

    Parameters
    ----------
    c : mapping
        `Coefficients.second.own` with a worker's X, `.mean` with the mean X.
    X, A : ndarray, shape (d, d)
        Symmetric; for the preconditioned sketch X = D_i^{−1/2} L_i D_i^{−1/2}, else L_i.
    g : int
        Coordinates of a group.

    Returns
    -------
    ndarray, shape (d, d)
    """
    x, a = blocks_of(X, g), blocks_of(A, g)
    squares = squares_of(X, g)
    xa = product_blocks(X, A, g)
    blocks = multiply_both_ways(c["acb|e"] * x, xa)
    if c["ab|ce"]:
        blocks += c["ab|ce"] * sandwich(X, a, squares)
    blocks += multiply_around(c["aceb"] * x, a, x)
    out = around(c["ac|eb"], x, c["ae|cb"], X, A, squares)
    v = c["ae|c|b"] * xa + multiply(c["ace|b"] * x, a)
    if v.any():
        out += both_sides(v, X)
    product = times_right(X, c["a|ce|b"] * a) if c["a|ce|b"] else None
    if c["a|c|e|b"] or c["ac|e|b"] or c["ab|c|e"]:
        XA = X @ A
        if c["ab|c|e"]:
            blocks += c["ab|c|e"] * product_blocks(XA, X, g)
        if c["a|c|e|b"]:
            whole = c["a|c|e|b"] * XA
            product = whole if product is None else np.add(product, whole, out=product)
        XA = times_right(XA, c["ac|e|b"] * x)
        out += XA
        out += XA.T
    if product is not None:
        out += product @ X
    add_blocks(out, blocks)
    return np.asarray(out)


def one_sided_term(c: Weights, X: Float64, A: Float64, transposed: bool, g: int = 1) -> Float64:
    """The term of E[B̄ A B̄ᵀ], or of E[B̄ᵀ A B̄] if `transposed`, for B̄ = Σ A_i C_i L_i.

    Parameters are those of `second_term`, with two coefficients.
    """
    if not (c["a|b"] or c["ab"]):
        return np.zeros_like(A)
    if transposed:
        return np.asarray(X @ _spread(c, A, g) @ X)
    if c["a|b"]:
        return _spread(c, X @ A @ X, g)
    out = np.zeros_like(A)
    add_blocks(out, c["ab"] * product_blocks(X @ A, X, g))
    return out


def _spread(c: Weights, A: Float64, g: int) -> Float64:
    """c_{a|b} A + c_{ab} BD(A), shape (d, d)."""
    out = c["a|b"] * A
    add_blocks(out, c["ab"] * blocks_of(A, g))
    return np.asarray(out)


def cross_term(c: Weights, X: Float64, y: Float64, Q: Float64, g: int = 1) -> Float64:
    """Σ_σ c_σ Φ_σ over the 5 partitions of a, c, b, with Φ_σ(X, Q, y)_ab = Σ X_ac Q_cb y_b.

    Parameters
    ----------
    c : mapping
        `Coefficients.cross.own` with a worker's X and y, `.mean` with the mean ones.
    X : ndarray, shape (d, d)
        Symmetric.
    y : ndarray, shape (d,)
        b_i (preconditioned: D_i^{−1/2} b_i) for E[B̄ Q Diag(c)].
    Q : ndarray, shape (d, d) or (d, 1)
        One column x stands for d equal ones: then B̄ Q Diag(c) = B̄ x cᵀ, in O(d²).
    g : int
        Coordinates of a group.

    Returns
    -------
    ndarray, shape (d, d)
    """
    x, q = blocks_of(X, g), blocks_of(Q, g)
    XQ = X @ Q if c["a|c|b"] or c["ab|c"] else np.zeros_like(Q)
    blocks = c["ab|c"] * blocks_of(XQ, g) + multiply(c["acb"] * x, q)
    out = (c["a|c|b"] * XQ + times_left(c["ac|b"] * x, Q)) * y
    out += times_right(c["a|cb"] * X, scale_columns(q, y))
    add_blocks(out, scale_columns(blocks, y))
    return np.asarray(out)


def outer_term(c: Weights, y: Float64, z: Float64, g: int = 1) -> Float64:
    """c_{a|b} y zᵀ + c_{ab} BD(y zᵀ), shape (d, d): the term of E[c cᵀ] for y = z = b_i (d,)."""
    return _spread(c, np.multiply.outer(y, z), g)
