"""A method and a sketch of other files: the same bits on any number of ranks."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foreign import CODE
from mpi4py import MPI
from same import same_run

import ist_mpi
from ist_mpi.config import Problem
from ist_mpi.problems import FunctionProblem

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


class Given(FunctionProblem):
    """Handed over itself; its settings are values of a class of its own too."""

    class Settings(Problem):
        n: int
        d: int

    def __init__(self, settings: Any) -> None:
        super().__init__(settings)
        self.n, self.d = settings.n, settings.d

    def value(self, worker: int, x: Any) -> float:
        return float(np.cosh(x - worker).sum())

    def gradient(self, worker: int, x: Any) -> Any:
        return np.sinh(x - worker)


@pytest.mark.parametrize("exchange", ["server", "replicated", "serverless"])
@pytest.mark.parametrize(
    "method",
    [{}, {"local_steps": 2}, {"name": "dcgd"}, {"name": "gradient_descent"}],
    ids=["ist", "local steps", "dcgd", "gradient descent"],
)
@pytest.mark.parametrize("of_file", [True, False], ids=["of a file", "given"])
def test_problems(
    of_file: bool,
    method: dict[str, Any],
    exchange: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Each rank has the problem, which has settings of its own."""
    if exchange == "serverless" and "name" in method:
        exchange = "auto"
    code = WORLD.bcast(tmp_path_factory.mktemp("code") / "mine.py" if WORLD.rank == 0 else None)
    if of_file and WORLD.rank == 0:
        code.write_text(CODE)
    WORLD.Barrier()
    config = {
        "problem": {"kind": f"{code}:Logistic" if of_file else Given, "n": 5, "d": 13},
        "method": {"name": "ist", "step_size": 1e-2, **method},
        "run": {"rounds": 6, "exchange": exchange},
    }
    expected = ist_mpi.run(config, MPI.COMM_SELF) if WORLD.rank == 0 else None
    light = WORLD.bcast(expected.without_bulk() if expected is not None else None)
    found = ist_mpi.run(config, WORLD)
    same_run(found, light, groups=("model", "theory"))
