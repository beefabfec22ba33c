"""Agreement between ranks and sums over workers, with different data on every rank."""

import numpy as np
import pytest
from mpi4py import MPI

from ist_mpi.config import Method
from ist_mpi.errors import Fault, InputError, LauncherError
from ist_mpi.exchange import ranks, rounds, workers
from ist_mpi.sketches import Sketch

pytestmark = [pytest.mark.mpi, pytest.mark.timeout(60)]

WORLD = MPI.COMM_WORLD


def test_world_is_the_launchers() -> None:
    assert ranks.world().size == WORLD.size
    assert ranks.launched_size() in (None, WORLD.size)
    ranks.check_launcher(WORLD)


def test_singletons_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks.MPI, "COMM_WORLD", MPI.COMM_SELF, raising=False)
    monkeypatch.setenv("PMI_SIZE", "7")
    with pytest.raises(LauncherError, match="started 7 ranks, but each of them is alone"):
        ranks.check_launcher(MPI.COMM_SELF)


def test_faults_of_all_ranks_are_joined_on_every_rank() -> None:
    mine = Fault(f"worker {WORLD.rank}", "got", "expected")
    error = InputError([mine, Fault("shared", "got", "expected")]) if WORLD.rank % 2 == 0 else None
    with pytest.raises(InputError) as caught:
        ranks.agree(WORLD, error)
    found = [fault.where for fault in caught.value.faults]
    even = [f"worker {rank}" for rank in range(0, WORLD.size, 2)]
    assert found == [even[0], "shared", *even[1:]]


def test_no_error_is_no_error() -> None:
    ranks.agree(WORLD, None)
    assert ranks.on_root(WORLD, lambda: "root") == "root"


def test_shares_arrive_at_their_owners() -> None:
    where = workers.layout(WORLD, 7, 3)
    share = (lambda worker: {"worker": worker}) if WORLD.rank == 0 else None
    mine = [item["worker"] for item in workers.deal(WORLD, where, share)]
    assert mine == list(range(where.first, where.last))


@pytest.mark.parametrize("shape", [(5,), (2,), (6, 4), (1, 3)])
def test_means_are_sums_in_worker_order(shape: tuple[int, ...]) -> None:
    n = 6
    arrays = np.random.default_rng(1).standard_normal((n, *shape)) * 10.0 ** np.arange(n).reshape(
        n, *[1] * len(shape)
    )
    expected = np.zeros(shape)
    for array in arrays:
        expected = expected + array
    expected = expected / n
    where = workers.layout(WORLD, n, shape[0])

    def own(worker: int) -> np.ndarray:
        assert where.first <= worker < where.last
        return arrays[worker]

    slab = workers.mean_rows(WORLD, where, own, shape)
    assert slab.tobytes() == expected[where.slab].tobytes()
    everywhere = workers.whole(WORLD, where, slab, everywhere=True)
    assert everywhere is not None
    assert everywhere.tobytes() == expected.tobytes()
    on_root = workers.whole(WORLD, where, slab)
    assert (on_root is None) == (WORLD.rank != 0)
    stacked = workers.workers_array(WORLD, where, own, shape)
    if stacked is not None:
        assert stacked.tobytes() == arrays.tobytes()


@pytest.mark.parametrize("kind", ["server", "replicated"])
def test_a_round_trip_brings_every_piece_home(kind: str) -> None:
    n, d = 5, 13
    method = Method.model_validate({"name": "ist", "step_size": 1.0})
    sketch = Sketch(method, n, d, seed=3)
    where = workers.layout(WORLD, n, d)
    exchange = rounds.connect(WORLD, kind, sketch, where)
    truth = np.random.default_rng(2).standard_normal(d)
    for k in range(4):
        x = truth.copy() if exchange.holds else np.full(d, np.nan)
        if WORLD.rank == 0:
            sketch.draw(k)
        else:
            sketch.message[:] = -1
        assert exchange.broadcast(True, sketch.blocks)
        expected = Sketch(method, n, d, seed=3).draw(k)
        np.testing.assert_array_equal(sketch.blocks.pi, expected.pi)
        np.testing.assert_array_equal(sketch.blocks.offsets, expected.offsets)
        first, last = expected.offsets[where.first], expected.offsets[where.last]
        mine = exchange.scatter(x, sketch.blocks)
        np.testing.assert_array_equal(mine, truth[expected.pi[first:last]])
        pieces = exchange.gather(mine * (1.0 + WORLD.rank), sketch.blocks)
        if exchange.holds:
            factor = 1.0 + np.repeat(
                np.repeat(np.arange(WORLD.size), np.diff(where.workers)),
                np.diff(expected.offsets),
            )
            np.testing.assert_array_equal(pieces, truth[expected.pi] * factor)
        exchange.share(x)
        np.testing.assert_array_equal(x, truth)


@pytest.mark.parametrize("kind", ["server", "replicated"])
def test_rank_0_decides_when_to_stop(kind: str) -> None:
    sketch = Sketch(Method.model_validate({"name": "ist", "step_size": 1.0}), 2, 4, seed=0)
    exchange = rounds.connect(WORLD, kind, sketch, workers.layout(WORLD, 2, 4))
    assert exchange.broadcast(WORLD.rank == 0, sketch.draw(0))
    assert not exchange.broadcast(WORLD.rank != 0, sketch.draw(1))
