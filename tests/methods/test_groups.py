"""Permutations that move groups of coordinates, against enumeration of every draw of a round."""

from typing import Any

import numpy as np
import pytest
import reference
from cases import GROUPED, GROUPS
from recorded import recorded_blocks, reference_round

import ist_mpi
from ist_mpi.config import load
from ist_mpi.errors import InputError
from ist_mpi.exact_theory import constants

ONE_STEP = [name for name in GROUPED if "local steps" not in name]
MERGES = ["preconditioned merge"]


def configuration(variant: str, shape: str, step_size: float = 1e-3, **run: Any) -> dict[str, Any]:
    n, d, g = GROUPS[shape]
    return {
        "problem": {"kind": "synthetic", "d": d, "n": n, "seed": 11},
        "method": {"step_size": step_size, "group_size": g, **GROUPED[variant]},
        "run": {"rounds": 25, "seed": 5, **run},
        "log": {"iterates": True, "permutations": True, "problem": True},
    }


def mean_map(run: Any, variant: str, shape: str, gamma: float) -> tuple[np.ndarray, np.ndarray]:
    settings = GROUPED[variant]
    return reference.mean_map(
        run.problem["L"],
        run.problem["b"],
        gamma,
        method=settings["name"],
        scaling=settings.get("scaling", "unbiased"),
        form=settings.get("form"),
        g=GROUPS[shape][2],
    )


# Runs


@pytest.mark.parametrize("shape", GROUPS)
@pytest.mark.parametrize("variant", GROUPED)
def test_iterates_follow_the_reference(variant: str, shape: str) -> None:
    config = configuration(variant, shape)
    run = ist_mpi.run(config)
    n, d, g = GROUPS[shape]
    x = run.model["x0"]
    for k in range(25):
        blocks = recorded_blocks(run, k, n, d)
        for block in blocks:  # whole groups
            np.testing.assert_array_equal(block.reshape(-1, g) % g, [range(g)] * (len(block) // g))
        x = reference_round(x, blocks, run, config["method"])
        np.testing.assert_allclose(run.iterates["x"][k + 1], x, rtol=0, atol=1e-12 * abs(x).max())
    assert np.abs(run.x - run.model["x0"]).max() > 1e-4
    each = g if n > d // g else d / n
    down = d if GROUPED[variant]["name"] == "dcgd" else each
    np.testing.assert_allclose(run.rounds["floats_up"], each * run.rounds["round"], rtol=1e-14)
    np.testing.assert_allclose(run.rounds["floats_down"], down * run.rounds["round"], rtol=1e-14)


# First moments


@pytest.mark.parametrize("shape", GROUPS)
@pytest.mark.parametrize("variant", ONE_STEP)
def test_fixed_point_is_that_of_the_mean_map(variant: str, shape: str) -> None:
    run = ist_mpi.run(configuration(variant, shape, 0.01, rounds=1))
    expected = reference.fixed_point(*mean_map(run, variant, shape, 0.01))
    scale = np.abs(expected).max()
    np.testing.assert_allclose(run.theory["fixed_point"], expected, rtol=0, atol=1e-9 * scale)
    limit = run.theory["mean_step_size_limit"]
    if variant in MERGES:
        assert np.isnan(limit)
        return
    A, _ = mean_map(run, variant, shape, limit)
    assert np.abs(np.linalg.eigvals(A)).max() == pytest.approx(1.0, rel=1e-6)


@pytest.mark.parametrize("shape", GROUPS)
@pytest.mark.parametrize("variant", ["merge", "preconditioned estimator", "dcgd, permutation"])
def test_w_norm_is_the_left_side_of_theorem_1(variant: str, shape: str) -> None:
    run = ist_mpi.run(configuration(variant, shape, rounds=1))
    L, b = run.problem["L"], run.problem["b"]
    A, _ = mean_map(run, variant, shape, 1.0)
    M, L_mean = np.eye(len(A)) - A, L.mean(axis=0)
    error = run.model["x0"] - reference.optimum(L, b)
    expected = error @ (0.5 * (L_mean @ M + M @ L_mean)) @ error
    assert run.rounds["gradient_norm_squared_w"][0] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("variant", ["merge", "preconditioned estimator"])
def test_estimates_are_near_the_exact_constants(
    variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configuration(variant, "g = d", theory=True, rounds=1)
    config["problem"] |= {"d": 60, "n": 4}
    config["method"]["group_size"] = 5
    exact = ist_mpi.run(config).theory
    monkeypatch.setattr(constants, "DENSE", 10)
    found = ist_mpi.run(config).theory
    assert set(found["estimated"].split()) == {"spectral_radius", "w_min_eigenvalue"}
    assert found["spectral_radius"] == pytest.approx(exact["spectral_radius"], rel=1e-3)
    off = abs(found["w_min_eigenvalue"] - exact["w_min_eigenvalue"])
    assert off < 1e-2 * exact["initial_gap"]


# Configurations


def test_groups_of_one_are_the_default() -> None:
    plain = configuration("merge", "n | d/g")
    del plain["method"]["group_size"]
    spelt = configuration("merge", "n | d/g")
    spelt["method"]["group_size"] = 1
    assert load(plain).run_id() == load(spelt).run_id()
    assert load(plain).run_id() != load(configuration("merge", "n | d/g")).run_id()


@pytest.mark.parametrize("sketch", ["rand", "identity"])
@pytest.mark.parametrize("name", ["ist", "dcgd"])
def test_only_permutations_have_groups(name: str, sketch: str) -> None:
    config = configuration("merge", "n | d/g")
    config["method"] |= {"name": name, "sketch": sketch, "q": 2}
    with pytest.raises(
        InputError, match=r"method\.group_size .* got 2 with sketch = .* expected 1"
    ):
        load(config)
    config["method"]["group_size"] = 1
    load(config)


def test_gradient_descent_ignores_groups() -> None:
    config = configuration("merge", "n | d/g")
    config["method"]["name"] = "gradient_descent"
    assert load(config).method.group_size == 1


@pytest.mark.parametrize("size", [0, -2, 2.0, "8", True])
def test_group_sizes_are_positive_integers(size: Any) -> None:
    config = configuration("merge", "n | d/g")
    config["method"]["group_size"] = size
    with pytest.raises(InputError, match=r"method\.group_size"):
        load(config)


def test_groups_must_divide_the_coordinates() -> None:
    config = configuration("merge", "n | d/g")
    config["method"]["group_size"] = 3
    with pytest.raises(InputError, match=r"method\.group_size: got 3; expected a divisor of d = 8"):
        ist_mpi.run(config)
