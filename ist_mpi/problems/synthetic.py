"""The paper's synthetic quadratics: L_i = B_iᵀ B_i, with B_i, b_i and x⁰ from N(0, 1)."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ist_mpi.config import Problem
from ist_mpi.config.types import Count, Flag, Precision, Seed
from ist_mpi.problems import digest
from ist_mpi.problems.quadratic import rounded
from ist_mpi.problems.source import AS_MATRICES, Quadratic, Stored
from ist_mpi.randomness import Purpose, data_stream


class SyntheticSettings(Problem):
    """L_i = B_iᵀB_i with B_i, b_i and x⁰ drawn from N(0, 1) (Section 5 of the paper)."""

    kind: Literal["synthetic"]
    d: Count
    n: Count
    heterogeneous: Flag = True
    linear_term: Flag = True
    precision: Precision = "float64"
    seed: Seed = 0


class SyntheticShare(NamedTuple):
    """The recipe of one worker's quadratic."""

    seed: int
    worker: int
    d: int
    linear_term: bool
    precision: str = "float64"

    def digest(self) -> str:
        """Of the recipe."""
        return digest.of_words([repr(self)])

    def quadratic(self, room: NDArray[np.float64] | None = None) -> Quadratic:
        """Draw B_i (d, d) and b_i (d,), in this order, from the worker's own stream."""
        stream = data_stream(self.seed, Purpose.WORKER, self.worker)
        B = stream.standard_normal((self.d, self.d))
        b = stream.standard_normal(self.d)
        L = np.matmul(B.T, B, out=room)
        drawn = Quadratic(L, b if self.linear_term else np.zeros(self.d))
        return rounded(drawn, self.precision)


@dataclass(frozen=True)
class SyntheticSource:
    """Quadratics that depend on (seed, worker) alone; homogeneous: all are worker 0's."""

    Settings = SyntheticSettings

    @staticmethod
    def open(settings: SyntheticSettings) -> "SyntheticSource":
        """The source of a configured synthetic problem; nothing is drawn yet."""
        return SyntheticSource(
            n=settings.n,
            d=settings.d,
            homogeneous=not settings.heterogeneous,
            linear_term=settings.linear_term,
            seed=settings.seed,
            stored=Stored(precision=settings.precision),
        )

    n: int
    d: int
    homogeneous: bool
    linear_term: bool
    seed: int
    data_bytes: int = 0
    stored: Stored = AS_MATRICES

    def share(self, worker: int) -> SyntheticShare:
        """The recipe of a worker's quadratic."""
        who = 0 if self.homogeneous else worker
        return SyntheticShare(self.seed, who, self.d, self.linear_term, self.stored.precision)

    def start(self) -> NDArray[np.float64]:
        """x⁰ ~ N(0, I)."""
        return data_stream(self.seed, Purpose.START).standard_normal(self.d)
