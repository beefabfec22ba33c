"""What a word for a step size stands for: the rules' numbers by dense algebra, and refusals."""

from typing import Any

import numpy as np
import pytest
import reference
from unbiased import VARIANTS

import ist_mpi
from ist_mpi.errors import InputError
from ist_mpi.exact_theory import quantities

N, D = 3, 7


def made(method: dict[str, Any], **problem: Any) -> tuple[dict[str, Any], Any]:
    """The resolved settings of [method] and the run."""
    config = {
        "problem": {"kind": "synthetic", "n": N, "d": D, "seed": 4, **problem},
        "method": method,
        "run": {"rounds": 1, "theory": False},
        "log": {"problem": True},
    }
    run = ist_mpi.run(config)
    return run.config["method"], run


def numbers(L: np.ndarray) -> dict[str, float]:
    """What the rules are made of."""

    def largest(A: np.ndarray) -> float:
        return float(np.linalg.eigvalsh(A)[-1])

    mean, n, d = L.mean(axis=0), len(L), L.shape[1]
    sizes = np.array(reference.near_equal_sizes(d, n)[0])
    rho = float((sizes * (sizes - 1)).sum() / (d * (d - 1)))
    M1 = rho * mean + (1 - rho) * np.diag(np.diag(mean))
    squares = np.mean([A @ A for A in L], axis=0)
    return {
        "l0": largest(mean),
        "l1": largest(M1),
        "mu": float(np.linalg.eigvalsh(mean)[0]),
        "rms": np.sqrt(largest(squares)),
        "v": 0.0 if (L[0] == L).all() else np.sqrt(largest(squares - mean @ mean)),
        "l": max(largest(A) for A in L),
        "alpha": float(np.linalg.eigvals(np.linalg.solve(M1, mean)).real.max()),
    }


def expected(variant: str, q: dict[str, float]) -> float | None:
    """The default step size; None: another test's."""
    name = VARIANTS[variant]["name"]
    if name == "marina":
        rand = VARIANTS[variant].get("sketch") == "rand"
        blocks = D / VARIANTS[variant]["q"] if rand else N
        p = VARIANTS[variant].get("refresh_probability", 1.0 / blocks)
        v = np.sqrt((blocks - 1) / N) * q["rms"] if rand else q["v"]
        return float(1.0 / (q["l0"] + v * np.sqrt((1 - p) / p)))
    return {
        "shared_block": 1.0 / q["l1"],
        "gradient_descent": 1.0 / q["l0"],
        "scaffnew": 1.0 / q["l"],
        "anchored": None,
    }.get(name, 0.25 / q["rms"])


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("heterogeneous", [True, False])
@pytest.mark.parametrize("variant", VARIANTS)
def test_defaults_are_their_formulas(
    variant: str, heterogeneous: bool, large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if large:  # as if eigenvalues of a matrix took too long
        monkeypatch.setattr(quantities, "QUICK", 0)
    method = {"step_size": "default", **VARIANTS[variant]}
    settings, run = made(method, heterogeneous=heterogeneous)
    q = numbers(run.problem["L"])
    wanted = expected(variant, q)
    if wanted is not None:
        assert settings["step_size"] == pytest.approx(wanted, rel=1e-8)
    if method.get("alpha") == "tight":
        assert settings["alpha"] == pytest.approx(q["alpha"], rel=1e-8)
        assert settings["refresh"] == N
    if method.get("momentum") == "nesterov":
        assert settings["mu"] == pytest.approx(q["mu"], rel=1e-8)
    if method["name"] == "scaffnew":
        assert settings["probability"] == pytest.approx(np.sqrt(q["mu"] * settings["step_size"]))
    assert settings["step_size_rule"] == run.theory["step_size_rule"]
    again, _ = made(settings | {"step_size_rule": None}, heterogeneous=heterogeneous)
    assert again["step_size"] == settings["step_size"]


def test_submodels_take_theorem_one_or_half_the_limit() -> None:
    for method in ({"name": "ist"}, {"name": "dcgd"}, {"name": "ist", "scaling": "unscaled"}):
        by_theory, _ = made({"step_size": "theory", **method})
        by_default, run = made({"step_size": "default", **method})
        assert by_default["step_size"] == by_theory["step_size"]
        assert run.theory["step_size_rule"] == "1/θ of Theorem 1 (proved)"
    L = np.array([[[1.0, 0.45], [0.45, 0.21]]] * 2)  # W̄ is indefinite
    arrays = {"kind": "arrays", "L": L, "b": np.ones((2, 2))}
    config = {
        "problem": arrays,
        "method": {"name": "ist", "step_size": "default"},
        "run": {"rounds": 1, "theory": True},
    }
    run = ist_mpi.run(config)
    step = run.config["method"]["step_size"]
    assert step == pytest.approx(run.theory["stable_step_size_limit"] / 2)


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ({"name": "anchored", "step_size": "theory"}, "only the mean is proved"),
        ({"name": "stale", "step_size": "theory"}, "none is proved"),
        ({"name": "scaffnew", "step_size": "theory"}, "none is proved"),
        (
            {"name": "shared_block", "momentum": "nesterov", "step_size": "theory"},
            "none is proved with momentum",
        ),
        ({"name": "ist", "local_steps": 2, "step_size": "default"}, "one local step"),
        (
            {"name": "ist", "sketch": "rand", "q": 2, "form": "merge", "step_size": "default"},
            "neither a θ nor a γ_max",
        ),
        ({"name": "stale", "sketch": "rand", "q": 2, "step_size": 1.0}, '"permutation"'),
        (
            {"name": "anchored", "refresh": 2, "refresh_probability": 0.1, "step_size": 1.0},
            "either of them",
        ),
        ({"name": "shared_block", "scaling": "unscaled", "step_size": 1.0}, '"unbiased"'),
    ],
)
def test_what_has_no_rule_is_refused_in_words(method: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        made(method)
