"""What is known of logistic regression without running: x*, x∞, the bounds that step sizes need.

No Hessian of f_i exceeds L_i = A_iᵀA_i/(4 m_i) + l2 I. With these matrices l0 = λ_max(L̄),
l1 = λ_max(ρL̄ + (1 − ρ)D̄), √λ_max(mean L_i²) and max λ_max(L_i) are what they are for quadratics,
and μ = l2; what takes more than bounds (θ, γ_max, W̄, σ², E f) is not known. All is collective.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from scipy.sparse.linalg import LinearOperator, cg

from ist_mpi.errors import Fault, InputError
from ist_mpi.exact_theory import submodel_objective as submodels
from ist_mpi.exact_theory.bounds import Bounds
from ist_mpi.exact_theory.constants import Constants
from ist_mpi.exact_theory.cost import HESSIANS, Effort
from ist_mpi.exact_theory.minimise import (
    GOAL,
    Direction,
    Minimum,
    few_vectors,
    minimise,
)
from ist_mpi.exact_theory.step import Known
from ist_mpi.parallel.team import Team
from ist_mpi.problems.local_logistic import LocalLogistic
from ist_mpi.sketches.law import Exchangeable

Float64 = NDArray[np.float64]

Hessian = Callable[[int, Float64], Float64]
"""(worker, x) ↦ (d, d)."""

BLOCKS = 20_000
"""Most blocks of a worker that are gone through one by one."""
ENTRIES = 1e8
"""Numbers that an evaluation of f_D may read: every block of every draw, of all samples."""
MARGINS = 3e5
"""Of all blocks, where "auto" goes through them: some milliseconds a logged round."""
HELD = 2e7
"""Numbers of the blocks of a sample."""
DRAWS = 2000
"""Of a sample, at most."""
COARSE = 0.05
"""Error of x∞ with normal margins from which on "auto" corrects it by a sample."""
SAMPLED = 1e-10
"""Of the gradient of a sample's average, whose error is far larger."""
SEED = 20_240_721
"""Of the sample of draws, which is the same for every run."""


class Solution(NamedTuple):
    """Of f, and where the mean iterate goes; in the place of a `Prediction`."""

    x_star: Float64
    f_star: float
    fixed_point: Float64 | None
    mean_step_size_limit: float = math.nan


class FixedPoint(NamedTuple):
    """x∞, and how it was found."""

    x: Float64
    how: str
    objective: Callable[[Float64], float] | None
    """f_D, exactly, of the sample or with normal margins; None: it is f, or not followed."""
    value: float
    """f_D(x∞)."""
    error: float
    """Standard error of x∞, relative to ‖x∞‖; 0: none but rounding; NaN: not known."""


class LogisticTheory:
    """See `training.functions.FunctionTheory`."""

    def __init__(
        self,
        team: Team,
        local: LocalLogistic,
        known: Known,
        sketch: Any,
        problem: Any,
        effort: Effort,
    ) -> None:
        self._team, self._local, self._known, self._effort = team, local, known, effort
        self._l2: float = problem.l2
        own = np.array([float(local.entries(i)) for i in range(team.first, team.last)])
        self._entries = float(team.all_workers(own).sum())
        self._samples = float(team.all_workers(local.storage.samples.astype(np.float64)).sum())
        self.quantities = Bounds(team, local.bounds, self._entries, known, sketch, problem.l2)
        self._x_star = self._minimum()
        self._found = self._fixed_point(problem.fixed_point)
        fixed = None if self._found is None else self._found.x
        self.prediction = Solution(self._x_star.x, self._x_star.value, fixed)
        with_gap = self._found is not None and self._found.objective is not None
        self.columns: Mapping[str, tuple[str, str]] = (
            {"submodel_gap": ("1", "f_D(x) - f_D at its minimiser, f_D what submodels minimise")}
            if with_gap
            else {}
        )

    def measure(self, x: Float64) -> Mapping[str, float]:
        """The gap of f_D, where it is not f."""
        found = self._found
        if found is None or found.objective is None:
            return {}
        return {"submodel_gap": found.objective(x) - found.value}

    def constants(self, x0: Float64, value: Callable[[Float64], float], known: Known) -> Constants:
        """Gaps of x∞ and of 0, and the bounds."""
        f_star = self._x_star.value
        at_zero, at_start = value(np.zeros(x0.size)) - f_star, value(x0) - f_star
        numbers: dict[str, float | None] = {"gap_at_zero": at_zero}
        words, further = {}, dict[str, float | None](solution_residual=self._x_star.residual)
        estimated: tuple[str, ...] = ()
        if (found := self._found) is not None:
            gap = max(0.0, value(found.x) - f_star)
            numbers["fixed_point_relative_gap"] = gap / at_start if at_start > 0 else None
            numbers["fixed_point_gap_over_zero"] = gap / at_zero if at_zero > 0 else None
            words["fixed_point_rule"] = found.how
            further["fixed_point_error"] = found.error
            if found.error != 0.0:
                estimated = ("fixed_point_relative_gap", "fixed_point_gap_over_zero")
        if self._effort != "none":
            of = self.quantities
            further |= {"l0": of.l0, "l1": of.l1, "mu": of.mu, "rms": of.rms}
            further["expected_smoothness"] = of.expected_smoothness
        left_out = {k: known.why_not for k in Constants().values() if k not in numbers}
        made = Constants.of(numbers, left_out, estimated)
        return replace(made, further=further, words=words)

    # -- f ----------------------------------------------------------------------------------

    def _over_workers(self, parts: Callable[[int], tuple[float, Float64]]) -> tuple[float, Float64]:
        """The means of values and of vectors (d,) of the workers, on every rank."""
        team = self._team
        own = [parts(worker) for worker in range(team.first, team.last)]
        value = math.fsum(team.all_workers(np.array([one[0] for one in own]))) / team.n
        slab = team.mean_rows(lambda worker: own[worker - team.first][1], (team.d,))
        return value, np.asarray(team.whole(slab, everywhere=True))

    def _f(self, x: Float64) -> tuple[float, Float64]:
        local = self._local
        return self._over_workers(lambda i: (local.value(i, x), local.gradient(i, x)))

    def _minimum(self) -> Minimum:
        """x* by Newton's method, its systems solved by Cholesky's or by conjugate gradients."""
        team, local = self._team, self._local
        start = np.zeros(team.d)
        if team.d > HESSIANS:
            return minimise(self._f, self._by_products, start)
        H = {i: local.half_samples(i) for i in range(team.first, team.last)}

        def hessian(worker: int, x: Float64) -> Float64:
            A = H[worker]
            bent = 4.0 * submodels.margins_curvature(2.0 * (A @ x)) / A.shape[0]
            found = submodels.gram(A, bent)
            found[np.diag_indices(team.d)] += self._l2
            return found

        return minimise(self._f, self._newton(hessian), start)

    def _by_products(self, x: Float64, g: Float64) -> Float64:
        """About Newton's direction for f, from products with Hessians of the workers alone."""
        team, local = self._team, self._local
        products = {i: local.curved(i, x) for i in range(team.first, team.last)}

        def image(p: Float64) -> Float64:
            slab = team.mean_rows(lambda i: products[i](p.ravel()), (team.d,))
            return np.asarray(team.whole(slab, everywhere=True))

        A = LinearOperator((team.d, team.d), matvec=image, dtype=np.float64)
        p, _ = cg(A, -g, rtol=1e-3, atol=0.0, maxiter=1000)
        return np.asarray(p)

    def _mean_hessian(self, hessian: Hessian, x: Float64) -> Float64 | None:
        """The mean of the workers' Hessians (d, d) on rank 0."""
        team = self._team
        return team.whole(team.mean_rows(lambda i: hessian(i, x), (team.d, team.d)))

    def _newton(self, hessian: Hessian) -> Direction:
        """Newton's direction from the Hessians of workers, solved for on rank 0."""

        def direction(x: Float64, g: Float64) -> Float64:
            whole = self._mean_hessian(hessian, x)
            found: Float64 = self._team.on_root(
                lambda: g if whole is None else linalg.solve(whole, -g, assume_a="pos")
            )
            return found

        return direction

    # -- f_D --------------------------------------------------------------------------------

    def _fixed_point(self, wish: str) -> FixedPoint | None:
        """x∞; None where it is not known."""
        known, star = self._known, self._x_star
        whole = FixedPoint(star.x, "x*: the mean step is ∇f", None, star.value, 0.0)
        if known.own is not None:
            return whole
        law, step = known.law, known.step
        if step is None or not isinstance(law, Exchangeable):
            return None
        if step.multiplies_model or step.local_steps > 1:
            return None
        if (law.one_draw and not law.preconditioned) or not step.two_sided:
            return whole
        how = self._way(wish, law)
        if how == "exact":
            return self._of_blocks(law, submodels.all_blocks(law, self._team.d), "exact")
        if how == "sampled":
            return self._of_sample(law)
        if not how:
            return None
        return self._of_normal_margins(law, wish == "auto")

    def _of_sample(self, law: Exchangeable) -> FixedPoint:
        """x∞ of a sample of draws."""
        draws = self._draws()
        rng = np.random.default_rng(SEED)
        blocks = submodels.sampled_blocks(law, self._team.d, draws, rng)
        return self._of_blocks(law, blocks, f"the average over {draws} draws", draws)

    def _way(self, wish: str, law: Exchangeable) -> str:
        """How f_D is evaluated, "" for no way; InputError where it cannot be as it was wished."""
        d = self._team.d
        count = submodels.count(law, d)
        few = count <= BLOCKS and count * self._entries <= ENTRIES and d <= HESSIANS
        normal = law.group_size == 1
        trouble = {
            "exact": "" if few else f"{count:.3g} blocks and {self._entries:.3g} numbers",
            "sampled": "" if d <= HESSIANS else f"d = {d}",
            "gaussian": "" if normal else f"groups of {law.group_size} coordinates",
        }
        if wish != "auto":
            if trouble[wish]:
                allowed = [f'"{name}"' for name, why in trouble.items() if not why]
                got = f'"{wish}" for {trouble[wish]}'
                error = InputError(Fault("problem.fixed_point", got, " or ".join(allowed)))
                error.agreed = True
                raise error
            return wish
        if few and count * self._samples <= MARGINS:
            return "exact"
        return next((name for name in ("gaussian", "sampled") if not trouble[name]), "")

    def _draws(self) -> int:
        """Of a sample, so that it takes some 100 MB at most, and an evaluation about a second."""
        held = self.quantities.blocks * self._team.d
        return int(min(DRAWS, max(16.0, min(ENTRIES / self._entries, HELD / held))))

    def _roots(self, law: Exchangeable) -> Callable[[int], Float64 | None]:
        """Worker ↦ D_i^{−1/2}, where sketches have it."""
        if not law.preconditioned:
            return lambda worker: None
        roots = 1.0 / np.sqrt(self._local.diagonals)
        return lambda worker: np.asarray(roots[worker - self._team.first])

    def _of_blocks(
        self,
        law: Exchangeable,
        blocks: submodels.Blocks,
        how: str,
        draws: int = 0,
    ) -> FixedPoint:
        """x∞ of a list of blocks, all that there are or a sample."""
        team, root = self._team, self._roots(law)
        of = {
            i: submodels.OverBlocks(self._local.half_samples(i), self._l2, blocks, root(i))
            for i in range(team.first, team.last)
        }

        def function(x: Float64) -> tuple[float, Float64]:
            return self._over_workers(lambda i: of[i].value_gradient(x))

        def hessian(worker: int, x: Float64) -> Float64:
            return of[worker].hessian(x)

        goal = SAMPLED if draws else GOAL
        found = minimise(function, self._newton(hessian), self._x_star.x, goal)
        error = 0.0
        if draws:
            error = self._shift(of, hessian, found.x, draws)[1] / float(np.linalg.norm(found.x))
        return FixedPoint(found.x, how, self._objective(of), found.value, error)

    def _of_normal_margins(self, law: Exchangeable, corrected: bool) -> FixedPoint:
        """x∞ with normal margins; its error is estimated by a sample of draws.

        `corrected`: where that is large, with a step of Newton's on the average over the sample.
        """
        team, root, local = self._team, self._roots(law), self._local
        of = {
            i: submodels.Gaussian(local.half_samples(i), self._l2, law, root(i))
            for i in range(team.first, team.last)
        }

        def function(x: Float64) -> tuple[float, Float64]:
            return self._over_workers(lambda i: of[i].value_gradient(x))

        def hessian(worker: int, x: Float64) -> Float64:
            return of[worker].hessian(x)

        how = "normal margins, approximately"
        start = np.zeros(team.d)
        if team.d > HESSIANS:
            found = few_vectors(function, start)
            return FixedPoint(found.x, how, self._objective(of), found.value, math.nan)
        found = minimise(function, self._newton(hessian), start)
        draws = self._draws()
        blocks = submodels.sampled_blocks(law, team.d, draws, np.random.default_rng(SEED))
        sample = {
            i: submodels.OverBlocks(local.half_samples(i), self._l2, blocks, root(i)) for i in of
        }
        way, spread = self._shift(sample, hessian, found.x, draws)
        error = _relative(way, spread, found.x)
        made = FixedPoint(found.x, how, self._objective(of), found.value, error)
        if not corrected or not error > COARSE:
            return made
        there = found.x + way
        better = _relative(*self._shift(sample, hessian, there, draws), there)
        how = f"normal margins, corrected by the average over {draws} draws"
        return FixedPoint(there, how, None, math.nan, better) if better < error else made

    def _objective(self, of: Mapping[int, Any]) -> Callable[[Float64], float]:
        """x ↦ the mean of what the workers' parts of f_D are, on every rank."""
        team = self._team

        def value(x: Float64) -> float:
            own = np.array([of[worker].value(x) for worker in range(team.first, team.last)])
            return math.fsum(team.all_workers(own)) / team.n

        return value

    def _shift(
        self,
        of: Mapping[int, submodels.OverBlocks],
        hessian: Hessian,
        x: Float64,
        draws: int,
    ) -> tuple[Float64, float]:
        """A step of Newton's on the average over draws, from x, and the standard error of it."""
        team = self._team
        shape = (team.d, draws)
        slab = team.mean_rows(lambda i: of[i].gradients_of_draws(x, draws).T, shape)
        each, whole = team.whole(slab), self._mean_hessian(hessian, x)

        def solve() -> tuple[Float64, float]:
            if each is None or whole is None:
                return x, 0.0
            steps = linalg.solve(whole, -draws * each, assume_a="pos")  # of every draw
            spread = float(np.sqrt(steps.var(axis=1, ddof=1).sum() / draws))
            return steps.mean(axis=1), spread

        found: tuple[Float64, float] = team.on_root(solve)
        return found


def _relative(way: Float64, spread: float, x: Float64) -> float:
    """The size of a step with its standard error, relative to ‖x‖."""
    return float(math.hypot(float(np.linalg.norm(way)), spread) / np.linalg.norm(x))
