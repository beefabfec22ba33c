"""A method and a sketch of other files: the same bits on any number of ranks."""

from pathlib import Path
from typing import Any

import pytest
from mpi4py import MPI
from same import same_run

import ist_mpi

pytestmark = [pytest.mark.mpi, pytest.mark.timeout(300)]

WORLD = MPI.COMM_WORLD
EXAMPLES = Path(__file__).parents[1] / "examples"
DIANA = {"name": f"{EXAMPLES / 'diana' / 'diana.py'}:Diana"}
ROTATED = {"sketch": f"{EXAMPLES / 'rotated_blocks' / 'rotated_blocks.py'}:RotatedBlocks"}


@pytest.mark.parametrize("exchange", ["server", "replicated"])
@pytest.mark.parametrize(
    "method",
    [
        DIANA,
        ROTATED,
        DIANA | ROTATED,
        {**ROTATED, "local_steps": 3},
        {**ROTATED, "form": "estimator"},
    ],
    ids=["method", "sketch", "both", "local steps", "estimator"],
)
@pytest.mark.parametrize(("n", "d"), [(5, 13), (2, 8), (7, 7)])
def test_the_same_bits(method: dict[str, Any], n: int, d: int, exchange: str) -> None:
    config = {
        "problem": {"kind": "synthetic", "n": n, "d": d},
        "method": {"name": "ist", "step_size": 1e-3, **method},
        "run": {"rounds": 12, "exchange": exchange, "theory": True},
        "log": {"iterates": True, "permutations": True},
    }
    expected = ist_mpi.run(config, MPI.COMM_SELF) if WORLD.rank == 0 else None
    light = WORLD.bcast(expected.without_bulk() if expected is not None else None)
    found = ist_mpi.run(config, WORLD)
    same_run(found, light, groups=("model", "theory"))
    if expected is not None:
        same_run(found, expected, groups=("iterates", "permutations"))
