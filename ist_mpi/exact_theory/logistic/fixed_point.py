"""x∞ of logistic regression: where the mean iterate goes as the step size goes to 0.

The minimiser of f_D (see `submodels`): exactly, of a sample of draws, or with normal
margins. All is collective.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from ist_mpi.errors import Fault, InputError
from ist_mpi.exact_theory.cost import HESSIANS
from ist_mpi.exact_theory.logistic import submodels
from ist_mpi.exact_theory.logistic.minimise import GOAL, Minimum, few_vectors, minimise
from ist_mpi.exact_theory.logistic.objective import Hessian, Objective
from ist_mpi.exact_theory.step import Known
from ist_mpi.sketches.law import Exchangeable
from ist_mpi.sums import exact_sum

Float64 = NDArray[np.float64]

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


class Work(NamedTuple):
    """What an evaluation of f_D goes through."""

    entries: float
    """Numbers of the samples of all workers."""
    samples: float
    """Of all workers."""
    blocks: float
    """That a draw stands for, each with every owner."""


def fixed_point(
    f: Objective, star: Minimum, known: Known, wish: str, work: Work
) -> FixedPoint | None:
    """x∞, found as `problem.fixed_point` wishes; None where it is not known.

    Raises
    ------
    InputError
        On every rank, where it cannot be found in the way that is wished.
    """
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
    return _Search(f, star.x, law, work).by(wish)


class _Search:
    """The ways to x∞ = argmin f_D."""

    def __init__(self, f: Objective, x_star: Float64, law: Exchangeable, work: Work) -> None:
        self._f, self._x_star, self._law, self._work = f, x_star, law, work
        self._team = f.team

    def by(self, wish: str) -> FixedPoint | None:
        """x∞ in the way that is wished; None where there is none."""
        how = self._way(wish)
        if how == "exact":
            return self._of_blocks(submodels.all_blocks(self._law, self._team.d), "exact")
        if how == "sampled":
            draws = self._draws()
            return self._of_blocks(self._sample(draws), f"the average over {draws} draws", draws)
        if not how:
            return None
        return self._of_normal_margins(wish == "auto")

    def _way(self, wish: str) -> str:
        """How f_D is evaluated, "" for no way; InputError where it cannot be as it was wished."""
        d, law, work = self._team.d, self._law, self._work
        count = submodels.count(law, d)
        few = count <= BLOCKS and count * work.entries <= ENTRIES and d <= HESSIANS
        normal = law.group_size == 1
        trouble = {
            "exact": "" if few else f"{count:.3g} blocks and {work.entries:.3g} numbers",
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
        if few and count * work.samples <= MARGINS:
            return "exact"
        return next((name for name in ("gaussian", "sampled") if not trouble[name]), "")

    def _draws(self) -> int:
        """Of a sample, so that it takes some 100 MB at most, and an evaluation about a second."""
        held = self._work.blocks * self._team.d
        return int(min(DRAWS, max(16.0, min(ENTRIES / self._work.entries, HELD / held))))

    def _sample(self, draws: int) -> submodels.Blocks:
        """The blocks of so many draws."""
        rng = np.random.default_rng(SEED)
        return submodels.sampled_blocks(self._law, self._team.d, draws, rng)

    def _roots(self) -> Callable[[int], Float64 | None]:
        """Worker ↦ D_i^{−1/2}, where sketches have it."""
        if not self._law.preconditioned:
            return lambda worker: None
        roots = 1.0 / np.sqrt(self._f.local.diagonals)
        return lambda worker: np.asarray(roots[worker - self._team.first])

    def _of_blocks(self, blocks: submodels.Blocks, how: str, draws: int = 0) -> FixedPoint:
        """x∞ of a list of blocks, all that there are or a sample."""
        f, team, root = self._f, self._team, self._roots()
        of = {
            i: submodels.OverBlocks(f.local.half_samples(i), f.l2, blocks, root(i))
            for i in range(team.first, team.last)
        }

        def function(x: Float64) -> tuple[float, Float64]:
            return f.over_workers(lambda i: of[i].value_gradient(x))

        def hessian(worker: int, x: Float64) -> Float64:
            return of[worker].hessian(x)

        goal = SAMPLED if draws else GOAL
        found = minimise(function, f.newton(hessian), self._x_star, goal)
        error = 0.0
        if draws:
            error = self._shift(of, hessian, found.x, draws)[1] / float(np.linalg.norm(found.x))
        return FixedPoint(found.x, how, self._objective(of), found.value, error)

    def _of_normal_margins(self, corrected: bool) -> FixedPoint:
        """x∞ with normal margins; its error is estimated by a sample of draws.

        `corrected`: where that is large, with a step of Newton's on the average over the sample.
        """
        f, team, root = self._f, self._team, self._roots()
        of = {
            i: submodels.Gaussian(f.local.half_samples(i), f.l2, self._law, root(i))
            for i in range(team.first, team.last)
        }

        def function(x: Float64) -> tuple[float, Float64]:
            return f.over_workers(lambda i: of[i].value_gradient(x))

        def hessian(worker: int, x: Float64) -> Float64:
            return of[worker].hessian(x)

        how = "normal margins, approximately"
        start = np.zeros(team.d)
        if team.d > HESSIANS:
            found = few_vectors(function, start)
            return FixedPoint(found.x, how, self._objective(of), found.value, math.nan)
        found = minimise(function, f.newton(hessian), start)
        draws = self._draws()
        blocks = self._sample(draws)
        sample = {
            i: submodels.OverBlocks(f.local.half_samples(i), f.l2, blocks, root(i)) for i in of
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
            return exact_sum(team.all_workers(own)) / team.n

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
        each, whole = team.whole(slab), self._f.mean_hessian(hessian, x)

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
