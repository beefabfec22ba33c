"""The blocks of a sketch of one's own, by its ``draw(k, rng)``, and what it says of them.

Theory, exchanges and the ledger take a sketch at its word. So every draw is held against it.
"""

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ist_mpi.errors import DrawError, Fault, InputError
from ist_mpi.randomness import Purpose, data_stream
from ist_mpi.registry import speaks_for
from ist_mpi.sketches.blocks import Blocks
from ist_mpi.sketches.law import Finite, Law

Int32 = NDArray[np.int32]
Float64 = NDArray[np.float64]

TOLERANCE = 1e-12
"""Of factors: their last bits may come from another order of operations."""


def check_own(sketch: Any, n: int, d: int) -> None:
    """Refuse a sketch that does not say what every sketch has to say of itself.

    Raises
    ------
    InputError
    """
    where = f"{type(sketch).__name__}.__init__"
    if (getattr(sketch, "n", None), getattr(sketch, "d", None)) != (n, d):
        got = "a sketch that has not called super().__init__(method, n, d)"
        raise InputError(Fault(where, got, "one that has"))
    for name in ("largest", "total"):
        size = getattr(sketch, name, None)
        if not isinstance(size, int | np.integer) or isinstance(size, bool) or size < 1:
            raise InputError(Fault(where, f"{name} = {size!r}", "an integer of at least 1"))
    law = law_of(sketch)
    if law is not None and not isinstance(law, Law):
        expected = "a Finite or an Exchangeable, or None"
        raise InputError(Fault(f"{type(sketch).__name__}.law", type(law).__name__, expected))
    if isinstance(law, Finite):
        law.check(n, d)


def law_of(sketch: Any) -> Law | None:
    """The law of a sketch, if it is of its own draws and not of those of a base."""
    law: Law | None = sketch.law() if speaks_for(type(sketch), "law", "draw") else None
    return law


class OwnDrawing:
    """Blocks from a sketch's own ``draw(k, rng)``, with rng made of (seed, k)."""

    compiled = False
    plan = rules = None
    message: Int32 | None = None

    def __init__(self, sketch: Any, seed: int, first: int, last: int) -> None:
        self._draws = OwnDraws(sketch, seed)
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
        """See `Drawing`; raises DrawError where the blocks are not what the sketch says."""
        try:
            self._all = self._draws.blocks(k)
        except InputError as error:
            raise DrawError(str(error)) from error

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


class OwnDraws:
    """What a sketch draws in the rounds of a run, checked."""

    def __init__(self, sketch: Any, seed: int) -> None:
        self._sketch, self._seed = sketch, seed
        law = law_of(sketch)
        self._listed = law.draws if isinstance(law, Finite) else None

    def blocks(self, k: int) -> Blocks:
        """The blocks of all workers in round k.

        Raises
        ------
        InputError
            If they are not blocks of n workers and d coordinates, or not what the sketch says.
        """
        blocks = self._typed(k)
        broken = self._broken(k, blocks)
        if broken is not None:
            raise InputError(Fault(self._where(k), *broken))
        return blocks

    def _where(self, k: int) -> str:
        return f"{type(self._sketch).__name__}.draw, round {k}"

    def _typed(self, k: int) -> Blocks:
        """What is drawn, typed; InputError if it is no blocks."""
        drawn = self._sketch.draw(k, data_stream(self._seed, Purpose.SKETCH, k))
        n, d, where = self._sketch.n, self._sketch.d, self._where(k)
        expected = "(pi, offsets, C, A): (t,), (n + 1,), (t,), (t,)"
        try:
            pi, offsets, C, A = drawn
            pi, offsets = np.asarray(pi), np.asarray(offsets)
            C, A = np.array(C, dtype=np.float64), np.array(A, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(Fault(where, f"{type(drawn).__name__} ({error})", expected)) from error
        t = pi.size
        if pi.dtype.kind not in "iu" or pi.ndim != 1:
            got = f"pi of {pi.dtype}, shape {pi.shape}"
            raise InputError(Fault(where, got, "integers (t,)"))
        if t and not (pi.min() >= 0 and pi.max() < d):
            raise InputError(Fault(where, f"pi from {pi.min()} to {pi.max()}", f"0 … {d - 1}"))
        if offsets.dtype.kind not in "iu" or offsets.shape != (n + 1,):
            got = f"offsets of {offsets.dtype}, shape {offsets.shape}"
            raise InputError(Fault(where, got, f"integers ({n + 1},)"))
        if offsets[0] != 0 or offsets[-1] != t or (np.diff(offsets.astype(np.int64)) < 0).any():
            got = f"offsets {offsets[:6].tolist()}…"
            raise InputError(Fault(where, got, f"edges from 0 to t = {t}"))
        pi, offsets = pi.astype(np.int32), offsets.astype(np.int32)
        rises = pi[1:] > pi[:-1]
        edges = offsets[(offsets > 0) & (offsets < t)]
        rises[edges - 1] = True  # from one block to the next it may fall
        if not rises.all():
            i = int(np.searchsorted(offsets, np.argmin(rises) + 1, side="right")) - 1
            raise InputError(Fault(where, f"block {i} out of order", "blocks that increase"))
        finite = np.isfinite(C).all() and np.isfinite(A).all()
        if C.shape != (t,) or A.shape != (t,) or not finite:
            got = f"C of shape {C.shape}, A of shape {A.shape}"
            raise InputError(Fault(where, got, f"finite numbers ({t},)"))
        return Blocks(pi, offsets, C, A)

    def _broken(self, k: int, blocks: Blocks) -> tuple[str, str] | None:
        """What the sketch says that these blocks are not, if anything: got and expected."""
        sketch, (pi, offsets, C, A) = self._sketch, blocks
        largest, total = int(np.diff(offsets).max()), pi.size
        if largest > sketch.largest:
            return f"a block of {largest}", f"at most {sketch.largest}, as largest says"
        if total > sketch.total or (total < sketch.total and not sketch.varying):
            expected = f"{sketch.total} in every round, as total says"
            return f"{total} coordinates", expected if not sketch.varying else f"at most {expected}"
        if sketch.disjoint and (total != sketch.d or (np.bincount(pi) > 1).any()):
            return "blocks that are not disjoint", "what disjoint = True says"
        if sketch.weight is not None and not _close(A * C, sketch.weight):
            return "another A C", f"{sketch.weight:g} everywhere, as weight says"
        if sketch.sums_to_identity(sketch.settings):
            means = np.bincount(pi, weights=C, minlength=sketch.d) / sketch.n
            if not _close(means, 1.0):
                j = int(np.abs(means - 1.0).argmax())
                got = f"(1/n) Σ C_i = {means[j]:g} at coordinate {j}"
                return got, "1, as sums_to_identity says"
        if (sketch.same_sizes or not sketch.random) and not np.array_equal(
            offsets, self._first.offsets
        ):
            return "blocks of other sizes than in round 0", "the same, as the sketch says"
        if not sketch.random and not _equal(blocks, self._first):
            return "other blocks than in round 0", "the same, as random = False says"
        if self._listed is not None and not any(_is_draw(blocks, one) for one in self._listed):
            return "blocks that its law does not have", "one of the draws of its law"
        return None

    @cached_property
    def _first(self) -> Blocks:
        return self._typed(0)


def _equal(one: Blocks, other: Blocks) -> bool:
    return all(np.array_equal(one[i], other[i]) for i in range(len(one)))


def _close(found: Float64, said: float) -> bool:
    return bool((np.abs(found - said) <= TOLERANCE * abs(said)).all())


def _near(found: Float64, said: Float64) -> bool:
    return bool((np.abs(found - said) <= TOLERANCE * np.abs(said)).all())


def _is_draw(blocks: Blocks, draw: Any) -> bool:
    same = np.array_equal(blocks.pi, draw.pi) and np.array_equal(blocks.offsets, draw.offsets)
    return same and _near(blocks.C, draw.C) and _near(blocks.A, draw.A)
