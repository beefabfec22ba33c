"""Every method against the paper with explicit matrices, over the blocks that the run recorded."""

import numpy as np
import pytest
import reference
from cases import SHAPES, VARIANTS, configuration
from recorded import recorded_blocks, reference_round

import ist_mpi


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_iterates_follow_the_reference(variant: str, shape: str) -> None:
    config = configuration(variant, shape)
    run = ist_mpi.run(config)
    n, d = SHAPES[shape]
    assert list(run.iterates["round"]) == list(range(26))
    x = run.model["x0"]
    for k, iterate in enumerate(run.iterates["x"]):
        if k > 0:
            x = reference_round(x, recorded_blocks(run, k - 1, n, d), run, config["method"])
        np.testing.assert_allclose(iterate, x, rtol=0, atol=1e-12 * np.abs(x).max())
    assert np.abs(run.iterates["x"][-1] - run.model["x0"]).max() > 1e-4
    np.testing.assert_array_equal(run.x, run.iterates["x"][-1])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_metrics_are_what_they_say(variant: str, shape: str) -> None:
    config = configuration(variant, shape)
    run = ist_mpi.run(config)
    L, b, x = run.problem["L"], run.problem["b"], run.iterates["x"]
    rows = run.rounds
    star = reference.optimum(L, b)
    np.testing.assert_allclose(run.theory["x_star"], star, rtol=1e-9)
    assert run.theory["f_star"] == pytest.approx(reference.function_value(star, L, b), rel=1e-9)
    gaps = [reference.gap(iterate, L, b) for iterate in x]
    np.testing.assert_allclose(rows["gap"], gaps, rtol=1e-9)
    np.testing.assert_allclose(rows["relative_gap"], np.array(gaps) / gaps[0], rtol=1e-9)
    gradients = x @ L.mean(axis=0) - b.mean(axis=0)
    np.testing.assert_allclose(rows["gradient_norm_squared"], (gradients**2).sum(axis=1), rtol=1e-9)
    distance = np.linalg.norm(x - star, axis=1)
    np.testing.assert_allclose(rows["distance_to_solution"], distance, rtol=1e-9)
    if "fixed_point" in run.theory:
        distance = np.linalg.norm(x - run.theory["fixed_point"], axis=1)
        np.testing.assert_allclose(rows["distance_to_fixed_point"], distance, rtol=1e-9)
    else:
        assert np.isnan(rows["distance_to_fixed_point"]).all()
    assert (np.diff(rows["seconds"]) >= 0).all()


LEDGER = {
    "merge": lambda n, d: (max(n, d) / n, max(n, d) / n),
    "rand estimator": lambda n, d: (2.0, 2.0),
    "identity merge": lambda n, d: (float(d), float(d)),
    "gradient descent": lambda n, d: (float(d), float(d)),
    "dcgd, permutation": lambda n, d: (float(d), max(n, d) / n),
    "dcgd, rand": lambda n, d: (float(d), 2.0),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("variant", LEDGER)
def test_floats_are_counted(variant: str, shape: str) -> None:
    rows = ist_mpi.run(configuration(variant, shape)).rounds
    down, up = LEDGER[variant](*SHAPES[shape])
    np.testing.assert_allclose(rows["floats_down"], down * rows["round"], rtol=1e-14)
    np.testing.assert_allclose(rows["floats_up"], up * rows["round"], rtol=1e-14)


def test_run_seed_moves_the_blocks_and_nothing_else() -> None:
    one = ist_mpi.run(configuration("merge", "n does not divide d", seed=1))
    two = ist_mpi.run(configuration("merge", "n does not divide d", seed=2))
    for name in ("L", "b"):
        np.testing.assert_array_equal(one.problem[name], two.problem[name])
    np.testing.assert_array_equal(one.model["x0"], two.model["x0"])
    assert (one.permutations["pi"] != two.permutations["pi"]).any()
    assert (one.x != two.x).any()


def test_homogeneous_workers_are_the_same() -> None:
    config = configuration("merge", "n does not divide d")
    config["problem"]["heterogeneous"] = False
    problem = ist_mpi.run(config).problem
    assert (problem["L"] == problem["L"][0]).all()
    assert (problem["b"] == problem["b"][0]).all()


def test_interpolation_reaches_the_solution() -> None:
    config = configuration("merge", "n divides d", tolerance=1e-20)
    config["problem"]["linear_term"] = False
    config["method"]["step_size"] = 0.01
    config["run"]["rounds"] = 20000
    run = ist_mpi.run(config)
    assert (run.status, run.stop_reason) == ("finished", "tolerance")
    assert run.rounds["relative_gap"][-1] <= 1e-20 < run.rounds["relative_gap"][-2]


def test_preconditioned_single_coordinates_solve_interpolation_in_one_round() -> None:
    config = configuration("preconditioned estimator", "n = d")
    config["problem"]["linear_term"] = False
    config["method"]["step_size"] = 1.0
    run = ist_mpi.run(config)
    assert run.rounds["relative_gap"][1] < 1e-28


def test_homogeneous_preconditioned_goes_straight_to_its_fixed_point() -> None:
    config = configuration("preconditioned estimator", "n = d")
    config["problem"]["heterogeneous"] = False
    config["method"]["step_size"] = 0.3
    run = ist_mpi.run(config)
    distance = run.rounds["distance_to_fixed_point"]
    np.testing.assert_allclose(distance[1:] / distance[:-1], 0.7, rtol=1e-6)  # eq. (31)
