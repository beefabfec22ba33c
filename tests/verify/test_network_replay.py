"""Logs of networks are judged: by replay, and by what they say of themselves."""

import shutil
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import h5py
import network_truth as truth
import numpy as np
import pytest

import ist_mpi
from ist_mpi.kernels import philox
from ist_mpi.kernels.batches import draw_batches
from ist_mpi.verify import alone, network, verify
from ist_mpi.verify.batches import batches

CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "ist": ({"local_steps": 3}, {}),
    "ist, merge": ({"form": "merge", "local_steps": 2}, {"hidden": [7]}),
    "ist, squares": ({}, {"loss": "squares", "batch": 0, "hidden": [6]}),
    "ist, two layers": ({"local_steps": 2}, {"hidden": [5, 8], "loss": "squares"}),
    "shared block": ({"name": "shared_block"}, {"hidden": [7]}),
    "shared block, two layers": ({"name": "shared_block"}, {"hidden": [5, 8]}),
    "shared block, momentum": (
        {"name": "shared_block", "momentum": "nesterov", "mu": 0.01},
        {"hidden": [7]},
    ),
    "sgd, momentum": (
        {"name": "gradient_descent", "momentum": "nesterov", "mu": 0.01},
        {"batch": 0},
    ),
    "sgd": ({"name": "gradient_descent"}, {}),
    "local sgd": ({"sketch": "identity", "local_steps": 3}, {"hidden": [2, 5], "batch": 99}),
    "alone": ({"local_steps": 2}, {"n": 1}),
}
JUDGED = ("rows", "floats", "consistency", "problem", "measurements", "replay")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(5)
    path = tmp_path_factory.mktemp("data") / "samples.npz"
    np.savez(path, X=rng.standard_normal((40, 3)), y=np.arange(40) % 3)
    return path


def logged(data: Path, log: Path, case: str = "ist", **run: Any) -> Path:
    method, problem = CASES[case]
    scales = {"logit_scale": 2.0, "evaluation_scale": 0.5}
    config = {
        "problem": {"kind": "network", "path": str(data), "n": 3, "hidden": [6], "batch": 4}
        | {"test_share": 0.2, "split": "shuffled", **scales, **problem},
        "method": {"name": "ist", "step_size": 0.1, **method},
        "run": {"rounds": 7, "seed": 2**40 + 7, **run},
        "log": {"iterates": True, "every": 2, "permutations": True},
    }
    ist_mpi.run(config, out=log)
    return log


@pytest.mark.parametrize("case", CASES)
def test_honest_logs_are_ok(case: str, data: Path, tmp_path: Path) -> None:
    report = verify([logged(data, tmp_path / "run.h5", case)])
    found = {row.check: row for row in report.rows}
    assert not report.failed, [row for row in report.rows if row.verdict == "failed"]
    drawn = "sgd" not in case
    for check in JUDGED + (("blocks",) if drawn else ()):
        assert found[check].verdict == "ok", found[check]
    assert "no exact theory" in found["constants"].allowed


CHANGED = ("ist", "shared block", "shared block, two layers")


@pytest.fixture(scope="module")
def honest(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Logs to be changed, in copies."""
    folder = tmp_path_factory.mktemp("logs")
    return {case: logged(data, folder / f"{at}.h5", case) for at, case in enumerate(CHANGED)}


@pytest.mark.parametrize(
    ("case", "place", "checks"),
    [
        ("ist", "rounds/value", {"measurements", "replay"}),
        ("shared block", "rounds/gradient_norm_squared", {"measurements", "replay"}),
        ("ist", "rounds/train_loss", {"measurements", "replay"}),
        ("shared block", "rounds/train_accuracy", {"measurements", "replay"}),
        ("ist", "rounds/test_loss", {"measurements", "replay"}),
        ("shared block", "rounds/test_accuracy", {"measurements", "replay"}),
        ("ist", "rounds/floats_up", {"floats"}),
        ("ist", "iterates/x", {"replay"}),
        ("shared block", "model/x", {"replay"}),
        ("ist", "model/x0", {"problem"}),
        ("ist", "permutations/pi", {"blocks"}),
        ("shared block, two layers", "permutations/offsets", {"blocks"}),
    ],
)
def test_a_wrong_number_is_found(
    case: str, place: str, checks: set[str], honest: dict[str, Path], tmp_path: Path
) -> None:
    log = shutil.copy(honest[case], tmp_path / "run.h5")
    with h5py.File(log, "a") as file:
        values = file[place]
        at = (2, 1) if values.ndim == 2 else 2
        values[at] = values[at] + (1 if values.dtype.kind == "i" else 1e-6)
    failed = {row.check for row in verify([log]).rows if row.verdict == "failed"}
    assert checks <= failed


def test_gradients_and_minibatches_are_those_of_the_reference() -> None:
    """Which are no code of the package either."""
    rng = np.random.default_rng(1)
    for widths, loss in (((3, 5, 3), "softmax"), ((2, 4, 6, 3), "squares")):
        settings: Any = type("Settings", (), {"loss": loss, "logit_scale": 1.5})
        zeros = np.zeros((1, 0)), np.zeros((1, 0)), np.zeros(1)
        x = rng.standard_normal(sum(b * (a + 1) for a, b in pairwise(widths)))
        no_method: Any = None
        one = network.NetworkInstance(no_method, *zeros, x, False, settings, widths)
        X, y = rng.standard_normal((9, widths[0])), np.arange(9) % 3
        value, slope = truth.loss_and_gradient(x, widths, X, y, loss, 1.5)
        np.testing.assert_allclose(one.slope(x, network.Samples(X, y)), slope, atol=1e-13)
        assert one.loss(one.seen(x, X, 1.5).outputs, y) == pytest.approx(value, rel=1e-13)
    state = np.zeros(philox.STATE_SIZE, dtype=np.uint32)
    for seed, k, worker, size in ((2**40 + 9, 0, 0, 4), (3, 2**33, 7, 1), (2**62 + 1, 5, 2, 10)):
        rows = np.empty((6, size), dtype=np.int64)
        draw_batches(seed, k, worker, np.arange(11), rows, state)
        assert list(islice(batches(seed, k, worker, 11, size), 6)) == rows.tolist()
    assert next(batches(1, 2, 3, 4, 9)) == next(batches(1, 2, 3, 4, 0)) == [0, 1, 2, 3]


def test_where_rounding_grows_a_replay_says_so(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in runs that a step far too large drives apart; the rows before that are judged."""
    log = logged(data, tmp_path / "run.h5", rounds=40)
    monkeypatch.setattr(alone, "MAX_SPREAD", 4e-13)
    (found,) = [row for row in verify([log]).rows if row.check == "replay"]
    assert found.verdict == "not judged"
    assert "rounding errors grow" in found.allowed
    with h5py.File(log, "a") as file:
        file["rounds/train_loss"][1] *= 1.01
    (found,) = [row for row in verify([log]).rows if row.check == "replay"]
    assert found.verdict == "failed"


@pytest.mark.slow
def test_blocks_of_many_seeds(data: Path, tmp_path: Path) -> None:
    """Every neuron equally often with every worker."""
    logs = [logged(data, tmp_path / f"{seed}.h5", seed=seed) for seed in range(20)]
    report = verify(logs, replay=False)
    assert not report.failed
    found = {row.check: row for row in report.rows}
    assert found["law of blocks"].verdict == "ok"
