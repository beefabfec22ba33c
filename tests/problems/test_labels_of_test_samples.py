"""Labels of samples to test on are compared with those of the training data, one by one."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ist_mpi.errors import InputError
from ist_mpi.problems.data.labels import classes, places, signs
from ist_mpi.problems.data.words import labels_of
from ist_mpi.problems.logistic import LogisticSettings
from ist_mpi.problems.logistic import load as load_logistic
from ist_mpi.problems.network import NetworkSettings
from ist_mpi.problems.network import load as load_network

RNG = np.random.default_rng(7)


def in_file(folder: Path, name: str, y: list[Any]) -> str:
    """Samples with these labels: words in a table, other values in an archive."""
    X = RNG.standard_normal((len(y), 2))
    if isinstance(y[0], str):
        path = folder / f"{name}.csv"
        pd.DataFrame(X, columns=["a", "b"]).assign(y=y).to_csv(path, index=False)
    else:
        path = folder / f"{name}.npz"
        np.savez(path, X=X, y=np.array(y))
    return str(path)


def in_files(folder: Path, train: list[Any], test: list[Any]) -> dict[str, Any]:
    files = {"path": in_file(folder, "train", train), "test": in_file(folder, "test", test)}
    target = {"target": "y"} if any(name.endswith("csv") for name in files.values()) else {}
    return {"n": 1, **files, **target}


SAME: dict[str, tuple[list[Any], list[Any], list[int]]] = {
    "numbers, as written otherwise": (["1", "2", "3"], ["2.0", "03", "1e0"], [1, 2, 0]),
    "numbers, of an archive": ([1, 2, 3], [3.0, 1.0, 2.0], [2, 0, 1]),
    "names that are numbers, some of them": (["01", "1", "A"], ["01", "1"], [0, 1]),
    "decimals among names": (["1.0", "2.0", "A"], ["2.0", "1.0"], [1, 0]),
    "decimals among names, as integers": (["1.0", "2.0", "A"], ["2", "1"], [1, 0]),
    "truth among names": (["True", "False", "Maybe"], ["True", "False"], [2, 0]),
    "truth": (["True", "False", "True"], ["TRUE", "false"], [1, 0]),
    "long integers among names": (
        ["10000000000000000001", "10000000000000000002", "A"],
        ["10000000000000000002", "10000000000000000001"],
        [1, 0],
    ),
}


@pytest.mark.parametrize("what", SAME)
def test_the_same_label_in_another_form(what: str, tmp_path: Path) -> None:
    train, test, expected = SAME[what]
    files = in_files(tmp_path, train * 2, test)
    found = load_network(NetworkSettings(kind="network", hidden=[2], **files))
    assert found.test is not None
    assert found.test.y.tolist() == expected
    for place, label in enumerate(classes(labels_of([str(one) for one in train]), "")):
        settings = LogisticSettings(kind="logistic", l2=0.1, positive=label, **files)
        tested = load_logistic(settings).test
        assert tested is not None
        assert tested.y.tolist() == [1.0 if one == place else -1.0 for one in expected]


STRANGE: dict[str, tuple[list[Any], list[Any], str]] = {
    "a name": (["1", "2", "3"], ["1", "2", "unknown", "3"], '"unknown" as label of sample 2'),
    "a number": (["1", "2", "3"], ["1", "2.5"], '"2.5" as label of sample 1'),
    "a letter of another size": (["a", "b", "c"], ["a", "B"], '"B" as label of sample 1'),
    "a long integer": ([1, 2, 3], [2**53 + 1, 1], "9007199254740992 as label of sample 0"),
    "one of two": (["01", "1", "A"], ["A", "001"], r'"001" .* sample 1 .*one label of "01", "1"'),
    "a number, one of two": (["01", "1", "A"], [1, 1], '1 as label of sample 0.*"01", "1"'),
}


@pytest.mark.parametrize("what", STRANGE)
def test_a_label_that_is_no_class(what: str, tmp_path: Path) -> None:
    train, test, said = STRANGE[what]
    files = in_files(tmp_path, train * 2, test)
    with pytest.raises(InputError, match=said) as caught:
        load_network(NetworkSettings(kind="network", hidden=[2], **files))
    assert caught.value.faults[0].where == files["test"]
    if "one of two" in what:  # one class against the rest, and it may be that
        rest = LogisticSettings(kind="logistic", l2=0.1, positive="1", **files)
    else:
        two = in_files(tmp_path, train[:2] * 2, [one for one in test if one != train[2]])
        rest = LogisticSettings(kind="logistic", l2=0.1, **two)
    with pytest.raises(InputError, match="as label of sample"):
        load_logistic(rest)


def test_one_class_against_the_rest_whatever_that_is(tmp_path: Path) -> None:
    """A word among numbers makes them no words; where no label is known, nothing was meant."""
    files = in_files(tmp_path, ["1", "2", "3"] * 2, ["2", "3", "2.0", "unknown"])
    source = load_logistic(LogisticSettings(kind="logistic", l2=0.1, positive=2, **files))
    assert source.test is not None
    assert source.test.y.tolist() == [1.0, -1.0, 1.0, -1.0]
    said = f'labels: "unknown" of {files["test"]}, no class of the data, as −1'
    assert source.notes[-1] == said
    files = in_files(tmp_path, ["1", "2", "3"] * 2, ["true", "false"])
    with pytest.raises(InputError, match=r'"true" .* no other label that is known.*expected 1, 2'):
        load_logistic(LogisticSettings(kind="logistic", l2=0.1, positive=2, **files))


@pytest.mark.parametrize(
    "y",
    [
        np.array([2**53, 2**53 + 1, 5] * 2),
        np.array([2**64 - 1, 2**64 - 2, 3] * 2, dtype=np.uint64),
        [2**70, 2**70 + 1, 5] * 2,
        ["10000000000000000001", "10000000000000000002", "7"] * 2,
        np.array([2.0**53, -1.0, 1.0] * 2),
        np.array([-(2.0**53), -1.0, 1.0] * 2),
    ],
    ids=["int64", "uint64", "Python", "text", "float64", "negative"],
)
def test_integers_that_float64_merges(y: Any, tmp_path: Path) -> None:
    X = RNG.standard_normal((6, 2))
    forms: list[dict[str, Any]] = [{"X": X, "y": y}]
    forms += [{"X": pd.DataFrame(X, columns=["a", "b"]).assign(y=y), "target": "y"}]
    pd.DataFrame(X, columns=["a", "b"]).assign(y=[str(one) for one in y]).to_csv(
        tmp_path / "data.csv", index=False
    )
    forms += [{"path": str(tmp_path / "data.csv"), "target": "y"}]
    lines = [f"{one} 1:0.5" for one in y]
    (tmp_path / "data.svm").write_text("\n".join(lines))
    forms += [{"path": str(tmp_path / "data.svm")}]
    for form in forms:
        with pytest.raises(InputError, match="where float64 has not every integer"):
            load_network(NetworkSettings(kind="network", hidden=[2], n=1, **form))
        with pytest.raises(InputError, match="where float64 has not every integer"):
            load_logistic(LogisticSettings(kind="logistic", l2=0.1, n=1, **form))


def test_integers_beyond_float64() -> None:
    with pytest.raises(ValueError, match="row 1: an integer of 1329 bits"):
        NetworkSettings(kind="network", n=1, X=np.ones((3, 2)), y=[1, 10**400, 0])


def test_long_labels_are_told_apart_in_messages() -> None:
    y = np.array([20230101.0, 20230102.0, 20230103.0])
    with pytest.raises(InputError, match="20230101, 20230102, 20230103"):
        signs(y, None, "data")
    assert signs(y[:2], None, "data").note == "labels: 20230101 counts as −1, 20230102 as +1"
    with pytest.raises(InputError, match=r"got 0\.30000000000000004 as"):
        signs(np.array([0.3, 1.0]), None, "data").of(np.array([0.1 + 0.2]), "test")


def rare() -> np.ndarray:
    """Three classes, of one of which there is a single sample."""
    y = np.arange(20) % 2 * 2.0
    y[3] = 1.0
    return y


def test_a_class_of_which_all_samples_are_held_out() -> None:
    X, y = RNG.standard_normal((20, 2)), rare()
    out = 0
    for seed in range(6):
        settings = {"n": 1, "X": X, "y": y, "test_share": 0.5, "seed": seed}
        network = load_network(NetworkSettings(kind="network", hidden=[2], **settings))
        assert network.test is not None
        assert network.neurons.widths[-1] == 3
        logistic = LogisticSettings(kind="logistic", l2=0.1, positive=1, **settings)
        if 1 in network.test.y:
            out += 1
            with pytest.raises(InputError, match=r"test_share: got 10 samples .* all of one class"):
                load_logistic(logistic)
        else:
            load_logistic(logistic)
    assert 0 < out < 6


def test_a_setting_that_may_be_several_labels() -> None:
    y = labels_of(["01", "001", "A"])
    with pytest.raises(InputError, match=r'got 1, several labels of data; expected "001", "01"$'):
        signs(y, 1, "data")
    assert signs(y, "01", "data").positive == "01"


def test_places() -> None:
    known = classes(labels_of(["1", "x", "True"]), "data")
    assert known.tolist() == ["1", "True", "x"]
    found = places(labels_of(["TRUE", "true"]), known, "test")
    assert found.tolist() == [1, 1]
    assert places(np.array([1.0, 2.0]), known, "test").tolist() == [0, -1]
