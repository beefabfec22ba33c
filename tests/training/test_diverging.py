"""Runs that grow until their numbers are beyond float64, slowly or at once, end as diverged."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ist_mpi
from ist_mpi.sums import exact_sum
from ist_mpi.verify import verify

LOGISTIC = {"kind": "logistic", "n": 4, "l2": 5.0, "split": "shuffled"}
NETWORK = {"kind": "network", "n": 3, "hidden": [6], "batch": 5, "loss": "squares"}
TWO_LAYERS = NETWORK | {"hidden": [5, 4], "batch": 0, "loss": "softmax", "logit_scale": 3.0}
CASES: dict[str, tuple[dict[str, Any], dict[str, Any], list[float]]] = {
    "logistic": (LOGISTIC, {"name": "gradient_descent"}, [0.45, 0.6, 1.0, 3.0, 1e9]),
    "logistic, ist": (LOGISTIC, {"name": "ist"}, [0.15, 0.2, 0.5, 3.0]),
    "network": (NETWORK, {"name": "gradient_descent"}, [1.0, 3.0, 10.0, 1e5]),
    "network, ist": (NETWORK, {"name": "ist", "local_steps": 5}, [1.0, 3.0, 1e5]),
    "network, two layers": (TWO_LAYERS, {"name": "gradient_descent"}, [1e120, 1e150]),
    "ridge": (
        {"kind": "ridge", "n": 4, "l2": 5.0},
        {"name": "gradient_descent"},
        [0.35, 3.0, 1e9],
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("every", [1, 7])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("ignore:diverged")
def test_however_fast(case: str, every: int, tmp_path: Path) -> None:
    """The log is whole, says why it ended, and is found to be honest."""
    problem, method, steps = CASES[case]
    rng = np.random.default_rng(2)
    X = rng.standard_normal((40, 6))
    y = np.where(X @ rng.standard_normal(6) > 0, 1, -1)
    ended, logs = [], []
    for index, step in enumerate(steps):
        log = tmp_path / f"{index}.h5"
        config = {
            "problem": problem | {"X": X, "y": y},
            "method": method | {"step_size": step},
            "run": {"rounds": 3000, "theory": False},
            "log": {"every": every, "problem": False},
        }
        ended.append(ist_mpi.run(config, out=log).stop_reason)
        logs.append(log)
    assert sum("not finite" in reason for reason in ended) >= 2, ended
    assert all("not finite" in reason or reason == "rounds" for reason in ended), ended
    for log in logs:
        run = ist_mpi.open_run(log)
        assert run.status in ("failed", "finished")
        report = verify([log])
        assert not report.failed, [row for row in report.rows if row.verdict == "failed"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1e308, 1e308], np.inf),
        ([-1e308, -1e308, 5.0], -np.inf),
        ([1e308, 1e308, -1e308, 1.0], 1e308),
        ([np.inf, 1.0], np.inf),
        ([np.inf, -np.inf], np.nan),
        ([np.nan, 1e308, 1e308], np.nan),
        ([1e16, 1.0, -1e16], 1.0),
        ([], 0.0),
    ],
)
def test_a_sum_beyond_float64(values: list[float], expected: float) -> None:
    assert np.array_equal(exact_sum(values), expected, equal_nan=True)
    assert np.array_equal(exact_sum(np.array(values)), expected, equal_nan=True)
