"""The law of a sketch: what exact theory has to know of its draws, and nothing else of it.

In a round worker i has the block S_i, with the diagonals of C_i and of the merge weight A_i on it.
A law says what a product of these is on average:

`Exchangeable`  coordinates (or groups of them) that may change places: expectations depend only on
                which slots hold the same coordinate; of the built-in sketches
`Finite`        a short list of draws with their probabilities, drawn anew each round: everything is
                a sum over the list

A sketch without a law has no exact theory.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ist_mpi.errors import Fault, InputError
from ist_mpi.partition import spans

Int32 = NDArray[np.int32]
Float64 = NDArray[np.float64]


class Block(NamedTuple):
    """What a worker may have in a round: so many random coordinates, or groups of them."""

    weight: float
    """The chance of it, times n A_i: of the worker's part in a mean step."""
    size: int
    C: float
    """C_i on it, without D_i^{−1/2}."""


@dataclass(frozen=True)
class Exchangeable:
    """A sketch whose coordinates, or groups of g consecutive ones, are exchangeable.

    Where C_i carries D_i^{−1/2}, every expectation is that without it. With groups, "coordinate"
    reads "group" in all that follows.
    """

    alpha: float
    """n E[A_i C_i²; j ∈ S_i], of any coordinate j."""
    rho: float
    """Chance that S_i has another given coordinate, if it has j, weighed like that."""
    beta: float
    """n E[A_i C_i; j ∈ S_i]: E C̄ of Σ A_i C_i."""
    one: Callable[[int, int, int], float]
    """(s, t, r) ↦ E[A_i C_iˢ A_i C_iᵗ; r different coordinates in S_i], for one worker."""
    two: Callable[[int, int, int, int, bool], float]
    """(s, t, u, v, joined) ↦ E[A_i C_iˢ A_j C_jᵗ; u different coordinates in S_i, v in S_j], for
    two workers; joined: whether one of those is the same on both sides."""
    group_size: int = 1
    """g."""
    preconditioned: bool = False
    """Whether C_i carries D_i^{−1/2}, D_i the diagonal of L_i."""
    one_draw: bool = False
    """Whether a round is the same in every draw."""
    certain: bool = False
    """Whether Σ A_i C_i L_i C_i is, for any L_i."""
    blocks: tuple[Block, ...] = ()
    """Those of any one worker, all workers being alike."""
    listed: ClassVar[int] = 0
    """Draws that it lists."""


def holder_moments(n: int, d: int) -> tuple[float, float]:
    """E[1/h_j] and E[√h_j] of the number h_j of workers that hold coordinate j, n > d."""
    few, extra = divmod(n, d)
    more = extra / d
    inverse = (1 - more) / few + more / (few + 1)
    root = (1 - more) * np.sqrt(few) + more * np.sqrt(few + 1)
    return inverse, float(root)


def meeting_probability(n: int, d: int) -> float:
    """ρ = Σ_i q_i (q_i − 1) / (d (d − 1)) for near-equal blocks q_i of d ≥ n coordinates."""
    if d == 1:
        return 1.0
    sizes = np.diff(spans(d, n))
    return float(np.sum(sizes * (sizes - 1)) / (d * (d - 1)))


def ratio(numerator: int, denominator: int) -> float:
    """A quotient of falling factorials, where 0/0 counts as 0."""
    return numerator / denominator if denominator else 0.0


def pair_mean(f: Float64, g: Float64) -> float:
    """The mean of f_i g_j over the ordered pairs i ≠ j; 0 if there are none."""
    m = len(f)
    return float((f.sum() * g.sum() - (f * g).sum()) / (m * (m - 1))) if m > 1 else 0.0


def merged(blocks: Sequence[Block]) -> tuple[Block, ...]:
    """Blocks of one kind as one, with the sum of their weights."""
    kinds = sorted({(block.size, block.C) for block in blocks})
    weights = [sum(b.weight for b in blocks if (b.size, b.C) == kind) for kind in kinds]
    return tuple(Block(w, size, C) for w, (size, C) in zip(weights, kinds, strict=True))


class Draw(NamedTuple):
    """One draw of all blocks, with its probability."""

    probability: float
    pi: Int32
    """S_i = pi[offsets[i]:offsets[i + 1]], each coordinate once; shape (t,)."""
    offsets: Int32
    """Shape (n + 1,)."""
    C: Float64
    """The diagonals of the C_i along pi, shape (t,)."""
    A: Float64
    """Those of the A_i."""

    def block(self, worker: int) -> tuple[Int32, Float64, Float64]:
        """(S_i, C_i, A_i) of a worker."""
        part = slice(int(self.offsets[worker]), int(self.offsets[worker + 1]))
        return self.pi[part], self.C[part], self.A[part]


@dataclass(frozen=True)
class Finite:
    """A list of draws, one of which is drawn each round, independently of all others.

    Parameters
    ----------
    draws : sequence of (probability, pi, offsets, C, A)
        See `Draw`. The probabilities are positive and sum to 1.

    Raises
    ------
    InputError
        Where that is not so, or the arrays do not belong together.
    """

    draws: Sequence[Draw]

    def __post_init__(self) -> None:
        draws = tuple(_as_draw(*draw) for draw in self.draws)
        object.__setattr__(self, "draws", draws)
        for k, draw in enumerate(draws):
            wrong = _wrong(draw, draws[0])
            if wrong:
                raise InputError(Fault(f"draw {k} of the law", *wrong))
        total = float(sum(draw.probability for draw in draws))
        if not abs(total - 1.0) <= 1e-12 * max(1, len(draws)):
            raise InputError(Fault("the law's probabilities", f"a sum of {total:.17g}", "1"))

    @property
    def n(self) -> int:
        """Workers."""
        return self.draws[0].offsets.size - 1

    @property
    def listed(self) -> int:
        """Draws that it lists."""
        return len(self.draws)

    @property
    def one_draw(self) -> bool:
        """Whether a round is the same in every draw."""
        return len(self.draws) == 1

    @property
    def certain(self) -> bool:
        """Whether Σ A_i C_i L_i C_i is, for any L_i."""
        return self.one_draw

    def check(self, n: int, d: int) -> None:
        """Raise InputError where the draws are not of n workers and d coordinates."""
        largest = max((int(draw.pi.max(initial=0)) for draw in self.draws), default=0)
        if self.n != n or largest >= d:
            got = f"blocks of {self.n} workers, and coordinates up to {largest}"
            raise InputError(Fault("the law's draws", got, f"{n} workers, coordinates below {d}"))


Law = Exchangeable | Finite


def _as_draw(probability: float, pi: object, offsets: object, C: object, A: object) -> Draw:
    return Draw(
        float(probability),
        np.asarray(pi, dtype=np.int32),
        np.asarray(offsets, dtype=np.int32),
        np.asarray(C, dtype=np.float64),
        np.asarray(A, dtype=np.float64),
    )


def _wrong(draw: Draw, first: Draw) -> tuple[str, str] | None:
    """What is wrong with a draw beside the first, if anything: got and expected."""
    pi, offsets, C, A = draw[1:]
    if not draw.probability > 0.0:
        return f"probability {draw.probability:g}", "a number above 0"
    if not pi.shape == C.shape == A.shape == (pi.size,):
        return f"pi, C and A of shapes {pi.shape}, {C.shape}, {A.shape}", "(t,) all three"
    if offsets.shape != first.offsets.shape or offsets.ndim != 1 or offsets.size < 2:
        return f"offsets of shape {offsets.shape}", "(n + 1,), the same in every draw"
    if offsets[0] != 0 or offsets[-1] != pi.size or (np.diff(offsets) < 0).any():
        return "offsets that do not cut pi into blocks", f"rising ones from 0 to {pi.size}"
    if pi.min(initial=0) < 0 or not (np.isfinite(C).all() and np.isfinite(A).all()):
        return "a negative coordinate, or a factor that is not finite", "neither"
    if any(np.unique(block).size < block.size for block in np.split(pi, offsets[1:-1])):
        return "a block that has a coordinate twice", "every coordinate of a block once"
    return None
