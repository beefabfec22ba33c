"""What is known of logistic regression, against enumeration of every draw."""

import json
from pathlib import Path
from typing import Any

import logistic_truth as truth
import numpy as np
import pytest
from commands import call

import ist_mpi
from ist_mpi.errors import InputError
from ist_mpi.exact_theory.logistic import fixed_point, submodels

METHODS: dict[str, dict[str, Any]] = {
    "unbiased": {},
    "estimator": {"form": "estimator"},
    "unscaled": {"scaling": "unscaled"},
    "preconditioned": {"scaling": "preconditioned"},
    "rand": {"sketch": "rand", "q": 2},
}
SHAPES = {"n | d": (3, 6), "n ∤ d": (2, 5), "n = d": (4, 4), "n > d": (5, 3), "d | n": (6, 3)}


def theory_of(problem: dict[str, Any], method: dict[str, Any], **more: Any) -> Any:
    return ist_mpi.theory(
        {
            "problem": problem | more,
            "method": {"name": "ist", "step_size": 0.05, **method},
            "run": {"rounds": 1},
        }
    )


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("method", METHODS)
def test_fixed_point_by_enumeration(method: str, shape: str) -> None:
    n, d = SHAPES[shape]
    n = min(n, 2) if method == "rand" else n  # all draws are C(d, q)ⁿ
    problem, settings = truth.made(n, d)
    f_D = truth.expected(problem, METHODS[method])
    found = theory_of(settings, METHODS[method], fixed_point="exact")
    expected = f_D.minimiser()
    np.testing.assert_allclose(found.fixed_point, expected, atol=1e-11)
    assert np.linalg.norm(f_D.gradient(found.fixed_point)) <= 1e-12
    f_star = problem.mean(problem.value, found.x_star)
    gap = problem.mean(problem.value, expected) - f_star
    at_zero = problem.mean(problem.value, np.zeros(d)) - f_star
    assert found.fixed_point_relative_gap == pytest.approx(gap / at_zero, rel=1e-9)
    assert found.gap_at_zero == pytest.approx(at_zero, rel=1e-12)
    assert found.f_star == pytest.approx(f_star, rel=1e-14)
    assert found.fixed_point_error == 0.0
    assert found.estimated == []


def test_groups_are_moved_whole() -> None:
    problem, settings = truth.made(2, 6)
    method = {"group_size": 2}
    found = theory_of(settings, method, fixed_point="exact")
    np.testing.assert_allclose(
        found.fixed_point, truth.expected(problem, method).minimiser(), atol=1e-11
    )
    with pytest.raises(InputError, match="groups of 2 coordinates"):
        theory_of(settings, method, fixed_point="gaussian")


@pytest.mark.parametrize("shape", ["n | d", "n ∤ d", "n > d"])
@pytest.mark.parametrize("scaling", ["unbiased", "unscaled"])
def test_mean_step_and_hessians(shape: str, scaling: str) -> None:
    """The mean step is the gradient of f_D, and l2 and M1 bound its Hessians."""
    n, d = SHAPES[shape]
    problem, settings = truth.made(n, d)
    method = METHODS[scaling]
    f_D = truth.expected(problem, method)
    L, blocks = problem.bounds().mean(axis=0), min(n, d)
    sizes = [d // n + (i < d % n) for i in range(n)]
    rho = sum(q * (q - 1) for q in sizes) / (d * (d - 1)) if n <= d else 0.0
    M1 = rho * L + (1 - rho) * np.diag(np.diag(L))
    factor = {"unscaled": 1.0, "unbiased": float(blocks)}[scaling]
    if n > d and scaling == "unbiased":
        holders = [n // d + (j < n % d) for j in range(d)]
        factor = float(n * np.mean([1.0 / h for h in holders]))
    rng = np.random.default_rng(0)
    for _ in range(5):
        x, step = rng.standard_normal(d), 1e-5
        slopes = [
            (f_D.value(x + step * e) - f_D.value(x - step * e)) / (2 * step) for e in np.eye(d)
        ]
        np.testing.assert_allclose(f_D.gradient(x), slopes, atol=1e-8)
        H = f_D.hessian(x)
        assert np.linalg.eigvalsh(H)[0] >= factor * problem.l2 * (1 - 1e-12)
        assert np.linalg.eigvalsh(factor * M1 - H)[0] >= -1e-12
    found = theory_of(settings, method)
    assert found.l1 == pytest.approx(np.linalg.eigvalsh(M1)[-1], rel=1e-9)


def test_bounds() -> None:
    problem, settings = truth.made(3, 7)
    found, L = theory_of(settings, {}), problem.bounds()
    largest = max(float(np.linalg.eigvalsh(each)[-1]) for each in L)
    assert found.l0 == pytest.approx(np.linalg.eigvalsh(L.mean(axis=0))[-1], rel=1e-9)
    square = np.mean([each @ each for each in L], axis=0)
    assert found.rms == pytest.approx(np.sqrt(np.linalg.eigvalsh(square)[-1]), rel=1e-9)
    assert found.mu == problem.l2
    assert found.expected_smoothness == pytest.approx(3 * largest, rel=1e-9)


RULES = {
    "ist": ({"name": "ist"}, lambda of: 1 / (2 * of["L"])),
    "unscaled": ({"name": "ist", "scaling": "unscaled"}, lambda of: 3 / (2 * of["L"])),
    "shared_block": ({"name": "shared_block"}, lambda of: 1 / of["l1"]),
    "anchored": ({"name": "anchored"}, lambda of: 1 / of["l0"]),
    "stale": ({"name": "stale"}, lambda of: 1 / (4 * of["rms"])),
    "marina_p": ({"name": "marina_p"}, lambda of: 1 / (4 * of["rms"])),
    "gradient_descent": ({"name": "gradient_descent"}, lambda of: 1 / of["l0"]),
    "scaffnew": ({"name": "scaffnew"}, lambda of: 3 / of["L"]),
}


@pytest.mark.parametrize("rule", RULES)
def test_default_step_sizes(rule: str) -> None:
    _, settings = truth.made(3, 7)
    found, method = theory_of(settings, {}), RULES[rule][0]
    of = {"l0": found.l0, "l1": found.l1, "rms": found.rms, "L": found.expected_smoothness}
    other = theory_of(settings, {**method, "step_size": "default"})
    assert other.step_size == pytest.approx(RULES[rule][1](of), rel=1e-9)
    assert "proved" in other.step_size_rule


@pytest.mark.parametrize(
    "method",
    [
        {"scaling": "preconditioned"},
        {"sketch": "rand", "q": 2},
        {"name": "dcgd"},
        {"name": "anchored", "alpha": 1.5},
        {"local_steps": 2},
        {"step_size": "theory"},
    ],
)
def test_where_there_is_no_rule(method: dict[str, Any]) -> None:
    _, settings = truth.made(3, 7)
    with pytest.raises(InputError, match=r"method\.step_size"):
        theory_of(settings, {"step_size": "default", **method})


def test_proved_rules_go_by_theory_too() -> None:
    _, settings = truth.made(3, 7)
    for name in ("shared_block", "gradient_descent"):
        found = theory_of(settings, {"name": name, "step_size": "theory"})
        assert found.step_size_rule.endswith("(proved)")


def test_what_is_not_known_is_null() -> None:
    _, settings = truth.made(3, 6)
    found = theory_of(settings, {})
    for name in ("theta", "stable_step_size_limit", "w_min_eigenvalue", "sigma_squared"):
        assert getattr(found, name) is None
        assert found.why[name] == "the problem is not quadratic"
    with pytest.raises(InputError, match="not quadratic"):
        found.expectation(3)
    for method in ({"local_steps": 2}, {"sketch": "rand", "q": 2, "form": "merge"}):
        assert theory_of(settings, method).fixed_point is None
    for method in ({"name": "dcgd"}, {"name": "stale"}, {"sketch": "identity"}):
        other = theory_of(settings, method)
        np.testing.assert_array_equal(other.fixed_point, other.x_star)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["unbiased", "preconditioned", "rand"])
def test_samples_and_normal_margins(method: str) -> None:
    """Both are as far from the truth as they say, or not much more."""
    n = 3 if method == "rand" else 4
    _, settings = truth.made(n, 8)
    exact = theory_of(settings, METHODS[method], fixed_point="exact")
    size = float(np.linalg.norm(exact.fixed_point))
    for how in ("sampled", "gaussian"):
        found = theory_of(settings, METHODS[method], fixed_point=how)
        off = float(np.linalg.norm(found.fixed_point - exact.fixed_point)) / size
        assert 0.0 < off < 4.0 * found.fixed_point_error
        assert found.fixed_point_error < {"sampled": 0.05, "gaussian": 0.5}[how]
        assert "fixed_point_relative_gap" in found.estimated


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_the_error_of_the_fixed_point_is_honest(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One-hot samples, whose margins are far from normal, and Gaussian ones."""
    monkeypatch.setattr(fixed_point, "MARGINS", 0.0)
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((100, 10))
    if one_hot := seed > 0:
        X = np.zeros((100, 10))
        for first in (0, 5):
            X[np.arange(100), first + rng.integers(0, 5, 100)] = 1.0
    y = np.where(X @ rng.standard_normal(10) + 0.3 * rng.standard_normal(100) > 0, 1, -1)
    problem = {"kind": "logistic", "X": X, "y": y, "n": 4, "l2": 1e-3, "split": "shuffled"}
    exact = theory_of(problem, {}, fixed_point="exact").fixed_point
    for wish in ("auto", "gaussian"):
        found = theory_of(problem, {}, fixed_point=wish)
        off = np.linalg.norm(found.fixed_point - exact) / np.linalg.norm(exact)
        assert off < 2.0 * found.fixed_point_error < 20.0 * off
        if wish == "auto" and one_hot:
            assert off < 0.05
            assert found.fixed_point_rule == "the average over 400 draws"


@pytest.mark.parametrize("wish", ["auto", "exact", "sampled", "gaussian"])
def test_a_solution_of_zero(wish: str) -> None:
    """To which no error is relative: every sample is there with both labels."""
    X = np.repeat(np.random.default_rng(0).integers(-4, 4, (20, 6)) * 1.0, 2, axis=0)
    problem = {"kind": "logistic", "X": X, "y": np.tile([1, -1], 20), "n": 2, "l2": 0.1}
    found = theory_of(problem | {"split": "shuffled"}, {}, fixed_point=wish)
    assert np.linalg.norm(found.x_star) < 1e-12
    assert found.fixed_point_error is None or found.fixed_point_error >= 0.0


def test_no_hessian_is_flat() -> None:
    """One of a sample is made of a whole draw at least, however many its blocks are."""
    d = submodels.CURVED + 10
    whose = np.repeat(np.arange(2), d)
    blocks = submodels.Blocks(np.tile(np.eye(d), 2), np.full(2 * d, 0.5 / d), whose)
    H = submodels.OverBlocks(np.ones((1, d)), 0.1, blocks, None).hessian(np.zeros(d))
    assert np.linalg.eigvalsh(H)[0] > 0.1 / (d + 1)


def test_gap_of_what_submodels_minimise() -> None:
    problem, settings = truth.made(3, 6)
    f_D = truth.expected(problem, {})
    run = ist_mpi.run(
        {
            "problem": settings,
            "method": {"name": "ist", "step_size": "default"},
            "run": {"rounds": 30},
            "log": {"iterates": True},
        }
    )
    least = f_D.value(f_D.minimiser())
    expected = [f_D.value(x) - least for x in run.iterates["x"]]
    np.testing.assert_allclose(run.rounds["submodel_gap"], expected, atol=1e-13)
    far = np.linalg.norm(run.iterates["x"] - f_D.minimiser(), axis=1)
    np.testing.assert_allclose(run.rounds["distance_to_fixed_point"], far, rtol=1e-9)


@pytest.mark.slow
def test_large_d_goes_by_products() -> None:
    """Newton and conjugate gradients, and normal margins with few vectors kept."""
    rng = np.random.default_rng(1)
    d, m = 2100, 60
    X = (rng.random((m, d)) < 0.01) * rng.standard_normal((m, d))
    y = np.where(rng.random(m) < 0.5, "1", "-1").astype(float)
    problem = {"kind": "logistic", "X": X, "y": y, "n": 3, "l2": 0.1, "split": "shuffled"}
    found = theory_of(problem, {})
    assert found.solution_residual < 1e-13
    signed = y[:, None] * X
    slopes = [
        -(signed[part].T @ (1 / (1 + np.exp(signed[part] @ found.x_star)))) / len(part)
        for part in np.array_split(_order(problem, m), 3)
    ]
    gradient = np.mean(slopes, axis=0) + 0.1 * found.x_star
    assert np.linalg.norm(gradient) < 1e-13
    assert "normal margins" in found.fixed_point_rule
    assert found.fixed_point_error is None


def _order(problem: dict[str, Any], m: int) -> Any:
    return ist_mpi.problems.load(
        ist_mpi.config.load(
            {
                "problem": problem,
                "method": {"name": "ist", "step_size": 1.0},
                "run": {"rounds": 1},
            }
        ).problem
    ).order


@pytest.mark.slow
def test_the_command(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text(
        '[problem]\nkind = "logistic"\ndataset = "breast_cancer"\nstandardize = true\n'
        'n = 5\nl2 = 1e-2\nfixed_point = "gaussian"\n'
        '[method]\nname = "ist"\nstep_size = "default"\n[run]\nrounds = 10\n'
    )
    shown = call("theory", str(path)).stdout.replace("\n", " ")
    for words in ("normal margins", "not quadratic", "λ_max(L_i)", "x∞", "bias of the method"):
        assert words in shown
    document = json.loads(call("theory", str(path), "--json").stdout)
    assert document["theta"] is None
    assert 0.0 < document["fixed_point_relative_gap"] < 1.0
    assert 0.0 < document["fixed_point_error"] < 0.1
