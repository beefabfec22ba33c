"""Agreement between ranks and sums over workers, with different data on every rank."""

import numpy as np
import pytest
from mpi4py import MPI

from ist_mpi.config import method_table
from ist_mpi.errors import Fault, InputError, LauncherError
from ist_mpi.parallel import ranks
from ist_mpi.parallel.connect import KINDS, connect
from ist_mpi.parallel.team import Team
from ist_mpi.sketches import drawing_of, sketch_of

pytestmark = [pytest.mark.mpi, pytest.mark.timeout(600)]

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
    team = Team.of(WORLD, 7, 3)
    share = (lambda worker: {"worker": worker}) if WORLD.rank == 0 else None
    mine = [item["worker"] for item in team.deal(share)]
    assert mine == list(range(team.first, team.last))


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
    team = Team.of(WORLD, n, shape[0])

    def own(worker: int) -> np.ndarray:
        assert team.first <= worker < team.last
        return arrays[worker]

    slab = team.mean_rows(own, shape)
    assert slab.tobytes() == expected[team.slab].tobytes()
    everywhere = team.whole(slab, everywhere=True)
    assert everywhere is not None
    assert everywhere.tobytes() == expected.tobytes()
    on_root = team.whole(slab)
    assert (on_root is None) == (WORLD.rank != 0)
    stacked = team.workers_array(own, shape)
    if stacked is not None:
        assert stacked.tobytes() == arrays.tobytes()


@pytest.mark.parametrize("d", [5, 13, 1000])
@pytest.mark.parametrize("kind", KINDS)
def test_a_round_trip_brings_every_piece_home(kind: str, d: int) -> None:
    """Parts arrive where they belong, and the model that comes back is the one that was made."""
    n = 5
    method = method_table({"name": "ist", "step_size": 1.0})
    sketch = sketch_of(method, n, d)
    team = Team.of(WORLD, n, d)
    even, odd = (drawing_of(sketch, 3, team.first, team.last) for _ in range(2))
    exchange = connect(team, kind, sketch, (even, odd))
    expected = drawing_of(sketch, 3)
    truth = np.random.default_rng(2).standard_normal(d)
    x = truth.copy()
    rank_of_worker = np.repeat(np.arange(WORLD.size), np.diff(team.workers))
    for k in range(6):
        own = exchange.broadcast(k)
        expected.draw(k)
        np.testing.assert_array_equal(exchange.drawing.pi, expected.pi)
        np.testing.assert_array_equal(exchange.drawing.offsets, expected.offsets)
        first, last = expected.offsets[team.first], expected.offsets[team.last]
        np.testing.assert_array_equal(own.pi, expected.pi[first:last])
        mine = exchange.scatter(x)
        np.testing.assert_array_equal(mine, truth[expected.pi[first:last]])
        exchange.place(x, mine * (1.0 + WORLD.rank))
        truth[expected.pi] *= 1.0 + np.repeat(rank_of_worker, np.diff(expected.offsets))
        if exchange.holds:
            np.testing.assert_array_equal(x, truth)
        if k % 2 == 1:
            exchange.share(x)
            np.testing.assert_array_equal(x, truth)
        elif not exchange.holds:
            x[:] = np.nan  # nobody may count on it
    exchange.close()


def test_rank_0_decides() -> None:
    assert ranks.from_root(WORLD, 7 if WORLD.rank == 0 else -1) == 7
