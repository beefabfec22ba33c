"""Diagonals in groups: the g × g blocks on the diagonal of a matrix, and products with them.

The coordinates come in N = d/g groups of g consecutive ones. BD(X) is X (d, d) with zeros where row
and column are in different groups, Diag(X) at g = 1. It is kept as its blocks, shape (N, g, g). A
vector x (d,) that stands for d equal columns, x 1ᵀ, has the blocks (N, g, 1), which broadcast.
"""

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]


def blocks_of(X: Float64, g: int) -> Float64:
    """The blocks of BD(X), shape (N, g, g), copied; of a column X (d, 1), shape (N, g, 1)."""
    N = len(X) // g
    if X.shape[1] == 1:
        return X.reshape(N, g, 1).copy()
    which = np.arange(N)
    return np.asarray(X.reshape(N, g, N, g)[which, :, which, :])


def add_blocks(out: Float64, blocks: Float64) -> None:
    """Add the matrix of those blocks (N, g, g), or (N, g, 1), to out (d, d), in place."""
    N, g, _ = blocks.shape
    which = np.arange(N)
    view = out.reshape(N, g, N, g, copy=False)
    view[which, :, which, :] += blocks


def product_blocks(X: Float64, Y: Float64, g: int) -> Float64:
    """The blocks of BD(XY), shape (N, g, g), for X (d, d) and Y (d, d) or a column (d, 1)."""
    N = len(X) // g
    if Y.shape[1] == 1:
        return blocks_of(X @ Y, g)
    return np.asarray(X.reshape(N, g, -1) @ Y.reshape(-1, N, g).transpose(1, 0, 2))


def times_left(blocks: Float64, X: Float64) -> Float64:
    """BD·X for blocks (N, g, g) and X (d, r), shape (d, r)."""
    N, g, _ = blocks.shape
    return np.asarray((blocks @ X.reshape(N, g, -1)).reshape(X.shape))


def times_right(X: Float64, blocks: Float64) -> Float64:
    """X·BD for X (d, d) and blocks (N, g, g), or (N, g, 1), shape (d, d)."""
    d, (N, g, _) = len(X), blocks.shape
    products = X.reshape(d, N, g).transpose(1, 0, 2) @ blocks
    return np.broadcast_to(products, (N, d, g)).transpose(1, 0, 2).reshape(d, d)
