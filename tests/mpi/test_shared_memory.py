"""Hosts whose ranks cannot share a matrix: every rank has a copy, and the bits are the same."""

import warnings
from typing import Any

import psutil
import pytest
from mpi4py import MPI
from same import same_run

import ist_mpi
from ist_mpi.errors import Caution, InputError
from ist_mpi.parallel import nodes

WORLD = MPI.COMM_WORLD
CONFIG: dict[str, Any] = {
    "problem": {"kind": "synthetic", "d": 40, "n": 5, "heterogeneous": False},
    "method": {"name": "ist", "step_size": 1e-3},
    "run": {"rounds": 20},
}


def small(monkeypatch: pytest.MonkeyPatch, rank: int, room: int) -> None:
    """The host of one rank has less room than those of others."""
    if WORLD.rank == rank % WORLD.size:
        monkeypatch.setattr(nodes, "_room_here", lambda: room)


@pytest.mark.mpi
@pytest.mark.parametrize("rank", [0, -1])
def test_all_ranks_have_copies_or_none(monkeypatch: pytest.MonkeyPatch, rank: int) -> None:
    with warnings.catch_warnings(record=True) as none:
        warnings.simplefilter("always")
        expected = ist_mpi.run(CONFIG, WORLD)
    small(monkeypatch, rank, 40 * 40 * 8)
    monkeypatch.setattr(nodes, "SharedArray", None)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        same_run(ist_mpi.run(CONFIG, WORLD), expected)
    assert not [item for item in none if item.category is Caution]
    said = [str(item.message) for item in found if item.category is Caution]
    assert len(said) == (WORLD.rank == 0 and WORLD.size > 1)
    assert all("12.5 KiB" in text and nodes.PLACE in text for text in said)


@pytest.mark.mpi
def test_copies_that_do_not_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    if WORLD.size == 1:
        pytest.skip("one rank shares nothing")
    small(monkeypatch, 0, 0)
    free = psutil.virtual_memory()._replace(available=100 * 1024)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Caution)
        with pytest.raises(InputError, match="needed by"):
            ist_mpi.run({**CONFIG, "problem": {**CONFIG["problem"], "d": 90}}, WORLD)
