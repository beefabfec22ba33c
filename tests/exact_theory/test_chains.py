"""Exact moments of methods without bias against every sequence of draws and coins, written out."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import beyond
import numpy as np
import pytest
import reference

from ist_mpi.config import method_table
from ist_mpi.exact_theory.chains.chain import Chain, limit
from ist_mpi.exact_theory.stability import radius
from ist_mpi.exact_theory.step import known_of
from ist_mpi.exact_theory.workers import Here, Quadratic
from ist_mpi.sketches import sketch_of

METHODS: dict[str, dict[str, Any]] = {
    "shared block": {"name": "shared_block"},
    "shared block, nesterov": {"name": "shared_block", "momentum": "nesterov", "mu": 0.3},
    "gradient descent, nesterov": {"name": "gradient_descent", "momentum": "nesterov", "mu": 0.3},
    "anchored": {"name": "anchored", "alpha": 1.3, "refresh": 2},
    "anchored, by chance": {"name": "anchored", "alpha": 0.8, "refresh_probability": 0.3},
    "stale": {"name": "stale", "tau": 0.7},
    "diana": {"name": "diana"},
    "diana, rand": {"name": "diana", "sketch": "rand", "q": 2},
    "ef21": {"name": "ef21"},
    "ef21, rand": {"name": "ef21", "sketch": "rand", "q": 1},
    "marina": {"name": "marina", "refresh_probability": 0.4},
    "marina, rand": {"name": "marina", "sketch": "rand", "q": 1, "refresh_probability": 0.4},
}

SHAPES = {
    "n ∤ d": (2, 3),
    "n | d": (2, 4),
    "n = d": (3, 3),
    "n > d": (3, 2),
    "n = 1": (1, 3),
    "d = 1": (2, 1),
}


def rounds_of(settings: dict[str, Any]) -> int:
    """So many that all sequences can be made; Rand-q has many draws."""
    return 2 if settings.get("sketch") == "rand" else 3


def problem(n: int, d: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """L, b and x⁰ of different workers."""
    rng = np.random.default_rng(n * 100 + d)
    B = rng.normal(size=(n, d, d))
    return B @ B.transpose(0, 2, 1) + 0.1 * np.eye(d), rng.normal(size=(n, d)), rng.normal(size=d)


def sequences(settings: dict[str, Any], n: int, d: int) -> Iterator[tuple[float, Any, Any]]:
    """Every sequence of draws and coins, with its probability."""
    p = settings.get("refresh_probability")
    coins = [(p, 1), (1 - p, 0)] if p is not None else [(1.0, 0)]
    identity = settings["name"] == "gradient_descent"
    sketch = "identity" if identity else settings.get("sketch", "permutation")
    draws = list(reference.draws(sketch, n, d, settings.get("q"), settings.get("group_size", 1)))
    each = [(a * b, blocks, coin) for a, blocks in draws for b, coin in coins]
    for chosen in product(each, repeat=rounds_of(settings)):
        yield float(np.prod([c[0] for c in chosen])), [c[1] for c in chosen], [c[2] for c in chosen]


def chain_of(settings: dict[str, Any], L: np.ndarray, b: np.ndarray, gamma: float) -> Chain:
    """The method's own."""
    n, d = b.shape
    method = method_table({"step_size": gamma, **settings})
    known = known_of(method, sketch_of(method, n, d))
    assert known.own is not None
    workers = Here([Quadratic(L_i, b_i) for L_i, b_i in zip(L, b, strict=True)])
    chain: Chain = known.own.build(known.law, workers, n, d)(gamma)
    return chain


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("method", METHODS)
def test_moments_are_those_of_all_sequences(method: str, shape: str) -> None:
    settings, (n, d) = dict(METHODS[method]), SHAPES[shape]
    if "q" in settings:
        settings["q"] = min(settings["q"], d)
    L, b, x0 = problem(n, d)
    gamma, star, K = 0.11, reference.optimum(L, b), rounds_of(settings)
    mean, second, total = np.zeros((K + 1, d)), np.zeros((K + 1, d, d)), 0.0
    for probability, blocks, coins in sequences(settings, n, d):
        draw, coin = blocks.__getitem__, coins.__getitem__
        case = beyond.Case(L, b, x0, gamma, {"step_size": gamma, **settings}, draw, coin)
        total += probability
        rows = beyond.METHODS[settings["name"]](case)
        for k, (x, _, _) in zip(range(K + 1), rows, strict=False):
            mean[k] += probability * (x - star)
            second[k] += probability * np.multiply.outer(x - star, x - star)
    assert total == pytest.approx(1.0)
    errors = chain_of(settings, L, b, gamma).errors(x0 - star)
    for k, got in zip(range(K + 1), errors, strict=False):
        scale = np.abs(second[k]).max()
        np.testing.assert_allclose(got.mean, mean[k], rtol=0, atol=1e-13 * np.sqrt(scale))
        np.testing.assert_allclose(got.second, second[k], rtol=0, atol=1e-13 * scale)


MOVE_GROUPS = [
    name
    for name, settings in METHODS.items()
    if settings["name"] not in ("stale", "gradient_descent") and settings.get("sketch") != "rand"
]


@pytest.mark.parametrize("method", MOVE_GROUPS)
def test_groups_move_together(method: str) -> None:
    settings, (n, d, g) = dict(METHODS[method]), (2, 4, 2)
    L, b, x0 = problem(n, d)
    settings["group_size"] = g
    gamma, star = 0.07, reference.optimum(L, b)
    second = np.zeros((d, d))
    for probability, blocks, coins in sequences(settings, n, d):
        draw, coin = blocks.__getitem__, coins.__getitem__
        case = beyond.Case(L, b, x0, gamma, {"step_size": gamma, **settings}, draw, coin)
        rows = beyond.METHODS[settings["name"]](case)
        x = [next(rows)[0] for _ in range(3)][-1]
        second += probability * np.multiply.outer(x - star, x - star)
    errors = chain_of(settings, L, b, gamma).errors(x0 - star)
    got = [next(errors).second for _ in range(3)][-1]
    np.testing.assert_allclose(got, second, rtol=0, atol=1e-13 * np.abs(second).max())


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_second_moments_grow_beyond_the_limit_and_fall_below(method: str) -> None:
    n, d = 2, 3
    settings = {**METHODS[method]}
    L, b, x0 = problem(n, d)
    known = known_of(
        method_table({"step_size": 0.1, **settings}),
        sketch_of(method_table({"step_size": 0.1, **settings}), n, d),
    )
    workers = Here([Quadratic(L_i, b_i) for L_i, b_i in zip(L, b, strict=True)])
    assert known.own is not None
    chain_at = known.own.build(known.law, workers, n, d)
    largest = limit(chain_at, 0.05)
    if known.own.limit is not None:
        assert known.own.limit(known.law, workers, n, d) == pytest.approx(largest, rel=1e-4)
    sizes = []
    for factor in (0.98, 1.02):
        errors = chain_at(factor * largest).errors(x0 - reference.optimum(L, b))
        *_, middle = (next(errors).second for _ in range(401))
        *_, last = (next(errors).second for _ in range(400))
        sizes.append(float(np.trace(last) / np.trace(middle)))
    assert sizes[0] < 1.0 < sizes[1]


def test_a_radius_that_others_nearly_have_is_found_in_time() -> None:
    """Eigenvalues that turn around it, as those of shifts do, kept Arnoldi's method for hours."""
    d, largest = 31, 0.999
    rng = np.random.default_rng(1)
    H = np.zeros((d, d))
    H[0, 0] = largest
    for i in range(1, d - 1, 2):
        angle, length = rng.uniform(0.05, 3.1), largest - 1e-4 * (1 + 0.3 * i)
        c, s = length * np.cos(angle), length * np.sin(angle)
        H[i : i + 2, i : i + 2] = [[c, -s], [s, c]]
    applied = 0

    def cycle(P: np.ndarray) -> np.ndarray:
        nonlocal applied
        applied += 1
        return H @ P @ H.T

    assert radius(cycle, d, False, 1e-9) == pytest.approx(largest**2, rel=1e-9)
    assert applied < 3000
