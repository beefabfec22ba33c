"""Logistic regression: data, classes, what is held out, wrong input, runs that go on."""

from pathlib import Path
from typing import Any

import logistic_truth as truth
import numpy as np
import pytest
import tomli_w
from commands import call
from scipy import sparse

import ist_mpi
from ist_mpi.errors import InputError
from ist_mpi.kernels import logistic
from ist_mpi.training.compiling import compile_for

METHOD = {"name": "ist", "step_size": 0.05}


def run_of(problem: dict[str, Any], out: Path | None = None, **run: Any) -> Any:
    config = {
        "problem": {"kind": "logistic", "n": 3, "l2": 0.05, **problem},
        "method": METHOD,
        "run": {"rounds": 6, "theory": False, **run},
        "log": {"iterates": True},
    }
    return ist_mpi.run(config, out=out)


def samples(m: int = 40, d: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((m, d)) * (rng.random((m, d)) < 0.7)
    return X, (X @ rng.standard_normal(d) + 0.5 * rng.standard_normal(m) > 0).astype(float)


@pytest.mark.parametrize("standardize", [True, False])
def test_dense_and_sparse_samples_are_the_same(standardize: bool) -> None:
    X, y = samples()
    runs = [
        run_of({"X": A, "y": y, "storage": storage, "standardize": standardize})
        for A in (X, sparse.csr_array(X))
        for storage in ("dense", "sparse", "auto")
    ]
    for other in runs[1:]:
        np.testing.assert_allclose(other.iterates["x"], runs[0].iterates["x"], rtol=0, atol=1e-14)


def test_no_exponential_overflows() -> None:
    """Margins of thousands, of both signs."""
    X, y = samples()
    problem, settings = truth.made(3, 6)
    with np.errstate(over="raise", invalid="raise"):
        found = run_of({"X": 1e4 * X, "y": y, "split": "shuffled"}, rounds=3)
    assert np.isfinite(found.rounds["value"]).all()
    local = _local(settings)
    x = 500.0 * np.random.default_rng(0).standard_normal(6)
    for i in range(3):
        assert local.value(i, x) == pytest.approx(problem.value(i, x), rel=1e-13)
        expected = problem.gradient(i, x)
        np.testing.assert_allclose(local.gradient(i, x), expected, rtol=1e-12, atol=1e-13)


def _local(settings: dict[str, Any]) -> Any:
    config = ist_mpi.config.load(
        {"problem": settings, "method": METHOD, "run": {"rounds": 1}}
    ).problem
    source = ist_mpi.problems.load(config)
    shares = [source.share(worker) for worker in range(source.n)]
    return source.local(config, shares, 0, source.d)


def test_gradients_are_those_of_the_values() -> None:
    problem, settings = truth.made(3, 6)
    for storage in ("dense", "sparse"):
        local = _local(settings | {"storage": storage})
        x, step = np.random.default_rng(1).standard_normal(6), 1e-6
        for i in range(problem.n):
            slopes = [
                (local.value(i, x + step * e) - local.value(i, x - step * e)) / (2 * step)
                for e in np.eye(6)
            ]
            np.testing.assert_allclose(local.gradient(i, x), slopes, atol=1e-8)
            v = np.random.default_rng(2).standard_normal(6)
            curved = (local.gradient(i, x + step * v) - local.gradient(i, x - step * v)) / 2 / step
            np.testing.assert_allclose(local.curved(i, x)(v), curved, atol=1e-8)


@pytest.mark.parametrize("names", [(0.0, 1.0), (1.0, 2.0), (-1.0, 1.0), (7.0, 30.0)])
def test_whatever_the_classes_are_called(names: tuple[float, float]) -> None:
    X, y = samples()
    expected = run_of({"X": X, "y": 2 * y - 1})
    called = np.where(y > 0, names[1], names[0])
    if names == (-1.0, 1.0):
        found = run_of({"X": X, "y": called})
    else:
        with pytest.warns(UserWarning, match=f"{names[0]:g} counts as −1, {names[1]:g} as"):
            found = run_of({"X": X, "y": called})
    np.testing.assert_array_equal(found.iterates["x"], expected.iterates["x"])


def test_one_class_against_the_rest() -> None:
    X, y = samples()
    three = np.where(np.arange(40) % 5 == 0, 3.0, y)
    expected = run_of({"X": X, "y": np.where(three == 1.0, 1.0, -1.0), "split": "shuffled"})
    found = run_of({"X": X, "y": three, "positive": 1, "split": "shuffled"})
    np.testing.assert_array_equal(found.iterates["x"], expected.iterates["x"])


def test_held_out_samples(tmp_path: Path) -> None:
    """A file of them, or a share; scaled as the workers' are."""
    X, y = samples(60)
    X = X * [1.0, 10.0, 1.0, 0.1, 1.0] + 3.0
    for name, rows in (("train", slice(0, 40)), ("test", slice(40, 60))):
        np.savez(tmp_path / f"{name}.npz", X=X[rows], y=2 * y[rows] - 1)
    (tmp_path / "run.toml").write_text(
        '[problem]\nkind = "logistic"\npath = "train.npz"\ntest = "test.npz"\nn = 3\nl2 = 0.05\n'
        'standardize = true\n[method]\nname = "ist"\nstep_size = 0.05\n[run]\nrounds = 6\n'
        "[log]\niterates = true\n"
    )
    found = ist_mpi.run(tmp_path / "run.toml")
    train, test = X[:40], X[40:]
    scaled = (test - train.mean(axis=0)) / train.std(axis=0)
    right = [
        np.mean(0.5 + 0.5 * np.sign((2 * y[40:] - 1) * (scaled @ x))) for x in found.iterates["x"]
    ]
    np.testing.assert_allclose(found.rounds["test_accuracy"], right, rtol=1e-14)
    share = run_of({"X": X, "y": y, "test_share": 0.25})
    assert share.rounds["test_accuracy"][0] == 0.5
    assert share.rounds["test_accuracy"][-1] * 15 % 1 == 0.0
    other = run_of({"X": X, "y": y, "test_share": 0.25, "seed": 1})
    assert not np.array_equal(other.x, share.x)


X, Y = samples()
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no l2": ({"l2": None}, r"problem\.l2"),
    "l2 = 0": ({"l2": 0.0}, r"problem\.l2"),
    "three classes": ({"y": np.arange(40) % 3.0}, r"3 classes: 0, 1, 2.*positive = LABEL"),
    "one class": ({"y": np.ones(40)}, "labels that are all 1"),
    "no such class": ({"positive": 5}, r"problem\.positive: got 5"),
    "test and test_share": ({"test": "t.npz", "test_share": 0.5}, "test and test_share"),
    "test_share": ({"test_share": 1.0}, r"problem\.test_share"),
    "no test": ({"test_share": 1e-6}, "at least one"),
    "no file": ({"test": "/nowhere/t.npz"}, "nowhere"),
    "exact": ({"X": np.tile(X, 8), "fixed_point": "exact", "n": 2}, "blocks.*sampled.*gaussian"),
    "precision": ({"precision": "float32"}, "precision"),
    "too many workers": ({"n": 41}, "at most 40"),
    "no such way": ({"fixed_point": "newton"}, r"problem\.fixed_point"),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_input(what: str) -> None:
    change, said = WRONG[what]
    problem = {"kind": "logistic", "X": X, "y": Y, "n": 3, "l2": 0.05, **change}
    config = {
        "problem": {key: value for key, value in problem.items() if value is not None},
        "method": METHOD,
        "run": {"rounds": 2},
    }
    with pytest.raises(InputError, match=said):
        ist_mpi.run(config)


def test_test_samples_of_other_kinds(tmp_path: Path) -> None:
    path = tmp_path / "test.npz"
    for A, y, said in (
        (X[:, :4], Y, r"5|4"),
        (X, np.where(Y > 0, 1.0, 9.0), "label of sample"),
    ):
        np.savez(path, X=A, y=y)
        with pytest.raises(InputError, match=said):
            run_of({"X": X, "y": Y, "test": str(path)})


@pytest.mark.parametrize("changed", ["", "train.npz", "test.npz"])
def test_a_run_that_goes_on(changed: str, tmp_path: Path) -> None:
    """To the same bits; not on data that have changed, those to test on included."""
    for name, seed in (("train.npz", 0), ("test.npz", 1)):
        A, y = samples(seed=seed)
        np.savez(tmp_path / name, X=A, y=2 * y - 1)
    log = tmp_path / "run.h5"
    problem = {"path": str(tmp_path / "train.npz"), "test": str(tmp_path / "test.npz")}
    whole = run_of(problem, rounds=30)
    stopped = run_of(problem, log, rounds=30, max_seconds=1e-6)
    assert stopped.status == "stopped"
    if changed:
        A, y = samples(seed=0 if changed == "train.npz" else 1)
        A[-1, 0] += 1e-9
        np.savez(tmp_path / changed, X=A, y=2 * y - 1)
    path = tmp_path / "run.toml"
    path.write_text(tomli_w.dumps(stopped.config))
    done = call("run", str(path), "--out", str(log), "--resume", "--set", "run.max_seconds=60.0")
    if changed:
        assert done.returncode != 0
        assert "is of other data" in done.stderr.replace("\n", " ")
        return
    assert done.returncode == 0, done.stderr
    found = ist_mpi.open_run(log)
    assert found.x.tobytes() == whole.x.tobytes()
    for name in ("value", "gap", "train_accuracy", "test_accuracy"):
        np.testing.assert_array_equal(found.rounds[name], whole.rounds[name])


def test_budget_counts_the_samples() -> None:
    rng = np.random.default_rng(0)
    A = sparse.csr_array(rng.standard_normal((200, 3000)) * (rng.random((200, 3000)) < 0.01))
    y = np.where(rng.random(200) < 0.5, -1.0, 1.0)
    config = {"kind": "logistic", "X": A, "y": y, "n": 4, "l2": 0.1, "split": "shuffled"}
    source = ist_mpi.problems.load(
        ist_mpi.config.load({"problem": config, "method": METHOD, "run": {"rounds": 1}}).problem
    )
    assert source.kind == "sparse"
    kept = _local(config).storage
    entries = max(np.diff(kept.starts[:, [0, -1]]).ravel())
    assert 8 * source.stored.entries >= 12 * entries + 8 * 3001
    assert source.data_bytes >= A.data.nbytes + A.indices.nbytes


@pytest.mark.slow
@pytest.mark.parametrize("storage", ["dense", "sparse"])
def test_what_is_compiled_ahead_is_all_that_a_run_calls(storage: str) -> None:
    A = sparse.csr_array(X) if storage == "sparse" else X
    problem = {"kind": "logistic", "X": A, "y": Y, "n": 3, "l2": 0.05, "storage": storage}
    for method in ({"name": "ist"}, {"name": "anchored"}, {"name": "scaffnew"}, {"name": "stale"}):
        config = ist_mpi.config.load(
            {
                "problem": problem,
                "method": {"step_size": 0.05, **method},
                "run": {"rounds": 4},
            }
        )
        compile_for(config)
        before = _compiled()
        ist_mpi.run(config)
        assert _compiled() == before


def _compiled() -> dict[str, int]:
    kernels = {name: one for name, one in vars(logistic).items() if hasattr(one, "signatures")}
    assert kernels
    return {name: len(one.signatures) for name, one in kernels.items()}
