"""Tables as text and in memory: what is no number is named with its line and its column."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from mpi4py import MPI
from numpy.testing import assert_array_equal
from scipy import sparse

import ist_mpi
from ist_mpi.config import load as load_config
from ist_mpi.config import sameness, schema
from ist_mpi.errors import InputError, MismatchError
from ist_mpi.problems.data import table
from ist_mpi.problems.ridge import RidgeSettings, RidgeSource, load
from ist_mpi.training import api, resume
from ist_mpi.training.job import open_job
from ist_mpi.verify import verify

GOOD = "a,b,y\n1,2,3\n4,5,6\n"


def opened(folder: Path, contents: str | bytes, **problem: Any) -> RidgeSource:
    path = folder / "data.csv"
    path.write_bytes(contents if isinstance(contents, bytes) else contents.encode())
    return load(RidgeSettings(kind="ridge", path=str(path), **{"n": 1, "target": "y", **problem}))


def test_decimals_become_the_nearest_numbers(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**63, 3000, dtype=np.uint64).view(np.float64)
    values = bits[(bits > 1e-120) & (bits < 1e120)]
    words = [repr(float(v)) for v in values] + [f"{v:.25e}" for v in values]
    words += ["9007199254740993", "18446744073709551616", "99999999999999999999999", "-0.0", "+.5"]
    source = opened(tmp_path, "a,y\n" + "".join(f"{word},1\n" for word in words))
    assert_array_equal(source.A.toarray()[:, 0], [float(word) for word in words])


def test_a_table_is_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = opened(tmp_path, GOOD + "7,8.5,9\n10,0,12\n")
    monkeypatch.setattr(table, "ENTRIES", 4)
    parts = opened(tmp_path, GOOD + "7,8.5,9\n10,0,12\n")
    assert_array_equal(parts.A.toarray(), whole.A.toarray())
    assert_array_equal(parts.y, whole.y)
    with pytest.raises(InputError, match='line 5, column "b": "x"'):
        opened(tmp_path, GOOD + "7,8.5,9\n10,x,12\n")


WRONG: dict[str, tuple[str | bytes, list[str]]] = {
    "text": ("a,b,y\n1,2,3\n4,red,6\n", ["line 3", 'column "b"', '"red"']),
    "missing": ("a,b,y\n1,2,3\n\n4,,6\n", ["line 4", 'column "b"', "missing"]),
    "NA": ("a,b,y\n1,2,3\n4,5,NA\n", ["line 3", 'column "y"', '"NA"']),
    "nan": ("a,b,y\n1,2,3\n4,nan,6\n", ["line 3", 'column "b"', '"nan"']),
    "too few": ("a,b,y\n1,2,3\n4,5\n", ["line 3", "2 values", "3"]),
    "too many": ("a,b,y\n1,2,3\n4,5,6,7\n", ["line 3", "4 values", "3"]),
    "too many in all": ("a,b,y\n1,2,3,4\n4,5,6,7\n", ["line 2", "4 values"]),
    "true and false": ("a,b,y\n1,True,3\n4,False,6\n", ["line 2", 'column "b"', '"True"']),
    "1_0": ("a,b,y\n1,1_0,3\n", ["line 2", '"1_0"']),
    "digits of others": ("a,b,y\n1,٣,3\n", ["line 2", '"٣"']),
    "infinity": ("a,b,y\n1,inf,3\n", ["line 2", '"inf"']),
    "1e999": ("a,b,y\n1,1e999,3\n", ["line 2", "beyond float64"]),
    "1e200": ("a,b,y\n1,1e200,3\n", ["samples up to 1e+200"]),
    "1,5": ('a,b,y\n"1,5",2,3\n', ["line 2", 'column "a"', '"1,5"']),
    "semicolons": ("a;b;y\n1;2;3\n", ["one column", "commas"]),
    "an index": (",a,y\n0,1,2\n", ["line 1", "no name", "index=False"]),
    "a name twice": ("a,a,y\n1,2,3\n", ["line 1", '"a" for the second time']),
    "neither names nor numbers": ("1.5,b,y\n1,2,3\n", ["line 1", '"1.5" in a row with "b"']),
    "names of numbers": ("0,1,2\n5,6,7\n", ["problem.header = true or false"]),
    "not UTF-8": (b"a,b,y\n1,\xff,3\n", ["line 2", 'column "b"']),
    "names not UTF-8": ("größe,b,y\n1,2,3\n".encode("latin-1"), ["line 1", "not UTF-8"]),
    "an open quote": ('a,b,y\n1,"2,3\n4,5,6\n', ["line 2", "2 values"]),
    "a line in a name": ('a,"b\nc",y\n1,2,3\n4,x,6\n', ["line 4", '"x"']),
    "UTF-16": (GOOD.encode("utf-16"), ["text in UTF-16", "iconv"]),
    "names alone": ("a,b,y\n", ["0 samples"]),
    "blank lines": ("\n\n", ["0 samples"]),
    "one column": ("y\n1\n2\n", ["columns of features"]),
    "features that are 0": ("a,b,y\n0,0,1\n0,0,2\n", ["without any feature"]),
    "labels that are 0": ("a,b,y\n1,2,0\n", ["labels that are all 0"]),
    "another target": ("a,b,z\n1,2,3\n", ["problem.target", '"y"', "a, b, z"]),
    "no names": ("1,2,3\n", ["problem.target", "has no names", "0 to 2"]),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_refused_of_a_table(name: str, tmp_path: Path) -> None:
    contents, fragments = WRONG[name]
    with pytest.raises(InputError) as caught:
        opened(tmp_path, contents)
    for fragment in fragments:
        assert fragment in str(caught.value)


def test_a_table_without_names_is_counted_from_0(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"line 1, column 1 \(the first is 0\): a missing value"):
        opened(tmp_path, "1,,3\n1,2,3\n", target=2)
    with pytest.raises(InputError, match=r"problem.target: got 3, with 3 columns .* from 0 to 2"):
        opened(tmp_path, "1,2,3\n", target=3)
    with pytest.raises(InputError, match=r"problem.target: got nothing, .* a, b, y"):
        opened(tmp_path, GOOD, target=None)
    with pytest.raises(InputError, match=r"problem.worker: got 'y', which is problem.target"):
        opened(tmp_path, GOOD, worker="y")


def test_whether_the_first_row_is_names_can_be_said(tmp_path: Path) -> None:
    assert_array_equal(opened(tmp_path, GOOD, header=True).y, [3, 6])
    numbers = "0,1,2\n5,6,7\n"
    assert_array_equal(opened(tmp_path, numbers, target=2, header=True).y, [7])
    assert_array_equal(opened(tmp_path, numbers, target="2", header=True).y, [7])
    assert_array_equal(opened(tmp_path, numbers, target=2, header=False).y, [2, 7])
    with pytest.raises(InputError, match=r'line 1, column 0 .*"a" is no finite number'):
        opened(tmp_path, GOOD, target=0, header=False)


@pytest.mark.parametrize("name", ["PAR1", "BZh", "BZh91AY", "ARROW1", "7z", "MATLAB 5.0"])
def test_names_that_begin_like_other_files(name: str, tmp_path: Path) -> None:
    assert opened(tmp_path, f"{name},b,y\n1,2,3\n4,5,6\n").d == 2


@pytest.mark.parametrize(
    ("name", "is_table"),
    [("a.csv", True), ("a.csv.gz", True), ("a.svm.csv", True), ("a.csv.svm", False), ("a", None)],
)
def test_the_last_suffix_that_says_it_counts(
    name: str, is_table: bool | None, tmp_path: Path
) -> None:
    """Without one, a target makes it a table."""
    (tmp_path / name).write_text("1,2,3\n4,5,6\n")
    for target in (None, 2):
        settings = RidgeSettings(kind="ridge", n=1, path=str(tmp_path / name), target=target)
        as_table = is_table if is_table is not None else target is not None
        if as_table and target is not None:
            assert load(settings).d == 2
            continue
        with pytest.raises(InputError, match="which of them is y" if as_table else "LIBSVM"):
            load(settings)


def test_records_with_names_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "data.npy"
    made = np.zeros(4, [("X", "f8", (2,)), ("price", "f8"), ("client", "i4")])
    made["X"], made["price"], made["client"] = 1.0, Y, [1, 0, 0, 1]
    np.save(path, made)
    settings = {"kind": "ridge", "path": str(path), "n": 2}
    source = load(RidgeSettings(**settings, target="price", worker="client"))
    assert_array_equal(source.share(0).y, Y[1:3])
    for wrong, words in (
        ({}, "no y among X, price, client"),
        ({"target": "price", "worker": "w"}, "no w among"),
        ({"target": 1}, "problem.target: got 1 for"),
    ):
        with pytest.raises(InputError, match=words):
            load(RidgeSettings(**settings, **wrong))


def test_without_pandas_it_is_said_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(InputError, match=r'without pandas.*pip install "ist_mpi\[data\]"'):
        opened(tmp_path, GOOD)


def test_without_pyarrow_it_is_said_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "compression", None)
    (tmp_path / "data").write_bytes(b"\x28\xb5\x2f\xfd" + bytes(9))
    with pytest.raises(InputError, match=r'zstd.*pip install "ist_mpi\[data\]"'):
        load(RidgeSettings(kind="ridge", n=1, path=str(tmp_path / "data")))


# --- in memory -----------------------------------------------------------------------------------

X = np.arange(1.0, 13.0).reshape(4, 3)
Y = np.array([1.0, -1.0, 2.0, 0.5])
FRAME = pd.DataFrame(X, columns=["a", "b", "c"])
HOLES = FRAME.where(FRAME != 8)

WRONG_MEMORY: dict[str, tuple[dict[str, Any], list[str]]] = {
    "X alone": ({"X": X}, ["problem.y", "X without y"]),
    "y alone": ({"y": Y}, ["problem.X", "y without X"]),
    "with a path": ({"X": X, "y": Y, "path": "a.svm"}, ["problem.path", "path, and X, y"]),
    "with a data set": ({"X": X, "y": Y, "dataset": "digits"}, ["dataset, and X, y"]),
    "y too short": ({"X": X, "y": Y[:-1]}, ["problem.y", "3 numbers", "4"]),
    "y of two axes": ({"X": X, "y": X}, ["problem.y", "(4, 3)", "1 dimension"]),
    "X of one axis": ({"X": Y, "y": Y}, ["problem.X", "(4,)", "2 dimension"]),
    "text": ({"X": X.astype(str), "y": Y}, ["problem.X", "<U"]),
    "complex": ({"X": X + 1j, "y": Y}, ["complex128"]),
    "complex, sparse": ({"X": sparse.csr_array(X + 1j), "y": Y}, ["complex128", "sparse"]),
    "truth": ({"X": X > 3, "y": Y}, ["bool"]),
    "ragged": ({"X": [[1.0], [1.0, 2.0]], "y": [1, 2]}, ["problem.X"]),
    "masked X": ({"X": np.ma.masked_equal(X, 8), "y": Y}, ["1 missing", "(2, 1)"]),
    "masked y": ({"X": X, "y": np.ma.masked_less(Y, 0)}, ["problem.y", "1 missing"]),
    "masked worker": (
        {"X": X, "y": Y, "worker": np.ma.masked_equal([0, 1, 0, 1], 1)},
        ["problem.worker", "2 missing"],
    ),
    "masked in a list": ({"X": [*X[:3], np.ma.masked_equal(X[3], 12)], "y": Y}, ["masked"]),
    "NaN": ({"X": np.where(X == 8, np.nan, X), "y": Y}, ["nan at (2, 1)"]),
    "NaN, sparse": ({"X": sparse.csr_array(np.where(X == 8, np.nan, X)), "y": Y}, ["(2, 1)"]),
    "NaN in y": ({"X": X, "y": np.where(Y < 0, np.nan, Y)}, ["nan as label of sample 1"]),
    "pandas, text": ({"X": FRAME.assign(b="red"), "y": Y}, ['column "b", row 0: "red"']),
    "pandas, NaN": ({"X": HOLES, "y": Y}, ['column "b", row 2: no value']),
    "pandas, NA": ({"X": HOLES.convert_dtypes(), "y": Y}, ['column "b", row 2: no value']),
    "pandas, a date": ({"X": FRAME.assign(b=pd.Timestamp(0)), "y": Y}, ["datetime64"]),
    "pandas, a name twice": ({"X": pd.concat([FRAME, FRAME], axis=1), "y": Y}, ['columns "a"']),
    "pandas, no such target": ({"X": FRAME, "target": "q"}, ["problem.target", "a, b, c"]),
    "pandas, target and y": ({"X": FRAME, "target": "a", "y": Y}, ["with y given as well"]),
    "pandas, neither": ({"X": FRAME}, ["problem.target", "a, b, c"]),
    "polars, null": ({"X": pl.DataFrame({"a": [1, None], "b": [1, 2]}), "y": [1, 2]}, ["row 1"]),
    "polars, text": ({"X": pl.DataFrame({"a": ["x", "z"], "b": [1, 2]}), "y": [1, 2]}, ['"x"']),
    "polars, truth": ({"X": pl.DataFrame({"a": [True, False]}), "y": [1, 2]}, ["bool"]),
    "a column of an array": ({"X": X, "target": 1}, ["problem.target", "a frame"]),
    "a worker's column of an array": ({"X": X, "y": Y, "worker": 1}, ["problem.worker"]),
    "worker of a file": ({"path": "a.csv", "worker": [0, 1]}, ["problem.worker", "without X"]),
    "of a bundled set": ({"dataset": "digits", "target": "y"}, ["problem.target", "bundled"]),
    "a header in memory": ({"X": X, "y": Y, "header": True}, ["problem.header"]),
    "target of another type": ({"path": "a.csv", "target": 1.5}, ["problem.target", "1.5"]),
    "another d": ({"X": X, "y": Y, "d": 4}, ["problem.d", "3"]),
    "no samples": ({"X": X[:0], "y": Y[:0]}, ["0 samples"]),
    "more workers than samples": ({"X": X, "y": Y, "n": 5}, ["problem.n", "at most 4"]),
}


def config(**problem: Any) -> dict[str, Any]:
    return {
        "problem": {"kind": "ridge", "n": 2, **problem},
        "method": {"name": "ist", "step_size": 1e-4},
        "run": {"rounds": 3, "watchdog_seconds": 0},
    }


@pytest.mark.parametrize("name", WRONG_MEMORY)
def test_what_is_refused_in_memory(name: str) -> None:
    problem, fragments = WRONG_MEMORY[name]
    with pytest.raises(InputError) as caught:
        ist_mpi.run(config(**problem), MPI.COMM_SELF)
    for fragment in fragments:
        assert fragment in str(caught.value)


def test_data_in_memory_are_a_digest_in_the_log(tmp_path: Path) -> None:
    out = tmp_path / "run.h5"
    kept = X.copy(), FRAME.copy()
    result = ist_mpi.run(config(X=X, y=Y, worker=[0, 1, 1, 0]), MPI.COMM_SELF, out=out)
    assert_array_equal(X, kept[0])
    assert "digest" in str(ist_mpi.open_run(out).attributes["config"])
    with pytest.raises(MismatchError, match="in memory"):
        resume.config_of(out)
    other = ist_mpi.run(config(X=X, y=Y, worker=[0, 1, 0, 1]), MPI.COMM_SELF)
    assert other.attributes["run_id"] != result.attributes["run_id"]
    again = load_config(load_config(config(X=FRAME, y=Y)), ["run.rounds=4"])
    assert again.problem.digest == load_config(config(X=X, y=Y)).problem.digest  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "form", [np.asarray, sparse.csr_array, sparse.coo_array, pd.DataFrame, pl.DataFrame]
)
def test_ranks_that_are_given_other_data_are_told(form: Any) -> None:
    first, same, other = (sameness.as_given(config(X=form(A), y=Y)) for A in (X, X.copy(), X + 1))
    assert first == same
    assert first["problem.X"] != other["problem.X"]


def test_a_run_on_a_table_goes_on_and_is_replayed(tmp_path: Path) -> None:
    data, log = tmp_path / "data.csv", tmp_path / "run.h5"
    FRAME.assign(y=Y, w=[1, 0, 0, 1]).to_csv(data, index=False)
    tables = config(path=str(data), target="y", worker="w")
    tables["run"]["max_seconds"] = 1e-9
    assert ist_mpi.run(tables, MPI.COMM_SELF, out=log).status == "stopped"
    del tables["run"]["max_seconds"]
    job, source = open_job(MPI.COMM_SELF, tables, out=log, going_on="resume")
    runs = api.results(MPI.COMM_SELF, job, source, going_on="resume", tell=lambda _: None)
    assert next(runs).status == "finished"
    report = verify([log], seconds=5)
    verdicts = {finding.check: finding.verdict for finding in report.rows}
    assert verdicts["problem"] == verdicts["replay"] == "ok"
    FRAME.assign(y=Y, w=[0, 0, 1, 1]).to_csv(data, index=False)
    assert "failed" in {finding.verdict for finding in verify([log], seconds=5).rows}


def test_a_bundled_set_replaces_a_table_with_all_that_is_said_of_it() -> None:
    tables = config(path="data.csv", target="y", worker="w", header=True)
    problem = load_config(tables, ["problem.dataset=digits"]).to_dict()["problem"]
    assert not {"path", "target", "worker", "header"} & set(problem)


def test_the_schema_has_what_a_file_can_say() -> None:
    tables = schema.schema()["properties"]["problem"]["anyOf"]
    ridge = next(one for one in tables if one["properties"]["kind"].get("const") == "ridge")
    assert {"header", "target", "worker"} <= set(ridge["properties"])
    assert not {"X", "y", "digest"} & set(ridge["properties"])
