"""Whether the data are those that a log is of, which their digest tells."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from mpi4py import MPI
from scipy import sparse

import ist_mpi
from ist_mpi.errors import MismatchError
from ist_mpi.exact_theory import prediction
from ist_mpi.problems import digest
from ist_mpi.store.log import Run
from ist_mpi.store.provenance import versions
from ist_mpi.training import api, resume
from ist_mpi.training.job import open_job

WORKERS, D = 3, 4


def write(path: Path, **change: float) -> None:
    """Quadratics with b = 0, so that x* = 0 whatever the data are."""
    B = np.random.default_rng(3).standard_normal((WORKERS, D + 1, D))
    arrays = {
        "L": np.einsum("nki,nkj->nij", B, B),
        "b": np.zeros((WORKERS, D)),
        "x0": np.ones(D),
    }
    for name, factor in change.items():
        arrays[name] = factor * arrays[name]
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array


def config_of(folder: Path, **run: float) -> dict[str, Any]:
    return {
        "problem": {"kind": "arrays", "path": str(folder / "data.h5")},
        "method": {"name": "ist", "step_size": 1e-2},
        "run": {"rounds": 9, "watchdog_seconds": 0, **run},
    }


def going_on(folder: Path) -> Run:
    """What `resume` makes of the run that was stopped in a folder."""
    job, source = open_job(MPI.COMM_SELF, config_of(folder), out=folder / "r.h5", going_on="resume")
    return next(api.results(MPI.COMM_SELF, job, source, going_on="resume", tell=lambda _: None))


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """A folder with a run that was stopped after its first round, and its data."""
    write(tmp_path / "data.h5")
    config = config_of(tmp_path, max_seconds=1e-9)
    assert ist_mpi.run(config, MPI.COMM_SELF, out=tmp_path / "r.h5").status == "stopped"
    return tmp_path


@pytest.mark.parametrize("changed", [{"L": 2.0}, {"x0": 3.0}])
def test_other_data_with_the_same_solution_are_refused(
    stopped: Path, changed: dict[str, float]
) -> None:
    write(stopped / "data.h5", **changed)
    with pytest.raises(MismatchError, match="other data: their digest is"):
        going_on(stopped)


def test_another_last_bit_of_the_solution_is_not_other_data(
    stopped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As another processor, or another library of linear algebra, would have it."""
    solve = prediction._solution

    def otherwise(*arguments: Any) -> Any:
        return np.nextafter(solve(*arguments), np.inf)

    monkeypatch.setattr(prediction, "_solution", otherwise)
    assert going_on(stopped).status == "finished"


def test_other_versions_may_read_the_data_otherwise(
    stopped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the last bits: then x* decides, to eight digits."""
    now = {**versions(), "numpy": "9.9"}
    monkeypatch.setattr(resume, "versions", lambda: now)
    write(stopped / "data.h5", L=1.0 + 1e-15)
    assert going_on(stopped).status == "finished"


def test_a_digest_is_of_numbers_and_shapes() -> None:
    A = np.arange(6.0).reshape(2, 3)
    rows, other = sparse.csr_array(A), sparse.csr_array(A + np.eye(2, 3))
    wide = rows.copy()
    wide.indices, wide.indptr = (part.astype(np.int64) for part in (rows.indices, rows.indptr))
    assert digest.of_arrays([A]) == digest.of_arrays([np.asfortranarray(A)])
    assert digest.of_arrays([rows]) == digest.of_arrays([wide])
    assert digest.of_arrays([np.empty((0, 3)), A]) != digest.of_arrays([A])
    different = [[A], [A.T], [A.ravel()], [A[:1], A[1:]], [rows], [other]]
    assert len({digest.of_arrays(arrays) for arrays in different}) == len(different)
