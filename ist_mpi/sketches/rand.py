"""Rand-q, eq. (4): a uniform q-subset of the coordinates for every worker, C_i = (d/q) P_i."""

from collections.abc import Iterator, Mapping
from math import perm
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ist_mpi.config import Method, Rule, Section
from ist_mpi.config.types import Count
from ist_mpi.errors import Fault, InputError
from ist_mpi.kernels import draws
from ist_mpi.sketches.compiled import Float64, Int32, empty_plan, factor_rules, fits
from ist_mpi.sketches.drawing import CompiledDrawing
from ist_mpi.sketches.law import Block, Exchangeable, ratio
from ist_mpi.sketches.sketch import Sketch


class RandSettings(Section):
    """What the sketch adds to [method]."""

    q: Count | None = None

    @classmethod
    def broken_rules(cls, values: Mapping[str, Any]) -> Iterator[Rule]:
        """See `Section.broken_rules`."""
        if values.get("q") is None:
            yield "q", "nothing", 'the size of the random blocks, with sketch = "rand"'
        yield from super().broken_rules(values)


class Rand(Sketch):
    """Blocks of q that overlap."""

    Settings = RandSettings
    same_sizes = True
    independent = True

    def __init__(self, method: Method, n: int, d: int) -> None:
        q = int(getattr(method, "q", None) or 0)
        if not 1 <= q <= d:
            raise InputError(Fault("method.q", str(q), f"1 ≤ q ≤ d = {d}"))
        super().__init__(method, n, d)
        self.q = q
        self.largest, self.total = q, n * q
        self.weight = d / (q * n)
        fits(n, self.total)

    def drawing(
        self, seed: int, first: int, last: int, diagonals: Float64 | None, which: NDArray[np.int64]
    ) -> CompiledDrawing:
        """See `drawing_of`."""
        message: Int32 = np.zeros(self.n + 1 + self.total, dtype=np.int32)
        plan = empty_plan(seed, self.n, message)._replace(
            kind=draws.SUBSETS,
            order=np.empty(min(self.n, self.d), dtype=np.int32),
            pool=np.arange(self.d, dtype=np.int32),
            swaps=np.empty(self.q, dtype=np.int64),
        )
        plan.offsets[:] = np.arange(self.n + 1, dtype=np.int32) * self.q
        rules = factor_rules(self, which, self.d / self.q, 1.0 / self.n)
        return CompiledDrawing(plan, message, rules, False, True, first, last)

    def law(self) -> Exchangeable:
        """See `rand_law`."""
        return rand_law(self.n, self.d, self.q)


def rand_law(n: int, d: int, q: int) -> Exchangeable:
    """Every worker has q random coordinates of its own, C_i = d/q on them."""

    def both(s: int, t: int) -> float:
        here, there = (d / q) ** s / (n * 1.0), (d / q) ** t / (n * 1.0)
        return here * there

    def met(r: int) -> float:
        return ratio(perm(q, r), perm(d, r))

    return Exchangeable(
        alpha=d / q,
        rho=1.0 if d == 1 else (q - 1) / (d - 1),
        beta=1.0,
        one=lambda s, t, r: both(s, t) * met(r),
        two=lambda s, t, u, v, joined: both(s, t) * (met(u) * met(v)),
        one_draw=q == d,
        certain=q == d,
        blocks=(Block(1.0, q, d / q),),
    )
