"""Laws that are a list of draws, and none at all: moments, constants, words; each from outside."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
import reference
from cases import VARIANTS, configuration
from scipy import linalg

import ist_mpi
from ist_mpi.cli.report.text import to_json
from ist_mpi.config import load
from ist_mpi.exact_theory import (
    constants,
    objective,
    recursions,
    stability,
    theorems,
)
from ist_mpi.exact_theory.constants import NO_MEMORY, NOT_DEFINITE, TOO_LARGE
from ist_mpi.exact_theory.moments import certainty, enumeration
from ist_mpi.exact_theory.moments.second import RoundMoments, round_moments
from ist_mpi.exact_theory.step import Known, Step
from ist_mpi.exact_theory.verdict import verdict
from ist_mpi.exact_theory.workers import Quadratic
from ist_mpi.parallel.mpi import Solo
from ist_mpi.sketches import sketch_of
from ist_mpi.sketches.law import Finite, Law
from ist_mpi.sketches.permutation import permutation_law
from ist_mpi.training import budget, foresight, setup
from ist_mpi.training.foresight import foresee, to_document

SUBMODELS, COMPRESSED = Step(), Step(two_sided=False)
MULTIPLYING = Step(multiplies_model=True)


def quadratics(n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([n, d])
    B = rng.standard_normal((n, d + 1, d)) + 0.3
    return np.einsum("nki,nkj->nij", B, B), rng.standard_normal((n, d))


def finite(
    n: int, draws: list[tuple[float, list[np.ndarray]]], C: float | None = None, A: float = 0.0
) -> Finite:
    """A law of blocks with the same factors everywhere: unbiased ones, unless told."""
    made = []
    for p, blocks in draws:
        pi, offsets = np.concatenate(blocks), np.cumsum([0, *map(len, blocks)])
        factors = np.full(pi.size, n if C is None else C), np.full(pi.size, A or 1 / n)
        made.append((p, pi, offsets, *factors))
    return Finite(made)


def rotated(n: int, d: int) -> Finite:
    """Worker i takes block (i + s) mod n of a fixed partition, s uniform."""
    blocks = np.array_split(np.random.default_rng(d).permutation(d), n)
    return finite(n, [(1 / n, blocks[s:] + blocks[:s]) for s in range(n)])


def uneven(n: int, d: int) -> Finite:
    """Overlapping blocks with factors of their own: no B̄ is symmetric, nor is M."""
    rng = np.random.default_rng([d, n])
    draws = []
    for p in (0.5, 0.3, 0.2):
        blocks = [rng.permutation(d)[: d - 1 - i % 2] for i in range(n)]
        pi, offsets = np.concatenate(blocks), np.cumsum([0, *map(len, blocks)])
        draws.append((p, pi, offsets, 1 + rng.random(pi.size), (0.5 + rng.random(pi.size)) / n))
    return Finite(draws)


LAWS = {"rotated": rotated(3, 7), "rotated, n | d": rotated(2, 4), "uneven": uneven(3, 5)}


class Brute(NamedTuple):
    """Every draw's B (d, d), c (d,) and C̄ (d, d), by loops over workers and entries."""

    draws: list[tuple[float, np.ndarray, np.ndarray, np.ndarray]]

    def mean(self, function: Any) -> np.ndarray:
        return sum(p * np.asarray(function(B, c, C)) for p, B, c, C in self.draws)

    def rounds(self, gamma: float) -> Iterator[tuple[float, np.ndarray, np.ndarray]]:
        for p, B, c, C in self.draws:
            yield p, C - gamma * B, gamma * c

    def lifted(self, gamma: float) -> np.ndarray:
        """E H ⊗ H for the rounds as linear maps H of (x, 1)."""
        total = 0.0
        for p, R, h in self.rounds(gamma):
            H = np.block([[R, h[:, None]], [np.zeros((1, len(h))), np.ones((1, 1))]])
            total = total + p * np.kron(H, H)
        return np.asarray(total)

    def radius(self, gamma: float) -> float:
        kron = sum(p * np.kron(R, R) for p, R, _ in self.rounds(gamma))
        return float(np.abs(linalg.eigvals(kron)).max())


def brute(law: Finite, step: Step, L: np.ndarray, b: np.ndarray) -> Brute:
    n, d = b.shape
    draws = []
    for draw in law.draws:
        B, c, merged = np.zeros((d, d)), np.zeros(d), np.zeros((d, d))
        for i in range(n):
            C, A = np.zeros((d, d)), np.zeros((d, d))
            for k in range(draw.offsets[i], draw.offsets[i + 1]):
                C[draw.pi[k], draw.pi[k]], A[draw.pi[k], draw.pi[k]] = draw.C[k], draw.A[k]
            B += A @ C @ L[i] @ (C if step.two_sided else np.eye(d))
            c += A @ C @ b[i]
            merged += A @ C
        draws.append((draw.probability, B, c, merged if step.multiplies_model else np.eye(d)))
    return Brute(draws)


def moments_of(law: Law | None, step: Step | None, L: np.ndarray, b: np.ndarray) -> RoundMoments:
    workers = [Quadratic(*pair) for pair in zip(L, b, strict=True)]
    return round_moments(step, law, *b.shape, workers)


def case(name: str, step: Step) -> tuple[RoundMoments, Brute, np.ndarray, np.ndarray]:
    law = LAWS[name]
    L, b = quadratics(law.n, 1 + max(int(draw.pi.max()) for draw in law.draws))
    return moments_of(law, step, L, b), brute(law, step, L, b), L, b


def close(got: Any, expected: np.ndarray, tolerance: float = 1e-13) -> None:
    np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance * np.abs(expected).max())


CASES = [(name, step) for name in LAWS for step in (SUBMODELS, COMPRESSED, MULTIPLYING)]


@pytest.mark.parametrize(("name", "step"), CASES)
def test_moments_of_a_finite_law(name: str, step: Step) -> None:
    got, every, L, b = case(name, step)
    d = b.shape[1]
    A, x = np.random.default_rng(d).standard_normal((d, d)), np.linspace(-1.0, 2.0, d)
    A = A + A.T
    close(got.L_mean, L.mean(axis=0))
    close(got.M, every.mean(lambda B, c, C: B))
    close(got.m, every.mean(lambda B, c, C: c))
    close(got.second(A), every.mean(lambda B, c, C: B @ A @ B.T))
    close(got.second(A, transposed=True), every.mean(lambda B, c, C: B.T @ A @ B))
    close(got.cross(x), every.mean(lambda B, c, C: np.outer(B @ x, c)))
    close(got.outer(), every.mean(lambda B, c, C: np.outer(c, c)))
    assert (got.mean_sketch is not None) == step.multiplies_model
    if step.multiplies_model:
        close(np.diag(got.mean_sketch), every.mean(lambda B, c, C: C))
        close(got.sketch_cross(A), every.mean(lambda B, c, C: B @ A @ C))
        close(A * got.sketch_outer()[0], every.mean(lambda B, c, C: C @ A @ C))
        close(got.sketch_outer()[1], every.mean(lambda B, c, C: np.outer(np.diag(C), c)))


@pytest.mark.parametrize(("name", "step"), CASES)
@pytest.mark.parametrize("gamma", [0.002, 0.02, 0.2])
def test_trajectories_and_limits_of_a_finite_law(name: str, step: Step, gamma: float) -> None:
    got, every, L, b = case(name, step)
    d = b.shape[1]
    lifted, x_star = every.lifted(gamma), reference.optimum(L, b)
    z = np.append(np.linspace(3.0, -1.0, d), 1.0)

    def measured(state: np.ndarray) -> tuple[float, float]:
        second, mean = state[:d, :d], state[:d, d]
        about = second - np.outer(mean, x_star) - np.outer(x_star, mean) + np.outer(x_star, x_star)
        return 0.5 * float(np.sum(L.mean(axis=0) * about)), float(np.trace(about))

    path = recursions.trajectory(got, gamma, z[:d], 5)
    state = np.outer(z, z)
    for k in range(6):
        close(path.mean[k], state[:d, d], 1e-11)
        assert (path.gap[k], path.to_solution[k]) == pytest.approx(measured(state), rel=1e-9)
        state = (lifted @ state.ravel()).reshape(d + 1, d + 1)
    radius = every.radius(gamma)
    assert stability.is_stable(got, gamma) == (radius < 1)
    limits = recursions.limits(got, gamma)
    mean = np.abs(linalg.eigvals(np.eye(d) - every.mean(lambda B, c, C: gamma * B + np.eye(d) - C)))
    assert stability.mean_spectral_radius(got, gamma) == pytest.approx(mean.max(), rel=1e-12)
    if radius >= 1:
        assert limits is None
        return
    # The fixed point of the lifted map, whose last entry is 1.
    w = linalg.null_space(lifted - np.eye(len(lifted)), rcond=1e-11)
    symmetric = [v.reshape(d + 1, d + 1) / v[-1] for v in w.T if abs(v[-1]) > 1e-9]
    expected = measured(symmetric[0])
    assert (limits.gap, limits.to_solution) == pytest.approx(expected, rel=1e-7)
    close(limits.mean, symmetric[0][:d, d], 1e-8)


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("step", [SUBMODELS, COMPRESSED])
def test_theorem_one_of_a_finite_law(name: str, step: Step) -> None:
    got, every, L, _ = case(name, step)
    L_mean, M = L.mean(axis=0), every.mean(lambda B, c, C: B)
    W = 0.5 * (L_mean @ M + M.T @ L_mean)
    T = every.mean(lambda B, c, C: B.T @ L_mean @ B)
    found = theorems.theorem_one(got)
    assert found is not None
    assert found.w_min_eigenvalue == pytest.approx(linalg.eigvalsh(W)[0], rel=1e-8)
    root = linalg.inv(linalg.sqrtm(L_mean))
    assert found.rate == pytest.approx(linalg.eigvalsh(root @ W @ root)[0], rel=1e-8)
    if found.w_min_eigenvalue > 0:
        assert found.theta == pytest.approx(linalg.eigh(T, W, eigvals_only=True)[-1], rel=1e-9)
    else:
        assert found.theta is None


@pytest.mark.parametrize("name", ["rotated", "rotated, n | d"])
def test_step_size_limit_of_a_finite_law(name: str) -> None:
    got, every, _, _ = case(name, SUBMODELS)
    limit = stability.step_size_limit(got)
    assert limit is not None
    assert every.radius(limit) == pytest.approx(1.0, rel=1e-6)
    assert stability.step_size_limit(case("uneven", SUBMODELS)[0]) is None


@pytest.mark.parametrize("step", [SUBMODELS, COMPRESSED])
def test_all_permutations_are_the_permutation(step: Step) -> None:
    n, d = 2, 4
    L, b = quadratics(n, d)
    every = finite(n, list(reference.permutation_draws(n, d)))
    one = moments_of(every, step, L, b)
    two = moments_of(permutation_law(n, d), step, L, b)
    A, x = L[0] + np.eye(d), np.arange(1.0, d + 1)
    for function in (
        lambda m: m.M,
        lambda m: m.m,
        lambda m: m.second(A),
        lambda m: m.second(A, transposed=True),
        lambda m: m.cross(x),
        lambda m: m.outer(),
    ):
        close(function(one), function(two), 1e-14)


@pytest.mark.parametrize("n", [2, 4])
def test_sigma_squared_of_a_finite_law(n: int) -> None:
    """It is that of the permutation whose draws are listed, or none as there."""
    L, b = quadratics(n, 4)
    every = finite(n, list(reference.permutation_draws(n, 4)))
    for problem in (
        (L, b),
        (L[:1].repeat(n, 0), b),
        (L * np.eye(4), b),
        (L[:1] * np.eye(4) + 0 * L, b),
    ):
        one = moments_of(every, SUBMODELS, *problem).sigma_squared()
        two = moments_of(permutation_law(n, 4), SUBMODELS, *problem).sigma_squared()
        assert (one is None) == (two is None)
        assert one == two or one == pytest.approx(two, rel=1e-12)


@pytest.mark.parametrize("d", [333, 500, 998, 1000])
def test_weights_of_many_workers_are_certain_where_they_are(d: int) -> None:
    """In closed form nothing but rounding is left of what cancels."""
    unbiased, unscaled, preconditioned = (
        [
            certainty.weights(SUBMODELS, permutation_law(1000, d, 1, scaling), 1000, k)
            for k in (1, 2)
        ]
        for scaling in ("unbiased", "unscaled", "preconditioned")
    )
    assert unbiased == [(True, 1000 % d != 0), (False, False)]
    assert unscaled == preconditioned == [(True, False), (False, False)]


def test_a_single_draw_has_no_noise() -> None:
    L, b = quadratics(2, 4)
    law = finite(2, [(1.0, [np.array([0, 1]), np.array([2, 3])])])
    got = moments_of(law, SUBMODELS, L, b)
    assert got.sigma_squared() == pytest.approx(0.0, abs=1e-12)
    limits = recursions.limits(got, 0.01)
    assert limits is not None
    assert limits.to_fixed_point < 1e-28


# What is refused


BLOCKS = [0, 1], [0, 1, 2], [1.0, 1.0], [0.5, 0.5]


@pytest.mark.parametrize(
    ("draws", "words"),
    [
        ([], "sum of 0"),
        ([(0.5, *BLOCKS)], "sum of 0.5"),
        ([(1.5, *BLOCKS), (-0.5, *BLOCKS)], "draw 1.*probability -0.5"),
        ([(float("nan"), *BLOCKS)], "draw 0.*probability nan"),
        ([(1.0, [0, 1], [0, 1, 2], [1.0], [0.5, 0.5])], "shapes"),
        ([(1.0, [0, 1], [0, 1], [1.0, 1.0], [0.5, 0.5])], "do not cut pi"),
        ([(0.5, *BLOCKS), (0.5, [0], [0, 1], [1.0], [1.0])], "draw 1.*offsets of shape"),
        ([(1.0, [0, 0], [0, 2, 2], [1.0, 1.0], [0.5, 0.5])], "twice"),
        ([(1.0, [0, -1], [0, 1, 2], [1.0, 1.0], [0.5, 0.5])], "negative coordinate"),
        ([(1.0, [0, 1], [0, 1, 2], [1.0, np.inf], [0.5, 0.5])], "not finite"),
    ],
)
def test_wrong_laws(draws: list[Any], words: str) -> None:
    with pytest.raises(ist_mpi.InputError, match=words):
        Finite(draws)


def test_laws_of_another_problem_are_refused() -> None:
    L, b = quadratics(2, 3)
    with pytest.raises(ist_mpi.InputError, match=r"blocks of 3 workers, .* expected 2 workers"):
        moments_of(rotated(3, 7), SUBMODELS, L, b)


def test_too_many_draws_for_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enumeration, "MAX_NUMBERS", 100)
    with pytest.raises(ist_mpi.InputError, match="3 draws of 7 × 7 matrices"):
        case("rotated", SUBMODELS)


@pytest.mark.parametrize(("step", "law"), [(None, rotated(2, 4)), (SUBMODELS, None)])
def test_moments_without_a_step_or_a_law_are_refused(step: Step | None, law: Law | None) -> None:
    with pytest.raises(ist_mpi.InputError, match="no exact theory of"):
        moments_of(law, step, *quadratics(2, 4))


# Through the whole of a run


def taken_for(known: Known, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is configured, theory knows this of it."""
    for module in (setup, foresight, budget):
        monkeypatch.setattr(module, "known_of", lambda method, sketch: known)


def small(**run: Any) -> dict[str, Any]:
    """n = 3, d = 7."""
    config = configuration("merge", "n does not divide d", **run)
    config["method"]["step_size"] = 0.002
    return config


@pytest.mark.parametrize("law", [rotated(3, 7), uneven(3, 7)], ids=["rotated", "uneven"])
@pytest.mark.parametrize("step", [SUBMODELS, COMPRESSED, MULTIPLYING])
def test_constants_of_a_finite_law(
    law: Finite, step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken_for(Known(step, law), monkeypatch)
    run = ist_mpi.run(small())
    L, b, theory = run.problem["L"], run.problem["b"], run.theory
    got, gamma = moments_of(law, step, L, b), 0.002
    every = brute(law, step, L, b)
    G = every.mean(lambda B, c, C: gamma * B + np.eye(7) - C)
    expected = np.linalg.solve(G, every.mean(lambda B, c, C: gamma * c))
    close(theory["fixed_point"], expected, 1e-9)
    limits = recursions.limits(got, gamma)
    gap = np.nan if limits is None else limits.gap  # C̄ above I can grow without bound
    assert theory["limit_gap"] == pytest.approx(gap, rel=1e-8, nan_ok=True)
    error = run.model["x0"] - theory["x_star"]
    w_norm = error @ L.mean(axis=0) @ got.M @ error
    if step.multiplies_model:
        w_norm = np.nan
        assert np.isnan(theory["mean_step_size_limit"])
    else:
        found = theorems.theorem_one(got)
        assert found is not None
        assert theory["w_min_eigenvalue"] == pytest.approx(found.w_min_eigenvalue, rel=1e-9)
        w = linalg.eigvals(np.eye(7) - theory["mean_step_size_limit"] * got.M)
        assert np.abs(w).max() == pytest.approx(1.0, rel=1e-6)
    measured = run.rounds["gradient_norm_squared_w"][0]
    assert measured == pytest.approx(w_norm, rel=1e-9, nan_ok=True)
    undefined = not step.multiplies_model and not got.symmetric
    left_out = foresee(Solo(), small()).constants.not_computed
    assert dict(left_out) == ({"stable_step_size_limit": NOT_DEFINITE} if undefined else {})


def test_a_finite_law_too_large_for_its_matrices(monkeypatch: pytest.MonkeyPatch) -> None:
    taken_for(Known(SUBMODELS, rotated(3, 7)), monkeypatch)
    monkeypatch.setattr(enumeration, "MAX_NUMBERS", 100)
    found = foresee(Solo(), small()).constants
    assert found.fixed_point_relative_gap is not None
    assert found.not_computed["limit_gap"] == NO_MEMORY
    monkeypatch.setattr(constants, "DENSE", 6)
    found = foresee(Solo(), small()).constants
    assert found.not_computed["spectral_radius"] == TOO_LARGE
    monkeypatch.setattr(setup, "within_reach", lambda known, *_: known._replace(obstacle=TOO_LARGE))
    found = foresee(Solo(), small()).constants
    assert set(found.not_computed.values()) == {TOO_LARGE}


def test_finite_laws_need_matrices(monkeypatch: pytest.MonkeyPatch) -> None:
    known = Known(SUBMODELS, rotated(3, 7))
    monkeypatch.setattr(objective, "by_products", lambda stored, d: True)
    assert objective.within_reach(known, objective.Stored(), 7).why_not == TOO_LARGE
    plain = Known(SUBMODELS, permutation_law(3, 7))
    assert objective.within_reach(plain, objective.Stored(), 7).closed


@pytest.mark.parametrize(
    "known",
    [
        Known(None, rotated(3, 7), "mine.py:Mine"),
        Known(SUBMODELS, None, "mine.py:Mine"),
        Known(None, None, "mine.py:Mine"),
    ],
)
def test_nothing_is_known_without_a_step_or_a_law(
    known: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken_for(known, monkeypatch)
    config = small()
    found = foresee(Solo(), config)
    constants = found.constants.values()
    assert constants.pop("gap_at_zero") > 0  # of the problem, whatever the method
    assert set(constants.values()) == {None}
    reasons = dict.fromkeys(constants, "no exact theory of mine.py:Mine")
    assert dict(found.constants.not_computed) == reasons
    words = verdict(found.known, found.method.gamma, found.constants)
    assert words == "No exact theory of mine.py:Mine."
    document = json.loads(to_json(to_document(found)))
    assert document["theta"] is None
    assert document["mean_step_size_limit"] is None
    run = ist_mpi.run(config)
    close(run.theory["x_star"], reference.optimum(run.problem["L"], run.problem["b"]), 1e-9)
    assert "fixed_point" not in run.theory
    assert np.isfinite(run.rounds["gap"]).all()
    for column in ("distance_to_fixed_point", "gradient_norm_squared_w"):
        assert np.isnan(run.rounds[column]).all()
    assert set(run.theory["not_computed"].split()) == set(constants)
    with pytest.raises(ist_mpi.InputError, match=r"--rounds: got no exact theory of mine\.py:Mine"):
        foresee(Solo(), config, rounds=2)
    config["method"]["step_size"] = "theory"
    with pytest.raises(ist_mpi.InputError, match=r"no exact theory of mine\.py:Mine"):
        ist_mpi.run(config)


def test_local_steps_have_no_closed_form() -> None:
    config = load(small())
    method = config.method.model_copy(update={"local_steps": 3})
    known = setup.known_of(method, sketch_of(method, 3, 7))
    assert known.why_not == "no closed form is known for 3 local steps"
    assert known.both is not None
    assert not known.theorem_one


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_is_known_of_the_built_in_methods(variant: str) -> None:
    method = load(configuration(variant, "n divides d")).method
    known = setup.known_of(method, sketch_of(method, 3, 6))
    assert known.closed == ("local steps" not in variant)
    merges = variant in ("rand merge", "preconditioned merge")
    assert known.theorem_one == (known.closed and not merges)
