"""What is measured: (d, n) or (d, n, q), and how they are written."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ist_mpi.config import Config, load
from ist_mpi.errors import Fault, InputError
from ist_mpi.partition import spans

MAX_D = 65_535
"""A matrix of 34 GB."""


class Case(NamedTuple):
    """A size: d coordinates, n workers, and with a q Rand-q blocks, else a permutation's."""

    d: int
    n: int
    q: int | None = None

    @property
    def block(self) -> int:
        """Size of the largest block."""
        return self.q or -(-self.d // self.n)

    @property
    def edges(self) -> NDArray[np.int64]:
        """Shape (n + 1,): where the blocks of the workers begin and end, one after another."""
        return spans(self.d, self.n) if self.q is None else np.arange(self.n + 1) * self.q

    @property
    def words(self) -> int:
        """Integers that tell every rank of a round's blocks: the blocks, and where they end."""
        return int(self.edges[-1]) + self.n + 1

    @property
    def config(self) -> Config:
        """One local step; so short that the model stays in its place however long it goes on."""
        method: dict[str, Any] = {
            "name": "ist",
            "step_size": 0.1 / max(self.n, self.d / self.block),
        }
        if self.q is not None:
            method |= {"sketch": "rand", "q": self.q}
        problem = {"kind": "synthetic", "d": self.d, "n": self.n}
        return load({"problem": problem, "method": method, "run": {"rounds": 1, "theory": False}})

    def __str__(self) -> str:
        return f"{self.d}, {self.n}" + (f", Rand-{self.q}" if self.q is not None else "")


TABLE = (Case(50, 50), Case(1000, 10), Case(4000, 4), Case(4000, 16))
QUICK = (Case(50, 50), Case(1000, 10))


def parse(texts: Sequence[str]) -> list[Case]:
    """Cases from ``d,n`` or ``d,n,q``, several in a text separated by spaces.

    Raises
    ------
    InputError
        Listing every case that is none.
    """
    cases, faults = [], []
    for word in " ".join(texts).split():
        numbers = [int(part) if part.isdecimal() else 0 for part in word[:60].split(",")]
        if len(numbers) in (2, 3) and 1 <= numbers[1] <= numbers[0] <= MAX_D:
            case = Case(*numbers)
            if case.q is None or 1 <= case.q <= case.d:
                cases.append(case)
                continue
        faults.append(
            Fault("--cases", repr(word[:60]), f"d,n or d,n,q with 1 ≤ n, q ≤ d ≤ {MAX_D}")
        )
    if not cases and not faults:
        faults.append(Fault("--cases", "nothing", "d,n or d,n,q, e.g. 1000,10"))
    if faults:
        raise InputError(faults)
    return list(dict.fromkeys(cases))
