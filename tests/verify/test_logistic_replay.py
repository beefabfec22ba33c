"""Logs of logistic regression are judged: by replay, and by what they say of themselves."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from cases import VARIANTS as OF_PAPER
from scipy import sparse
from sklearn.datasets import dump_svmlight_file
from unbiased import VARIANTS as UNBIASED

import ist_mpi
from ist_mpi.verify import verify

DATA = {"kind": "logistic", "n": 4, "l2": 0.05, "test_share": 0.3, "split": "shuffled"}
METHODS = {**OF_PAPER, **UNBIASED}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(5)
    path = tmp_path_factory.mktemp("data") / "samples.npz"
    X = rng.standard_normal((60, 7))
    y = np.where(X @ rng.standard_normal(7) + rng.standard_normal(60) > 0, 4.0, 2.0)
    np.savez(path, X=X, y=y)
    return path


def logged(data: Path, log: Path, **method: Any) -> Path:
    config = {
        "problem": DATA | {"path": str(data)},
        "method": {"step_size": 0.05, **method},
        "run": {"rounds": 12, "theory": False},
        "log": {"iterates": True, "every": 3},
    }
    ist_mpi.run(config, out=log)
    return log


@pytest.mark.parametrize("variant", METHODS)
def test_honest_logs_are_ok(variant: str, data: Path, tmp_path: Path) -> None:
    report = verify([logged(data, tmp_path / "run.h5", **METHODS[variant])])
    found = {row.check: row for row in report.rows}
    assert not report.failed, [row for row in report.rows if row.verdict == "failed"]
    for check in ("rows", "floats", "consistency", "constants", "measurements", "replay"):
        assert found[check].verdict == "ok", found[check]


@pytest.mark.slow
def test_large_sparse_logs_are_judged(tmp_path: Path) -> None:
    """Nothing of d × d is formed."""
    rng, log = np.random.default_rng(3), tmp_path / "run.h5"
    rows = np.repeat(np.arange(80, dtype=np.int32), 30)
    columns = rng.integers(0, 30_000, 80 * 30, dtype=np.int32)
    X = sparse.csr_array((rng.standard_normal(80 * 30), (rows, columns)), shape=(80, 30_000))
    y, path = np.where(rng.random(80) < 0.5, 1, -1), tmp_path / "data.svm"
    dump_svmlight_file(X, y, str(path), zero_based=False)
    for method in ({"name": "ist"}, {"name": "ist", "scaling": "preconditioned"}):
        config = {
            "problem": {"kind": "logistic", "path": str(path), "d": 30_000, "n": 3, "l2": 0.1},
            "method": {"step_size": 0.1, **method},
            "run": {"rounds": 5},
        }
        ist_mpi.run(config, out=log, force=True)
        found = {row.check: row for row in verify([log]).rows}
        for check in ("rows", "floats", "problem", "constants", "measurements", "replay"):
            assert found[check].verdict == "ok", found[check]
        with h5py.File(log, "r+") as file:
            file["rounds/gradient_norm_squared"][2] *= 1.0 + 1e-6
        assert {row.check for row in verify([log]).rows if row.verdict == "failed"} >= {"replay"}


@pytest.mark.slow
@pytest.mark.parametrize("n", [3, 9])
@pytest.mark.parametrize("scaling", ["unbiased", "unscaled"])
def test_constants_are_judged(n: int, scaling: str, data: Path, tmp_path: Path) -> None:
    config = {
        "problem": DATA | {"path": str(data), "n": n},
        "method": {"name": "ist", "scaling": scaling, "form": "estimator", "step_size": 0.05},
        "run": {"rounds": 3, "theory": True},
    }
    log = tmp_path / "run.h5"
    ist_mpi.run(config, out=log)
    found = {row.check: row for row in verify([log]).rows}
    assert found["constants"].verdict == "ok", found["constants"]
    names = ("l0", "l1", "rms", "mu", "expected_smoothness", "fixed_point_gap_over_zero")
    for name in (*names, "f_star", "gap_at_zero"):
        with h5py.File(log, "r+") as file:
            right = file["theory"].attrs[name]
            file["theory"].attrs[name] = right * (1.0 + 1e-6)
        failed = {row.check for row in verify([log]).rows if row.verdict == "failed"}
        assert "constants" in failed, name
        with h5py.File(log, "r+") as file:
            file["theory"].attrs[name] = right


OF_SUBMODELS: dict[str, tuple[dict[str, Any], int]] = {
    "unbiased": ({"form": "estimator"}, 3),
    "unscaled": ({"scaling": "unscaled"}, 4),
    "preconditioned": ({"scaling": "preconditioned"}, 2),
    "groups": ({"group_size": 2, "form": "estimator"}, 2),
    "rand": ({"sketch": "rand", "q": 3}, 3),
    "more workers than coordinates": ({"form": "estimator"}, 9),
    "more workers, unscaled": ({"scaling": "unscaled"}, 9),
}


@pytest.mark.parametrize("case", OF_SUBMODELS)
def test_the_gap_of_submodels_is_judged(case: str, tmp_path: Path) -> None:
    """Where it is added up over all blocks."""
    method, n = OF_SUBMODELS[case]
    rng, log = np.random.default_rng(6), tmp_path / "run.h5"
    X = rng.standard_normal((40, 6))
    y = np.where(X @ rng.standard_normal(6) > 0, 1, -1)
    np.savez(tmp_path / "data.npz", X=X, y=y)
    config = {
        "problem": {"kind": "logistic", "path": str(tmp_path / "data.npz"), "n": n, "l2": 0.05}
        | {"split": "shuffled", "fixed_point": "exact"},
        "method": {"name": "ist", "step_size": 0.05, **method},
        "run": {"rounds": 6},
    }
    ist_mpi.run(config, out=log)
    found = {row.check: row for row in verify([log]).rows}
    for check in ("constants", "measurements", "replay"):
        assert found[check].verdict == "ok", found[check]
    for place, checks in (
        ("rounds/submodel_gap", {"measurements", "replay"}),
        ("theory/fixed_point", {"constants"}),
    ):
        with h5py.File(log, "a") as file:
            values, at = file[place], len(file[place]) - 1
            was = values[at]
            values[at] = was + 1e-6
        assert checks <= {row.check for row in verify([log]).rows if row.verdict == "failed"}
        with h5py.File(log, "a") as file:
            file[place][at] = was


@pytest.mark.parametrize(
    ("column", "checks"),
    [
        ("value", {"measurements", "replay"}),
        ("gap", {"measurements", "replay", "consistency"}),
        ("train_accuracy", {"measurements", "replay"}),
        ("test_accuracy", {"measurements", "replay"}),
        ("distance_to_fixed_point", {"measurements", "replay"}),
        ("x", {"replay"}),
        ("x_star", {"constants"}),
    ],
)
def test_a_wrong_number_is_found(column: str, checks: set[str], data: Path, tmp_path: Path) -> None:
    log = logged(data, tmp_path / "run.h5", name="ist")
    with h5py.File(log, "a") as file:
        group = {"x": "iterates", "x_star": "theory"}.get(column, "rounds")
        values = file[f"{group}/{column}"]
        values[2] = values[2] + 1e-3
    report = verify([log])
    failed = {row.check for row in report.rows if row.verdict == "failed"}
    assert checks <= failed, (failed, report)
