"""A permutation of units: every one has one owner, and its coordinates go with it."""

from collections import Counter
from typing import Any

import numpy as np
import pytest

from ist_mpi.config import method_table
from ist_mpi.errors import InputError
from ist_mpi.problems.neurons import Neurons
from ist_mpi.randomness import Purpose, data_stream
from ist_mpi.sketches import drawing_of, sketch_of

METHOD = method_table({"name": "ist", "step_size": 0.1, "scaling": "unscaled"})


def sketch(n: int, widths: tuple[int, ...]) -> tuple[Any, Neurons]:
    neurons = Neurons(widths)
    return sketch_of(METHOD, n, neurons.size(neurons.counts), neurons), neurons


@pytest.mark.parametrize("n", [1, 3, 4])
@pytest.mark.parametrize("widths", [(3, 8, 2), (2, 9, 3), (2, 7, 5, 3), (1, 4, 4, 2)])
def test_every_unit_has_one_owner(n: int, widths: tuple[int, ...]) -> None:
    made, neurons = sketch(n, widths)
    drawing = drawing_of(made, 11)
    ends = made.d - widths[-1]
    for k in range(20):
        drawing.draw(k)  # checks what the sketch says of itself
        blocks = drawing.own()
        held = [neurons.held(S) for S in np.split(blocks.pi, blocks.offsets[1:-1])]
        for layer, count in enumerate(neurons.counts):
            dealt = [mine[layer] for mine in held]
            np.testing.assert_array_equal(np.sort(np.concatenate(dealt)), np.arange(count))
            assert {mine.size for mine in dealt} <= {count // n, -(-count // n)}
        holders = np.bincount(blocks.pi, minlength=made.d)
        assert (holders[ends:] == n).all()
        assert holders[:ends].max() <= 1
        assert holders[:ends].min() == (0 if len(widths) > 3 and n > 1 else 1)
        np.testing.assert_array_equal(blocks.A, 1.0 / holders[blocks.pi])
        assert (blocks.C == 1.0).all()
        assert blocks.pi.size == made.total
        assert made.first_size(11)(k) == blocks.offsets[1]


def test_all_ways_to_deal_are_as_likely() -> None:
    made, neurons = sketch(3, (1, 4, 1))  # two for one worker, one for each of two
    seen: Counter[Any] = Counter()
    for k in range(3600):
        pi, offsets = made.draw(k, data_stream(5, Purpose.SKETCH, k))[:2]
        held = (neurons.held(S)[0].tolist() for S in np.split(pi, offsets[1:-1]))
        seen[tuple(map(tuple, held))] += 1
    assert len(seen) == 36
    assert max(abs(count - 100) for count in seen.values()) < 50


def test_too_few_units() -> None:
    with pytest.raises(InputError, match=r"problem.hidden: got 3 units in layer 2, for n = 4"):
        sketch(4, (2, 9, 3, 2))
