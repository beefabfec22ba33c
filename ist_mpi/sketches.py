"""The sketches C_i of SPEC §2: which coordinates each worker gets, and with what factors.

Every C_i is diagonal: zero outside worker i's block S_i. A round draws the blocks; `factors` gives
the diagonal of C_i on them, and `merge_weights` that of the A_i with which the server adds the
pieces up, Σ_i A_i w_i (mostly A_i = I/n).

A permutation may move N = d/g groups of g consecutive coordinates (`method.group_size`), whole
cache lines at g = 8: then what is said of d coordinates holds of N groups.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ist_mpi.config import Method
from ist_mpi.errors import Fault, InputError
from ist_mpi.kernels import draws, factors, philox

Int32 = NDArray[np.int32]
Float64 = NDArray[np.float64]


class Blocks(NamedTuple):
    """The blocks of one round: S_i = pi[offsets[i]:offsets[i + 1]], sorted."""

    pi: Int32
    """Shape (t,): t = d for n ≤ N, ng for n > N, nq for Rand-q, nd for the identity."""
    offsets: Int32
    """Shape (n + 1,)."""


def block_sizes(method: Method, n: int, d: int) -> tuple[int, int]:
    """The size of the largest block, and t, the coordinates handed out in a round.

    Raises
    ------
    InputError
        If the sketch does not fit n and d.
    """
    g, groups = method.group_size, method.groups(d)
    if method.sketch == "rand":
        q = method.q or 0
        if not 1 <= q <= d:
            raise InputError(Fault("method.q", str(method.q), f"1 ≤ q ≤ d = {d}"))
    else:
        q = d if method.sketch == "identity" else g * -(-groups // n)
    size = g * max(n, groups) if method.sketch == "permutation" else n * q
    if n + 2 + size >= 2**31:
        raise InputError(Fault("problem.n", f"{size} coordinates a round", "fewer than 2^31"))
    return q, size


def disjoint(method: Method, n: int, d: int) -> bool:
    """Whether every coordinate belongs to exactly one worker, and only that part of x is needed."""
    if method.name != "ist":
        return False
    return (
        n == 1
        if method.sketch == "identity"
        else method.sketch == "permutation" and n <= method.groups(d)
    )


class Sketch:
    """The blocks of every round, drawn from (seed, round) alone.

    There is room for the blocks of two rounds, even and odd, so that the next round's can be drawn
    and sent while this round's are in use.

    Attributes
    ----------
    name, scaling : str
        As in the configuration.
    n, d : int
        Workers and coordinates.
    g, groups : int
        Coordinates of a group, and N = d/g, the groups; g = 1 unless so configured.
    q : int
        Size of a Rand-q block; else g⌈N/n⌉, or d for the identity: the largest block.
    size : int
        t, the number of coordinates handed out in a round, summed over the workers.
    disjoint : bool
        Whether every coordinate belongs to exactly one worker.
    same_sizes : bool
        Whether the blocks have the same sizes in every round.
    """

    def __init__(self, method: Method, n: int, d: int, seed: int) -> None:
        self.name, self.scaling = method.sketch, method.scaling
        self.n, self.d = n, d
        self.g, self.groups = method.group_size, method.groups(d)
        self.q, self.size = block_sizes(method, n, d)
        kind = {"identity": draws.ALL, "rand": draws.SUBSETS}.get(self.name, draws.DISJOINT)
        if kind == draws.DISJOINT and n > self.groups:
            kind = draws.SINGLE
        self.disjoint = disjoint(method, n, d)
        self.same_sizes = kind != draws.DISJOINT or self.groups % n == 0
        self._messages = [np.zeros(n + 1 + self.size, dtype=np.int32) for _ in range(2)]
        self._plans = [self._plan(kind, seed, message) for message in self._messages]
        self._blocks = [Blocks(plan.pi, plan.offsets) for plan in self._plans]

    def _plan(self, kind: int, seed: int, message: Int32) -> draws.Plan:
        """The plan whose blocks are in `message`: offsets, then pi."""
        n, d, q, groups = self.n, self.d, self.q, self.groups
        offsets, pi = message[: n + 1], message[n + 1 :]
        if kind == draws.ALL:
            pi[:] = np.tile(np.arange(d, dtype=np.int32), n)
        if self.same_sizes:
            offsets[:] = np.arange(n + 1, dtype=np.int32) * q
        subsets = kind == draws.SUBSETS
        return draws.Plan(
            kind=kind,
            seed=seed,
            pi=pi,
            offsets=offsets,
            owner=np.empty(groups if kind == draws.DISJOINT else 0, dtype=np.int32),
            order=np.empty(min(n, groups), dtype=np.int32),
            pool=np.arange(d if subsets else 0, dtype=np.int32),
            swaps=np.empty(q if subsets else 0, dtype=np.int64),
            group_size=self.g,
            groups=pi if self.g == 1 else np.empty(pi.size // self.g, dtype=np.int32),
            state=np.zeros(philox.STATE_SIZE, dtype=np.uint32),
        )

    @property
    def random(self) -> bool:
        """Whether the blocks change from round to round."""
        return self.name != "identity"

    def plan(self, k: int) -> draws.Plan:
        """Where round k's blocks are drawn."""
        return self._plans[k % 2]

    def blocks(self, k: int) -> Blocks:
        """Round k's blocks, once drawn or received, until those of round k + 2 are."""
        return self._blocks[k % 2]

    def message(self, k: int) -> Int32:
        """What has to be broadcast for all ranks to know round k's blocks; empty if nothing."""
        return self._messages[k % 2] if self.random else self._messages[0][:0]

    def draw(self, k: int) -> Blocks:
        """Draw the blocks that lead from x^k to x^{k+1}."""
        draws.draw(self.plan(k), k)
        return self.blocks(k)


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
        n, d = sketch.n, sketch.d
        by_holders = sketch.name == "permutation" and n > sketch.groups
        preconditioned = sketch.scaling == "preconditioned"
        scale = {
            "unbiased": d / sketch.q if sketch.name == "rand" else float(n),
            "unscaled": 1.0,
            "preconditioned": float(np.sqrt(n)),
        }[sketch.scaling]
        if sketch.name == "identity":
            scale = 1.0
        room = min(index.size * sketch.q, sketch.size)
        self.rules = factors.FactorRules(
            n=n,
            scale=scale,
            by_holders=by_holders,
            unscaled=sketch.scaling == "unscaled",
            preconditioned=preconditioned,
            inverse_roots=1.0 / np.sqrt(diagonals) if preconditioned else np.empty((0, 0)),
            which=index,
            holders=np.zeros(d if by_holders else 0, dtype=np.int32),
            C=np.full(room, scale),
            A=np.full(room, 1.0 if sketch.scaling == "unscaled" else 1.0 / n),
        )
        self._changing = by_holders or preconditioned
        self._last = self.rules.C, self.rules.A  # as they were asked for last

    def of(self, blocks: Blocks, mine: Blocks) -> tuple[Float64, Float64]:
        """(C, A) on the blocks of this rank's workers: two arrays along their part of pi."""
        if self._changing:
            factors.set_factors(self.rules, blocks.pi, mine.pi, mine.offsets)
        if self._last[0].size != mine.pi.size:
            self._last = self.rules.C[: mine.pi.size], self.rules.A[: mine.pi.size]
        return self._last
