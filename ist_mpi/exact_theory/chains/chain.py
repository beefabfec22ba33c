"""Methods that are linear and without noise around x*: exact moments of e = x − x*, round by round.

The state z of such a method has e for its first part; what else it has is the method's own. A round
is z⁺ = A z + E y, where the y = (y_1, y_2, …) are random linear images of z, made by the round's
blocks: the mean of y is Ȳz, and E[y yᵀ] a linear map of Z = E z zᵀ. So

    E z⁺ = (A + EȲ) E z,    Z⁺ = A Z Aᵀ + (E Ȳ Z Aᵀ + its transpose) + E E[y yᵀ] Eᵀ.

A round may also start the method anew, z⁺ = R z, with some probability.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse
from scipy.optimize import brentq

from ist_mpi.exact_theory.stability import between_roots, radius
from ist_mpi.exact_theory.updates import Map
from ist_mpi.exact_theory.workers import Workers
from ist_mpi.sketches.law import Exchangeable

Float64 = NDArray[np.float64]


FARTHEST = 40
"""Doublings in which γ_max is looked for."""


class Moments(NamedTuple):
    """Of a random vector."""

    mean: Float64
    """Shape (m,)."""
    second: Float64
    """E z zᵀ, shape (m, m)."""


class Chain(ABC):
    """The moments of a method's state, from round to round; made for one step size.

    Methods may sum over workers: all ranks call them together.
    """

    period: int = 1
    """Rounds of a cycle: round k is like round k + period."""
    size: int
    """m of the second moments at a cycle's start that say all of what follows."""

    @abstractmethod
    def begin(self, e: Float64) -> Moments:
        """The state at x⁰, e = x⁰ − x* (d,)."""

    @abstractmethod
    def advance(self, now: Moments, k: int) -> Moments:
        """The state after round k."""

    @abstractmethod
    def error(self, now: Moments) -> Moments:
        """Of e itself, m = d."""

    @abstractmethod
    def cycle(self, Z: Float64) -> Float64:
        """What a cycle of rounds makes of the second moments Z (size, size) at its start."""

    @abstractmethod
    def mean_cycle(self) -> Float64:
        """The matrix (size, size) that takes the mean over a cycle."""

    def contraction(self, tolerance: float = 1e-9) -> float:
        """The spectral radius of `cycle`: below 1, E‖e‖² goes to 0."""
        return radius(self.cycle, self.size, False, tolerance)

    def mean_contraction(self) -> float:
        """The spectral radius of `mean_cycle`."""
        matrix = self.mean_cycle()
        if not np.isfinite(matrix).all():
            return np.inf
        return float(np.abs(linalg.eigvals(matrix)).max())

    def errors(self, e: Float64) -> Iterator[Moments]:
        """The moments of x^k − x*, k = 0, 1, … without end, from e = x⁰ − x* (d,)."""
        now, k = self.begin(e), 0
        while True:
            yield self.error(now)
            now, k = self.advance(now, k), k + 1


class Linear(Chain):
    """A chain whose rounds are all alike; see the module's text.

    Parameters
    ----------
    start : ndarray, shape (m, d)
        z⁰ = start e⁰.
    A, E : ndarray, shapes (m, m) and (m, r)
    mean : ndarray, shape (r, m)
        Ȳ.
    outer : callable
        Z (m, m) ↦ E[y yᵀ], shape (r, r).
    anew : (float, ndarray), optional
        The probability of z⁺ = R z in place of all that, and R (m, m).
    certain : bool
        Whether chance has no part in it: then the eigenvalues are products of those of the mean,
        so many of one size that Arnoldi's method does not tell them apart.
    """

    def __init__(
        self,
        start: Float64,
        A: Float64,
        E: Float64,
        mean: Float64,
        outer: Map,
        anew: tuple[float, Float64] | None = None,
        certain: bool = False,
    ) -> None:
        self.size, self._d = start.shape
        self._start, self._A, self._E, self._outer = start, _thin(A), _thin(E), outer
        self._EY = np.asarray(self._E @ mean)
        self._anew, self._certain = anew, certain

    def contraction(self, tolerance: float = 1e-9) -> float:
        """See `Chain`."""
        if self._certain:
            return float(self.mean_contraction() ** 2)
        return super().contraction(tolerance)

    def begin(self, e: Float64) -> Moments:
        """See `Chain`."""
        z = self._start @ e
        return Moments(z, np.multiply.outer(z, z))

    def advance(self, now: Moments, k: int) -> Moments:
        """See `Chain`."""
        return Moments(self.mean_cycle() @ now.mean, self.cycle(now.second))

    def error(self, now: Moments) -> Moments:
        """See `Chain`."""
        d = self._d
        return Moments(now.mean[:d], now.second[:d, :d])

    def cycle(self, Z: Float64) -> Float64:
        """See `Chain`."""
        A, E = self._A, self._E
        cross = self._EY @ Z @ A.T
        out = A @ Z @ A.T + cross + cross.T + E @ self._outer(Z) @ E.T
        if self._anew is not None:
            p, R = self._anew
            out = (1.0 - p) * out + p * (R @ Z @ R.T)
        return np.asarray(0.5 * (out + out.T))

    def mean_cycle(self) -> Float64:
        """See `Chain`."""
        H = self._EY + self._A
        if self._anew is not None:
            p, R = self._anew
            H = (1.0 - p) * H + p * R
        return np.asarray(H)


def _thin(matrix: Float64) -> Any:
    """The matrix, sparse where most of it is zero."""
    few = np.count_nonzero(matrix) < 0.1 * matrix.size
    return sparse.csr_array(matrix) if few else matrix


class Pairs(NamedTuple):
    """Expectations of blocks, E[W_i X W_j] = own ∘ X for i = j, else others ∘ X.

    W_i is P_i, or P_i with the weights A_i C_i.
    """

    mean: float
    """E W_i = mean I."""
    own: Float64
    """Shape (d, d), like the next."""
    others: Float64


def pairs(law: Exchangeable, n: int, d: int, left: int = 0, right: int = 0) -> Pairs:
    """Those of a sketch without scaling of its own, A_i = 1/n.

    Parameters
    ----------
    left, right : {0, 1}
        Whether W_i, and W_j, carries A_i C_i.
    """
    # `one` and `two` have A_i = 1/n for each of the two factors.
    unit = float(n ** (2 - left - right))
    same = np.kron(np.eye(d // law.group_size), np.ones((law.group_size, law.group_size))) > 0
    own = np.where(same, law.one(left, right, 1), law.one(left, right, 2))
    joined, apart = law.two(left, right, 1, 1, True), law.two(left, right, 1, 1, False)
    if n == 1:
        joined = apart = 0.0
    mean = law.beta / n if left else n * n * law.one(0, 0, 1)
    return Pairs(mean, unit * own, unit * np.where(same, joined, apart))


def blockwise(
    law: Exchangeable,
    n: int,
    F: Sequence[Float64],
    plain: Sequence[Float64] | None,
    weighted: Sequence[Float64] | None,
) -> tuple[Float64, Float64, Map]:
    """(E, Ȳ, Z ↦ E[y yᵀ]) of z⁺ = A z + Σ_i (E_i P_i + G_i A_i C_i P_i) F_i z.

    Parameters
    ----------
    F : sequence of ndarray, shape (d, m)
        Of each worker; of one alone, where only the first worker's block counts.
    plain, weighted : sequence of ndarray, shape (m, d), or None
        E_i and G_i; None: zero.
    """
    workers, d = len(F), len(F[0])
    rows = np.vstack(list(F))
    kinds = [(0, plain), (1, weighted)]
    used = [(weight, np.hstack(list(E))) for weight, E in kinds if E is not None]
    E = np.hstack([matrix for _, matrix in used])
    tables = [[pairs(law, n, d, s, t) for t, _ in used] for s, _ in used]
    mean = np.vstack([tables[a][0].mean * rows for a in range(len(used))])
    eye = np.eye(workers)
    masks = [
        [np.kron(eye, table.own) + np.kron(1.0 - eye, table.others) for table in row]
        for row in tables
    ]

    def outer(Z: Float64) -> Float64:
        W = rows @ Z @ rows.T
        return np.block([[mask * W for mask in row] for row in masks])

    return E, mean, outer


def matrices(workers: Workers, n: int, d: int) -> Float64:
    """Every L_i, shape (n, d, d), on every rank; collective. For small n d² alone."""

    def placed(i: int, L: Float64) -> Float64:
        out = np.zeros((d, n, d))  # sums are spread over the ranks by rows of d
        out[:, i] = L
        return out

    rows = workers.sum_each(lambda i, f: placed(i, f.L))
    return np.ascontiguousarray(rows.transpose(1, 0, 2))


def one_block_limit(law: Exchangeable, n: int, L: Float64) -> float:
    """γ_max of x ← x − γ P L̄ (x − x*), P of the first block: 1/radius of 𝓜⁻¹T, see `stability`."""
    table = pairs(law, n, len(L))
    w, V = linalg.eigh(L)
    scaled = between_roots(lambda Z: table.own * (L @ Z @ L), V, table.mean * np.add.outer(w, w))
    return 1.0 / radius(scaled, len(w), False, 1e-7)


def rounds_to(
    chain: Chain, L: Float64, e: Float64, goals: Sequence[float], most: int
) -> dict[float, int]:
    """The rounds after which E f − f* is at most each of the goals, in units of that at x⁰.

    Those that are not reached in `most` rounds are left out.
    """
    found: dict[float, int] = {}
    left = sorted(goals, reverse=True)
    first = 0.5 * float(e @ L @ e)
    for k, now in enumerate(chain.errors(e)):
        gap = 0.5 * float(np.sum(L * now.second))
        while left and gap <= left[0] * first:
            found[left.pop(0)] = k
        if not left or k >= most or not np.isfinite(gap):
            return found
    return found


def limit(chain_at: Callable[[float], Chain], gamma: float, tolerance: float = 1e-5) -> float:
    """γ_max, where the second moment's contraction passes 1, from a guess; NaN where it never does.

    The relative tolerance is that of the search.
    """

    def excess(logarithm: float) -> float:
        with np.errstate(over="ignore", invalid="ignore"):
            return chain_at(float(np.exp(logarithm))).contraction(1e-7) - 1.0

    low = high = float(np.log(gamma))
    step = np.log(2.0)
    unstable = excess(low) >= 0.0
    for _ in range(FARTHEST):
        high, low = (high, low - step) if unstable else (high + step, low)
        if (excess(low) >= 0.0) != unstable if unstable else excess(high) >= 0.0:
            return float(np.exp(brentq(excess, low, high, xtol=tolerance)))
        high, low = (low, low) if unstable else (high, high)
    return np.nan
