"""Second moments, θ, stability, exact trajectories and limits against enumeration of every draw."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Barrier
from typing import Any, NamedTuple

import numpy as np
import pytest
import reference
from cases import GROUPED, GROUPS, VARIANTS
from scipy import linalg
from thinned import FULL

from ist_mpi.config import Method, method_table
from ist_mpi.errors import InputError
from ist_mpi.exact_theory import recursions, stability, theorems
from ist_mpi.exact_theory.moments import partitions, terms
from ist_mpi.exact_theory.moments.second import RoundMoments, round_moments
from ist_mpi.exact_theory.step import known_of
from ist_mpi.exact_theory.workers import Here, Quadratic
from ist_mpi.sketches import sketch_of

ONE_STEP = [name for name in VARIANTS if "local steps" not in name]
MERGES = ["rand merge", "preconditioned merge"]
SHAPES = {
    "n | d": (2, 4),
    "n | d, three": (3, 6),
    "3, 5": (3, 5),
    "2, 5": (2, 5),
    "n = d": (4, 4),
    "5 > 2": (5, 2),
    "5 > 3": (5, 3),
    "4 > 2": (4, 2),
    "n = 1": (1, 3),
    "d = 1": (3, 1),
    "n = d = 1": (1, 1),
}
CASES = [
    (variant, shape)
    for variant in ONE_STEP
    for shape, (n, d) in SHAPES.items()
    if VARIANTS[variant].get("sketch") != "rand" or (d >= 2 and n * (d - 1) <= 10)
]
SHAPES |= {shape: (n, d) for shape, (n, d, _) in GROUPS.items()}
CASES += [(variant, shape) for variant in GROUPED if variant in ONE_STEP for shape in GROUPS]


class Case(NamedTuple):
    """A method on a small problem, the code under test, and every draw of a round."""

    settings: dict[str, Any]
    L: np.ndarray
    b: np.ndarray
    moments: RoundMoments
    draws: list[tuple[float, np.ndarray, np.ndarray, np.ndarray]]
    """Probability, B̄ (d, d), c (d,), C̄ (d, d)."""

    def mean(self, function: Callable[[np.ndarray, np.ndarray, np.ndarray], Any]) -> np.ndarray:
        """E function(B̄, c, C̄)."""
        return sum(p * np.asarray(function(B, c, C)) for p, B, c, C in self.draws)


def method_of(settings: dict[str, Any]) -> Method:
    return method_table({"step_size": 0.1, **settings})


def moments_of(settings: dict[str, Any], L: np.ndarray, b: np.ndarray) -> RoundMoments:
    quadratics = [Quadratic(*pair) for pair in zip(L, b, strict=True)]
    return moments_with(settings, *b.shape, quadratics)


def moments_with(settings: dict[str, Any], n: int, d: int, workers: Any) -> RoundMoments:
    known = known_of(method := method_of(settings), sketch_of(method, n, d))
    return round_moments(known.step, known.law, n, d, workers)


def quadratics(n: int, d: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([n, d, seed])
    B = rng.standard_normal((n, d + 1, d)) + 0.3
    return np.einsum("nki,nkj->nij", B, B), rng.standard_normal((n, d))


def group_of(settings: dict[str, Any]) -> int:
    return int(settings.get("group_size", 1))


def draws_of(
    settings: dict[str, Any], L: np.ndarray, b: np.ndarray
) -> Iterator[tuple[float, np.ndarray, np.ndarray, np.ndarray]]:
    n, d = b.shape
    names = settings.get("sketch", "permutation"), settings.get("scaling", "unbiased")
    if settings["name"] == "gradient_descent":
        names = ("identity", "unbiased")
    for p, blocks in reference.draws(names[0], n, d, settings.get("q"), group_of(settings)):
        C = reference.sketch_matrices(*names, blocks, L)
        A = reference.weights(*names, blocks, n, d)
        right = np.stack([np.eye(d)] * n) if settings["name"] == "dcgd" else C
        merged = sum(A @ C)
        if settings["name"] != "ist" or settings.get("form") != "merge":
            merged = np.eye(d)
        yield p, sum(A @ C @ L @ right), sum((A @ C @ b[:, :, None])[:, :, 0]), merged


def case_of(settings: dict[str, Any], L: np.ndarray, b: np.ndarray) -> Case:
    return Case(settings, L, b, moments_of(settings, L, b), list(draws_of(settings, L, b)))


@cache
def case(variant: str, shape: str) -> Case:
    settings = VARIANTS[variant]
    if shape in GROUPS:
        settings = settings | {"group_size": GROUPS[shape][2]}
    return case_of(settings, *quadratics(*SHAPES[shape]))


def rounds_of(case: Case, gamma: float) -> Iterator[tuple[float, np.ndarray, np.ndarray]]:
    """Probability, R and h of every round x ↦ R x + h, from the update itself."""
    settings, L, b = case.settings, case.L, case.b
    n, d = b.shape
    sketch, scaling = settings.get("sketch", "permutation"), settings.get("scaling", "unbiased")
    if settings["name"] == "gradient_descent":
        yield (
            1.0,
            *reference.affine_map(lambda x: reference.gradient_descent_round(x, L, b, gamma), d),
        )
        return
    form = settings.get("form") or reference.default_form(sketch, scaling)
    for p, blocks in reference.draws(sketch, n, d, settings.get("q"), group_of(settings)):

        def update(x: np.ndarray, blocks: Any = blocks) -> np.ndarray:
            if settings["name"] == "dcgd":
                return reference.dcgd_round(x, blocks, L, b, gamma, sketch)
            return reference.ist_round(x, blocks, L, b, gamma, 1, sketch, scaling, form)

        yield p, *reference.affine_map(update, d)


class Enumerated(NamedTuple):
    """E R⊗R and what else makes E x⁺x⁺ᵀ."""

    kron: np.ndarray
    R: np.ndarray
    h: np.ndarray
    cross: np.ndarray
    """E R ⊗ h: (R x) hᵀ flattened is cross @ x."""
    outer: np.ndarray

    @property
    def radius(self) -> float:
        return float(np.abs(linalg.eigvals(self.kron)).max())

    def after(self, P: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """E x⁺x⁺ᵀ and E x⁺."""
        Rxh = (self.cross @ x).reshape(P.shape)
        return (self.kron @ P.ravel()).reshape(P.shape) + Rxh + Rxh.T + self.outer, (
            self.R @ x + self.h
        )

    def limit(self) -> tuple[np.ndarray, np.ndarray]:
        d = len(self.h)
        x = np.linalg.solve(np.eye(d) - self.R, self.h)
        Rxh = (self.cross @ x).reshape(d, d)
        source = (Rxh + Rxh.T + self.outer).ravel()
        return np.linalg.solve(np.eye(d * d) - self.kron, source).reshape(d, d), x


def enumerated(case: Case, gamma: float) -> Enumerated:
    parts = [
        [p * part for part in (np.kron(R, R), R, h, np.kron(R, h[:, None]), np.outer(h, h))]
        for p, R, h in rounds_of(case, gamma)
    ]
    return Enumerated(*(sum(column) for column in zip(*parts, strict=True)))


def measures(case: Case, P: np.ndarray, x: np.ndarray, fixed: np.ndarray) -> list[float]:
    """E f − f*, E‖x − x*‖² and E‖x − fixed‖² from E xxᵀ and E x."""
    best = reference.optimum(case.L, case.b)
    about = [P - np.outer(x, p) - np.outer(p, x) + np.outer(p, p) for p in (best, fixed)]
    gap = 0.5 * np.trace(case.L.mean(axis=0) @ about[0])
    return [gap, float(np.trace(about[0])), float(np.trace(about[1]))]


def close(got: np.ndarray, expected: np.ndarray, tolerance: float = 1e-12) -> None:
    scale = np.abs(expected).max()
    np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance * scale)


def symmetric(d: int) -> np.ndarray:
    A = np.random.default_rng(d).standard_normal((d, d))
    return A + A.T


# Closed forms of one round


@pytest.mark.parametrize(("variant", "shape"), CASES)
def test_moments_of_a_round(variant: str, shape: str) -> None:
    one = case(variant, shape)
    d = one.b.shape[1]
    A, x = symmetric(d), np.linspace(-1.0, 2.0, d)
    close(one.moments.M, one.mean(lambda B, c, C: B))
    close(one.moments.m, one.mean(lambda B, c, C: c))
    close(one.moments.second(A), one.mean(lambda B, c, C: B @ A @ B.T))
    close(one.moments.second(A, transposed=True), one.mean(lambda B, c, C: B.T @ A @ B))
    close(one.moments.cross(x), one.mean(lambda B, c, C: np.outer(B @ x, c)))
    close(one.moments.outer(), one.mean(lambda B, c, C: np.outer(c, c)))


@pytest.mark.parametrize(("n", "d", "g"), [(2, 16, 2), (2, 15, 3), (3, 10, 2), (4, 6, 3)])
@pytest.mark.parametrize("variant", ["merge", "preconditioned merge", "dcgd, permutation"])
def test_moments_of_larger_groups(variant: str, n: int, d: int, g: int) -> None:
    """Enough groups in a block, up to four, for every partition of the slots to matter."""
    one = case_of(VARIANTS[variant] | {"group_size": g}, *quadratics(n, d))
    A, x = symmetric(d), np.linspace(-1.0, 2.0, d)
    close(one.moments.M, one.mean(lambda B, c, C: B))
    close(one.moments.second(A), one.mean(lambda B, c, C: B @ A @ B.T))
    close(one.moments.second(A, transposed=True), one.mean(lambda B, c, C: B.T @ A @ B))
    close(one.moments.cross(x), one.mean(lambda B, c, C: np.outer(B @ x, c)))
    if variant in MERGES:
        close(one.moments.sketch_cross(A), one.mean(lambda B, c, C: B @ A @ C))


def mirrored(name: str) -> str:
    """The partition of the transposed term: a and b, c and e change places."""
    swapped = name.translate(str.maketrans("aceb", "beca"))
    blocks = sorted(sorted(block, key="aceb".index) for block in swapped.split("|"))
    ordered = sorted(blocks, key=lambda block: "aceb".index(block[0]))
    return "|".join("".join(block) for block in ordered)


@pytest.mark.parametrize("name", ["|".join(blocks) for blocks in partitions.partitions("aceb")])
@pytest.mark.parametrize("g", [1, 2, 3, 6])
def test_terms_in_groups_are_what_they_say(g: int, name: str) -> None:
    """Each Φ_σ, with its transpose, by the sum that defines it."""
    d = 6
    X, A, group = quadratics(1, d)[0][0], symmetric(d), np.arange(d) // g
    c = dict.fromkeys(["|".join(blocks) for blocks in partitions.partitions("aceb")], 0.0)
    expected = np.zeros((d, d))
    for partition in {name, mirrored(name)}:
        c[partition] = 1.0
        for slots in np.ndindex(d, d, d, d):
            of = dict(zip("aceb", slots, strict=True))
            blocks = ([group[of[slot]] for slot in block] for block in partition.split("|"))
            if all(len(set(block)) == 1 for block in blocks):
                term = X[of["a"], of["c"]] * A[of["c"], of["e"]] * X[of["e"], of["b"]]
                expected[of["a"], of["b"]] += term
    close(terms.second_term(c, X, A, g), expected)


@pytest.mark.parametrize(("variant", "shape"), [c for c in CASES if c[0] in MERGES])
def test_moments_of_what_multiplies_the_model(variant: str, shape: str) -> None:
    one = case(variant, shape)
    A = symmetric(one.b.shape[1])
    close(np.diag(one.moments.mean_sketch), one.mean(lambda B, c, C: C))
    close(one.moments.sketch_cross(A), one.mean(lambda B, c, C: B @ A @ C))
    sketch_sketch, sketch_vector = one.moments.sketch_outer()
    close(A * sketch_sketch, one.mean(lambda B, c, C: C @ A @ C))
    close(sketch_vector, one.mean(lambda B, c, C: np.outer(np.diag(C), c)))


def alike(n: int, d: int, g: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Quadratics of which something is the same for all workers, or zero."""
    L, b = quadratics(n, d)
    same, group = np.stack([L[0]] * n), np.arange(d) // g
    inside = np.equal.outer(group, group)
    weights = (1 + np.arange(n) / 9)[:, None, None]
    return {
        "different": (L, b),
        "homogeneous": (same, np.stack([b[0]] * n)),
        "homogeneous, b = 0": (same, np.zeros_like(b)),
        "the same L": (same, b),
        "the same within groups": (np.where(inside, same, same * weights), b),
        "the same between groups": (np.where(inside, L, 0.1 * same), b),
        "the same diagonal": (np.where(np.eye(d), same, 0.1 * L), b),
        "nothing between groups": (L * inside, b),
        "nothing between groups, the same within": (same * inside, b),
        "the same diagonal matrix": (same * np.eye(d), b),
        "multiples": (same * weights, b),
    }


@pytest.mark.parametrize(("variant", "shape"), CASES)
def test_sigma_squared(variant: str, shape: str) -> None:
    settings = case(variant, shape).settings
    kinds = alike(*SHAPES[shape], group_of(settings))
    names = list(kinds) if FULL else list(kinds)[CASES.index((variant, shape)) % 3 :: 3]
    for kind in names:
        sigma_squared_is_enumerated(case_of(settings, *kinds[kind]), kind)


def sigma_squared_is_enumerated(one: Case, kind: str) -> None:
    """A number exactly where no draw of these quadratics has another B̄, and then that of (30)."""
    M = one.mean(lambda B, c, C: B)
    spread = one.mean(lambda B, c, C: np.sum((B - M) ** 2))
    got = one.moments.sigma_squared()
    if spread > 1e-20 * np.sum(M**2):
        assert got is None, kind
        return
    L, m = one.L.mean(axis=0), one.mean(lambda B, c, C: c)
    expected = one.mean(lambda B, c, C: (c - m) @ L @ (c - m))
    assert got == pytest.approx(expected, rel=1e-12, abs=1e-13), kind


def test_blocks_of_one_coordinate_need_no_product_of_matrices() -> None:
    for variant in ("merge", "unscaled merge", "preconditioned estimator"):
        for n, d in ((6, 6), (7, 3), (6, 3)):
            known = known_of(method := method_of(VARIANTS[variant]), sketch_of(method, n, d))
            c = partitions.coefficients(known.step, known.law, n)
            for weights in c.second:
                assert not any(weights[k] for k in ("a|c|e|b", "a|ce|b", "ac|e|b", "ab|c|e"))
            for weights in c.cross:
                assert not any(weights[k] for k in ("a|c|b", "ab|c"))


def test_moebius_function_inverts_sums_over_finer_partitions() -> None:
    every = list(partitions.partitions("aceb"))
    assert len(every) == 15
    assert len(list(partitions.partitions("acb"))) == 5
    zeta = np.array([[bool(partitions.moebius(p, q)) for q in every] for p in every], dtype=float)
    mu = np.array([[partitions.moebius(p, q) for q in every] for p in every], dtype=float)
    np.testing.assert_array_equal(zeta @ mu, np.eye(15))


def test_special_cases_of_perm_1() -> None:
    L, b = quadratics(4, 4)
    D = np.diag(np.diag(L[0]))
    same = np.stack([L[0]] * 4)
    close(moments_of({"name": "ist"}, same, b).second(L[0]), 16 * D @ L[0] @ D)
    for n, d in ((4, 4), (7, 3)):
        L, b = quadratics(n, d)
        A = symmetric(d)
        close(moments_of({"name": "ist", "scaling": "preconditioned"}, L, b).second(A), A)


def test_copies_are_workers_with_the_same_quadratic() -> None:
    L, b = quadratics(1, 5)
    for settings in (VARIANTS["merge"], VARIANTS["rand estimator"], VARIANTS["dcgd, permutation"]):
        each = moments_of(settings, np.repeat(L, 3, axis=0), np.repeat(b, 3, axis=0))
        once = moments_with(settings, 3, 5, [Quadratic(L[0], b[0], 3)])
        close(once.second(symmetric(5)), each.second(symmetric(5)))
        close(once.outer(), each.outer())


@pytest.mark.parametrize("variant", ["merge", "preconditioned merge", "dcgd, rand"])
def test_workers_may_be_spread_over_ranks(variant: str) -> None:
    L, b = quadratics(3, 5)
    barrier, slots = Barrier(3), [np.zeros(0)] * 3
    x0 = np.ones(5)

    class OneOfThree(Here):
        def __init__(self, r: int, first: int, last: int) -> None:
            super().__init__([Quadratic(L[i], b[i]) for i in range(first, last)])
            self.r = r

        def sum(self, term: Callable[[Quadratic], np.ndarray]) -> np.ndarray:
            slots[self.r] = super().sum(term) + np.zeros(1)
            barrier.wait(timeout=300)
            everything = sum(slots)
            barrier.wait(timeout=300)
            return everything

    def rank(r: int, first: int, last: int) -> np.ndarray:
        spread = moments_with(VARIANTS[variant], 3, 5, OneOfThree(r, first, last))
        return recursions.trajectory(spread, 0.01, x0, 3).gap

    with ThreadPoolExecutor(3) as pool:
        gaps = list(pool.map(rank, range(3), [0, 1, 1], [1, 1, 3]))
    expected = recursions.trajectory(moments_of(VARIANTS[variant], L, b), 0.01, x0, 3).gap
    for gap in gaps:
        close(gap, expected)


def test_more_local_steps_are_refused() -> None:
    with pytest.raises(InputError, match="local_steps"):
        moments_of({"name": "ist", "local_steps": 2}, *quadratics(2, 4))


# θ


@pytest.mark.parametrize(("variant", "shape"), CASES)
def test_theta(variant: str, shape: str) -> None:
    one = case(variant, shape)
    got = theorems.theorem_one(one.moments)
    if variant in MERGES:
        assert got is None
        return
    L, M = one.L.mean(axis=0), one.mean(lambda B, c, C: B)
    W = 0.5 * (L @ M + M @ L)
    T = one.mean(lambda B, c, C: B.T @ L @ B)
    w = linalg.eigvalsh(W)
    assert got.w_min_eigenvalue == pytest.approx(w[0], rel=1e-9, abs=1e-13 * w[-1])
    root = linalg.inv(linalg.sqrtm(L))
    rate = linalg.eigvalsh(root @ W @ root)[0]
    assert got.rate == pytest.approx(rate, rel=1e-8)
    assert got.contraction(0.25) == pytest.approx(1 - 0.25 * rate, rel=1e-8)
    if w[0] < 0:
        assert got.theta is None
    else:
        assert got.theta == pytest.approx(linalg.eigh(T, W, eigvals_only=True)[-1], rel=1e-9)


def test_remark_1_has_no_theta() -> None:
    a, b = 1.0, 9.0  # 2ab/(a + b) = 1.8
    for c, exists in ((1.7, True), (1.9, False), (2.5, False)):
        L = np.array([[[a, c], [c, b]]] * 2)
        one = case_of({"name": "ist"}, L, np.ones((2, 2)))
        got = theorems.theorem_one(one.moments)
        M = one.mean(lambda B, c, C: B)
        W = 0.5 * (L[0] @ M + M @ L[0])
        assert got.w_min_eigenvalue == pytest.approx(np.linalg.eigvalsh(W)[0], rel=1e-10)
        assert (got.w_min_eigenvalue > 0) == (got.rate > 0) == exists == (got.theta is not None)
        # The method is stable for some step sizes nevertheless.
        limit = stability.step_size_limit(one.moments)
        assert enumerated(one, 0.999 * limit).radius < 1 < enumerated(one, 1.001 * limit).radius


def test_theta_where_w_is_singular() -> None:
    def largest(T: list[float], w: list[float]) -> float | None:
        return theorems._largest_quotient(np.diag(T), np.array(w), np.eye(len(w)))

    assert largest([0.0, 6.0], [0.0, 3.0]) == pytest.approx(2.0)
    assert largest([1e-3, 6.0], [0.0, 3.0]) is None
    assert largest([1e-3, 6.0], [1e-20, 3.0]) is None
    assert largest([0.0, 6.0], [-1.0, 3.0]) is None
    assert largest([0.0, 0.0], [0.0, 0.0]) == 0.0


def test_theta_of_badly_conditioned_quadratics() -> None:
    # L̄² would have condition number 1e20.
    rng = np.random.default_rng(1)
    Q = linalg.qr(rng.standard_normal((6, 6)))[0]
    L = np.stack([Q @ np.diag(np.logspace(0, 10, 6)) @ Q.T] * 2)
    L = 0.5 * (L + L.transpose(0, 2, 1))
    got = theorems.theorem_one(moments_of({"name": "gradient_descent"}, L, np.ones((2, 6))))
    assert got.theta == pytest.approx(1e10, rel=1e-6)
    assert got.rate == pytest.approx(1.0, rel=1e-4)


# Stability


@pytest.mark.parametrize(
    ("variant", "shape", "dense"),
    [
        (variant, shape, dense)
        for variant, shape in CASES
        for dense in (True, False)
        # Arnoldi's method needs a few dimensions.
        if variant not in MERGES and (dense or SHAPES[shape][1] >= 4)
    ],
)
def test_step_size_limit(
    variant: str, shape: str, dense: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = case(variant, shape)
    if not dense:
        monkeypatch.setattr(stability, "DENSE", 3)
    limit = stability.step_size_limit(one.moments)
    assert enumerated(one, limit).radius == pytest.approx(1.0, rel=1e-6)
    assert enumerated(one, 0.99 * limit).radius < 1.0
    assert enumerated(one, 1.01 * limit).radius > 1.0
    for factor in (0.5, 0.99, 1.01, 2.5):
        assert stability.is_stable(one.moments, factor * limit) == (factor < 1)


@pytest.mark.parametrize(("variant", "shape"), [c for c in CASES if c[0] in MERGES])
def test_stability_of_merges_that_multiply_the_model(variant: str, shape: str) -> None:
    one = case(variant, shape)
    assert stability.step_size_limit(one.moments) is None
    for gamma in (1e-3, 0.03, 0.3, 1.0, 3.0):
        radius = enumerated(one, gamma).radius
        if abs(radius - 1.0) > 1e-9:
            assert stability.is_stable(one.moments, gamma) == (radius < 1.0)


# Trajectories and limits


def steps_of(one: Case) -> list[float]:
    limit = stability.step_size_limit(one.moments)
    return [0.05, 0.5] if limit is None else [0.3 * limit, 0.9 * limit, 1.2 * limit]


@pytest.mark.parametrize(("variant", "shape"), CASES)
def test_trajectories_and_limits(variant: str, shape: str) -> None:
    one = case(variant, shape)
    d = one.b.shape[1]
    x0 = np.linspace(3.0, -1.0, d)
    for gamma in steps_of(one):
        exact = enumerated(one, gamma)
        end, fixed = exact.limit()
        got = recursions.trajectory(one.moments, gamma, x0, 6)
        P, x = np.outer(x0, x0), x0
        for k in range(7):
            expected = measures(one, P, x, fixed)
            scale = max(np.abs(P).max(), fixed @ fixed) * max(1.0, np.trace(one.L.mean(axis=0)))
            close(got.mean[k], x, 1e-10)
            row = [got.gap[k], got.to_solution[k], got.to_fixed_point[k]]
            np.testing.assert_allclose(row, expected, rtol=1e-10, atol=1e-12 * scale)
            P, x = exact.after(P, x)
        limits = recursions.limits(one.moments, gamma)
        if exact.radius >= 1:
            assert limits is None
            continue
        close(limits.mean, fixed, 1e-9)
        expected = measures(one, end, fixed, fixed)
        scale = max(np.abs(end).max(), 1e-3) * max(1.0, np.trace(one.L.mean(axis=0)))
        row = [limits.gap, limits.to_solution, limits.to_fixed_point]
        np.testing.assert_allclose(row, expected, rtol=1e-8, atol=1e-11 * scale)
        assert limits.residual < 1e-8


@pytest.mark.parametrize("variant", ["merge", "preconditioned estimator", "dcgd, permutation"])
def test_long_trajectories_end_at_the_limit(variant: str) -> None:
    L, b = quadratics(3, 14)
    fitted = moments_of(VARIANTS[variant], L, b)
    gamma = 0.5 * stability.step_size_limit(fitted)
    limits = recursions.limits(fitted, gamma)
    rate = gamma * np.linalg.eigvalsh(fitted.M)[0]
    path = recursions.trajectory(fitted, gamma, np.ones(14), int(30 / rate))
    close(path.mean[-1], limits.mean, 1e-9)
    assert path.gap[-1] == pytest.approx(limits.gap, rel=1e-7)
    assert path.to_solution[-1] == pytest.approx(limits.to_solution, rel=1e-7)
    assert path.to_fixed_point[-1] == pytest.approx(limits.to_fixed_point, rel=1e-7)


def test_limit_beyond_reach_of_the_solver_is_none() -> None:
    fitted = case("merge", "3, 5").moments
    gamma = 0.5 * stability.step_size_limit(fitted)
    assert recursions.limits(fitted, gamma, stable=True, tolerance=1e-40) is None
    assert recursions.limits(fitted, gamma, stable=False) is None


def test_no_fixed_point() -> None:
    # C = 2 and B̄ = 1: with γ = 1 the round is x⁺ = x + 2b.
    fitted = moments_of(VARIANTS["preconditioned merge"], np.full((1, 1, 1), 0.25), np.ones((1, 1)))
    path = recursions.trajectory(fitted, 1.0, np.array([1.0]), 3)
    np.testing.assert_allclose(path.mean[:, 0], [1, 3, 5, 7])
    np.testing.assert_allclose(path.to_solution, [9, 1, 1, 9])
    assert np.isnan(path.to_fixed_point).all()
    assert recursions.limits(fitted, 1.0) is None


def test_interpolation_converges_to_the_solution() -> None:
    L, _ = quadratics(3, 6)
    fitted = moments_of({"name": "ist"}, L, np.zeros((3, 6)))
    gamma = 0.5 * stability.step_size_limit(fitted)
    limits = recursions.limits(fitted, gamma)
    assert limits.gap == limits.to_solution == 0.0
    # Without cancellation: the last gap is far below rounding of the first.
    assert 0 < recursions.trajectory(fitted, gamma, np.ones(6), 300).gap[-1] < 1e-30


def test_homogeneous_preconditioned_perm_1_is_a_straight_line() -> None:
    L, b = quadratics(1, 5)
    L, b = np.repeat(L, 5, axis=0), np.repeat(b, 5, axis=0)
    fitted = moments_of({"name": "ist", "scaling": "preconditioned"}, L, b)
    assert fitted.sigma_squared() == pytest.approx(0.0, abs=1e-14)
    path = recursions.trajectory(fitted, 0.25, np.full(5, 10.0), 100)
    line = path.to_fixed_point[0] * 0.75 ** (2.0 * np.arange(101))
    np.testing.assert_allclose(path.to_fixed_point, line, rtol=1e-3)  # down to 1e-23
    close(path.mean[-1], b[0] / np.sqrt(5 * np.diag(L[0])), 1e-9)  # (31)
    assert recursions.limits(fitted, 0.25).to_fixed_point == 0.0


def test_gradient_descent_without_a_floor() -> None:
    one = case("gradient descent", "3, 5")
    gamma = 1.0 / np.linalg.eigvalsh(one.L.mean(axis=0))[-1]
    path = recursions.trajectory(one.moments, gamma, np.ones(5), 60)
    x = np.ones(5)
    for k in range(61):
        assert path.gap[k] == pytest.approx(reference.gap(x, one.L, one.b), rel=1e-4, abs=1e-28)
        x = reference.gradient_descent_round(x, one.L, one.b, gamma)


@pytest.mark.parametrize("variant", ["gradient descent", "merge"])
def test_one_worker_has_no_noise_however_badly_conditioned(variant: str) -> None:
    L, b = quadratics(1, 12)
    scale = np.logspace(-2, 2, 12)
    fitted = moments_of(VARIANTS[variant], L * np.multiply.outer(scale, scale), b)
    gamma = 0.5 * stability.step_size_limit(fitted)
    distance = recursions.limits(fitted, gamma).to_fixed_point
    assert 0 <= distance < 1e-20 * np.sum(fitted.m**2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variant", "n", "runs"), [("merge", 5, 1500), ("preconditioned estimator", 7, 1500)]
)
def test_means_of_sampled_runs_at_d_50(variant: str, n: int, runs: int) -> None:
    d, rounds = 50, 3
    L, b = quadratics(n, d)
    settings = VARIANTS[variant]
    scaling = settings.get("scaling", "unbiased")
    fitted = moments_of(settings, L, b)
    gamma = 0.4 * stability.step_size_limit(fitted)
    rng = np.random.default_rng(5)
    edges = [d // n + (i < d % n) for i in range(n)]
    gaps = np.empty((runs, rounds))
    C_form = reference.default_form("permutation", scaling)
    for run in range(runs):
        x = np.ones(d)
        for k in range(rounds):
            cuts = np.cumsum(rng.permutation(edges))[:-1]
            blocks = np.split(rng.permutation(d), cuts)
            x = reference.ist_round(x, blocks, L, b, gamma, 1, "permutation", scaling, C_form)
            gaps[run, k] = reference.gap(x, L, b)
    expected = recursions.trajectory(fitted, gamma, np.ones(d), rounds).gap[1:]
    errors = gaps.std(axis=0) / np.sqrt(runs)
    assert (errors < 0.03 * expected).all()
    assert (np.abs(gaps.mean(axis=0) - expected) < 4.5 * errors).all()


# Bounds


@pytest.mark.parametrize(
    ("variant", "g"),
    [
        ("merge", 1),
        ("merge", 2),
        ("unscaled merge", 1),
        ("preconditioned estimator", 2),
        ("rand estimator", 1),
        ("dcgd, rand", 1),
        ("dcgd, permutation", 2),
    ],
)
def test_theorem_1_bounds_exact_expectations(variant: str, g: int) -> None:
    L, _ = quadratics(2, 4, seed=3)
    L += 20 * np.eye(4)  # so that there is a θ
    one = case_of(VARIANTS[variant] | {"group_size": g}, L, np.zeros((2, 4)))
    constants = theorems.theorem_one(one.moments)
    gamma, rounds = 1.0 / constants.theta, 12
    x0 = np.arange(1.0, 5.0)
    path = recursions.trajectory(one.moments, gamma, x0, rounds)
    for k in range(rounds + 1):
        bound = theorems.bound_16(constants.contraction(gamma), 2 * path.gap[0], k)
        assert 2 * path.gap[k] <= bound * (1 + 1e-12)
    M, L_mean = one.mean(lambda B, c, C: B), L.mean(axis=0)
    W = 0.5 * (L_mean @ M + M @ L_mean)
    exact = enumerated(one, gamma)
    P, x, left = np.outer(x0, x0), x0, 0.0
    for _ in range(rounds):
        left += np.trace(W @ P) / rounds
        P, x = exact.after(P, x)
    assert left <= theorems.bound_15(path.gap[0], path.gap[-1], gamma, rounds) * (1 + 1e-12)


@pytest.mark.parametrize("gamma", [0.1, 0.5, 0.9, 1.0])
def test_theorem_2_bounds_exact_expectations(gamma: float) -> None:
    one = case("preconditioned estimator", "n = d")
    rounds = 8
    path = recursions.trajectory(one.moments, gamma, np.full(4, 2.0), rounds)
    left = 2 * path.gap[:rounds].mean()  # ‖∇f(x)‖² in the norm of L̄⁻¹ is 2 (f(x) − f*)
    bias = reference.optimum(one.L, one.b) - one.mean(lambda B, c, C: c)
    size = bias @ one.L.mean(axis=0) @ bias
    sigma_squared = one.moments.sigma_squared()
    descent = theorems.bound_15(path.gap[0], path.gap[-1], gamma, rounds)
    sharp = theorems.sharper_bound(descent, gamma, size, sigma_squared)
    assert left <= sharp * (1 + 1e-12)
    if gamma == 1.0:
        assert left == pytest.approx(sharp, rel=1e-12)
        return
    beta = 0.5 * (1 - gamma) / (1 + gamma)
    assert sharp < theorems.bound_30(descent, gamma, size, sigma_squared, beta)


def test_bound_30_by_hand() -> None:
    # 7 + (2·4·(2/3) + 1/3)·3 + (1/3)·6 with β = 1/4, γ = 1/3 = (½−β)/(½+β)
    assert theorems.bound_30(7.0, 1 / 3, 3.0, 6.0, 0.25) == pytest.approx(7 + 16 + 1 + 2)
    assert theorems.sharper_bound(7.0, 1 / 3, 3.0, 6.0) == pytest.approx(7 + 3 + 2)
    assert theorems.bound_15(5.0, 1.0, 0.5, 4) == pytest.approx(4.0)
    assert theorems.bound_16(0.5, 8.0, 3) == pytest.approx(1.0)
    for gamma, beta in ((0.4, 0.25), (0.1, 0.5), (0.1, 0.0), (0.0, 0.1), (1.0, 0.1)):
        with pytest.raises(ValueError, match=r"\(30\)"):
            theorems.bound_30(7.0, gamma, 3.0, 6.0, beta)
