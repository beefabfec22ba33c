"""What is refused of a user's L and b, as precisely as the numbers are."""

import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from mpi4py import MPI

import ist_mpi
from ist_mpi.errors import InputError, apart
from ist_mpi.problems.checking import checked
from ist_mpi.problems.source import Accepted


def gram(dtype: Any) -> np.ndarray:
    """A rank-deficient Gram matrix, all of it made in a precision; d = 30 of rank 7."""
    A = np.random.default_rng(3).standard_normal((7, 30)).astype(dtype)
    return (A.T @ A) / dtype(7)


def where(name: str) -> str:
    return f"problem.{name}"


def test_rounding_errors_of_float32_are_accepted_made_symmetric_and_said() -> None:
    L, b = gram(np.float32), np.zeros(30)
    assert np.linalg.eigvalsh(L.astype(np.float64))[0] < -1e-8
    for given, precision in ((L, "float64"), (L.astype(np.float64), "float32"), (L, "float32")):
        found = checked(given, b, precision, where)
        assert np.array_equal(found.L, found.L.T)
        assert np.abs(found.L - L).max() <= 1e-6 * np.abs(L).max()
        assert isinstance(found, Accepted)
        assert "within the rounding of float32" in found.note
    with pytest.raises(InputError, match="an eigenvalue of -"):
        checked(L.astype(np.float64), b, "float64", where)


def test_float64_is_as_it_comes() -> None:
    L = gram(np.float64)
    found = checked(L, np.zeros(30), "float64", where)
    assert found.L is L
    assert not isinstance(found, Accepted)


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("off", [1e-3, 1.0])
def test_what_no_rounding_explains_is_refused(precision: str, off: float) -> None:
    L = gram(np.float32)
    for change in (np.eye(30, k=1), np.diag(-1.0 * (np.arange(30) == 3))):
        wrong = (L + (1 + off) * np.abs(L).max() * change).astype(np.float32)
        with pytest.raises(InputError):
            checked(wrong, np.zeros(30), precision, where)


@pytest.mark.parametrize("difference", [1e-9, 1e-7, 1e-3, 0.5])
def test_two_numbers_are_never_shown_as_equal(difference: float) -> None:
    L = np.array([[1.0, 0.5], [0.5 + difference, 1.0]])
    with pytest.raises(InputError) as caught:
        checked(L, np.zeros(2), "float64", where)
    one, other = (part.split(" = ")[1].split()[0] for part in str(caught.value).split(" but "))
    assert one != other.rstrip(";")
    assert apart(0.1, np.nextafter(0.1, 1.0)) == ("0.10000000000000001", "0.10000000000000002")


@pytest.mark.parametrize("stored", ["file", "memory"])
def test_float32_data_run_and_say_so(stored: str, tmp_path: Path) -> None:
    L, b = gram(np.float32), np.ones((3, 30))
    every = np.stack([L, L + np.eye(30, dtype=np.float32), L])
    problem: dict[str, Any] = {"kind": "arrays", "L": every, "b": b}
    if stored == "file":
        with h5py.File(tmp_path / "data.h5", "w") as file:
            file["L"], file["b"] = every, b
        problem = {"kind": "arrays", "path": str(tmp_path / "data.h5")}
    config = {
        "problem": problem,
        "method": {"name": "gradient_descent", "step_size": 0.1},
        "run": {"rounds": 3, "watchdog_seconds": 0},
    }
    with pytest.warns(UserWarning, match="rounding of float32.* more"):
        assert ist_mpi.run(config, MPI.COMM_SELF).status == "finished"
    if stored == "memory":
        problem["L"] = every + np.eye(30, dtype=np.float32)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            ist_mpi.run(config, MPI.COMM_SELF)


@pytest.mark.parametrize("condition", [1e6, 1e8, 1e10, 1e12])
def test_an_inverse_is_as_unsymmetric_as_its_rounding(condition: float) -> None:
    Q, _ = np.linalg.qr(np.random.default_rng(1).standard_normal((40, 40)))
    K = (Q * np.geomspace(1, condition, 40)) @ Q.T
    L = np.linalg.inv((K + K.T) / 2)
    assert not np.array_equal(L, L.T)
    found = checked(L, np.zeros(40), "float64", where)
    if isinstance(found, Accepted):
        assert np.array_equal(found.L, found.L.T)
        assert "the rounding of an inverse of condition 1e" in found.note
    assert isinstance(found, Accepted) == (condition >= 1e8)
    far = L + np.eye(40, k=3) * np.abs(L).max() * 10 * np.finfo(float).eps * condition
    if condition < 1e12:
        with pytest.raises(InputError, match="symmetric"):
            checked(far, np.zeros(40), "float64", where)


def test_the_rounding_of_float32_is_of_the_whole_matrix() -> None:
    """Of positive samples it is far larger than its entries, and so are the errors of eigenvalues.

    As sums of many terms have them: some units of the last digit in every entry.
    """
    d, eps = 300, np.finfo(np.float32).eps
    noise = np.random.default_rng(0).standard_normal((d, d)) * 6 * eps
    L = (1.0 + (noise + noise.T) / 2).astype(np.float32)
    assert np.linalg.eigvalsh(L.astype(np.float64))[0] < -1e-5
    assert isinstance(checked(L, np.zeros(d), "float64", where), Accepted)
    L[3, 3] -= np.float32(1e-3)
    with pytest.raises(InputError, match="an eigenvalue of -"):
        checked(L, np.zeros(d), "float64", where)


def test_sums_of_float32_that_were_stored_as_float64_are_told_what_to_say() -> None:
    L = gram(np.float32).astype(np.float64)
    with pytest.raises(InputError, match='of sums in float32: precision = "float32"'):
        checked(L, np.zeros(30), "float64", where)
