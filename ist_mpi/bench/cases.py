"""What is measured: (d, n) or (d, n, q), how they are written, and whether they fit into memory."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import psutil

from ist_mpi.config import Method
from ist_mpi.errors import Fault, InputError
from ist_mpi.parallel import ranks
from ist_mpi.partition import spans

FLOAT = 8
MAX_D = 65_535
"""d² < 2³²: places in a matrix are listed as uint32."""
MARGIN = 0.95
"""Share of the free memory that may be used."""


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
    def method(self) -> Method:
        """One local step; so short that the model stays in its place however long it goes on."""
        step = 0.1 / max(self.n, self.d / self.block)
        if self.q is None:
            return Method(name="ist", step_size=step)
        return Method(name="ist", sketch="rand", q=self.q, step_size=step)

    def text(self) -> str:
        """As on the command line."""
        return ",".join(str(number) for number in self if number is not None)


TABLE = (Case(50, 50), Case(1000, 10), Case(4000, 4), Case(4000, 16), Case(10000, 16))
QUICK = (Case(50, 50), Case(1000, 10))
WEAK = Case(2000, 8, 250)
"""One rank's share of the weak scaling."""


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


def weak(p: int, share: Case = WEAK) -> Case:
    """The case of p ranks in which each has the work and the memory of `share`: p n workers.

    The blocks are Rand-q: a permutation's would shrink, or its matrices grow.
    """
    return Case(share.d, share.n * p, share.block)


def most_workers(case: Case, sizes: Sequence[int], rank: int) -> int:
    """The most workers that a rank has in the teams of these sizes."""
    members = [spans(case.n, size) for size in sizes if rank < size]
    return max((int(edges[rank + 1] - edges[rank]) for edges in members), default=0)


def fitting(comm: Any, needs: dict[int, int]) -> tuple[list[int], str]:
    """Which team sizes fit into memory, all at once; the smallest are given up first; collective.

    Parameters
    ----------
    needs : dict of int to int
        This rank's bytes, for the teams of the sizes from the key on.

    Returns
    -------
    sizes : list of int
    note : str
        What was left out, and why; empty if nothing.
    """
    free = psutil.virtual_memory().available
    everyone = comm.allgather((needs, free))
    names = ranks.hosts(comm)
    left_out = []
    sizes = sorted(needs)
    while sizes:
        wanted: dict[str, int] = defaultdict(int)
        room: dict[str, int] = {}
        for name, (need, available) in zip(names, everyone, strict=True):
            wanted[name] += need[sizes[0]]
            room[name] = min(room.get(name, available), available)
        if all(wanted[name] <= MARGIN * room[name] for name in wanted):
            break
        worst = max(wanted, key=lambda name: wanted[name] - room[name])
        left_out.append(f"p = {sizes[0]}")
        reason = f"{wanted[worst] / 1e9:.1f} GB wanted, {room[worst] / 1e9:.1f} GB free"
        sizes = sizes[1:]
    if not left_out:
        return sizes, ""
    return sizes, f"{', '.join(left_out)} left out, memory is short: {reason}"
