"""Samples to test on: their columns are those of the training data, in whatever form both come."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from ist_mpi.config import load as load_config
from ist_mpi.errors import InputError
from ist_mpi.problems.logistic import LogisticSettings
from ist_mpi.problems.logistic import load as load_logistic
from ist_mpi.problems.network import NetworkSettings
from ist_mpi.problems.network import load as load_network

RNG = np.random.default_rng(3)
NAMES = list("abc")
X, TESTED = RNG.integers(1, 9, (12, 3)) / 4, RNG.integers(1, 9, (5, 3)) / 4
Y, OF_TESTED = np.arange(12) % 2, np.array([0, 1, 1, 0, 1])
WHOSE = np.arange(12) % 2
CLASSES = np.array(["left", "right"])


def frame(values: np.ndarray, y: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(values, columns=NAMES).assign(y=CLASSES[y])


def table(train: pd.DataFrame, **settings: Any) -> Callable[[Path], dict[str, Any]]:
    """Training data in a file of their own."""

    def write(folder: Path) -> dict[str, Any]:
        train.to_csv(folder / "train.csv", index=False)
        return {"path": str(folder / "train.csv"), **settings}

    return write


def archive(folder: Path) -> dict[str, Any]:
    np.savez(folder / "train.npz", X=X, y=CLASSES[Y])
    return {"path": str(folder / "train.npz")}


def records(folder: Path) -> dict[str, Any]:
    fields = [*((name, float) for name in NAMES), ("y", "U5")]
    np.save(folder / "train.npy", np.array([*map(tuple, TRAIN.to_numpy())], dtype=fields))
    return {"path": str(folder / "train.npy"), "target": "y"}


def given(**problem: Any) -> Callable[[Path], dict[str, Any]]:
    return lambda _: problem


TRAIN, TEST = frame(X, Y), frame(TESTED, OF_TESTED)
CLIENTS = TRAIN.assign(w=WHOSE)
NAMED: dict[str, Callable[[Path], dict[str, Any]]] = {
    "CSV": table(TRAIN, target="y"),
    "CSV, target by number": table(TRAIN, target=-1),
    "CSV, target in front": table(TRAIN[["y", "a", "b", "c"]], target=0),
    "CSV, header said": table(TRAIN, target="y", header=True),
    "CSV, workers": table(CLIENTS, target="y", worker="w"),
    "CSV, workers by number": table(CLIENTS[["w", "a", "y", "b", "c"]], target="y", worker=0),
    "records": records,
    "pandas": given(X=TRAIN, target="y"),
    "pandas, target by number": given(X=TRAIN, target=3),
    "pandas, y apart": given(X=TRAIN[NAMES], y=TRAIN["y"], target="y"),
    "pandas, workers": given(X=CLIENTS, target="y", worker="w"),
    "polars": given(X=pl.from_pandas(TRAIN), target="y"),
}
NAMELESS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "arrays": given(X=X, y=CLASSES[Y], target="y"),
    "arrays, target by number": given(X=X, y=CLASSES[Y], target=-1),
    "arrays, header said": given(X=X, y=CLASSES[Y], target=-1, header=True),
    "arrays, workers": given(X=X, y=CLASSES[Y], worker=WHOSE, target="y"),
    "npz": lambda folder: {**archive(folder), "target": "y"},
    "npz, target by number": lambda folder: {**archive(folder), "target": -1},
}


def in_csv(tested: pd.DataFrame, folder: Path, **how: Any) -> str:
    tested.to_csv(folder / "test.csv", index=False, **how)
    return str(folder / "test.csv")


def in_npz(_: pd.DataFrame, folder: Path) -> str:
    np.savez(folder / "test.npz", X=TESTED, y=CLASSES[OF_TESTED])
    return str(folder / "test.npz")


def in_fields(_: pd.DataFrame, folder: Path) -> str:
    rows = np.zeros(len(TESTED), dtype=[("X", float, 3), ("y", "U5")])
    rows["X"], rows["y"] = TESTED, CLASSES[OF_TESTED]
    np.save(folder / "test.npy", rows)
    return str(folder / "test.npy")


def check(problem: dict[str, Any], test: str) -> None:
    """The samples are those that they should be, in both kinds of problems with tests."""
    both = {"n": 2, "standardize": False, **problem, "test": test}
    network = load_network(NetworkSettings(kind="network", hidden=[2], **both)).test
    logistic = load_logistic(LogisticSettings(kind="logistic", l2=0.1, **both)).test
    assert network is not None
    assert logistic is not None
    np.testing.assert_array_equal(network.X, TESTED)
    np.testing.assert_array_equal(network.y, OF_TESTED)
    np.testing.assert_array_equal(logistic.A.toarray(), TESTED)
    np.testing.assert_array_equal(logistic.y, 2 * OF_TESTED - 1)


@pytest.mark.parametrize("form", NAMED)
def test_columns_with_names_are_found_by_them(form: str, tmp_path: Path) -> None:
    problem = NAMED[form](tmp_path)
    check(problem, in_csv(TEST, tmp_path))
    check(problem, in_csv(TEST[["y", "c", "a", "b"]], tmp_path))
    for write in (in_npz, in_fields):  # where features have no names
        check(problem, write(TEST, tmp_path))
    if "worker" in problem:
        check(problem, in_csv(TEST.assign(w=7)[["c", "w", "a", "b", "y"]], tmp_path))


@pytest.mark.parametrize("form", NAMELESS)
def test_columns_without_names_are_found_by_their_places(form: str, tmp_path: Path) -> None:
    problem = NAMELESS[form](tmp_path)
    check(problem, in_csv(TEST.rename(columns={"a": "e"}), tmp_path))
    for write in (in_npz, in_fields):
        check(problem, write(TEST, tmp_path))


def test_a_table_without_names_is_as_the_training_data_are(tmp_path: Path) -> None:
    train = CLIENTS[["a", "w", "b", "y", "c"]]
    problem = table(train, target=3, worker="w")(tmp_path)
    for names in (["a", "b", "y", "c"], ["a", "w", "b", "y", "c"]):
        check(problem, in_csv(TEST.assign(w=0)[names], tmp_path, header=False))
    train.to_csv(tmp_path / "train.csv", index=False, header=False)
    problem = {"path": str(tmp_path / "train.csv"), "target": 3, "worker": 1}
    for header in (False, True):
        check(problem, in_csv(TEST[["a", "b", "y", "c"]], tmp_path, header=header))


def test_a_target_that_is_said_by_its_number_may_have_another_name(tmp_path: Path) -> None:
    problem = table(TRAIN, target=-1)(tmp_path)
    check(problem, in_csv(TEST.rename(columns={"y": "side"})[["c", "b", "a", "side"]], tmp_path))


COUNTED: dict[str, tuple[str, str, list[list[float]] | str]] = {
    "the last never occurs": ("0 1:1 4:2\n1 2:1\n", "1 1:3 2:1\n", [[3.0, 1.0, 0.0, 0.0]]),
    "the first never occurs": ("0 1:1 2:2\n1 2:1\n", "1 2:3\n", [[0.0, 3.0]]),
    "from 0": ("0 0:1 2:2\n1 1:1\n", "1 0:3 2:1\n", [[3.0, 0.0, 1.0]]),
    "from 0, which never occurs": ("0 0:1 2:2\n1 1:1\n", "1 1:3\n0 2:1\n", [[0, 3, 0], [0, 0, 1]]),
    "from 0, all": ("0 0:1 1:2\n1 1:1\n", "1 0:3\n", [[3.0, 0.0]]),
    "one too many": ("0 1:1 2:2\n1 1:1\n", "1 3:1\n", "got 3 features; expected 2, as .*train.svm"),
    "one too many, from 0": ("0 0:1 1:2\n1 1:1\n", "1 2:1\n", "got 3 features; expected 2, as"),
    "0 from 1": ("0 1:1 2:2\n1 1:1\n", "1 0:1\n", "feature 0, where the first of .*svm is 1"),
}


@pytest.mark.parametrize("what", COUNTED)
def test_features_of_libsvm_text_are_counted_as_the_training_data_count(
    what: str, tmp_path: Path
) -> None:
    train, tested, expected = COUNTED[what]
    (tmp_path / "train.svm").write_text(train)
    (tmp_path / "test.svm").write_text(tested)
    files = {"path": str(tmp_path / "train.svm"), "test": str(tmp_path / "test.svm")}
    settings = NetworkSettings(kind="network", hidden=[2], n=1, standardize=False, **files)
    if isinstance(expected, str):
        with pytest.raises(InputError, match=expected):
            load_network(settings)
        return
    found = load_network(settings)
    assert found.test is not None
    assert found.test.X.tolist() == expected


def test_a_bundled_set(tmp_path: Path) -> None:
    samples = pd.DataFrame(RNG.integers(0, 16, (4, 64)) / 1.0).assign(digit=[3, 1, 4, 1])
    settings = {"kind": "network", "n": 1, "hidden": [2], "test": in_csv(samples, tmp_path)}
    found = load_network(NetworkSettings(**settings, target="digit"))
    assert found.test is not None
    assert found.test.y.tolist() == [3, 1, 4, 1]
    with pytest.raises(InputError, match=r"problem\.target: got nothing, for the col.*test\.csv"):
        load_network(NetworkSettings(**settings))


def renamed(names: str) -> pd.DataFrame:
    return TEST.rename(columns=dict(zip(["a", "b", "c", "y"], names, strict=True)))


REFUSED: dict[str, tuple[pd.DataFrame, dict[str, Any], str]] = {
    "other names": (
        renamed("xwzy"),
        {},
        "no column a, b, c, unknown column x, w, z; .*: a, b, c, y",
    ),
    "one missing": (TEST.drop(columns="b"), {}, "no column b; expected the columns of .*train"),
    "one more": (TEST.assign(d=1.0), {}, "unknown column d; expected the columns of .*train"),
    "no target": (renamed("abcz"), {}, "no column y, unknown column z"),
    "no target by number": (TEST[NAMES], {"target": -1}, "no column that is the target"),
    "another case": (renamed("Abcy"), {}, "no column a, unknown column A"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_other_columns_are_named(what: str, tmp_path: Path) -> None:
    tested, settings, said = REFUSED[what]
    problem = {**table(TRAIN, target="y")(tmp_path), **settings, "test": in_csv(tested, tmp_path)}
    with pytest.raises(InputError, match=said) as caught:
        load_network(NetworkSettings(kind="network", hidden=[2], n=2, **problem))
    assert caught.value.faults[0].where == problem["test"]


def test_another_number_of_features(tmp_path: Path) -> None:
    wide = in_csv(TEST.assign(d=1.0), tmp_path)
    arrays = {"n": 2, "X": X, "y": Y, "target": "y", "test": wide}
    with pytest.raises(InputError, match=r"got 4 features; expected 3, as problem\.X has"):
        load_network(NetworkSettings(kind="network", hidden=[2], **arrays))
    train = table(TRAIN.assign(y=Y), target=3)(tmp_path)
    tested = TEST.assign(y=OF_TESTED, d=1.0)
    files = {"n": 2, **train, "test": in_csv(tested, tmp_path, header=False)}
    with pytest.raises(InputError, match=r"got 5 columns; expected 4, as .*train\.csv has"):
        load_network(NetworkSettings(kind="network", hidden=[2], **files))


def test_what_is_of_tables_alone_is_still_refused_without_a_test() -> None:
    with pytest.raises(ValueError, match="a column of an array"):
        NetworkSettings(kind="network", n=2, X=X, y=Y, target="y")
    with pytest.raises(ValueError, match="header with X in memory"):
        NetworkSettings(kind="network", n=2, X=X, y=Y, header=True)
    with pytest.raises(ValueError, match="X without y"):
        NetworkSettings(kind="network", n=2, X=X, target="y", test="test.csv")
    with pytest.raises(ValueError, match="with y given as well"):
        NetworkSettings(kind="network", n=2, X=TRAIN, y=Y, target="y")
    with pytest.raises(ValueError, match="X as a frame"):
        NetworkSettings(kind="network", n=2, X=X, y=Y, columns=["a"])


def test_a_frame_keeps_its_names_in_a_configuration_made_of_another(tmp_path: Path) -> None:
    problem = {"kind": "network", "n": 2, "hidden": [2], "X": TRAIN, "target": "y"}
    config = load_config(
        {
            "problem": {**problem, "test": in_csv(TEST[["c", "y", "b", "a"]], tmp_path)},
            "method": {"name": "ist", "step_size": 0.1},
            "run": {"rounds": 1},
        }
    )
    first, again = config.problem, load_config(config, ["problem.start_seed=3"]).problem
    assert isinstance(first, NetworkSettings)
    assert isinstance(again, NetworkSettings)
    np.testing.assert_array_equal(load_network(again).test.X, load_network(first).test.X)
