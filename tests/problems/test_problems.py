"""The quadratics of every kind of problem, against formulas written out here."""

import bz2
import gzip
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from sklearn import datasets

import ist_mpi
from ist_mpi import problems
from ist_mpi.config import load
from ist_mpi.problems.source import Source


def job(rounds: int = 1, **problem: Any) -> dict[str, Any]:
    """A short run of the given problem."""
    return {
        "problem": problem,
        "method": {"name": "ist", "step_size": 1e-3},
        "run": {"rounds": rounds},
    }


def opened(**problem: Any) -> Source:
    """The source of the given problem."""
    return problems.load(load(job(**problem)).problem)


def synthetic(**changes: Any) -> Source:
    """The source of a synthetic problem, d = 6, n = 4 unless changed."""
    return opened(kind="synthetic", **{"d": 6, "n": 4, **changes})


# --- synthetic ------------------------------------------------------------------------------------


def test_synthetic_sizes() -> None:
    source = synthetic()
    L, b, constant = source.share(3).quadratic()
    assert (source.n, source.d, source.homogeneous) == (4, 6, False)
    assert (L.shape, b.shape, constant) == ((6, 6), (6,), 0.0)
    assert L.dtype == b.dtype == np.float64


def test_a_workers_data_depend_on_seed_and_worker_alone() -> None:
    few, many = synthetic(n=3), synthetic(n=9)
    for worker in (2, 0, 1):  # the order of the calls does not matter
        for mine, theirs in zip(
            few.share(worker).quadratic(), many.share(worker).quadratic(), strict=True
        ):
            assert np.array_equal(mine, theirs)


def test_workers_and_seeds_have_different_data() -> None:
    drawn = [synthetic(seed=seed).share(i).quadratic() for seed in (0, 1) for i in range(4)]
    for name in ("L", "b"):
        assert len({getattr(one, name).tobytes() for one in drawn}) == len(drawn)


def test_synthetic_numbers_are_standard_normal() -> None:
    d = 300
    L, b, _ = synthetic(d=d, n=1).share(0).quadratic()
    x0 = synthetic(d=40_000, n=1).start()
    assert np.array_equal(L, L.T)
    assert np.linalg.eigvalsh(L)[0] > -1e-9
    # L = BᵀB: a diagonal entry is chi-squared with d degrees, another has mean 0 and variance d.
    # Every allowance below is about six standard errors.
    assert np.trace(L) / d == pytest.approx(d, rel=6 * np.sqrt(2) / d)
    above = L[np.triu_indices(d, 1)]
    assert above.mean() == pytest.approx(0, abs=6 * np.sqrt(d / above.size))
    assert above.var() == pytest.approx(d, rel=0.1)
    assert abs(b.mean()) < 6 / np.sqrt(d)
    assert b.var() == pytest.approx(1, rel=0.5)
    assert abs(x0.mean()) < 6 / np.sqrt(x0.size)
    assert x0.var() == pytest.approx(1, rel=6 * np.sqrt(2 / x0.size))
    assert (np.abs(x0) < 1).mean() == pytest.approx(0.6827, abs=0.015)


def test_the_matrix_the_linear_term_and_the_start_are_not_the_same_numbers() -> None:
    source = synthetic(d=1)
    L, b, _ = source.share(0).quadratic()
    x0 = source.start()
    assert len({round(float(np.abs(v).ravel()[0]), 12) for v in (np.sqrt(L), b, x0)}) == 3


def test_homogeneous_workers_are_all_worker_0() -> None:
    source, other = synthetic(heterogeneous=False), synthetic(heterogeneous=True)
    L, b, _ = other.share(0).quadratic()
    assert source.homogeneous
    for worker in range(4):
        same = source.share(worker).quadratic()
        assert np.array_equal(same.L, L)
        assert np.array_equal(same.b, b)


@pytest.mark.parametrize("heterogeneous", [True, False])
def test_without_linear_term_b_is_zero_and_nothing_else_changes(heterogeneous: bool) -> None:
    bare = synthetic(linear_term=False, heterogeneous=heterogeneous)
    full = synthetic(linear_term=True, heterogeneous=heterogeneous)
    for worker in range(4):
        L, b, _ = bare.share(worker).quadratic()
        assert np.array_equal(b, np.zeros(6))
        assert np.array_equal(L, full.share(worker).quadratic().L)
        assert full.share(worker).quadratic().b.all()
    assert np.array_equal(bare.start(), full.start())


def test_x0_belongs_to_the_problems_seed() -> None:
    x0 = synthetic(seed=5).start()
    assert x0.shape == (6,)
    assert np.array_equal(x0, synthetic(seed=5, n=9).start())
    assert np.array_equal(x0, synthetic(seed=5, heterogeneous=False).start())
    assert not np.array_equal(x0, synthetic(seed=6).start())


def test_the_runs_seed_draws_the_sketches_and_nothing_else() -> None:
    def run(seed: int) -> Any:
        return ist_mpi.run(
            {
                "problem": {"kind": "synthetic", "d": 6, "n": 4, "seed": 2},
                "method": {"name": "ist", "step_size": 1e-3},
                "run": {"rounds": 2, "seed": seed},
                "log": {"problem": True},
            }
        )

    one, two = run(1), run(2)
    assert np.array_equal(one.model["x0"], two.model["x0"])
    assert np.array_equal(one.model["x0"], synthetic(seed=2).start())
    for name in ("L", "b", "constant"):
        assert np.array_equal(one.problem[name], two.problem[name])
    assert not np.array_equal(one.model["x"], two.model["x"])


# --- ridge ----------------------------------------------------------------------------------------


def samples(m: int = 23, d: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A small data set with zeros among its values and ties among its labels."""
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((m, d)) * (rng.random((m, d)) < 0.6)
    A[:, 0] = np.arange(1, m + 1)  # tells the samples apart
    A[-1, -1] = 1.5  # the last feature occurs
    return A, rng.integers(-1, 2, m).astype(float)


def libsvm(A: np.ndarray, y: np.ndarray, zeros: bool = False, first: int = 1) -> str:
    """The samples in LIBSVM format, features counted from `first`; with or without zeros."""
    lines = []
    for row, label in zip(A, y, strict=True):
        words = [f"{j + first}:{float(v)!r}" for j, v in enumerate(row) if zeros or v != 0]
        lines.append(" ".join([repr(float(label)), *words]))
    return "\n".join(lines) + "\n"


def contiguous(y: np.ndarray, n: int) -> list[list[int]]:
    """Sample numbers of every worker: sorted by label, ties in the file's order, near-equal."""
    order = sorted(range(len(y)), key=lambda sample: y[sample])
    small, larger = divmod(len(y), n)
    sizes = [small + 1] * larger + [small] * (n - larger)
    ends = [sum(sizes[: i + 1]) for i in range(n)]
    return [order[end - size : end] for end, size in zip(ends, sizes, strict=True)]


def assert_ridge(
    source: Source, A: np.ndarray, y: np.ndarray, l2: float, groups: list[list[int]]
) -> None:
    """Worker i's quadratic is (1/2m)‖A x − y‖² + (l2/2)‖x‖² on the samples groups[i]."""
    d = A.shape[1]
    assert (source.n, source.d) == (len(groups), d)
    assert np.array_equal(source.start(), np.zeros(d))
    rng = np.random.default_rng(1)
    for worker, rows in enumerate(groups):
        L, b, constant = source.share(worker).quadratic()
        assert (L.shape, b.shape) == ((d, d), (d,))
        for x in (np.zeros(d), *rng.standard_normal((3, d))):
            residuals = [float(A[r] @ x - y[r]) for r in rows]
            value = sum(e * e for e in residuals) / (2 * len(rows)) + l2 / 2 * float(x @ x)
            assert 0.5 * x @ L @ x - b @ x + constant == pytest.approx(value, rel=1e-11)
            gradient = sum(A[r] * e for r, e in zip(rows, residuals, strict=True)) / len(rows)
            scale = np.abs(L).sum() * np.abs(x).max() + np.abs(b).max()
            assert np.abs(L @ x - b - (gradient + l2 * x)).max() <= 1e-12 * scale


@pytest.mark.parametrize("n", [1, 2, 4, 23])
@pytest.mark.parametrize("l2", [0.0, 0.25])
def test_ridge_contiguous(n: int, l2: float, tmp_path: Path) -> None:
    A, y = samples()
    path = tmp_path / "data.svm"
    path.write_text(libsvm(A, y))
    assert_ridge(opened(kind="ridge", path=path, n=n, l2=l2), A, y, l2, contiguous(y, n))


def test_ridge_default_l2(tmp_path: Path) -> None:
    A, y = samples()
    path = tmp_path / "data.svm"
    path.write_text(libsvm(A, y))
    assert_ridge(opened(kind="ridge", path=path, n=3), A, y, 1e-3, contiguous(y, 3))


BUNDLED = {
    "digits": (datasets.load_digits, (1797, 64), 8),
    "diabetes": (datasets.load_diabetes, (442, 10), 5),
    "breast_cancer": (datasets.load_breast_cancer, (569, 30), 4),
}


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_data_sets(name: str) -> None:
    loader, shape, n = BUNDLED[name]
    A, y = loader(return_X_y=True)
    assert A.shape == shape
    source = opened(kind="ridge", dataset=name, n=n, l2=0.5)
    assert_ridge(source, A, y.astype(float), 0.5, contiguous(y, n))


def first_column(source: Source) -> list[list[int]]:
    """The sample numbers (0-based) that every worker holds, read off the first feature."""
    shares: list[Any] = [source.share(worker) for worker in range(source.n)]
    dense = [s.A.toarray() if hasattr(s.A, "toarray") else s.A for s in shares]
    return [[round(v) - 1 for v in A[:, 0]] for A in dense]


def test_ridge_shuffled_is_a_permutation_fixed_by_the_problems_seed(tmp_path: Path) -> None:
    A, y = samples()
    path = tmp_path / "data.svm"
    path.write_text(libsvm(A, y))

    def shuffled(n: int, seed: int) -> list[list[int]]:
        return first_column(opened(kind="ridge", path=path, n=n, split="shuffled", seed=seed))

    groups = shuffled(4, 0)
    assert [len(group) for group in groups] == [6, 6, 6, 5]
    order = np.concatenate(groups).tolist()
    assert sorted(order) == list(range(23))
    assert order not in (list(range(23)), np.concatenate(contiguous(y, 4)).tolist())
    assert np.concatenate(shuffled(7, 0)).tolist() == order
    assert np.concatenate(shuffled(4, 1)).tolist() != order
    source = opened(kind="ridge", path=path, n=4, split="shuffled", l2=0.1)
    assert_ridge(source, A, y, 0.1, groups)


def test_a_contiguous_split_does_not_depend_on_the_seed(tmp_path: Path) -> None:
    A, y = samples()
    path = tmp_path / "data.svm"
    path.write_text(libsvm(A, y))
    for seed in (0, 1):
        assert first_column(opened(kind="ridge", path=path, n=4, seed=seed)) == contiguous(y, 4)


@pytest.mark.parametrize("ending", ["dense", "libsvm"])
def test_standardize(ending: str, tmp_path: Path) -> None:
    if ending == "dense":
        A, y = datasets.load_digits(return_X_y=True)  # its first column is constant
        source = opened(kind="ridge", dataset="digits", n=5, standardize=True, l2=0.1)
    else:
        A, y = samples()
        A[:, 2] = 0.1  # constant, and 23 times 0.1 is no exact sum
        path = tmp_path / "data.svm"
        path.write_text(libsvm(A, y))
        source = opened(kind="ridge", path=path, n=5, standardize=True, l2=0.1)
    scaled = np.zeros_like(A)
    for j in range(A.shape[1]):
        if len(set(A[:, j])) > 1:
            scaled[:, j] = (A[:, j] - A[:, j].mean()) / A[:, j].std()
    whole = np.vstack([source.share(worker).A for worker in range(5)])  # type: ignore[attr-defined]  # ridge only
    varies = scaled.any(axis=0)
    assert not varies.all()
    np.testing.assert_allclose(whole.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(whole.var(axis=0), varies.astype(float), rtol=1e-10)
    assert_ridge(source, scaled, y.astype(float), 0.1, contiguous(y, 5))


def test_a_data_set_is_not_standardized_unless_asked() -> None:
    source = opened(kind="ridge", dataset="digits", n=1)
    A, _ = datasets.load_digits(return_X_y=True)
    found = source.share(0).A  # type: ignore[attr-defined]  # ridge only
    assert np.array_equal(np.sort(found, axis=0), np.sort(A, axis=0))


def _windows(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode()


def _commented(text: str) -> bytes:
    return ("# made for a test\n\n" + text.replace("\n", " # a sample\n")).encode()


@pytest.mark.parametrize(
    ("name", "options", "encode"),
    [
        ("sparse.svm", {}, str.encode),
        ("dense.svm", {"zeros": True}, str.encode),
        ("from0.svm", {"first": 0}, str.encode),
        ("data.svm.gz", {}, lambda text: gzip.compress(text.encode())),
        ("data.svm.bz2", {}, lambda text: bz2.compress(text.encode())),
        ("windows.svm", {}, _windows),
        ("comments.svm", {}, _commented),
        ("no-ending", {}, str.encode),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_ways_to_write_the_same_libsvm_data(
    name: str, options: dict[str, Any], encode: Any, tmp_path: Path
) -> None:
    A, y = samples()
    path = tmp_path / name
    path.write_bytes(encode(libsvm(A, y, **options)))
    assert_ridge(opened(kind="ridge", path=path, n=3, l2=0.1), A, y, 0.1, contiguous(y, 3))


@pytest.mark.parametrize("split", ["contiguous", "shuffled"])
def test_more_features_than_seen(split: str, tmp_path: Path) -> None:
    A, y = samples()
    path = tmp_path / "data.svm"
    path.write_text(libsvm(A, y))
    source = opened(kind="ridge", path=path, n=3, d=8, l2=0.25, split=split)
    wide = np.hstack([A, np.zeros((23, 3))])
    assert_ridge(source, wide, y, 0.25, first_column(source))
    L, b, _ = source.share(1).quadratic()
    assert np.array_equal(L[5:], 0.25 * np.eye(8)[5:])
    assert np.array_equal(b[5:], np.zeros(3))


def test_as_many_features_as_seen_may_be_said(tmp_path: Path) -> None:
    A, y = samples()
    path = tmp_path / "data.svm"
    path.write_text(libsvm(A, y))
    assert opened(kind="ridge", path=path, n=3, d=5).d == 5
    assert opened(kind="ridge", dataset="digits", n=3, d=64).d == 64


# --- arrays ---------------------------------------------------------------------------------------


def quadratics(n: int = 3, d: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """L (n, d, d), b (n, d) and x0 (d,); every worker has its own."""
    rng = np.random.default_rng(7)
    B = rng.standard_normal((n, d, d))
    L = np.stack([Bi.T @ Bi + np.eye(d) for Bi in B])
    return (L + L.transpose(0, 2, 1)) / 2, rng.standard_normal((n, d)), rng.standard_normal(d)


def assert_arrays(source: Source, L: np.ndarray, b: np.ndarray, x0: np.ndarray) -> None:
    """The source holds exactly these."""
    assert (source.n, source.d, source.homogeneous) == (len(L), L.shape[1], False)
    assert np.array_equal(source.start(), x0)
    for worker in reversed(range(len(L))):
        quadratic = source.share(worker).quadratic()
        assert np.array_equal(quadratic.L, L[worker])
        assert np.array_equal(quadratic.b, b[worker])
        assert quadratic.constant == 0.0
        assert quadratic.L.dtype == quadratic.b.dtype == np.float64


@pytest.mark.parametrize("start", [True, False], ids=["x0", "no x0"])
@pytest.mark.parametrize(
    "options",
    [{}, {"chunks": True, "compression": "gzip"}, {"dtype": ">f8"}],
    ids=["plain", "compressed", "big-endian"],
)
def test_arrays_from_a_file(options: dict[str, Any], start: bool, tmp_path: Path) -> None:
    L, b, x0 = quadratics()
    path = tmp_path / "mine.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("L", data=L, **options)
        file.create_dataset("b", data=b, **options)
        file["something else"] = 3
        if start:
            file["x0"] = x0
    source = opened(kind="arrays", path=path)
    assert_arrays(source, L, b, x0 if start else np.zeros(4))


@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.uint8])
def test_arrays_of_other_numbers(dtype: Any, tmp_path: Path) -> None:
    L = np.stack([np.diag([3, 1, 2]), np.diag([1, 4, 1])]).astype(dtype)
    b, x0 = np.array([[1, 0, 2], [3, 1, 1]], dtype), np.array([5, 6, 7], dtype)
    path = tmp_path / "mine.h5"
    with h5py.File(path, "w") as file:
        file["L"], file["b"], file["x0"] = L, b, x0
    assert_arrays(opened(kind="arrays", path=path), L, b, x0)
    assert_arrays(opened(kind="arrays", L=L, b=b, x0=x0), L, b, x0)


@pytest.mark.parametrize("start", [True, False], ids=["x0", "no x0"])
@pytest.mark.parametrize("convert", [np.array, np.asfortranarray, np.ndarray.tolist])
def test_arrays_from_memory(convert: Any, start: bool) -> None:
    L, b, x0 = quadratics()
    given = {"x0": convert(x0)} if start else {}
    source = opened(kind="arrays", L=convert(L), b=convert(b), **given)
    assert_arrays(source, L, b, x0 if start else np.zeros(4))


def test_a_run_leaves_the_callers_arrays_alone_and_uses_them() -> None:
    L, b, x0 = quadratics()
    kept = [array.copy() for array in (L, b, x0)]
    result = ist_mpi.run({**job(3, kind="arrays", L=L, b=b, x0=x0), "log": {"problem": True}})
    for array, copy in zip((L, b, x0), kept, strict=True):
        assert np.array_equal(array, copy)
    assert np.array_equal(result.model["x0"], x0)
    assert not np.array_equal(result.model["x"], x0)
    assert np.array_equal(result.problem["L"], L)
    assert np.array_equal(result.problem["b"], b)
    x_star = np.linalg.solve(L.mean(axis=0), b.mean(axis=0))
    np.testing.assert_allclose(result.theory["x_star"], x_star, rtol=1e-10)


def test_a_slightly_unsymmetric_matrix_is_taken() -> None:
    L, b, x0 = quadratics()
    L[1, 0, 2] *= 1 + 1e-14
    assert_arrays(opened(kind="arrays", L=L, b=b, x0=x0), L, b, x0)


def test_a_singular_worker_is_taken() -> None:
    L = np.stack([np.diag([0.0, 0.0, 1.0]), np.diag([1.0, 2.0, 0.0])])
    assert_arrays(opened(kind="arrays", L=L, b=np.ones((2, 3))), L, np.ones((2, 3)), np.zeros(3))


def test_ridge_measures_with_the_constant(tmp_path: Path) -> None:
    A, y = samples()
    path = tmp_path / "data.svm"
    path.write_text(libsvm(A, y))
    result = ist_mpi.run(job(2, kind="ridge", path=path, n=4, l2=0.25))
    groups = contiguous(y, 4)

    def f(x: np.ndarray) -> float:
        losses = [np.mean((A[rows] @ x - y[rows]) ** 2) / 2 for rows in groups]
        return float(np.mean(losses)) + 0.25 / 2 * float(x @ x)

    assert result.theory["f_star"] == pytest.approx(f(result.theory["x_star"]), rel=1e-10)
    gap = f(np.zeros(5)) - f(result.theory["x_star"])
    assert result.rounds["gap"][0] == pytest.approx(gap, rel=1e-9)
