"""Networks: the same bits on any number of ranks, by every exchange, and through stops."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
from mpi4py import MPI
from same import same_run

import ist_mpi
from ist_mpi.parallel import signals
from ist_mpi.training import api
from ist_mpi.training import job as jobs
from ist_mpi.training.record import Record

pytestmark = [
    pytest.mark.mpi,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore:.*going on after round"),
]

WORLD, SELF = MPI.COMM_WORLD, MPI.COMM_SELF

CASES: dict[str, dict[str, Any]] = {
    "ist": {"name": "ist", "local_steps": 3},
    "shared block": {"name": "shared_block"},
    "sgd": {"name": "gradient_descent"},
    "local sgd": {"name": "ist", "sketch": "identity", "local_steps": 2},
}


def config(case: str, hidden: list[int], n: int, **run: Any) -> dict[str, Any]:
    return {
        "problem": {"kind": "network", "n": n, "hidden": hidden, "test_share": 0.2},
        "method": {"step_size": 0.1, **CASES[case]},
        "run": {"rounds": 6, **run},
        "log": {"iterates": True, "permutations": True},
    }


@pytest.mark.parametrize("exchange", ["server", "replicated"])
@pytest.mark.parametrize("case", CASES)
def test_the_same_bits(case: str, exchange: str) -> None:
    hidden, n = ([13], 5) if exchange == "server" else ([7, 10], 3)
    settings = config(case, hidden, n, exchange=exchange)
    expected = ist_mpi.run(settings, SELF) if WORLD.rank == 0 else None
    light = WORLD.bcast(expected.without_bulk() if expected is not None else None)
    found = ist_mpi.run(settings, WORLD)
    same_run(found, light, groups=("model", "theory"))
    if expected is not None:
        same_run(found, expected, groups=("iterates", "permutations"))


def test_what_stopped_alone_goes_on_together(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = WORLD.bcast(tempfile.mkdtemp() if WORLD.rank == 0 else None)
    log, settings = Path(folder) / "run.h5", config("ist", [7, 10], 3)
    look = Record.look

    def asked(self: Record, k: int) -> None:
        look(self, k)
        if k >= 3:
            monkeypatch.setattr(signals, "requested", lambda: 15)

    if WORLD.rank == 0:
        with monkeypatch.context() as within:
            within.setattr(Record, "look", asked)
            assert ist_mpi.run(settings, SELF, out=log).status == "stopped"
    monkeypatch.undo()
    WORLD.Barrier()
    job, problem = jobs.reopen(WORLD, log)
    (found,) = api.results(WORLD, job, problem, going_on="resume", tell=lambda _: None)
    if WORLD.rank == 0:
        expected = ist_mpi.run(settings, SELF)
        assert found.x.tobytes() == expected.x.tobytes()
        same_run(found, expected, groups=("model",))
