"""One round's blocks on a rank: where they are drawn or received, with C_i and A_i.

What is drawn in a round belongs to (seed, round) alone.
"""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ist_mpi.kernels import draws, factors
from ist_mpi.registry import speaks_for
from ist_mpi.sketches.blocks import Blocks
from ist_mpi.sketches.own import OwnDrawing

Int32 = NDArray[np.int32]
Float64 = NDArray[np.float64]


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


def has_kernel(sketch: Any) -> bool:
    """Whether a kernel draws the blocks of a sketch, and not its own ``draw``."""
    return hasattr(sketch, "drawing") and speaks_for(type(sketch), "drawing", "draw")


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
    if not has_kernel(sketch):
        return OwnDrawing(sketch, seed, first, last)
    if which is None:
        which = np.zeros(last - first, dtype=np.int64)
    made: Drawing = sketch.drawing(seed, first, last, diagonals, which)
    return made
