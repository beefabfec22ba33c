"""Labels that are names or truth values: the same classes, and bits, as numbers in their place."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import tomli_w

import ist_mpi
from ist_mpi.errors import InputError
from ist_mpi.problems.data.labels import numbered, signs
from ist_mpi.problems.data.words import LabelError, labels_of, labels_of_values
from ist_mpi.verify import verify

RNG = np.random.default_rng(4)
X = RNG.standard_normal((30, 3))
TWO = (X @ [1.0, -2.0, 0.5] > 0).astype(int)
THREE = RNG.permutation(30) % 3
ANIMALS = ["ant", "bee", "cat"]
KINDS: dict[str, dict[str, Any]] = {
    "logistic": {"l2": 0.05},
    "network": {"hidden": [4], "batch": 5},
}


def run_of(kind: str, **problem: Any) -> tuple[Any, list[str]]:
    """The run, and what it said."""
    config = {
        "problem": {"kind": kind, "n": 2, **KINDS.get(kind, {}), **problem},
        "method": {"name": "ist", "step_size": 0.05},
        "run": {"rounds": 3, "theory": False},
        "log": {"iterates": True},
    }
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        return ist_mpi.run(config), [str(one.message) for one in said]


def in_csv(folder: Path, y: list[Any]) -> dict[str, Any]:
    table = pd.DataFrame(X, columns=["a", "b", "c"]).assign(kind=y)
    table.to_csv(folder / "data.csv", index=False)
    return {"path": str(folder / "data.csv"), "target": "kind"}


def in_npz(folder: Path, y: list[Any]) -> dict[str, Any]:
    np.savez(folder / "data.npz", X=X, y=np.array(y))
    return {"path": str(folder / "data.npz")}


def in_records(folder: Path, y: list[Any]) -> dict[str, Any]:
    """A field a column."""
    label = np.array(y)
    names = [("a", float), ("b", float), ("c", float), ("kind", label.dtype)]
    rows = [(*row, one) for row, one in zip(X, y, strict=True)]
    np.save(folder / "data.npy", np.array(rows, dtype=names))
    return {"path": str(folder / "data.npy"), "target": "kind"}


def in_fields(folder: Path, y: list[Any]) -> dict[str, Any]:
    """Fields X and y."""
    label = np.array(y)
    rows = np.zeros(len(y), dtype=[("X", float, 3), ("y", label.dtype)])
    rows["X"], rows["y"] = X, label
    np.save(folder / "data.npy", rows)
    return {"path": str(folder / "data.npy")}


def frame(y: Any) -> dict[str, Any]:
    return {"X": pd.DataFrame(X, columns=["a", "b", "c"]).assign(kind=y), "target": "kind"}


def polars(y: Any) -> dict[str, Any]:
    columns = {name: X[:, at] for at, name in enumerate("abc")}
    return {"X": pl.DataFrame({**columns, "kind": y}), "target": "kind"}


FORMS: dict[str, Callable[[Path, list[Any]], dict[str, Any]]] = {
    "csv": in_csv,
    "npz": in_npz,
    "records": in_records,
    "fields": in_fields,
    "array": lambda _, y: {"X": X, "y": np.array(y)},
    "objects": lambda _, y: {"X": X, "y": np.array(y, dtype=object)},
    "list": lambda _, y: {"X": X, "y": y},
    "pandas": lambda _, y: frame(y),
    "pandas, categories": lambda _, y: frame(pd.Categorical(y)),
    "pandas, a series": lambda _, y: {"X": X, "y": pd.Series(y)},
    "pandas, that may miss": lambda _, y: frame(pd.array(y)),
    "polars": lambda _, y: polars(y),
    "polars, categories": lambda _, y: polars(
        pl.Series(y, dtype=pl.Categorical) if isinstance(y[0], str) else y
    ),
}
SAID = {
    "words": (["malignant", "benign"], 'labels: "benign" counts as −1, "malignant" as +1'),
    "truth": ([True, False], 'labels: "false" counts as −1, "true" as +1'),
    "signs": (["+", "-"], 'labels: "+" counts as −1, "-" as +1'),
    "numbers as words": (["10", "9"], "labels: 9 counts as −1, 10 as +1"),
}


@pytest.mark.parametrize("form", FORMS)
def test_two_classes_in_every_form(form: str, tmp_path: Path) -> None:
    expected = run_of("logistic", X=X, y=2.0 * TWO - 1)[0]
    for what, ((high, low), said) in SAID.items():
        opposite = what == "signs"
        y = [high if (one == 1) != opposite else low for one in TWO]
        found, notes = run_of("logistic", **FORMS[form](tmp_path, y))
        np.testing.assert_array_equal(found.iterates["x"], expected.iterates["x"])
        assert found.attributes["problem_digest"] == expected.attributes["problem_digest"]
        assert said in notes


@pytest.mark.parametrize("form", ["csv", "npz", "objects", "pandas, categories"])
def test_many_classes(form: str, tmp_path: Path) -> None:
    named = FORMS[form](tmp_path, [ANIMALS[one] for one in THREE])
    expected = run_of("network", X=X, y=1.0 * THREE)[0]
    found, notes = run_of("network", **named, test_share=None)
    np.testing.assert_array_equal(found.iterates["x"], expected.iterates["x"])
    assert 'labels: "ant", "bee", "cat" are classes 0 to 2, in this order' in notes
    expected = run_of("logistic", X=X, y=np.where(THREE == 1, 1.0, -1.0), split="shuffled")[0]
    found, notes = run_of("logistic", **named, positive="bee", split="shuffled")
    np.testing.assert_array_equal(found.iterates["x"], expected.iterates["x"])
    assert 'labels: any other counts as −1, "bee" as +1' in notes


@pytest.mark.parametrize(
    ("labels", "positive", "first"),
    [
        (["no", "yes"], "no", "no"),
        (["True", "False"], True, "true"),
        (["True", "False"], "False", "false"),
        (["1", "2"], "1", 1.0),
        (["1", "x"], 1, "1"),
    ],
)
def test_which_one_is_positive(labels: list[str], positive: Any, first: Any) -> None:
    assert signs(labels_of(labels), positive, "data").positive == first


def test_other_samples_have_the_same_names(tmp_path: Path) -> None:
    """A file to test on, of names; one of them may look like a number."""
    for names in (["no", "yes"], ["1", "b"], ["true", "false"]):
        train = FORMS["csv"](tmp_path, [names[one] for one in TWO])
        (tmp_path / "data.csv").rename(tmp_path / "train.csv")
        FORMS["csv"](tmp_path, [names[0]] * 30)
        test = {"path": str(tmp_path / "train.csv"), "test": str(tmp_path / "data.csv")}
        found = run_of("logistic", **train | test)[0]
        assert 0.0 <= found.rounds["test_accuracy"][-1] <= 1.0
    FORMS["csv"](tmp_path, ["maybe"] * 30)
    for kind in KINDS:
        with pytest.raises(InputError, match='"maybe" as label of sample 0'):
            run_of(kind, **train | test)
    with pytest.raises(InputError, match='"a" as label of sample 0'):
        numbered(labels_of(["a"]), labels_of(["1", "2"]), "data")


def test_a_configuration_says_it(tmp_path: Path) -> None:
    """In a file, and made again from its log."""
    problem = FORMS["csv"](tmp_path, [ANIMALS[one] for one in THREE])
    tables = {
        "problem": {"kind": "logistic", "n": 2, "l2": 0.05, "positive": "cat", **problem},
        "method": {"name": "ist", "step_size": 0.05},
        "run": {"rounds": 3, "theory": False},
    }
    (tmp_path / "run.toml").write_text(tomli_w.dumps(tables))
    with pytest.warns(UserWarning, match='"cat" as'):
        found = ist_mpi.run(tmp_path / "run.toml", out=tmp_path / "run.h5")
    assert found.config["problem"]["positive"] == "cat"
    assert not verify([tmp_path / "run.h5"]).failed


WRONG: dict[str, tuple[str, dict[str, Any], str]] = {
    "one": ("logistic", {"y": ["a"] * 30}, 'labels that are all "a"'),
    "one, of many": ("network", {"y": [True] * 30}, 'labels that are all "true"'),
    "three": ("logistic", {"y": [ANIMALS[i] for i in THREE]}, '3 classes: "ant", "bee", "cat".*po'),
    "none such": ("logistic", {"y": ["a", "b"] * 15, "positive": "c"}, 'got "c", .*ected "a", "b"'),
    "no name": ("logistic", {"positive": "c"}, 'got "c", no label of .*expected 0, 1'),
    "no truth": ("logistic", {"positive": True}, "got true, no label of .*expected 0, 1"),
    "beyond float64": ("logistic", {"positive": 10**400}, "an integer of 1329 bits"),
    "empty": ("logistic", {"positive": ""}, "problem.positive"),
    "missing": ("logistic", {"y": ["a", "b", None] * 10}, "row 2: no value; expected labels"),
    "NA": ("logistic", {"y": pd.array([True, None, False] * 10)}, "row 1: no value"),
    "blank": ("network", {"y": ["a", " ", "b"] * 10}, "row 1: a missing value"),
    "infinite": ("network", {"y": ["1", "0", "inf"] * 10}, 'row 2: "inf" is no finite number'),
    "mixed": ("network", {"y": np.array(["a", 1] * 15, object)}, "row 1: 1, a int, after a str"),
    "other things": ("network", {"y": np.array([{}] * 30)}, "row 0: {}, a dict"),
    "masked": ("network", {"y": np.ma.array(["a"] * 30, mask=[1] + [0] * 29)}, "masked"),
    "columns": ("network", {"y": np.array([["a"]] * 30)}, "of shape.*text.*, of 1 dimension"),
    "bytes": ("network", {"y": np.array([b"a", b"b"] * 15)}, r"S1 of .*text .*array\.astype\(str"),
    "measurements": (
        "network",
        {"y": X[:, 0]},
        "labels of 30 different real numbers.*integers, names or truth values.*regression",
    ),
    "regression": ("ridge", {"y": ["a", "b"] * 15}, "real array of 1 dimension"),
    "regression, truth": ("ridge", {"y": [True, False] * 15}, "real array of 1 dimension"),
    "regression, a frame": ("ridge", {**frame(["a", "b"] * 15), "y": None}, 'column "kind"'),
}


@pytest.mark.parametrize("kind", ["network", "ridge"])
@pytest.mark.parametrize("dtype", [object, "S3"], ids=str)
def test_names_in_arrays_of_another_kind(kind: str, dtype: Any, tmp_path: Path) -> None:
    """What labels of classes may be is said, and how names become that; of regression, numbers."""
    y = np.array([ANIMALS[one] for one in THREE]).astype(dtype)
    named, more = kind == "network", {"l2": 0.1} if kind == "ridge" else {}
    with pytest.raises(InputError) as caught:
        run_of(kind, **in_npz(tmp_path, y), **more)
    assert (r"text (names: array.astype(str))" in str(caught.value)) == named
    assert ("a real array" in str(caught.value)) != named
    with pytest.raises(InputError) as caught:
        run_of(kind, **in_fields(tmp_path, y), **more)
    assert ('"U20"' if dtype is object else "y: got |S3") in str(caught.value)


@pytest.mark.parametrize("what", WRONG)
def test_wrong_labels(what: str) -> None:
    kind, change, said = WRONG[what]
    problem = {"X": X, "y": 1.0 * TWO, "l2": 0.1 if kind == "ridge" else None, **change}
    with pytest.raises(InputError, match=said):
        run_of(kind, **{key: value for key, value in problem.items() if value is not None})


TEXTS = {
    "missing": ("a,y\n1,red\n\n2,\n", 'line 4, column "y": a missing value; expected labels'),
    "NA": ("a,y\n1,NA\n2,red\n", 'line 2, column "y": a missing value \\("NA"\\)'),
    "?": ("1.5,red\n2,?\n", r'line 2, column 1 \(the first is 0\): a missing value \("\?"\)'),
    "-": ("a,y\n1,red\n2,-\n", 'line 3, column "y": a missing value'),
    "inf": ("a,y\n1,0\n2,-inf\n", 'line 3, column "y": "-inf" is no finite number'),
    "1e999": ("a,y\n1,0\n2,1e999\n", "beyond float64"),
    "a feature": ("a,y\n1,red\nblue,green\n", 'line 3, column "a": "blue" is no finite'),
    "names?": ("7,red\n2,blue\n", r"line 1: 7, red, .* problem\.header = true or false"),
    "Latin-1": ("a,y\n1,grün\n2,rot\n", 'line 2, column "y": .*UTF-8'),
}


@pytest.mark.parametrize("what", TEXTS)
def test_wrong_labels_in_a_table(what: str, tmp_path: Path) -> None:
    text, said = TEXTS[what]
    (tmp_path / "data.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=said):
        run_of("logistic", path=str(tmp_path / "data.csv"), target=1, n=1)


def test_a_table_without_names_whose_labels_are(tmp_path: Path) -> None:
    """The first row is a sample; it is names where its numbers are those of their columns."""
    rows = pd.DataFrame(X).assign(kind=[ANIMALS[one] for one in TWO])
    found = []
    for at, header in enumerate((False, True)):
        path = tmp_path / f"{at}.csv"
        rows.to_csv(path, index=False, header=header)
        found.append(run_of("logistic", path=str(path), target=-1)[0].iterates["x"])
    np.testing.assert_array_equal(*found)


def test_text_is_no_number_for_regression(tmp_path: Path) -> None:
    for form in ("csv", "npz", "records", "fields"):
        for y in (["a", "b"] * 15, [True, False] * 15):
            with pytest.raises(InputError):
                run_of("ridge", **FORMS[form](tmp_path, y), l2=0.1)


@pytest.mark.parametrize("word", ["0.1", "2", "-3.25", "1000000"])
def test_numbers_among_names_are_the_same_in_samples_of_numbers_alone(word: str) -> None:
    first = labels_of([word, "red", word])
    other = labels_of([word, word])
    assert numbered(other, np.unique(first), "y").tolist() == [0, 0]
    assert signs(first, word, "y").of(other, "y").tolist() == [1.0, 1.0]


def test_what_words_are() -> None:
    assert labels_of(["01", " 2.0", "1e1"]).tolist() == [1.0, 2.0, 10.0]
    assert labels_of(["TRUE", "false"]).tolist() == ["true", "false"]
    assert labels_of(["1", "one"]).tolist() == ["1", "one"]
    assert labels_of_values(np.array([1, 2.5, np.int8(3)], dtype=object)).dtype == np.float64
    with pytest.raises(LabelError) as caught:
        labels_of(["a", "b", "NaN", ""])
    assert caught.value.row == 2
