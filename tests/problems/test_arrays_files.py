"""L and b in files of others: npz, MATLAB's order of axes, lzf; and masked ones in memory."""

import io
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from mpi4py import MPI

import ist_mpi
from ist_mpi.config import Problem
from ist_mpi.errors import InputError
from ist_mpi.problems import FunctionProblem, QuadraticProblem

N, D = 3, 4


def arrays(dtype: Any = np.float64) -> dict[str, np.ndarray]:
    B = np.random.default_rng(2).standard_normal((N, D, D))
    L = np.einsum("nki,nkj->nij", B, B) + np.eye(D)
    made = {"L": (L + L.transpose(0, 2, 1)) / 2, "b": np.ones((N, D)), "x0": np.arange(1.0, D + 1)}
    return {name: array.astype(dtype) for name, array in made.items()}


def run(**problem: Any) -> Any:
    config = {
        "problem": {"kind": "arrays", **problem},
        "method": {"name": "ist", "step_size": 1e-3},
        "run": {"rounds": 4, "watchdog_seconds": 0},
    }
    return ist_mpi.run(config, MPI.COMM_SELF)


def written(path: Path, **changes: Any) -> str:
    """As HDF5; None: without it."""
    with h5py.File(path, "w") as file:
        for name, array in {**arrays(), **changes}.items():
            if array is not None:
                file[name] = array
    return str(path)


def refusal(**problem: Any) -> str:
    with pytest.raises(InputError) as caught:
        run(**problem)
    return str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float64, np.float32, ">f8"])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_npz_is_as_hdf5_and_memory_are(save: Any, dtype: Any, tmp_path: Path) -> None:
    made = arrays(dtype)
    save(tmp_path / "mine.npz", **made, more=np.ones(2))
    results = [
        run(path=written(tmp_path / "mine.h5", **made)),
        run(path=str(tmp_path / "mine.npz")),
        run(**made),
    ]
    assert len({result.model["x"].tobytes() for result in results}) == 1
    assert len({result.attributes["problem_digest"] for result in results}) == 1


def npz(folder: Path, **changes: Any) -> str:
    path = folder / "mine.npz"
    np.savez(path, **{k: v for k, v in {**arrays(), **changes}.items() if v is not None})
    return str(path)


def test_an_npz_is_checked_as_hdf5_is(tmp_path: Path) -> None:
    crooked = arrays()["L"]
    crooked[1, 0, 2] = 9.0
    assert "mine.npz: L, worker 1: got L[0, 2] = 9" in refusal(path=npz(tmp_path, L=crooked))
    assert "no L among b, x0" in refusal(path=npz(tmp_path, L=None))
    assert "(3, 5)" in refusal(path=npz(tmp_path, b=np.ones((N, D + 1))))
    assert "1 dimension" in refusal(path=npz(tmp_path, x0=np.ones((1, D))))
    objects = np.array([[1.0] * D] * (N - 1) + [[None] * D], dtype=object)
    assert "Python objects" in refusal(path=npz(tmp_path, b=objects))
    assert "bool" in refusal(path=npz(tmp_path, b=np.ones((N, D), bool)))
    assert run(path=npz(tmp_path, x0=None)).model["x0"].tolist() == [0.0] * D


def test_a_damaged_npz(tmp_path: Path) -> None:
    path = Path(npz(tmp_path))
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    assert "a zip archive that cannot be read" in refusal(path=str(path))
    at = whole.index(arrays()["L"].tobytes()[:16])
    path.write_bytes(whole[:at] + bytes(16) + whole[at + 16 :])
    assert "CRC" in refusal(path=str(path))
    path.write_bytes(whole[:4] + whole[30:])  # its parts are before its beginning
    assert "cannot be read" in refusal(path=str(path))
    lying = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        lying, {"descr": "<f8", "fortran_order": False, "shape": (10**6, 10**6, 10**6)}
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("L.npy", lying.getvalue())
        archive.writestr("b.npy", lying.getvalue())
    assert "0 bytes of data where shape" in refusal(path=str(path))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("L.npy", bytes(100 << 20))
    assert "expand to" in refusal(path=str(path))


def test_other_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "mine"
    np.save(tmp_path / "mine.npy", arrays()["L"])
    assert "an array of NumPy" in refusal(path=str(tmp_path / "mine.npy"))
    path.write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200))
    assert "-v7.3" in refusal(path=str(path))
    path.write_bytes(b"1,2,3\n")
    assert "HDF5" in refusal(path=str(path))


def test_axes_in_the_order_of_matlab_are_told(tmp_path: Path) -> None:
    made = arrays()
    L, b = made["L"].T, made["b"].T
    both = "shape (4, 4, 3)", "(3, 4, 4)", "permute(L, [2 3 1])", "save b.'", "b.T"
    for message in (
        refusal(path=written(tmp_path / "mine.h5", L=L, b=b)),
        refusal(path=npz(tmp_path, L=L, b=b)),
    ):
        for words in both:
            assert words in message
    message = refusal(path=npz(tmp_path, L=L))
    assert "permute" in message
    assert "b.T" not in message
    message = refusal(path=npz(tmp_path, b=b))
    assert "permute" not in message
    assert "save b.'" in message
    assert "permute" not in refusal(path=npz(tmp_path, b=np.ones((2, 2)), L=L))


@pytest.mark.slow
def test_a_start_of_matlab_is_a_row_or_a_column(tmp_path: Path) -> None:
    x0 = arrays()["x0"]
    for shape in ((1, D), (D, 1)):
        result = run(path=written(tmp_path / "mine.h5", x0=x0.reshape(shape)))
        assert np.array_equal(result.model["x0"], x0)
    assert "dimension" in refusal(path=written(tmp_path / "mine.h5", x0=np.ones((2, 2))))
    assert "(5,)" in refusal(path=written(tmp_path / "mine.h5", x0=np.ones((1, 5))))


@pytest.mark.parametrize("name", ["L", "b", "x0"])
def test_masked_entries_are_refused(name: str) -> None:
    made: dict[str, Any] = arrays()
    made[name] = np.ma.masked_array(made[name])
    assert run(**made).status == "finished"
    made[name] = np.ma.masked_greater(made[name], 0.99)
    message = refusal(**made)
    assert f"problem.{name}" in message
    assert "missing" in message
    assert "masked" in refusal(**{**made, name: list(made[name])})


class Masked(QuadraticProblem):
    """Of a user's own, with a masked array where its settings say."""

    class Settings(Problem):
        at: str

    def __init__(self, settings: Any) -> None:
        super().__init__(settings)
        self.n, self.d = 2, 2

    def _made(self, name: str, array: Any) -> Any:
        return np.ma.masked_array(array, mask=self.settings.at == name)

    def quadratic(self, worker: int) -> Any:
        return self._made("L", np.eye(2)), self._made("b", np.ones(2))

    def start(self) -> Any:
        return self._made("start", np.zeros(2))


class MaskedFunctions(FunctionProblem):
    """Likewise, of functions."""

    Settings = Masked.Settings

    def __init__(self, settings: Any) -> None:
        super().__init__(settings)
        self.n, self.d = 2, 2
        self.x_star = np.ma.masked_array(np.ones(2), mask=settings.at == "x_star")

    def value(self, worker: int, x: Any) -> float:
        return float((x - 1) @ (x - 1)) / 2

    def gradient(self, worker: int, x: Any) -> Any:
        return np.ma.masked_array(x - 1, mask=self.settings.at == "gradient")


@pytest.mark.parametrize(
    ("kind", "places"),
    [(Masked, ["L", "b", "start"]), (MaskedFunctions, ["x_star", "gradient"])],
)
def test_masked_entries_of_a_problem_of_ones_own(kind: type, places: list[str]) -> None:
    assert run(kind=kind, at="nowhere").status == "finished"
    for at in places:
        assert "masked entries" in refusal(kind=kind, at=at)
