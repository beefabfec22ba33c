"""What training of submodels minimises: f_D(x) = E (1/n) Σ f_i(C_i x), which is not f.

The mean step of independent subnetwork training, in estimator form with one local step, is its
gradient; for unscaled sketches, in proportion. Its minimiser x∞ is where the mean iterate goes as
the step size goes to 0. Of logistic functions f_D is known

`OverBlocks`  exactly, as a sum over all blocks that a worker may have, where these are few; or over
              those of a fixed sample of draws, each with every owner: then x∞ has a standard error
`Gaussian`    about, with margins Σ_{j ∈ S} C a_j x_j that have the right mean and variance and are
              taken for normal

Everything here is of one rank's workers; `fixed_point` adds up over all of them.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations
from math import inf, lgamma
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ist_mpi.sketches.law import Exchangeable
from ist_mpi.sums import exact_sum

Float64 = NDArray[np.float64]

NODES = 24
"""Of Gauss and Hermite's quadrature."""
ROOM = 1 << 22
"""Margins that are in memory at once."""
CURVED = 200
"""Blocks, at most, of which the Hessian of a sample is made: it only steers the steps."""


class Blocks(NamedTuple):
    """Blocks that stand for any of a worker's, with the diagonals of C_i and their weights."""

    scaled: Float64
    """Shape (d, c): C_i on each block, 0 elsewhere, without D_i^{−1/2}."""
    weights: Float64
    """Shape (c,); their sum is 1."""
    draws: NDArray[np.int64]
    """Shape (c,): the draw that each is of; all of draw 0 where there is no chance left."""


def count(law: Exchangeable, d: int) -> float:
    """How many blocks a worker may have; inf beyond float64."""
    N = d // law.group_size
    logs = [lgamma(N + 1) - lgamma(b.size + 1) - lgamma(N - b.size + 1) for b in law.blocks]
    return float(np.sum(np.exp(np.minimum(logs, 1e3)))) if max(logs) < 700.0 else inf


def all_blocks(law: Exchangeable, d: int) -> Blocks:
    """Every block that a worker may have, in exact proportion."""
    N = d // law.group_size
    total = sum(block.weight for block in law.blocks)
    columns, weights = [], []
    for block in law.blocks:
        found = list(combinations(range(N), block.size))
        columns += [_column(S, block.C, law.group_size, d) for S in found]
        weights += [block.weight / total / len(found)] * len(found)
    return Blocks(np.stack(columns, axis=1), np.array(weights), np.zeros(len(weights), np.int64))


def sampled_blocks(law: Exchangeable, d: int, draws: int, rng: np.random.Generator) -> Blocks:
    """The blocks of so many permutations, each cut into as many as fit, in proportion."""
    g = law.group_size
    N = d // g
    total = sum(block.weight for block in law.blocks)
    fits = int(N * total / sum(block.weight * block.size for block in law.blocks) + 1e-9)
    cut = [b for b in law.blocks for _ in range(max(1, round(fits * b.weight / total)))]
    ends = np.cumsum([block.size for block in cut])
    columns = []
    for _ in range(draws):
        parts = np.split(rng.permutation(N)[: ends[-1]], ends[:-1])
        columns += [_column(S, block.C, g, d) for block, S in zip(cut, parts, strict=True)]
    each = [block.weight / total / cut.count(block) / draws for block in cut]
    whose = np.repeat(np.arange(draws), len(cut))
    return Blocks(np.stack(columns, axis=1), np.tile(each, draws), whose)


def _column(S: Sequence[int] | NDArray[np.int64], C: float, g: int, d: int) -> Float64:
    column = np.zeros(d)
    for group in S:
        column[g * group : g * (group + 1)] = C
    return column


def margins_slope(z: Float64) -> Float64:
    """φ'(z) = −1/(1 + eᶻ) of φ(z) = log(1 + e^{−z})."""
    e = np.exp(-np.abs(z))
    return np.asarray(-np.where(z >= 0.0, e, 1.0) / (1.0 + e))


def margins_loss(z: Float64) -> Float64:
    """φ(z)."""
    return np.asarray(np.log1p(np.exp(-np.abs(z))) + np.maximum(-z, 0.0))


def margins_curvature(z: Float64) -> Float64:
    """φ''(z)."""
    e = np.exp(-np.abs(z))
    return np.asarray(e / (1.0 + e) ** 2)


class OverBlocks:
    """E f_i(C_i x) of one worker, C_i with any of the blocks.

    Parameters
    ----------
    H : ndarray or CSR array, shape (m, d)
        Y A/2 of the worker.
    l2 : float
    blocks : Blocks
    root : ndarray, shape (d,), optional
        D_i^{−1/2}, for preconditioned sketches.
    """

    def __init__(self, H: Any, l2: float, blocks: Blocks, root: Float64 | None) -> None:
        self._H, self._l2, self._blocks = H, l2, blocks
        scaled = blocks.scaled
        self._C = scaled if root is None else root[:, None] * scaled
        m, c = H.shape[0], scaled.shape[1]
        width = max(1, ROOM // m)
        self._chunks = [slice(lo, min(lo + width, c)) for lo in range(0, c, width)]

    def value(self, x: Float64) -> float:
        """Its value."""
        return exact_sum([float(value) for value, *_ in self._margins(x)])

    def value_gradient(self, x: Float64) -> tuple[float, Float64]:
        """Its value and its gradient (d,)."""
        value, gradient = 0.0, np.zeros_like(x)
        for part, z, w, chunk in self._margins(x):
            value += float(part)
            gradient += self._gradients(z, w, chunk).sum(axis=1)
        return value, gradient

    def gradients_of_draws(self, x: Float64, draws: int) -> Float64:
        """The gradient of each draw alone, shape (draws, d), times its share of them all."""
        out = np.zeros((draws, x.size))
        for _, z, w, chunk in self._margins(x):
            np.add.at(out, self._blocks.draws[chunk], self._gradients(z, w, chunk).T)
        return out

    def _margins(self, x: Float64) -> Iterator[tuple[float, Float64, Float64, slice]]:
        """By chunks of blocks: their part of the value, margins (m, c), submodels (d, c), which."""
        m = self._H.shape[0]
        for chunk in self._chunks:
            w = self._C[:, chunk] * x[:, None]
            z = 2.0 * (self._H @ w)
            each = margins_loss(z).sum(axis=0) / m + 0.5 * self._l2 * np.sum(w * w, axis=0)
            yield float(np.sum(self._blocks.weights[chunk] * each)), z, w, chunk

    def _gradients(self, z: Float64, w: Float64, chunk: slice) -> Float64:
        """Of each block of a chunk, times its weight, shape (d, c)."""
        back = self._H.T @ (2.0 * margins_slope(z)) / self._H.shape[0]
        return np.asarray(self._C[:, chunk] * (back + self._l2 * w) * self._blocks.weights[chunk])

    def hessian(self, x: Float64) -> Float64:
        """Its Hessian (d, d); of many blocks, that of the first of them."""
        H, d = self._H.tocsc() if sparse.issparse(self._H) else self._H, x.size
        m, few = H.shape[0], min(self._C.shape[1], CURVED)
        weights = self._blocks.weights[:few] / self._blocks.weights[:few].sum()
        total = np.zeros((d, d))
        for c in range(few):
            S = np.flatnonzero(self._C[:, c])
            A = (H[:, S].toarray() if sparse.issparse(H) else H[:, S]) * self._C[S, c]
            curvature = 4.0 * margins_curvature(2.0 * (A @ x[S])) / m
            block = (A * curvature[:, None]).T @ A
            block[np.diag_indices(len(S))] += self._l2 * self._C[S, c] ** 2
            total[np.ix_(S, S)] += weights[c] * block
        return total


class Gaussian:
    """The same with normal margins; parameters as for `OverBlocks`, and the law of the blocks.

    A block of q of the d coordinates has the margin C Σ_{j ∈ S} z_j, z = b ∘ x for a sample b, of
    mean C (q/d) Σ z and variance C² q (1 − q/d) Σ (z − mean z)²/(d − 1).
    """

    def __init__(self, H: Any, l2: float, law: Exchangeable, root: Float64 | None) -> None:
        B = 2.0 * H
        if root is not None:
            B = sparse.csr_array(B.multiply(root)) if sparse.issparse(B) else B * root
        self._B = B
        self._squares = B.multiply(B).tocsr() if sparse.issparse(B) else B * B
        self._l2, self._square = l2, 1.0 if root is None else root**2
        d = B.shape[1]
        total = sum(block.weight for block in law.blocks)
        self._kinds = []
        for weight, q, C in law.blocks:
            share = q / d
            spread = C * C * q * (1.0 - share) / (d - 1) if d > 1 else 0.0
            self._kinds.append((weight / total, C * share, spread, C * C * share))
        self._nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
        self._weights = weights / weights.sum()

    def _margins(self, x: Float64) -> tuple[Float64, Float64]:
        """Σ z and Σ (z − mean z)² of every sample, each (m,)."""
        t = self._B @ x
        return t, np.maximum(self._squares @ (x * x) - t * t / x.size, 0.0)

    def value(self, x: Float64) -> float:
        """Its value."""
        m, (t, v), value = self._B.shape[0], self._margins(x), 0.0
        for weight, mean, spread, penalty in self._kinds:
            z = (mean * t)[:, None] + np.sqrt(spread * v)[:, None] * self._nodes
            value += weight * float((margins_loss(z) * self._weights).sum()) / m
            value += weight * 0.5 * self._l2 * penalty * float(np.sum(self._square * x * x))
        return value

    def value_gradient(self, x: Float64) -> tuple[float, Float64]:
        """Its value and its gradient (d,)."""
        (m, d), (t, v) = self._B.shape, self._margins(x)
        gradient = np.zeros(d)
        for weight, mean, spread, penalty in self._kinds:
            s = np.sqrt(spread * v)
            z = (mean * t)[:, None] + s[:, None] * self._nodes
            slopes = margins_slope(z) * self._weights
            first, turned = slopes.sum(axis=1), (slopes * self._nodes).sum(axis=1)
            bent = margins_curvature(mean * t)
            second = np.where(s > 0.0, turned / np.where(s > 0.0, s, 1.0), bent) * spread
            along = self._B.T @ (mean * first - second * t / d) / m
            gradient += weight * (along + x * (self._squares.T @ second) / m)
            gradient += weight * self._l2 * penalty * self._square * x
        return self.value(x), gradient

    def hessian(self, x: Float64) -> Float64:
        """About its Hessian (d, d), which only steers the steps."""
        (m, d), (t, v) = self._B.shape, self._margins(x)
        total = np.zeros((d, d))
        for weight, mean, spread, penalty in self._kinds:
            z = (mean * t)[:, None] + np.sqrt(spread * v)[:, None] * self._nodes
            bent = (margins_curvature(z) * self._weights).sum(axis=1) / m
            total += weight * gram(self._B, bent * (mean * mean - spread / d))
            on_diagonal = spread * (self._squares.T @ bent) + self._l2 * penalty * self._square
            total[np.diag_indices(d)] += weight * on_diagonal
        return total


def gram(B: Any, weights: Float64) -> Float64:
    """Bᵀ diag(weights) B, shape (d, d)."""
    if sparse.issparse(B):
        return np.asarray((B.T @ (B.multiply(weights[:, None]))).toarray())
    return np.asarray(B.T @ (B * weights[:, None]))
