"""Diagonals in groups: the g × g blocks on the diagonal of a matrix, and products with them.

The coordinates come in N = d/g groups of g consecutive ones. BD(X) is X (d, d) with zeros where row
and column are in different groups. At g = 1 that is Diag(X), kept as (d,), and this is the only
place that knows it: there a product is one of entries. Else BD is kept as its blocks (N, g, g); a
vector x (d,) that stands for d equal columns, x 1ᵀ, has the blocks (N, g, 1), which broadcast.
"""

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Blocks = Float64
"""BD of a matrix: its diagonal (d,), or its blocks (N, g, g) or (N, g, 1)."""


def blocks_of(X: Float64, g: int) -> Blocks:
    """The blocks of BD(X), X (d, d) or a column (d, 1)."""
    if g == 1:
        return np.diagonal(np.broadcast_to(X, (len(X), len(X))))
    N = len(X) // g
    if X.shape[1] == 1:
        return X.reshape(N, g, 1).copy()
    which = np.arange(N)
    return np.asarray(X.reshape(N, g, N, g)[which, :, which, :])


def add_blocks(out: Float64, x: Blocks) -> None:
    """Add the matrix of those blocks to out (d, d), in place."""
    if x.ndim == 1:
        out[np.diag_indices_from(out)] += x
        return
    N, g, _ = x.shape
    which = np.arange(N)
    view = out.reshape(N, g, N, g, copy=False)
    view[which, :, which, :] += x


def multiply(x: Blocks, y: Blocks) -> Blocks:
    """The blocks of a product of two block diagonal matrices."""
    return np.asarray(x * y if x.ndim == 1 else x @ y)


def multiply_around(x: Blocks, a: Blocks, y: Blocks) -> Blocks:
    """The blocks of such a product of three, x a y."""
    return np.asarray(x * y * a if x.ndim == 1 else x @ a @ y)


def multiply_both_ways(x: Blocks, y: Blocks) -> Blocks:
    """The blocks of yx + (yx)ᵀ, those of x symmetric."""
    if x.ndim == 1:
        return np.asarray(2.0 * (x * y))
    product = y @ x
    return np.asarray(product + product.transpose(0, 2, 1))


def scale_columns(x: Blocks, y: Float64) -> Blocks:
    """The blocks of BD·Diag(y), y (d,)."""
    return np.asarray(x * y if x.ndim == 1 else x * y.reshape(len(x), 1, -1))


def product_blocks(X: Float64, Y: Float64, g: int) -> Blocks:
    """The blocks of BD(XY), for X (d, d) and Y (d, d) symmetric."""
    if g == 1:
        return np.asarray(np.einsum("ij,ij->i", X, Y))
    N = len(X) // g
    return np.asarray(X.reshape(N, g, -1) @ Y.reshape(-1, N, g).transpose(1, 0, 2))


def times_left(x: Blocks, X: Float64) -> Float64:
    """BD·X for X (d, r), shape (d, r)."""
    if x.ndim == 1:
        return np.asarray(x[:, None] * X)
    N, g, _ = x.shape
    return np.asarray((x @ X.reshape(N, g, -1)).reshape(X.shape))


def times_right(X: Float64, x: Blocks) -> Float64:
    """X·BD for X (d, d), shape (d, d)."""
    if x.ndim == 1:
        return np.asarray(X * x)
    d, (N, g, _) = len(X), x.shape
    products = X.reshape(d, N, g).transpose(1, 0, 2) @ x
    return np.broadcast_to(products, (N, d, g)).transpose(1, 0, 2).reshape(d, d)


def both_sides(x: Blocks, X: Float64) -> Float64:
    """BD·X plus its transpose, shape (d, d), for X (d, d) symmetric."""
    if x.ndim == 1:
        return np.asarray(X * np.add.outer(x, x))
    half = times_left(x, X)
    return np.asarray(half + half.T)


def sandwich(X: Float64, a: Blocks, squares: Float64 | None) -> Blocks:
    """The blocks of BD(X·BD·X), X (d, d) symmetric; `squares` are those of `around`."""
    if squares is not None:
        return np.asarray(squares @ a)
    return product_blocks(times_right(X, a), X, a.shape[1])


def squares_of(X: Float64, g: int) -> Float64 | None:
    """X ∘ X, which `sandwich` and `around` both read at g = 1; else None."""
    return X * X if g == 1 else None


def around(
    c: float, x: Blocks, e: float, X: Float64, A: Float64, squares: Float64 | None
) -> Float64:
    """c BD·A·BD + e X∘A∘X, with blocks for entries: X_IJ A_JI X_IJ in block (I, J); (d, d)."""
    if squares is not None:
        out = c * np.multiply.outer(x, x)
        out += e * squares
        out *= A
        return np.asarray(out)
    out = c * times_left(x, times_right(A, x))
    if e:
        d, g = len(X), x.shape[1]
        shape = (d // g, g, d // g, g)
        X_blocks = np.ascontiguousarray(X.reshape(shape).transpose(0, 2, 1, 3))
        A_blocks = np.ascontiguousarray(A.reshape(shape).transpose(2, 0, 1, 3))
        out += e * (X_blocks @ A_blocks @ X_blocks).transpose(0, 2, 1, 3).reshape(d, d)
    return np.asarray(out)
