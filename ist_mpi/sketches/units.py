"""A permutation of units that stand for several coordinates each, such as a network's neurons.

What a unit stands for is the problem's to say, see `Units`. Units may come in layers: each layer is
dealt out by a permutation of its own, and what a worker has of one layer may say which coordinates
come with what it has of the next.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ist_mpi.config import Method
from ist_mpi.errors import Fault, InputError
from ist_mpi.partition import spans
from ist_mpi.randomness import Purpose, data_stream
from ist_mpi.sketches.compiled import fits
from ist_mpi.sketches.sketch import Sketch

Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]


class Units(Protocol):
    """What a problem's coordinates belong to."""

    setting: str
    """The setting that says how many there are, for messages."""

    @property
    def counts(self) -> tuple[int, ...]:
        """Units of each layer."""

    def size(self, counts: Sequence[int]) -> int:
        """How many coordinates go with so many units of each layer."""

    def coordinates(self, held: Sequence[Int32]) -> Int32:
        """The coordinates that go with these units of each layer, both increasing."""


class UnitPermutation(Sketch):
    """Near-equal blocks of units, disjoint in each layer; who gets the larger ones is drawn.

    C_i = P_i, and A_i = P_i/h_j: where h_j workers have coordinate j, as what belongs to no unit,
    their pieces are averaged.
    """

    scalings = ("unscaled",)

    def __init__(self, method: Method, n: int, d: int, units: Units) -> None:
        super().__init__(method, n, d)
        for layer, count in enumerate(units.counts):
            if count < n:
                got = f"{count} units in layer {layer + 1}, for n = {n} workers"
                raise InputError(Fault(units.setting, got, "at least one for each worker"))
        self.units = units
        self._edges = [spans(count, n) for count in units.counts]
        sizes = self._sizes(np.arange(n))
        self.largest, self.total = max(sizes), sum(sizes)
        self.same_sizes = len(set(sizes)) == 1
        fits(n, self.total)

    def _sizes(self, place: NDArray[Any]) -> list[int]:
        """Of the workers' blocks; place (n,): which of each layer's spans a worker has."""
        counts = [np.diff(edges)[place] for edges in self._edges]
        return [self.units.size([int(one) for one in each]) for each in zip(*counts, strict=True)]

    def draw(self, k: int, rng: np.random.Generator) -> tuple[Int32, Int32, Float64, Float64]:
        """See `Sketch.draw`. The larger blocks of all layers go to the same workers first."""
        place = rng.permutation(self.n)
        orders = [rng.permutation(count) for count in self.units.counts]
        blocks = []
        for at in place:
            held = [
                np.sort(order[edges[at] : edges[at + 1]]).astype(np.int32)
                for order, edges in zip(orders, self._edges, strict=True)
            ]
            blocks.append(self.units.coordinates(held))
        pi = np.concatenate(blocks)
        offsets = np.cumsum([0] + [block.size for block in blocks]).astype(np.int32)
        holders = np.bincount(pi, minlength=self.d)
        return pi, offsets, np.ones(pi.size), 1.0 / holders[pi]

    def first_size(self, seed: int) -> Callable[[int], int]:
        """k ↦ the size of the first worker's block in round k."""
        sizes = self._sizes(np.arange(self.n))

        def of_round(k: int) -> int:
            return sizes[int(data_stream(seed, Purpose.SKETCH, k).permutation(self.n)[0])]

        return of_round
