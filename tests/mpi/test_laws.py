"""Theory of a finite law, and of no law: the same to the bit however the workers are spread."""

from typing import Any

import numpy as np
import pytest
from cases import configuration

import ist_mpi
from ist_mpi.exact_theory.step import Known, Step
from ist_mpi.parallel.mpi import MPI
from ist_mpi.sketches.law import Finite
from ist_mpi.training import budget, setup

WORLD = MPI.COMM_WORLD


def rotated(n: int, d: int) -> Finite:
    blocks = np.array_split(np.arange(d), n)
    offsets = [np.cumsum([0, *map(len, blocks[s:] + blocks[:s])]) for s in range(n)]
    orders = [np.concatenate(blocks[s:] + blocks[:s]) for s in range(n)]
    ones = np.ones(d)
    return Finite([(1 / n, orders[s], offsets[s], n * ones, ones / n) for s in range(n)])


@pytest.mark.parametrize("heterogeneous", [True, False])
@pytest.mark.parametrize("law", [rotated(3, 7), None], ids=["rotated", "none"])
@pytest.mark.parametrize("step", [Step(), Step(two_sided=False)])
def test_theory_on_any_number_of_ranks(
    step: Step, law: Finite | None, heterogeneous: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (setup, budget):
        monkeypatch.setattr(module, "known_of", lambda *_: Known(step, law, "mine"))
    config = configuration("merge", "n does not divide d", theory=True)
    config["problem"]["heterogeneous"] = heterogeneous
    found: list[Any] = [ist_mpi.run(config, comm) for comm in (MPI.COMM_SELF, WORLD)]
    if WORLD.rank:
        return
    alone, together = found
    assert set(alone.theory) == set(together.theory)
    for name, value in alone.theory.items():
        np.testing.assert_array_equal(together.theory[name], value)
    for name in set(alone.rounds) - {"seconds"}:
        np.testing.assert_array_equal(together.rounds[name], alone.rounds[name])
    assert bool(law) == np.isfinite(alone.theory["limit_gap"])
