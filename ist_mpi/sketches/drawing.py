"""One round's blocks on a rank: where they are drawn or received, with C_i and A_i.

What is drawn in a round belongs to (seed, round) alone.
"""

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ist_mpi.errors import Fault, InputError
from ist_mpi.kernels import draws, factors
from ist_mpi.randomness import Purpose, data_stream
from ist_mpi.registry import speaks_for

Int32 = NDArray[np.int32]
Float64 = NDArray[np.float64]


class Blocks(NamedTuple):
    """The blocks S_i of some workers in a round, and the diagonals of C_i and A_i on them."""

    pi: Int32
    """Shape (t,): S_i = pi[offsets[i] − offsets[0]:offsets[i + 1] − offsets[0]], sorted."""
    offsets: Int32
    """Shape (workers + 1,); a rank's own need not start at 0."""
    C: Float64
    """Shape (t,)."""
    A: Float64
    """Shape (t,)."""


class Drawing(Protocol):
    """Room for the blocks of one round on a rank; another round's take their place."""

    compiled: bool
    """Whether kernels can draw here: `plan` and `rules` say how."""
    plan: Any
    rules: Any

    @property
    def pi(self) -> Int32:
        """Shape (t,): the blocks of all workers, one after another."""

    @property
    def offsets(self) -> Int32:
        """Shape (n + 1,)."""

    @property
    def message(self) -> Int32 | None:
        """What has to be broadcast for all ranks to know the blocks; None: `contents` instead."""

    def draw(self, k: int) -> None:
        """Draw the blocks that lead from x^k to x^{k+1}."""

    def contents(self) -> Any:
        """All that was drawn, to be sent to other ranks, where there is no `message`."""

    def put(self, contents: Any) -> None:
        """Take what another rank has drawn."""

    def own(self) -> Blocks:
        """The blocks of this rank's workers, once those of the round are here."""


class CompiledDrawing:
    """Where a kernel draws.

    Parameters
    ----------
    plan : Plan
        Whose blocks are in `message`.
    message : ndarray of int32
    rules : FactorRules
        How C and A follow, and where they go.
    changing : bool
        Whether C or A depend on the round's blocks.
    same_sizes : bool
        Whether the blocks have the same sizes in every round.
    first, last : int
        The rank's workers.
    """

    compiled = True

    def __init__(
        self,
        plan: draws.Plan,
        message: Int32,
        rules: factors.FactorRules,
        changing: bool,
        same_sizes: bool,
        first: int,
        last: int,
    ) -> None:
        self.plan, self.message, self.rules = plan, message, rules
        self.pi, self.offsets = plan.pi, plan.offsets
        self._changing, self._same_sizes = changing, same_sizes
        self._first, self._last = first, last
        self._own: Blocks | None = None

    def draw(self, k: int) -> None:
        """See `Drawing`."""
        draws.draw(self.plan, k)

    def contents(self) -> Any:
        """See `Drawing`."""
        return None

    def put(self, contents: Any) -> None:
        """See `Drawing`."""

    def own(self) -> Blocks:
        """See `Drawing`."""
        mine = self._own
        if mine is None or not self._same_sizes:
            edges = self.offsets[self._first : self._last + 1]
            pi = self.pi[edges[0] : edges[-1]]
            mine = Blocks(pi, edges, self.rules.C[: pi.size], self.rules.A[: pi.size])
            self._own = mine
        if self._changing:
            factors.set_factors(self.rules, self.pi, mine.pi, mine.offsets)
        return mine


class ForeignDrawing:
    """Blocks from a sketch's own ``draw(k, rng)``, with rng made of (seed, k)."""

    compiled = False
    plan = rules = None
    message: Int32 | None = None

    def __init__(self, sketch: Any, seed: int, first: int, last: int) -> None:
        self._sketch, self._seed = sketch, seed
        self._first, self._last = first, last
        self._all = Blocks(*(np.empty(0, np.int32),) * 2, *(np.empty(0),) * 2)

    @property
    def pi(self) -> Int32:
        """See `Drawing`."""
        return self._all.pi

    @property
    def offsets(self) -> Int32:
        """See `Drawing`."""
        return self._all.offsets

    def draw(self, k: int) -> None:
        """See `Drawing`; raises InputError where the sketch's blocks are none."""
        drawn = self._sketch.draw(k, data_stream(self._seed, Purpose.SKETCH, k))
        self._all = checked(drawn, self._sketch, f"round {k}")

    def contents(self) -> Blocks:
        """See `Drawing`."""
        return self._all

    def put(self, contents: Any) -> None:
        """See `Drawing`."""
        self._all = contents

    def own(self) -> Blocks:
        """See `Drawing`."""
        pi, offsets, C, A = self._all
        edges = offsets[self._first : self._last + 1]
        mine = slice(int(edges[0]), int(edges[-1]))
        return Blocks(pi[mine], edges, C[mine], A[mine])


def checked(drawn: Any, sketch: Any, what: str) -> Blocks:
    """The blocks of all workers as a sketch has drawn them, typed.

    Raises
    ------
    InputError
        If they are not blocks of the sketch's n workers and d coordinates.
    """
    n, d = sketch.n, sketch.d
    where = f"{type(sketch).__name__}.draw, {what}"
    expected = "(pi, offsets, C, A): (t,), (n + 1,), (t,), (t,)"
    try:
        pi, offsets, C, A = drawn
        pi, offsets = np.asarray(pi), np.asarray(offsets)
        C, A = np.array(C, dtype=np.float64), np.array(A, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(Fault(where, f"{type(drawn).__name__} ({error})", expected)) from error
    t = pi.size
    if pi.dtype.kind not in "iu" or pi.ndim != 1 or t > sketch.total:
        got = f"pi of {pi.dtype}, shape {pi.shape}"
        raise InputError(Fault(where, got, f"integers (t,), t ≤ {sketch.total}, as total says"))
    if t and not (pi.min() >= 0 and pi.max() < d):
        raise InputError(Fault(where, f"pi from {pi.min()} to {pi.max()}", f"0 … {d - 1}"))
    if offsets.dtype.kind not in "iu" or offsets.shape != (n + 1,):
        got = f"offsets of {offsets.dtype}, shape {offsets.shape}"
        raise InputError(Fault(where, got, f"integers ({n + 1},)"))
    sizes = np.diff(offsets.astype(np.int64))
    if offsets[0] != 0 or offsets[-1] != t or (sizes < 0).any() or sizes.max() > sketch.largest:
        got, most = f"offsets {offsets[:6].tolist()}…", sketch.largest
        expected = f"edges from 0 to t = {t}, at most {most} apart, as largest says"
        raise InputError(Fault(where, got, expected))
    pi, offsets = pi.astype(np.int32), offsets.astype(np.int32)
    for i in range(n):
        if (np.diff(pi[offsets[i] : offsets[i + 1]]) <= 0).any():
            raise InputError(Fault(where, f"block {i} out of order", "blocks that increase"))
    if C.shape != (t,) or A.shape != (t,) or not (np.isfinite(C).all() and np.isfinite(A).all()):
        got = f"C of shape {C.shape}, A of shape {A.shape}"
        raise InputError(Fault(where, got, f"finite numbers ({t},)"))
    if sketch.disjoint and (t != d or np.unique(pi).size != d):
        raise InputError(Fault(where, "blocks that are not disjoint", "what disjoint = True says"))
    return Blocks(pi, offsets, C, A)


def drawing_of(
    sketch: Any,
    seed: int,
    first: int = 0,
    last: int | None = None,
    diagonals: Float64 | None = None,
    which: NDArray[np.int64] | None = None,
) -> Drawing:
    """Room for a round's blocks, for the rank with workers first … last − 1; default: all.

    Parameters
    ----------
    diagonals : ndarray, shape (u, d), optional
        Diag(L_i) of the distinct quadratics of the rank, for a sketch that `rescales`.
    which : ndarray of int64, shape (m,), optional
        Which of them each of the rank's workers has.
    """
    last = sketch.n if last is None else last
    if not hasattr(sketch, "drawing") or not speaks_for(type(sketch), "drawing", "draw"):
        return ForeignDrawing(sketch, seed, first, last)
    if which is None:
        which = np.zeros(last - first, dtype=np.int64)
    made: Drawing = sketch.drawing(seed, first, last, diagonals, which)
    return made
