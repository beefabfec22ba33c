"""Where a network's weights are in one vector, and which of them go with which hidden neurons.

Layer by layer, W (out, in) by rows and then b (out,): with neurons of each layer in increasing
order, the coordinates of a smaller network are the vector of that network.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

Int32 = NDArray[np.int32]
Widths = tuple[int, ...]
"""Features, neurons of each hidden layer, classes."""


def size_of(widths: Sequence[int]) -> int:
    """Weights and biases of a network."""
    return sum(out * (into + 1) for into, out in pairwise(widths))


@dataclass(frozen=True)
class Neurons:
    """The hidden neurons of a network, as `sketches.units.Units`.

    A weight goes with the two neurons that it joins; inputs and outputs are everybody's.
    """

    widths: Widths
    setting: ClassVar[str] = "problem.hidden"

    @property
    def counts(self) -> tuple[int, ...]:
        """See `Units`."""
        return self.widths[1:-1]

    def size(self, counts: Sequence[int]) -> int:
        """See `Units`."""
        return size_of((self.widths[0], *counts, self.widths[-1]))

    def coordinates(self, held: Sequence[Int32]) -> Int32:
        """See `Units`."""
        features, classes = (np.arange(self.widths[at], dtype=np.int32) for at in (0, -1))
        layers = [features, *held, classes]
        parts = []
        for weights, biases, into, out in zip(
            self.weights, self.biases, layers[:-1], layers[1:], strict=True
        ):
            rows = weights.start + out.astype(np.int64) * self._inputs(weights, biases)
            parts += [(rows[:, None] + into).ravel(), biases.start + out]
        return np.concatenate(parts).astype(np.int32)

    def held(self, block: Int32) -> list[Int32]:
        """The neurons of each hidden layer whose bias is among these coordinates, increasing."""
        found = []
        for biases in self.biases[:-1]:
            low, high = np.searchsorted(block, (biases.start, biases.stop))
            found.append((block[low:high] - biases.start).astype(np.int32))
        return found

    @staticmethod
    def _inputs(weights: range, biases: range) -> int:
        return len(weights) // len(biases)

    @cached_property
    def weights(self) -> list[range]:
        """Where each layer's weights are."""
        return [range(b.start - into * len(b), b.start) for into, b in self._places]

    @cached_property
    def biases(self) -> list[range]:
        """Where each layer's biases are."""
        return [b for _, b in self._places]

    @cached_property
    def _places(self) -> list[tuple[int, range]]:
        found, end = [], 0
        for into, out in pairwise(self.widths):
            end += out * (into + 1)
            found.append((into, range(end - out, end)))
        return found
