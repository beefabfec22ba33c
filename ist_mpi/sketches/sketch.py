"""What a sketch is; one of your own derives from `Sketch` and has a `draw`."""

from typing import Any, ClassVar

import numpy as np

from ist_mpi.config import Method, Section
from ist_mpi.sketches.law import Law


class Sketch:
    """Which coordinates each worker gets in a round, and with what factors.

    What is said here of the blocks of a sketch with its own `draw` is checked in every round.

    Attributes
    ----------
    n, d : int
        Workers and coordinates.
    largest : int
        Size of the largest block that may be drawn.
    total : int
        Coordinates handed out in a round, summed over the workers.
    varying : bool
        Whether `total` is only the most of them; then the ledger of floats is NaN.
    disjoint : bool
        Whether every coordinate belongs to exactly one worker.
    same_sizes : bool
        Whether the blocks have the same sizes in every round.
    rescales : bool
        Whether C_i needs D_i = Diag(L_i).
    independent : bool
        Whether the workers' blocks are drawn independently of each other.
    weight : float or None
        A_i C_i, where it is the same number everywhere in every draw.

    Class attributes say what goes with it: `Settings`, what it adds to [method]; `scalings`, of
    those that there are; `groups`, whether it moves groups of coordinates; `random`, whether its
    blocks change from round to round.
    """

    Settings: ClassVar[type[Section]] = Section
    scalings: ClassVar[tuple[str, ...]] = ("unbiased",)
    groups: ClassVar[bool] = False
    random: ClassVar[bool] = True

    n: int
    d: int
    largest: int
    total: int
    disjoint: bool = False
    same_sizes: bool = False
    rescales: bool = False
    independent: bool = False
    weight: float | None = None
    varying: bool = False

    def __init__(self, method: Method, n: int, d: int) -> None:
        self.settings, self.n, self.d = method, n, d

    @classmethod
    def over(cls, units: Any, method: Method, n: int, d: int) -> "Sketch":
        """The same of a problem whose coordinates belong to `units.Units`; here it is no other."""
        return cls(method, n, d)

    @staticmethod
    def sums_to_identity(method: Any) -> bool:
        """Whether (1/n) Σ C_i = I in every round, so that merging the pieces gives the whole."""
        return False

    def draw(self, k: int, rng: np.random.Generator) -> Any:
        """The blocks that lead from x^k to x^{k+1}: (pi, offsets, C, A) of all workers.

        rng is made of (run seed, k) alone. See `Blocks`.
        """
        raise NotImplementedError

    def law(self) -> Law | None:
        """How the moments of a round are known; None: there is no exact theory of this sketch."""
        return None
