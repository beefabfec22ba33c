"""Problems of other files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ist_mpi
from ist_mpi.errors import InputError

CODE = """
import numpy as np
from ist_mpi.config import Problem
from ist_mpi.config.types import Count
from ist_mpi.problems import QuadraticProblem

class Sizes(Problem):
    n: Count
    d: Count

class Mine(QuadraticProblem):
    Settings = Sizes

    def __init__(self, settings):
        super().__init__(settings)
        self.n, self.d = settings.n, settings.d

    def quadratic(self, worker):
        rng = np.random.default_rng(worker)
        B = rng.standard_normal((self.d, self.d))
        L, b = B.T @ B, rng.standard_normal(self.d)
        {change}
        return L, b
"""


def config(tmp_path: Path, change: str = "pass", **problem: Any) -> dict[str, Any]:
    code = tmp_path / "mine.py"
    code.write_text(CODE.replace("{change}", change))
    return {
        "problem": {"kind": f"{code}:Mine", "n": 3, "d": 7, **problem},
        "method": {"name": "ist", "step_size": 1e-3},
        "run": {"rounds": 20, "theory": True},
        "log": {"problem": True},
    }


def test_it_is_the_same_as_its_arrays(tmp_path: Path) -> None:
    """Iterates, columns and constants are those of the arrays problem with the same L and b."""
    found = ist_mpi.run(config(tmp_path))
    arrays = config(tmp_path)
    arrays["problem"] = {"kind": "arrays", "L": found.problem["L"], "b": found.problem["b"]}
    expected = ist_mpi.run(arrays)
    assert found.x.tobytes() == expected.x.tobytes()
    assert found.theory["theta"] == expected.theory["theta"]
    np.testing.assert_array_equal(found.rounds["gap"], expected.rounds["gap"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("L[0, 1] += 1.0", "a symmetric matrix"),
        ("L = -L", "no negative eigenvalue"),
        ("b[2] = np.nan", "finite numbers"),
        ("b = b[1:]", r"shapes \(7, 7\) and \(6,\)"),
    ],
)
def test_wrong_quadratics(change: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words):
        ist_mpi.run(config(tmp_path, change))


def test_its_settings_are_checked(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        ist_mpi.run(config(tmp_path, n=0, stiffness=1.0))
    text = str(caught.value)
    assert "problem.n" in text
    assert "problem.stiffness" in text
    assert "an unknown name" in text
