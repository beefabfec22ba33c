"""The blocks: their law, their factors, and the random stream under them."""

import itertools
from collections import Counter
from fractions import Fraction
from math import comb

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st

from ist_mpi import sketches
from ist_mpi.config import method_table
from ist_mpi.errors import InputError
from ist_mpi.kernels import draws, philox
from ist_mpi.sketches import Blocks, drawing_of

Law = dict[tuple[tuple[int, ...], ...], float]


class Drawn:
    """A sketch and a run seed: the blocks of any round, with all workers on one rank."""

    def __init__(self, n: int, d: int, seed: int, settings: dict[str, object]) -> None:
        table = method_table({"name": "ist", "step_size": 1.0, **settings})
        self.sketch = sketches.sketch_of(table, n, d)
        self._drawing = drawing_of(self.sketch, seed, diagonals=np.ones((1, d)))

    def draw(self, k: int) -> Blocks:
        self._drawing.draw(k)
        return self._drawing.own()


def sketch_of(n: int, d: int, seed: int = 0, **settings: object) -> Drawn:
    return Drawn(n, d, seed, settings)


def block_lists(drawn: Drawn, k: int) -> list[np.ndarray]:
    pi, offsets, _, _ = drawn.draw(k)
    return [pi[offsets[i] : offsets[i + 1]].copy() for i in range(drawn.sketch.n)]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([0] * 6, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([0xFFFFFFFF] * 6, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344, 0xA4093822, 0x299F31D0],
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)
def test_philox_gives_its_authors_known_answers(words: list[int], expected: list[int]) -> None:
    assert list(philox.philox_block(*[np.uint32(word) for word in words])) == expected


@pytest.mark.slow
def test_bounded_integers_reject_and_stay_uniform() -> None:
    state = np.zeros(philox.STATE_SIZE, dtype=np.uint32)
    philox.open_stream(state, 7, 0, 0)
    bound = 3_000_000_000  # nearly a third of all words must be rejected
    drawn = np.array([philox.below(state, bound) for _ in range(20000)])
    assert drawn.min() >= 0
    assert drawn.max() < bound
    counts = np.bincount(drawn // (bound // 10), minlength=10)
    assert ((counts - 2000) ** 2 / 2000).sum() < 27.9  # chi-square, 9 degrees, 1 in 1000


@given(n=st.integers(1, 12), d=st.integers(1, 12), seed=st.integers(0, 2**63 - 1), k=st.integers(0))
def test_permutation_blocks_add_up_to_the_identity(n: int, d: int, seed: int, k: int) -> None:
    k %= 2**62
    sketch = sketch_of(n, d, seed)
    blocks = block_lists(sketch, k)
    pi, _, C, A = sketch.draw(k)
    total, merged = np.zeros(d), np.zeros(d)
    np.add.at(total, pi, C / n)
    np.add.at(merged, pi, A * C)
    np.testing.assert_allclose(total, 1.0, rtol=1e-14)  # (1/n) Σ C_i = I
    np.testing.assert_allclose(merged, 1.0, rtol=1e-14)  # Σ A_i C_i = I
    sizes = [len(block) for block in blocks]
    owned = Counter(int(j) for block in blocks for j in block)
    if n <= d:
        assert owned == Counter(range(d))
        assert max(sizes) - min(sizes) <= 1
    else:
        assert set(sizes) == {1}
        assert set(owned) == set(range(d))
        assert max(owned.values()) - min(owned.values()) <= 1


@given(n=st.integers(1, 6), d=st.integers(1, 12), data=st.data(), k=st.integers(0, 10**6))
def test_rand_blocks_are_sorted_subsets(n: int, d: int, data: st.DataObject, k: int) -> None:
    q = data.draw(st.integers(1, d))
    sketch = sketch_of(n, d, 3, sketch="rand", q=q)
    for block in block_lists(sketch, k):
        assert len(block) == q
        assert (np.diff(block) > 0).all()
        assert 0 <= block[0] <= block[-1] < d


def test_rand_draws_do_not_depend_on_what_was_drawn_before() -> None:
    fresh, used = sketch_of(3, 9, sketch="rand", q=4), sketch_of(3, 9, sketch="rand", q=4)
    for k in range(20):
        used.draw(k)
    np.testing.assert_array_equal(fresh.draw(7).pi.copy(), used.draw(7).pi)


def test_rand_q_may_not_exceed_d() -> None:
    with pytest.raises(InputError, match=r"method\.q: got 5"):
        sketch_of(2, 4, sketch="rand", q=5)


def enumerated_law(n: int, d: int) -> Law:
    """The law of the package's rule, every shuffle taken with its equal probability."""
    law: Law = {}
    offsets = np.arange(n + 1, dtype=np.int32)
    pi = np.empty(max(n, d), dtype=np.int32)
    orders = list(itertools.permutations(range(min(n, d))))
    for order in orders:
        if n <= d:
            draws.block_edges(np.array(order, dtype=np.int32), d, offsets)
            items = [i for i in range(n) for _ in range(offsets[i + 1] - offsets[i])]
        else:
            draws.holders(np.array(order, dtype=np.int32), pi)
            items = pi.tolist()
        arrangements = set(itertools.permutations(items))
        for arrangement in arrangements:
            if n <= d:
                owner = np.array(arrangement, dtype=np.int32)
                draws.blocks_of_owners(owner, offsets, np.empty(n, dtype=np.int32), pi)
            else:
                pi[:] = arrangement
            key = tuple(tuple(pi[offsets[i] : offsets[i + 1]].tolist()) for i in range(n))
            law[key] = law.get(key, 0.0) + 1.0 / (len(orders) * len(arrangements))
    return law


def reference_law(sketch: str, n: int, d: int, q: int | None = None, g: int = 1) -> Law:
    law: Law = {}
    for probability, blocks in reference.draws(sketch, n, d, q, g):
        key = tuple(tuple(sorted(int(j) for j in block)) for block in blocks)
        law[key] = law.get(key, 0.0) + probability
    return law


GROUPED = [(2, 8, 2), (2, 15, 3), (3, 8, 2), (4, 6, 2), (5, 4, 2), (3, 10, 5), (2, 6, 6)]
"""(n, d, g): n | d/g or not, n > d/g with workers few and many, g = d."""

SMALL = [(1, 3), (2, 4), (2, 5), (3, 5), (3, 4), (4, 4), (4, 3), (5, 2), (4, 2)]


@pytest.mark.parametrize(("n", "d"), SMALL)
def test_the_rule_has_the_law_of_the_paper(n: int, d: int) -> None:
    found, expected = enumerated_law(n, d), reference_law("permutation", n, d)
    assert found.keys() == expected.keys()
    for key, probability in expected.items():
        assert found[key] == pytest.approx(probability, rel=1e-9)


@pytest.mark.parametrize(("n", "d"), SMALL)
def test_sketches_are_unbiased_by_enumeration(n: int, d: int) -> None:
    mean = np.zeros((n, d))
    for blocks, probability in enumerated_law(n, d).items():
        holders = Counter(j for block in blocks for j in block)
        for i, block in enumerate(blocks):
            for j in block:
                mean[i, j] += probability * (n / holders[j])
    np.testing.assert_allclose(mean, 1.0, rtol=1e-12)  # E C_i = I


@pytest.mark.parametrize(
    ("sketch", "n", "d", "q", "g"),
    [("permutation", n, d, None, 1) for n, d in [(2, 4), (3, 4), (2, 5), (4, 3), (3, 2), (3, 3)]]
    + [("permutation", n, d, None, g) for n, d, g in GROUPED]
    + [("rand", 2, 4, 2, 1), ("rand", 2, 3, 1, 1)],
)
def test_draws_follow_the_law(sketch: str, n: int, d: int, q: int | None, g: int) -> None:
    settings = {"sketch": sketch, "group_size": g} | ({"q": q} if q else {})
    drawn = sketch_of(n, d, 20, **settings)
    law = reference_law(sketch, n, d, q, g)
    rounds = 400 * len(law)
    counts = Counter(
        tuple(tuple(block.tolist()) for block in block_lists(drawn, k)) for k in range(rounds)
    )
    assert counts.keys() <= law.keys()
    chi_square = sum(
        (counts[key] - rounds * probability) ** 2 / (rounds * probability)
        for key, probability in law.items()
    )
    freedom = len(law) - 1
    assert chi_square < freedom + 4 * np.sqrt(2 * freedom) + 6


@pytest.mark.parametrize(("n", "d", "g"), GROUPED)
def test_groups_go_where_coordinates_go(n: int, d: int, g: int) -> None:
    """The same stream as at d/g coordinates, each of which becomes g."""
    grouped, single = sketch_of(n, d, 3, group_size=g), sketch_of(n, d // g, 3)
    assert grouped.sketch.total == g * single.sketch.total
    assert grouped.sketch.largest == g * single.sketch.largest
    for k in range(20):
        blocks, groups = grouped.draw(k), single.draw(k)
        np.testing.assert_array_equal(blocks.offsets, g * groups.offsets)
        np.testing.assert_array_equal(blocks.pi, (g * groups.pi[:, None] + np.arange(g)).ravel())


@pytest.mark.parametrize(("n", "d", "g"), GROUPED)
def test_grouped_sketches_add_up_to_the_identity(n: int, d: int, g: int) -> None:
    sketch = sketch_of(n, d, 4, group_size=g)
    for k in range(10):
        blocks = sketch.draw(k)
        C, A = blocks.C, blocks.A
        total, merged = np.zeros(d), np.zeros(d)
        np.add.at(total, blocks.pi, C / n)
        np.add.at(merged, blocks.pi, A * C)
        np.testing.assert_allclose(total, 1.0, rtol=1e-14)
        np.testing.assert_allclose(merged, 1.0, rtol=1e-14)


def test_groups_must_divide_the_coordinates() -> None:
    with pytest.raises(InputError, match=r"method\.group_size: got 3; expected a divisor of d = 7"):
        sketch_of(2, 7, group_size=3)


def test_which_worker_gets_more_is_random() -> None:
    sketch = sketch_of(3, 7, 1)
    larger = Counter(int(np.argmax(np.diff(sketch.draw(k).offsets))) for k in range(3000))
    assert set(larger) == {0, 1, 2}
    assert min(larger.values()) > 900


def test_the_stream_is_what_it_was() -> None:
    """Frozen draws: a change of these is a change of every published result."""
    expected = {
        (3, 7): ([3, 4, 0, 1, 2, 5, 6], [0, 2, 5, 7]),
        (5, 3): ([2, 0, 1, 1, 0], [0, 1, 2, 3, 4, 5]),
    }
    for (n, d), (pi, offsets) in expected.items():
        blocks = sketch_of(n, d, 5).draw(0)
        assert (blocks.pi.tolist(), blocks.offsets.tolist()) == (pi, offsets)
    assert sketch_of(3, 7, 5, sketch="rand", q=2).draw(0).pi.tolist() == [2, 6, 4, 5, 4, 6]


def test_subsets_of_rand_are_uniform_for_every_worker() -> None:
    sketch = sketch_of(2, 6, 9, sketch="rand", q=3)
    counts = [Counter[tuple[int, ...]](), Counter[tuple[int, ...]]()]
    rounds = 8000
    for k in range(rounds):
        for count, block in zip(counts, block_lists(sketch, k), strict=True):
            count[tuple(block.tolist())] += 1
    expected = Fraction(rounds, comb(6, 3))
    for count in counts:
        assert len(count) == comb(6, 3)
        assert sum((c - expected) ** 2 / expected for c in count.values()) < 43.8  # 1 in 1000
