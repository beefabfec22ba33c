"""The sketches C_i of SPEC §2: which coordinates each worker gets, and with what factors.

Every C_i is diagonal: zero outside worker i's block S_i. A round draws the blocks; `factors` gives
the diagonal of C_i on them, and `merge_weights` that of the A_i with which the server adds the
pieces up, Σ_i A_i w_i (mostly A_i = I/n).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ist_mpi.config import Method
from ist_mpi.errors import Fault, InputError
from ist_mpi.kernels import draws, philox

Int32 = NDArray[np.int32]
Float64 = NDArray[np.float64]


class Blocks(NamedTuple):
    """The blocks of one round: S_i = pi[offsets[i]:offsets[i + 1]], sorted."""

    pi: Int32
    """Shape (t,): t = d for n ≤ d, n for n > d, nq for Rand-q, nd for the identity."""
    offsets: Int32
    """Shape (n + 1,)."""


def block_sizes(method: Method, n: int, d: int) -> tuple[int, int]:
    """The size of the largest block, and t, the coordinates handed out in a round.

    Raises
    ------
    InputError
        If the sketch does not fit n and d.
    """
    if method.sketch == "rand":
        q = method.q or 0
        if not 1 <= q <= d:
            raise InputError(Fault("method.q", str(method.q), f"1 ≤ q ≤ d = {d}"))
    else:
        q = d if method.sketch == "identity" else -(-d // n)
    size = max(n, d) if method.sketch == "permutation" else n * q
    if n + 2 + size >= 2**31:
        raise InputError(Fault("problem.n", f"{size} coordinates a round", "fewer than 2^31"))
    return q, size


class Sketch:
    """The blocks of every round, drawn from (seed, round) alone.

    Attributes
    ----------
    name, scaling : str
        As in the configuration.
    n, d : int
        Workers and coordinates.
    q : int
        Size of a Rand-q block; else ⌈d/n⌉, or d for the identity: the largest block.
    size : int
        t, the number of coordinates handed out in a round, summed over the workers.
    disjoint : bool
        Whether every coordinate belongs to exactly one worker.
    message : ndarray of int32
        What has to be broadcast for all ranks to know the blocks; `blocks` looks into it.
    """

    def __init__(self, method: Method, n: int, d: int, seed: int) -> None:
        self.name, self.scaling = method.sketch, method.scaling
        self.n, self.d, self.seed = n, d, seed
        self.disjoint = n == 1 if self.name == "identity" else self.name == "permutation"
        self.disjoint = self.disjoint and n <= d
        self.q, self.size = block_sizes(method, n, d)
        self.message = np.zeros(n + 1 + self.size, dtype=np.int32)
        self.blocks = Blocks(self.message[n + 1 :], self.message[: n + 1])
        self._state = np.zeros(philox.STATE_SIZE, dtype=np.uint32)
        if self.name == "identity":
            self.blocks.pi[:] = np.tile(np.arange(d, dtype=np.int32), n)
            self.blocks.offsets[:] = np.arange(n + 1, dtype=np.int32) * d
            self.message = self.message[:0]  # the same every round: nothing to broadcast
        elif self.name == "rand":
            self.blocks.offsets[:] = np.arange(n + 1, dtype=np.int32) * self.q
            self._pool = np.arange(d, dtype=np.int32)
            self._swaps = np.empty(self.q, dtype=np.int64)
        elif n > d:
            self.blocks.offsets[:] = np.arange(n + 1, dtype=np.int32)
            self._order = np.empty(d, dtype=np.int32)
        else:
            self._owner = np.empty(d, dtype=np.int32)
            self._order = np.empty(n, dtype=np.int32)

    @property
    def random(self) -> bool:
        """Whether the blocks change from round to round."""
        return self.name != "identity"

    def draw(self, k: int) -> Blocks:
        """Draw the blocks that lead from x^k to x^{k+1}; overwrites the last ones."""
        pi, offsets = self.blocks
        if self.name == "rand":
            draws.draw_subsets(self.seed, k, offsets, pi, self._pool, self._swaps, self._state)
        elif self.name == "permutation" and self.n > self.d:
            draws.draw_single_coordinates(self.seed, k, pi, self._order, self._state)
        elif self.name == "permutation":
            draws.draw_permutation(self.seed, k, offsets, pi, self._owner, self._order, self._state)
        return self.blocks


class Factors:
    """The diagonals of C_i and of the merge weights A_i on a rank's blocks.

    Parameters
    ----------
    sketch : Sketch
    diagonals : ndarray, shape (u, d)
        Diag(L_i) of the distinct quadratics of the rank; used by the preconditioned sketch only.
    index : ndarray of int64, shape (m,)
        Which of them each of the rank's workers has.
    """

    def __init__(self, sketch: Sketch, diagonals: Float64, index: NDArray[np.int64]) -> None:
        self._sketch = sketch
        self._by_holders = sketch.name == "permutation" and sketch.n > sketch.d
        self._preconditioned = sketch.scaling == "preconditioned"
        if self._preconditioned:
            self._inverse_roots = 1.0 / np.sqrt(diagonals)
            self._index = index
        n, d = sketch.n, sketch.d
        self._scale = {
            "unbiased": d / sketch.q if sketch.name == "rand" else float(n),
            "unscaled": 1.0,
            "preconditioned": float(np.sqrt(n)),
        }[sketch.scaling]
        if sketch.name == "identity":
            self._scale = 1.0
        self._weight = 1.0 if sketch.scaling == "unscaled" else 1.0 / n
        self._count = np.zeros(d if self._by_holders else 0, dtype=np.int32)
        self._C = np.full(sketch.size, self._scale)
        self._A = np.full(sketch.size, self._weight)

    def of(self, blocks: Blocks, first: int, last: int) -> tuple[Float64, Float64]:
        """(C, A) on the blocks of workers first … last − 1: two arrays along their part of pi.

        C is n on a permutation's block, n/h_j at n > d (h_j workers hold coordinate j), d/q for
        Rand-q, 1 for unscaled and identity; the preconditioned sketch, eq. (23), takes the square
        root and multiplies by D_i^{−1/2}. A is 1/n, for unscaled 1, or 1/h_j at n > d.
        """
        lo, hi = blocks.offsets[first], blocks.offsets[last]
        C, A = self._C[: hi - lo], self._A[: hi - lo]
        pi = blocks.pi[lo:hi]
        if self._by_holders:
            draws.count_holders(blocks.pi, self._count)
            h = self._count[pi]
            if self._sketch.scaling == "unscaled":
                np.divide(1.0, h, out=A)
            else:
                np.divide(self._sketch.n, h, out=C)
                if self._preconditioned:
                    np.sqrt(C, out=C)
        elif self._preconditioned:
            C.fill(self._scale)
        if self._preconditioned:
            sizes = np.diff(blocks.offsets[first : last + 1])
            C *= self._inverse_roots[np.repeat(self._index, sizes), pi]
        return C, A
