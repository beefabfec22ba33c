"""Every method on logistic functions, against explicit matrices over the recorded blocks."""

from typing import Any

import beyond
import logistic_truth as truth
import numpy as np
import pytest
from cases import SHAPES
from cases import VARIANTS as OF_PAPER
from recorded import recorded_blocks
from unbiased import VARIANTS as UNBIASED

import ist_mpi
from ist_mpi.methods.coins import Coins

ROUNDS = 40
SEED = 7
SHAPED = ("n divides d", "n does not divide d", "n = d", "n > d")
STORAGE = {"n divides d": "dense", "n does not divide d": "sparse", "n = d": "auto"}


def run_of(shape: str, step_size: Any, **method: Any) -> tuple[truth.Problem, Any]:
    """A short run, everything logged."""
    problem, settings = truth.made(*SHAPES[shape])
    config = {
        "problem": settings | {"storage": STORAGE.get(shape, "dense")},
        "method": {"step_size": step_size, **method},
        "run": {"rounds": ROUNDS, "seed": SEED, "theory": False},
        "log": {"iterates": True, "permutations": method["name"] != "gradient_descent"},
    }
    return problem, ist_mpi.run(config)


@pytest.mark.parametrize("shape", SHAPED)
@pytest.mark.parametrize("variant", OF_PAPER)
def test_rounds_of_the_paper(variant: str, shape: str) -> None:
    method = OF_PAPER[variant]
    step = 0.05 / SHAPES[shape][0] if "merge" in variant else 0.05
    problem, run = run_of(shape, step, **method)
    x, largest, gamma = np.zeros(problem.d), 1.0, run.config["method"]["step_size"]
    for k in range(ROUNDS + 1):
        largest = max(largest, float(np.abs(x).max()))
        np.testing.assert_allclose(run.iterates["x"][k], x, rtol=0, atol=1e-12 * largest)
        if k == ROUNDS:
            break
        blocks = recorded_blocks(run, k, problem.n, problem.d)
        if method["name"] == "gradient_descent":
            x = x - gamma * problem.mean(problem.gradient, x)
        else:
            x = truth.ist_round(problem, x, blocks, {"step_size": gamma, **method})
    check_columns(problem, run)


@pytest.mark.parametrize("shape", SHAPED)
@pytest.mark.parametrize("variant", UNBIASED)
def test_methods_without_bias(variant: str, shape: str) -> None:
    method = UNBIASED[variant]
    step = 0.05 if "alpha" in method else "default"
    problem, run = run_of(shape, step, **method)
    rows = beyond.METHODS[method["name"]](case_of(problem, run))
    for k, (x, up, down) in zip(range(ROUNDS + 1), rows, strict=False):
        largest = max(1.0, float(np.abs(x).max()))
        np.testing.assert_allclose(run.iterates["x"][k], x, rtol=0, atol=1e-12 * largest)
        assert run.rounds["floats_up"][k] == pytest.approx(up, rel=1e-13)
        assert run.rounds["floats_down"][k] == pytest.approx(down, rel=1e-13)
    check_columns(problem, run)
    assert run.rounds["relative_gap"][-1] < 0.95


def check_columns(problem: truth.Problem, run: Any) -> None:
    """What the log says of its iterates."""
    x, x_star = run.iterates["x"], run.theory["x_star"]
    f = np.array([problem.mean(problem.value, at) for at in x])
    g = np.array([problem.mean(problem.gradient, at) for at in x])
    rows = run.rounds
    np.testing.assert_allclose(rows["value"], f, rtol=1e-13)
    f_star = problem.mean(problem.value, problem.minimiser())
    np.testing.assert_allclose(rows["gap"], f - f_star, rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(
        rows["gradient_norm_squared"], np.sum(g * g, axis=1), rtol=1e-9, atol=1e-22
    )
    far = np.linalg.norm(x - x_star, axis=1)
    np.testing.assert_allclose(rows["distance_to_solution"], far, rtol=1e-12)
    right = [problem.accuracy(at) for at in x]
    np.testing.assert_allclose(rows["train_accuracy"], right, rtol=1e-13)
    np.testing.assert_allclose(x_star, problem.minimiser(), atol=1e-12)


class LogisticCase(beyond.Case):
    """What the reference needs of a run, its L the bounds."""

    problem: truth.Problem

    def gradient(self, i: int, x: np.ndarray) -> np.ndarray:
        return self.problem.gradient(i, x)


def case_of(problem: truth.Problem, run: Any) -> beyond.Case:
    settings, tossed = run.config["method"], None
    if "probability" in settings:
        tossed = Coins(SEED, settings["probability"]).trials
    elif "refresh_probability" in settings:
        tossed = Coins(SEED, settings["refresh_probability"]).up
    case = LogisticCase(
        L=problem.bounds(),
        b=np.zeros((problem.n, problem.d)),
        x0=run.model["x0"],
        gamma=settings["step_size"],
        settings=settings,
        blocks=lambda k: recorded_blocks(run, k, problem.n, problem.d),
        coin=tossed or (lambda k: 0),
    )
    case.problem = problem
    return case
