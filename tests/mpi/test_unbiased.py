"""Methods without bias: the same bits on any number of ranks, through stops and exchanges."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from mpi4py import MPI
from same import same_run
from thinned import in_turn
from unbiased import VARIANTS

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


SHAPES = {
    "n ∤ d": (5, 13, "server"),
    "d = n + 1, theory": (3, 4, "replicated"),
    "n > d": (7, 5, "server"),
}


@pytest.mark.parametrize(("variant", "shape"), in_turn(list(VARIANTS), list(SHAPES), 2))
def test_the_same_bits(variant: str, shape: str) -> None:
    n, d, exchange = SHAPES[shape]
    config: dict[str, Any] = {
        "problem": {"kind": "synthetic", "n": n, "d": d},
        "method": {"step_size": "default", **VARIANTS[variant]},
        "run": {"rounds": 12, "exchange": exchange, "theory": exchange == "replicated"},
        "log": {"iterates": True, "permutations": True},
    }
    expected = ist_mpi.run(config, SELF) if WORLD.rank == 0 else None
    light = WORLD.bcast(expected.without_bulk() if expected is not None else None)
    found = ist_mpi.run(config, WORLD)
    same_run(found, light, groups=("model", "theory"))
    if expected is not None:
        same_run(found, expected, groups=("iterates", "permutations"))


@pytest.mark.parametrize(("variant", "begins"), in_turn(list(VARIANTS), ["together", "alone"], 1))
def test_what_stopped_goes_on_with_other_ranks(
    variant: str, begins: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = WORLD.bcast(tempfile.mkdtemp() if WORLD.rank == 0 else None)
    log = Path(folder) / "run.h5"
    config: dict[str, Any] = {
        "problem": {"kind": "synthetic", "n": 5, "d": 13},
        "method": {"step_size": "default", **VARIANTS[variant]},
        "run": {"rounds": 20, "theory": False},
    }
    look = Record.look

    def asked(self: Record, k: int) -> None:
        look(self, k)
        if k >= 9:
            monkeypatch.setattr(signals, "requested", lambda: 15)

    first, second = (WORLD, SELF) if begins == "together" else (SELF, WORLD)
    takes_part = WORLD.rank == 0 or first is WORLD
    with monkeypatch.context() as within:
        within.setattr(Record, "look", asked)
        if takes_part:
            assert ist_mpi.run(config, first, out=log).status == "stopped"
    monkeypatch.undo()
    WORLD.Barrier()
    if WORLD.rank == 0 or second is WORLD:
        job, problem = jobs.reopen(second, log)
        went_on = list(api.results(second, job, problem, going_on="resume"))[-1]
        straight = ist_mpi.run(config, SELF)
        same_run(went_on, straight.without_bulk(), groups=("model",))
    WORLD.Barrier()
    if WORLD.rank == 0:
        shutil.rmtree(folder)
