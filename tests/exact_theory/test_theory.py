"""Fixed points against the exact mean map, found by enumerating every draw of a round."""

from typing import Any

import numpy as np
import pytest
import reference
from cases import VARIANTS

import ist_mpi
from ist_mpi.exact_theory.moments import first as theory

SHAPES = {"3 | 6": (3, 6), "3, 5": (3, 5), "4 = 4": (4, 4), "5 > 2": (5, 2), "4 > 2": (4, 2)}
ONE_STEP = [name for name in VARIANTS if "local steps" not in name]


def run_of(variant: str, shape: str) -> Any:
    n, d = SHAPES[shape]
    return ist_mpi.run(
        {
            "problem": {"kind": "synthetic", "d": d, "n": n, "seed": 3},
            "method": {"step_size": 0.01, **VARIANTS[variant]},
            "run": {"rounds": 1},
            "log": {"problem": True},
        }
    )


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("variant", ONE_STEP)
def test_fixed_point_is_that_of_the_mean_map(variant: str, shape: str) -> None:
    run = run_of(variant, shape)
    L, b = run.problem["L"], run.problem["b"]
    settings = VARIANTS[variant]
    mean = reference.mean_map(
        L,
        b,
        0.01,
        method=settings["name"],
        sketch=settings.get("sketch", "permutation"),
        scaling=settings.get("scaling", "unbiased"),
        form=settings.get("form"),
        q=settings.get("q"),
    )
    expected = reference.fixed_point(*mean)
    np.testing.assert_allclose(
        run.theory["fixed_point"], expected, rtol=0, atol=1e-9 * np.abs(expected).max()
    )
    gap = reference.gap(expected, L, b) / reference.gap(run.model["x0"], L, b)
    assert run.theory["fixed_point_relative_gap"] == pytest.approx(gap, rel=1e-6, abs=1e-18)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("variant", ONE_STEP)
def test_step_size_limit_is_where_the_mean_map_stops_contracting(variant: str, shape: str) -> None:
    limit = run_of(variant, shape).theory["mean_step_size_limit"]
    if variant == "preconditioned merge":
        assert np.isnan(limit)  # its M depends on the step size
        return
    run = run_of(variant, shape)
    settings = VARIANTS[variant]
    A, _ = reference.mean_map(
        run.problem["L"],
        run.problem["b"],
        limit,
        method=settings["name"],
        sketch=settings.get("sketch", "permutation"),
        scaling=settings.get("scaling", "unbiased"),
        form=settings.get("form"),
        q=settings.get("q"),
    )
    assert np.abs(np.linalg.eigvals(A)).max() == pytest.approx(1.0, rel=1e-6)


@pytest.mark.parametrize("variant", [name for name in VARIANTS if "local steps" in name])
def test_local_steps_have_no_predicted_fixed_point(variant: str) -> None:
    run = run_of(variant, "3 | 6")
    assert "fixed_point" not in run.theory
    assert np.isnan(run.theory["fixed_point_gap"])


def test_w_norm_is_the_left_side_of_theorem_1() -> None:
    run = run_of("merge", "3, 5")
    L, b = run.problem["L"], run.problem["b"]
    A, _ = reference.mean_map(L, b, 1.0, form="estimator")
    M, L_mean = np.eye(5) - A, L.mean(axis=0)
    error = run.model["x0"] - reference.optimum(L, b)
    expected = error @ (0.5 * (L_mean @ M + M @ L_mean)) @ error
    assert run.rounds["gradient_norm_squared_w"][0] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_w_norm_of_the_preconditioned_sketch(shape: str) -> None:
    run = run_of("preconditioned estimator", shape)
    L, b = run.problem["L"], run.problem["b"]
    A, _ = reference.mean_map(L, b, 1.0, scaling="preconditioned", form="estimator")
    M, L_mean = np.eye(len(A)) - A, L.mean(axis=0)
    error = run.model["x0"] - reference.optimum(L, b)
    expected = error @ (0.5 * (L_mean @ M + M @ L_mean)) @ error
    assert run.rounds["gradient_norm_squared_w"][0] == pytest.approx(expected, rel=1e-9)


def test_w_norm_is_undefined_where_theorem_1_does_not_apply() -> None:
    for variant in ("rand merge", "preconditioned merge", "merge, 3 local steps"):
        assert np.isnan(run_of(variant, "3 | 6").rounds["gradient_norm_squared_w"]).all()


@pytest.mark.parametrize("d", [5, 80])
def test_largest_eigenvalue(d: int) -> None:
    B = np.random.default_rng(d).standard_normal((d, d))
    expected = np.linalg.eigvalsh(B.T @ B)[-1]
    assert theory.largest_eigenvalue(B.T @ B) == pytest.approx(expected, rel=1e-7)
