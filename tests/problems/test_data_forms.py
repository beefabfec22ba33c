"""The same samples in every form give the same bits: of the data, of x, of the digest."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from mpi4py import MPI
from scipy import sparse

import ist_mpi
from ist_mpi.errors import InputError
from ist_mpi.problems import digest
from ist_mpi.problems.ridge import RidgeSettings, load

M, D, N = 40, 6, 3
NAMES = list("abcdef")


def samples() -> tuple[np.ndarray, np.ndarray]:
    """Samples with zeros among them, and of numbers that take all digits."""
    rng = np.random.default_rng(5)
    X = rng.standard_normal((M, D)) * (rng.random((M, D)) < 0.6)
    X[:, 0], X[-1, -1] = np.arange(1, M + 1) / 7, 1.5
    return X, rng.standard_normal(M)


X, y = samples()
WHOSE = np.arange(M) * 7 % N


def frame() -> pd.DataFrame:
    """The samples with names for the columns, the target in the middle."""
    table = pd.DataFrame(X, columns=NAMES)
    table.insert(3, "y", y)
    return table


def libsvm(zeros: bool = False) -> str:
    lines = []
    for row, label in zip(X, y, strict=True):
        words = [f"{j + 1}:{float(v)!r}" for j, v in enumerate(row) if zeros or v]
        lines.append(" ".join([repr(float(label)), *words]))
    return "\n".join(lines) + "\n"


def text(name: str, contents: str, **problem: Any) -> Callable[[Path], dict[str, Any]]:
    def write(folder: Path) -> dict[str, Any]:
        packed = gzip.compress(contents.encode()) if name.endswith(".gz") else contents.encode()
        (folder / name).write_bytes(packed)
        return {"path": str(folder / name), **problem}

    return write


def archive(save: Callable[..., None] = np.savez, **arrays: Any) -> Callable[..., dict[str, Any]]:
    def write(folder: Path) -> dict[str, Any]:
        save(folder / "data.npz", **arrays)
        return {"path": str(folder / "data.npz")}

    return write


def array(values: np.ndarray, **problem: Any) -> Callable[[Path], dict[str, Any]]:
    def write(folder: Path) -> dict[str, Any]:
        np.save(folder / "data.npy", values)
        return {"path": str(folder / "data.npy"), **problem}

    return write


def given(**problem: Any) -> Callable[[Path], dict[str, Any]]:
    return lambda folder: problem


def records() -> np.ndarray:
    made = np.empty(M, [("X", "f8", (D,)), ("y", "f8")])
    made["X"], made["y"] = X, y
    return made


def explicit() -> sparse.csr_array:
    """Sparse, with every zero stored, and the columns in no order."""
    made = sparse.csr_array(np.ones((M, D)))
    made.data[:] = X.ravel()
    order = np.arange(M * D).reshape(M, D)[:, ::-1].ravel()
    made.data, made.indices = made.data[order], made.indices[order]
    made.has_sorted_indices = made.has_canonical_format = False
    return made


table = frame()
FORMS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "LIBSVM": text("data.svm", libsvm()),
    "LIBSVM, zeros written": text("data.svm", libsvm(zeros=True)),
    "CSV": text("data.csv", table.to_csv(index=False), target="y"),
    "CSV, by number": text("data.csv", table.to_csv(index=False), target=3),
    "CSV, no header": text("data.csv", table.to_csv(index=False, header=False), target=3),
    "CSV, from the end": text("data.CSV", table.to_csv(index=False), target=-4),
    "CSV, packed": text("data.csv.gz", table.to_csv(index=False), target="y"),
    "CSV, quoted": text("data.csv", table.to_csv(index=False, quoting=1), target="y"),
    "CSV by its target": text("data", table.to_csv(index=False), target="y"),
    "CSV, CR LF": text("data.csv", table.to_csv(index=False, lineterminator="\r\n"), target="y"),
    "CSV, CR": text("data.csv", table.to_csv(index=False, lineterminator="\r"), target="y"),
    "CSV, byte-order mark": text("data.csv", "\ufeff" + table.to_csv(index=False), target="y"),
    "CSV, no end": text("data.csv", table.to_csv(index=False).rstrip(), target="y"),
    "TSV": text("data.tsv", table.to_csv(index=False, sep="\t"), target="y"),
    "npz": archive(X=X, y=y),
    "npz, packed": archive(np.savez_compressed, X=np.asfortranarray(X), y=y, more=np.ones(3)),
    "npz, big-endian": archive(X=X.astype(">f8"), y=y.astype(">f8")),
    "npy": array(np.c_[X, y], target=-1),
    "npy, Fortran": array(np.asfortranarray(np.c_[y, X]), target=0),
    "npy, records": array(records()),
    "npy, fields": array(table.to_records(index=False), target="y"),
    "X, y": given(X=X, y=y),
    "lists": given(X=X.tolist(), y=y.tolist()),
    "masked, nothing missing": given(X=np.ma.masked_array(X), y=np.ma.masked_array(y)),
    "CSR": given(X=sparse.csr_array(X), y=y),
    "CSC": given(X=sparse.csc_matrix(X), y=y),
    "COO": given(X=sparse.coo_array(X), y=y),
    "CSR, zeros stored": given(X=explicit(), y=y),
    "pandas": given(X=table[NAMES], y=table["y"]),
    "pandas, target": given(X=table, target="y"),
    "pandas, target by number": given(X=table, target=3),
    "pandas, nullable": given(X=table.convert_dtypes(), target="y"),
    "pandas, Arrow": given(X=table.convert_dtypes(dtype_backend="pyarrow"), target="y"),
    "polars": given(X=pl.from_pandas(table[NAMES]), y=pl.Series(y)),
    "polars, target": given(X=pl.from_pandas(table), target="y"),
}


def run(problem: dict[str, Any], **settings: Any) -> Any:
    config = {
        "problem": {"kind": "ridge", "n": N, **problem, **settings},
        "method": {"name": "ist", "step_size": 1e-3},
        "run": {"rounds": 5, "theory": False, "watchdog_seconds": 0},
    }
    return ist_mpi.run(config, MPI.COMM_SELF)


@pytest.mark.parametrize("name", FORMS)
def test_every_form_gives_the_same_bits(name: str, tmp_path: Path) -> None:
    first, found = run(given(X=X, y=y)(tmp_path)), run(FORMS[name](tmp_path))
    assert found.attributes["problem_digest"] == first.attributes["problem_digest"]
    assert found.model["x"].tobytes() == first.model["x"].tobytes()
    assert found.rounds["gap"].tobytes() == first.rounds["gap"].tobytes()


@pytest.mark.parametrize("settings", [{"standardize": True}, {"storage": "samples"}], ids=str)
def test_so_they_do_however_they_are_kept(settings: dict[str, Any], tmp_path: Path) -> None:
    found = {
        run(FORMS[name](tmp_path), **settings).model["x"].tobytes()
        for name in ("LIBSVM", "LIBSVM, zeros written", "CSV", "npy", "polars")
    }
    assert len(found) == 1


WORKERS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "CSV": text("w.csv", table.assign(w=WHOSE).to_csv(index=False), target="y", worker="w"),
    "CSV, by number": text(
        "w.csv", table.assign(w=WHOSE).to_csv(index=False, header=False), target=3, worker=-1
    ),
    "npz": archive(X=X, y=y, worker=WHOSE),
    "npy": array(np.c_[WHOSE, X, y], target=-1, worker=0),
    "X, y": given(X=X, y=y, worker=WHOSE),
    "a list": given(X=X, y=y, worker=WHOSE.tolist()),
    "pandas": given(X=table.assign(w=WHOSE), target="y", worker="w"),
    "polars": given(X=pl.from_pandas(table.assign(w=WHOSE)), target="y", worker="w"),
    "pandas, y apart": given(X=table[NAMES].assign(w=WHOSE), y=y, worker="w"),
}


@pytest.mark.parametrize("name", WORKERS)
def test_data_say_which_worker_has_a_sample(name: str, tmp_path: Path) -> None:
    source = load(RidgeSettings(kind="ridge", n=N, **WORKERS[name](tmp_path)))
    for worker in range(N):
        share = source.share(worker)
        assert np.array_equal(share.A.toarray(), X[worker == WHOSE])  # in the order of the file
        assert np.array_equal(share.y, y[worker == WHOSE])


def test_workers_may_have_unequal_shares() -> None:
    whose = np.array([2] * (M - 3) + [0, 1, 0])
    result = run({"X": X, "y": y, "worker": whose, "l2": 0.5})
    assert result.status == "finished"
    rows = [np.flatnonzero(whose == i) for i in range(N)]
    L = np.mean([X[r].T @ X[r] / len(r) for r in rows], axis=0) + 0.5 * np.eye(D)
    b = np.mean([X[r].T @ y[r] / len(r) for r in rows], axis=0)
    np.testing.assert_allclose(result.theory["x_star"], np.linalg.solve(L, b), rtol=1e-10)


MISFITS: dict[str, tuple[Any, dict[str, Any], list[str]]] = {
    "from 1": (WHOSE + 1, {}, ["ids from 1 to 3", "0 to 2", "subtract 1"]),
    "negative": (WHOSE - 1, {}, ["ids from -1 to 1", "0 to 2"]),
    "more than n": (np.arange(M) % 5, {}, ["ids from 0 to 4", "or problem.n = 5"]),
    "one without": (WHOSE % 2 * 2, {}, ["no sample of worker 1", "smaller problem.n"]),
    "fewer than n": (WHOSE * 0, {}, ["no sample of worker 1 and 1 more"]),
    "no whole numbers": (WHOSE / 2, {}, ["0.5 for sample 1"]),
    "split too": (WHOSE, {"split": "shuffled"}, ["problem.split", "shuffled"]),
    "too short": (WHOSE[1:], {}, ["problem.worker", "39", "40"]),
    "not finite": (np.where(WHOSE == 1, np.nan, WHOSE), {}, ["nan for sample 1"]),
}


@pytest.mark.parametrize("name", MISFITS)
def test_workers_that_do_not_fit_n(name: str) -> None:
    worker, settings, fragments = MISFITS[name]
    with pytest.raises(InputError) as caught:
        run({"X": X, "y": y, "worker": worker}, **settings)
    for fragment in fragments:
        assert fragment in str(caught.value)


def test_the_digest_of_a_log_is_of_the_shares() -> None:
    shares = [load(RidgeSettings(kind="ridge", n=2, X=X, y=y)).share(i) for i in range(2)]
    assert shares[0].digest() == digest.of_arrays([shares[0].A, shares[0].y])
    assert shares[0].digest() != shares[1].digest()
