"""Least squares by their samples: the same method as by matrices, at large d without any."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference
from cases import GROUPED, GROUPS, VARIANTS, configuration
from recorded import recorded_blocks, reference_round

import ist_mpi
from ist_mpi import problems
from ist_mpi.config import load
from ist_mpi.errors import InputError
from ist_mpi.exact_theory import constants, objective
from ist_mpi.kernels.matrices import Matrices
from ist_mpi.problems.quadratic import LocalQuadratics
from ist_mpi.problems.samples import Samples, cheapest, pack
from ist_mpi.verify import verify

DENSITIES = {"dense": 1.0, "sparse": 0.06}


def data(kind: str, m: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    """Samples (m, d) with columns of different sizes, none of them empty; labels without ties."""
    rng = np.random.default_rng(3)
    A = rng.standard_normal((m, d)) * np.linspace(0.5, 2.0, d)
    kept = rng.random((m, d)) < DENSITIES[kind]
    for i in range(m):
        kept[i, i % d] = True
    return A * kept, rng.standard_normal(m)


def written(folder: Path, A: np.ndarray, y: np.ndarray) -> Path:
    """The samples as a LIBSVM file."""
    path = folder / "data.svm"
    with path.open("w") as file:
        for row, label in zip(A, y, strict=True):
            words = [f"{j + 1}:{float(v)!r}" for j, v in enumerate(row) if v != 0]
            file.write(" ".join([repr(float(label)), *words]) + "\n")
    return path


def shares(y: np.ndarray, n: int) -> list[np.ndarray]:
    """The samples of each worker: after a sort by label, near-equal, the first ones larger."""
    order, (small, larger) = np.argsort(y, kind="stable"), divmod(len(y), n)
    ends = np.cumsum([small + (i < larger) for i in range(n)])
    return np.split(order, ends[:-1])


def normal_equations(
    A: np.ndarray, y: np.ndarray, n: int, l2: float
) -> tuple[np.ndarray, np.ndarray]:
    """L (n, d, d) and b (n, d), written out."""
    groups = [(A[rows], y[rows]) for rows in shares(y, n)]
    L = np.stack([a.T @ a / len(v) + l2 * np.eye(A.shape[1]) for a, v in groups])
    return L, np.stack([a.T @ v / len(v) for a, v in groups])


def use(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the problem in this way, whichever is cheapest."""
    monkeypatch.setattr(problems.samples, "cheapest", lambda *_: kind)


SHAPES = {"n does not divide d": (3, 7), "n > d": (7, 3)}


def job(variant: str, path: Path, n: int, **problem: Any) -> dict[str, Any]:
    """A configuration of the variant on the data set, everything logged."""
    config = configuration(variant, "n = 1")
    config["problem"] = {"kind": "ridge", "path": str(path), "n": n, "l2": 0.1, **problem}
    config["method"]["step_size"] = 0.02
    return config


@pytest.mark.filterwarnings("ignore:form = ")
@pytest.mark.parametrize("kind", DENSITIES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_iterates_follow_the_reference_and_the_matrices(
    variant: str, shape: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    n, d = SHAPES[shape]
    A, y = data(kind, n * 110 + 2, d)  # n ∤ m: workers have different numbers of samples
    config = job(variant, written(tmp_path, A, y), n)
    config["problem"]["storage"] = "matrix"
    by_matrix = ist_mpi.run(config)
    config["problem"]["storage"] = "samples"
    use(kind, monkeypatch)
    by_samples = ist_mpi.run(config)
    assert by_samples.attributes["storage"] == kind
    assert by_matrix.attributes["storage"] == "matrix"
    L, b = normal_equations(A, y, n, 0.1)
    np.testing.assert_allclose(by_samples.problem["L"], L, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(by_samples.problem["b"], b, rtol=1e-13, atol=1e-13)
    by_samples.problem["L"][:], by_samples.problem["b"][:] = L, b
    x = np.zeros(d)
    found, matrices = by_samples.iterates["x"], by_matrix.iterates["x"]
    for k, iterate in enumerate(found):
        if k > 0:
            blocks = recorded_blocks(by_samples, k - 1, n, d)
            x = reference_round(x, blocks, by_samples, config["method"])
        np.testing.assert_allclose(iterate, x, rtol=0, atol=1e-12 * np.abs(x).max())
        np.testing.assert_allclose(iterate, matrices[k], rtol=0, atol=1e-12 * np.abs(x).max())
    assert np.abs(found[-1]).max() > 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("kind", DENSITIES)
@pytest.mark.parametrize("storage", ["matrix", "samples"])
def test_float32_is_the_method_on_rounded_data(
    kind: str, storage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is kept is rounded once; the reference runs on it in float64."""
    use(kind if storage == "samples" else "matrix", monkeypatch)
    n, d = 3, 7
    A, y = data(kind, 332, d)
    path = written(tmp_path, A, y)
    config = job("merge, 3 local steps", path, n, storage=storage, precision="float32")
    run = ist_mpi.run(config)
    if storage == "samples":
        L, b = normal_equations(A.astype(np.float32).astype(float), y, n, 0.1)
    else:
        L, b = normal_equations(A, y, n, 0.1)
        L = L.astype(np.float32).astype(float)
    exact, _ = normal_equations(A, y, n, 0.1)
    assert np.abs(L - exact).max() > 1e-9  # the rounding matters
    run.problem["L"][:], run.problem["b"][:] = L, b
    x = np.zeros(d)
    for k, iterate in enumerate(run.iterates["x"]):
        if k > 0:
            x = reference_round(x, recorded_blocks(run, k - 1, n, d), run, config["method"])
        np.testing.assert_allclose(iterate, x, rtol=0, atol=1e-12 * np.abs(x).max())
    star = reference.optimum(L, b)
    np.testing.assert_allclose(run.theory["x_star"], star, rtol=1e-11)
    gaps = [reference.gap(iterate, L, b) for iterate in run.iterates["x"]]
    np.testing.assert_allclose(run.rounds["gap"], gaps, rtol=1e-9)


@pytest.mark.parametrize("variant", ["merge", "merge, 3 local steps", "gradient descent"])
def test_float32_of_synthetic_and_of_arrays(variant: str) -> None:
    config = configuration(variant, "n does not divide d")
    exact = ist_mpi.run(config)
    config["problem"]["precision"] = "float32"
    run = ist_mpi.run(config)
    rounded = exact.problem["L"].astype(np.float32).astype(float)
    np.testing.assert_array_equal(run.problem["L"], rounded)
    np.testing.assert_array_equal(run.problem["b"], exact.problem["b"])
    x = run.model["x0"]
    for k, iterate in enumerate(run.iterates["x"]):
        if k > 0:
            x = reference_round(x, recorded_blocks(run, k - 1, 3, 7), run, config["method"])
        np.testing.assert_allclose(iterate, x, rtol=0, atol=1e-12 * np.abs(x).max())
    names = {"L": exact.problem["L"], "b": exact.problem["b"], "x0": run.model["x0"]}
    config["problem"] = {"kind": "arrays", "precision": "float32", **names}
    np.testing.assert_array_equal(ist_mpi.run(config).iterates["x"], run.iterates["x"])


def test_numbers_beyond_float32_are_refused() -> None:
    L = np.array([[[1e39, 0.0], [0.0, 1.0]]])
    config = configuration("merge", "n = 1")
    config["problem"] = {"kind": "arrays", "L": L, "b": np.ones((1, 2)), "precision": "float32"}
    with pytest.raises(InputError, match=r"float32.*1e\+39"):
        ist_mpi.run(config)


THEORY = {
    "merge": 1e-9,
    "unscaled merge": 1e-9,
    "preconditioned estimator": 1e-9,
    "rand estimator": 1e-9,
    "gradient descent": 1e-9,
    "dcgd, rand": 1e-9,
}


@pytest.mark.parametrize("kind", DENSITIES)
@pytest.mark.parametrize("variant", THEORY)
def test_without_any_matrix_of_size_d(
    variant: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """x*, x∞, limits and measurements by products alone are those of dense algebra."""
    use(kind, monkeypatch)
    A, y = data(kind, 441, 23)
    config = job(variant, written(tmp_path, A, y), 4, storage="samples")
    same_without_matrices(config, monkeypatch)


@pytest.mark.filterwarnings("ignore:form = ")
@pytest.mark.parametrize("kind", DENSITIES)
@pytest.mark.parametrize("g", [2, 8, 24])
@pytest.mark.parametrize("variant", ["merge", "preconditioned estimator", "preconditioned merge"])
def test_groups_without_any_matrix_of_size_d(
    variant: str, g: int, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fewer workers than groups, more of them, and one group that is everything."""
    use(kind, monkeypatch)
    A, y = data(kind, 441, 24)
    l2 = 4.0  # so that what multiplies the model makes it smaller: the system is definite
    config = job(variant, written(tmp_path, A, y), 4, storage="samples", l2=l2)
    config["method"]["group_size"] = g
    same_without_matrices(config, monkeypatch)


def same_without_matrices(config: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Run with dense algebra and then without any d × d matrix, and compare."""
    config["log"]["problem"] = False
    dense = ist_mpi.run(config)
    monkeypatch.setattr(objective, "SLABS", 10)
    monkeypatch.setattr(problems.samples, "matrix", None)  # nobody may ask for one
    config["run"]["theory"] = False
    free = ist_mpi.run(config)
    np.testing.assert_array_equal(free.iterates["x"], dense.iterates["x"])
    for name in ("x_star", "fixed_point"):
        scale = np.abs(dense.theory[name]).max()
        np.testing.assert_allclose(
            free.theory[name], dense.theory[name], rtol=0, atol=1e-12 * scale
        )
    for name in ("f_star", "initial_gap", "fixed_point_gap", "mean_step_size_limit"):
        expected = pytest.approx(dense.theory[name], rel=1e-9, abs=1e-15, nan_ok=True)
        assert free.theory[name] == expected, name
    for name, column in dense.rounds.items():
        if name != "seconds":
            rounding = 1e-15 * np.abs(column).max()  # a distance that tends to zero
            np.testing.assert_allclose(
                free.rounds[name], column, rtol=1e-9, atol=rounding, err_msg=name
            )


@pytest.mark.parametrize("slabs", [objective.SLABS, 1], ids=["in slabs", "by products"])
@pytest.mark.parametrize("kind", DENSITIES)
@pytest.mark.parametrize("shape", ["n | d/g", "n ∤ d/g", "n > d/g", "g = d"])
@pytest.mark.parametrize(
    "variant", ["merge", "unscaled merge", "preconditioned estimator", "dcgd, permutation"]
)
def test_groups_follow_the_mean_map(
    variant: str,
    shape: str,
    kind: str,
    slabs: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """x∞, its limit, the norm of W̄ and estimates, against the enumeration of every draw."""
    use(kind, monkeypatch)
    monkeypatch.setattr(objective, "SLABS", slabs)
    monkeypatch.setattr(constants, "DENSE", 1)
    n, d, g = GROUPS[shape]
    A, y = data(kind, n * 30 + 1, d)
    config = job(variant, written(tmp_path, A, y), n, storage="samples")
    config["method"]["group_size"] = g
    config["run"]["theory"] = True
    config["log"]["problem"] = False
    run = ist_mpi.run(config)
    L, b = normal_equations(A, y, n, 0.1)
    settings = GROUPED[variant]
    names = {"method": settings["name"], "scaling": settings.get("scaling", "unbiased")}
    at_one, m = reference.mean_map(L, b, 1.0, form=settings.get("form"), g=g, **names)
    M, L_mean = np.eye(d) - at_one, L.mean(axis=0)
    W = 0.5 * (L_mean @ M + M @ L_mean)
    np.testing.assert_allclose(run.theory["fixed_point"], np.linalg.solve(M, m), rtol=1e-9)
    eigenvalues = np.linalg.eigvalsh(M)
    assert run.theory["mean_step_size_limit"] == pytest.approx(2 / eigenvalues[-1], rel=1e-7)
    errors = run.iterates["x"] - reference.optimum(L, b)
    norms = np.einsum("kj,jl,kl->k", errors, W, errors)
    np.testing.assert_allclose(run.rounds["gradient_norm_squared_w"], norms, rtol=1e-9)
    assert run.theory["estimated"] == "spectral_radius w_min_eigenvalue"
    radius = np.abs(1 - config["method"]["step_size"] * eigenvalues).max()
    assert run.theory["spectral_radius"] == pytest.approx(radius, rel=1e-6)
    spectrum = np.linalg.eigvalsh(W)
    assert run.theory["w_min_eigenvalue"] == pytest.approx(spectrum[0], abs=1e-6 * spectrum[-1])


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("kind", ["matrix", *DENSITIES])
@pytest.mark.parametrize("g", [1, 2, 3, 12])
def test_products_in_groups(g: int, kind: str, precision: str) -> None:
    """Of every worker's own matrix, its number of samples odd and its own."""
    d, which = 12, np.array([1, 0, 1])
    rng = np.random.default_rng(g)
    parts = [Samples(*data("sparse" if kind == "sparse" else "dense", m, d), 0.1) for m in (37, 29)]
    A = [np.asarray(part.A, dtype=precision).astype(float) for part in parts]
    L = np.stack([a.T @ a / len(a) + 0.1 * np.eye(d) for a in A])
    if kind == "matrix":
        L = L.astype(precision)
        kept: Any = Matrices(L, np.zeros((2, d)), which)
    else:
        kept = pack(parts, kind, precision, d, which)
    local = LocalQuadratics(kept, np.zeros(2), homogeneous=False)
    same = np.equal.outer(np.arange(d) // g, np.arange(d) // g)
    for u in (0, 1, 0):
        x = rng.standard_normal(d)
        expected = np.where(same, L[u], 0.0) @ x
        np.testing.assert_allclose(local.groups_product(u, x, g), expected, rtol=0, atol=1e-13)


def test_a_merge_with_an_indefinite_mean_step_has_no_fixed_point_by_products(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    n, d = 4, 23
    A, y = data("dense", 441, d)
    config = job("preconditioned merge", written(tmp_path, 0.01 * A, y), n, storage="samples")
    config["problem"]["l2"] = 1e-4
    config["run"]["theory"] = False
    config["log"]["problem"] = False
    monkeypatch.setattr(objective, "SLABS", 10)
    with pytest.warns(UserWarning, match="multiplies the model"):
        run = ist_mpi.run(config)
    assert "fixed_point" not in run.theory
    assert "bias_norm_squared" in run.theory["not_computed"].split()


@pytest.mark.parametrize("trouble", ["empty column", "too few samples", "twice the same column"])
def test_a_singular_mean_is_refused(
    trouble: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    d = 23
    A, y = data("dense", 15 if trouble == "too few samples" else 90, d)
    if trouble == "empty column":
        A[:, 4] = 0
    if trouble == "twice the same column":
        A[:, 4] = A[:, 7]
    config = job("merge", written(tmp_path, A, y), 3, storage="samples", l2=0.0)
    monkeypatch.setattr(objective, "SLABS", 10)
    singular = "empty" if trouble == "empty column" else "a singular matrix"
    with pytest.raises(InputError, match=f"L̄ .*{singular}.*unique.*problem.l2 > 0"):
        ist_mpi.run(config)
    config["problem"]["l2"] = 0.01
    assert ist_mpi.run(config).status == "finished"


def test_no_convergence_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    A, y = data("dense", 90, 23)
    config = job("merge", written(tmp_path, A, y), 3, storage="samples")
    monkeypatch.setattr(objective, "SLABS", 10)
    monkeypatch.setattr("ist_mpi.exact_theory.krylov.MAX_PRODUCTS", 5)
    with pytest.raises(InputError, match="after 6 products"):
        ist_mpi.run(config)


def test_preconditioned_with_an_empty_column_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    A, y = data("dense", 90, 23)
    A[:, 4] = 0
    config = job("preconditioned estimator", written(tmp_path, A, y), 3, storage="samples", l2=0.0)
    monkeypatch.setattr(objective, "SLABS", 10)
    with pytest.raises(InputError, match="coordinate 4 of worker 0"):
        ist_mpi.run(config)


def test_a_log_of_huge_matrices_is_refused(tmp_path: Path) -> None:
    A, y = data("sparse", 400, 50)
    config = job("merge", written(tmp_path, A, y), 2, d=100_000)
    config["method"]["step_size"] = 1e-4
    config["log"] = {"problem": True}
    with pytest.raises(InputError, match=r"log\.problem"):
        ist_mpi.run(config)
    config["log"] = {}
    run = ist_mpi.run(config)
    assert (run.status, run.attributes["storage"]) == ("finished", "sparse")
    assert run.theory["not_computed"]


@pytest.mark.parametrize(
    ("m", "d", "n", "density", "kind"),
    [
        (300, 3000, 10, 1.0, "dense"),  # the figures of the docstring
        (100, 1000, 10, 1.0, "matrix"),
        (250, 1000, 2, 0.1, "sparse"),
        (1000, 3000, 3, 0.1, "sparse"),
        (3000, 1000, 10, 1.0, "matrix"),
        (812, 112, 10, 0.19, "matrix"),
        (1000, 1_000_000, 10, 1e-5, "sparse"),
        (1000, 3000, 3, 0.01, "sparse"),
        (10, 100_000, 100_001, 1.0, "dense"),  # one coordinate each, but matrices are too large
    ],
)
def test_the_automatic_choice(m: int, d: int, n: int, density: float, kind: str) -> None:
    assert cheapest("auto", m, d, n, density) == kind
    assert cheapest("matrix", m, d, n, density) == "matrix"
    assert cheapest("samples", m, d, n, density) != "matrix"


def test_storage_of_other_problems_is_an_unknown_name() -> None:
    config = configuration("merge", "n = 1")
    config["problem"]["storage"] = "samples"
    with pytest.raises(InputError, match="storage"):
        load(config)


@pytest.mark.parametrize("kind", DENSITIES)
def test_estimates_by_products_are_near_the_exact_constants(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    A, y = data(kind, 441, 23)
    config = job("merge", written(tmp_path, A, y), 4, storage="samples")
    config["run"]["theory"] = True
    use(kind, monkeypatch)
    exact = ist_mpi.run(config).theory
    config["log"]["problem"] = False
    monkeypatch.setattr(objective, "SLABS", 10)
    monkeypatch.setattr(constants, "DENSE", 10)
    found = ist_mpi.run(config).theory
    names = ("spectral_radius", "w_min_eigenvalue")
    assert set(found["estimated"].split()) == set(names)
    assert {"theta", "limit_gap", "stable_step_size_limit"} <= set(found["not_computed"].split())
    for name in names:
        assert found[name] == pytest.approx(exact[name], rel=1e-2)


@pytest.mark.parametrize("storage", ["matrix", "samples"])
def test_a_float32_log_is_verified_by_replay(storage: str, tmp_path: Path) -> None:
    """The replay makes the same rounded problem from the configuration."""
    A, y = data("dense", 332, 7)
    config = job("merge", written(tmp_path, A, y), 3, storage=storage, precision="float32", l2=0.01)
    config["log"]["problem"] = False
    ist_mpi.run(config, out=tmp_path / "run.h5")
    report = verify([tmp_path / "run.h5"])
    assert not report.failed
    assert {row.verdict for row in report.rows if row.check == "replay"} == {"ok"}
