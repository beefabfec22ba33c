"""x∞ of logistic regression: where the mean iterate goes as the step size goes to 0.

The minimiser of f_D (see `submodels`): exactly, of a sample of draws, or with normal
margins. All is collective.
"""

import logging
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from ist_mpi.errors import Fault, InputError
from ist_mpi.exact_theory.cost import HESSIANS
from ist_mpi.exact_theory.logistic import submodels
from ist_mpi.exact_theory.logistic.minimise import (
    GOAL,
    Function,
    Minimum,
    few_vectors,
    minimise,
)
from ist_mpi.exact_theory.logistic.objective import Hessian, Objective
from ist_mpi.exact_theory.step import Known
from ist_mpi.sketches.law import Exchangeable
from ist_mpi.sums import exact_sum

LOGGER = logging.getLogger(__name__)
Float64 = NDArray[np.float64]

BLOCKS = 20_000
"""Most blocks of a worker that are gone through one by one."""
ENTRIES = 1e8
"""Numbers that an evaluation of f_D may read: of all samples for every draw, of its blocks."""
MARGINS = 3e5
"""Of all blocks, where "auto" goes through them: some milliseconds a logged round."""
HELD = 2e7
"""Numbers of the blocks of a sample."""
COARSE = 0.05
"""Error of x∞ with normal margins beyond which "auto" takes that of the sample."""
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
    """How far x∞ is off, about, relative to ‖x∞‖; 0: by rounding alone; NaN: not known."""


class Effort(NamedTuple):
    """That goes into a sample."""

    draws: int
    """At most."""
    goal: float
    """Of the gradient of its average, relative to that with normal margins."""


ASKED = Effort(2000, 1e-8)
UNASKED = Effort(400, 1e-3)
"""What is then left of the gradient is part of the error; no gap is taken to such an x∞."""


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
        d, how = self._team.d, self._way(wish)
        if not how:
            return None
        if how == "exact":
            LOGGER.info("solving for x∞ over all blocks")
            of, found = self._of_blocks(submodels.all_blocks(self._law, d), self._x_star, GOAL)
            return FixedPoint(found.x, how, self._objective(of), found.value, 0.0)
        normal = self._of_normal_margins() if self._law.group_size == 1 else None
        if normal is not None and d > HESSIANS:
            return normal
        start = self._x_star if normal is None else normal.x
        sampled = self._of_sample(start, ASKED if how == "sampled" else UNASKED)
        if normal is None or how == "sampled":
            return sampled
        far = float(np.linalg.norm(normal.x - sampled.x))
        unsure = sampled.error * float(np.linalg.norm(sampled.x))
        error = _relative(math.hypot(far, unsure), normal.x)
        if wish == "auto" and error > COARSE:
            return sampled._replace(objective=None, value=math.nan)  # too slow for every row
        return normal._replace(error=error)

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

    def _draws(self, most: int) -> int:
        """Of a sample, so that it takes some 100 MB at most, and an evaluation about a second."""
        held = self._work.blocks * self._team.d
        read = max(self._work.entries, self._team.n * held)
        return int(min(most, max(16.0, min(ENTRIES / read, HELD / held))))

    def _of_sample(self, start: Float64, effort: Effort) -> FixedPoint:
        """x∞ of a sample of draws, with the standard error of it."""
        d, draws = self._team.d, self._draws(effort.draws)
        LOGGER.info("solving for x∞ over %d draws", draws)
        rng = np.random.default_rng(SEED)
        blocks = submodels.sampled_blocks(self._law, d, draws, rng)
        of, found = self._of_blocks(blocks, start, effort.goal)
        error = self._standard_error(of, found.x, draws)
        how = f"the average over {draws} draws"
        return FixedPoint(found.x, how, self._objective(of), found.value, error)

    def _of_blocks(
        self, blocks: submodels.Blocks, start: Float64, goal: float
    ) -> tuple[Mapping[int, Any], Minimum]:
        """The workers' parts of f_D over these blocks, and its minimum."""
        of = self._parts(lambda H, root: submodels.OverBlocks(H, self._f.l2, blocks, root))
        return of, minimise(self._mean(of), self._f.newton(_hessians(of)), start, goal)

    def _of_normal_margins(self) -> FixedPoint:
        """x∞ with normal margins."""
        LOGGER.info("solving for x∞ with normal margins")
        of = self._parts(lambda H, root: submodels.Gaussian(H, self._f.l2, self._law, root))
        function, start = self._mean(of), np.zeros(self._team.d)
        if start.size > HESSIANS:
            found = few_vectors(function, start)
        else:
            found = minimise(function, self._f.newton(_hessians(of)), start)
        how = "normal margins, approximately"
        return FixedPoint(found.x, how, self._objective(of), found.value, math.nan)

    def _parts(self, made: Callable[[Any, Float64 | None], Any]) -> Mapping[int, Any]:
        """The workers' parts of f_D, made of Y A/2 and, where sketches have it, D_i^{−1/2}."""
        f, team = self._f, self._team
        roots = 1.0 / np.sqrt(f.local.diagonals) if self._law.preconditioned else None
        return {
            i: made(f.local.half_samples(i), None if roots is None else roots[i - team.first])
            for i in range(team.first, team.last)
        }

    def _mean(self, of: Mapping[int, Any]) -> Function:
        """f_D with its gradient, of the workers' parts."""
        return lambda x: self._f.over_workers(lambda i: of[i].value_gradient(x))

    def _objective(self, of: Mapping[int, Any]) -> Callable[[Float64], float]:
        """x ↦ the mean of what the workers' parts of f_D are, on every rank."""
        team = self._team

        def value(x: Float64) -> float:
            own = np.array([of[worker].value(x) for worker in range(team.first, team.last)])
            return exact_sum(team.all_workers(own)) / team.n

        return value

    def _standard_error(self, of: Mapping[int, Any], x: Float64, draws: int) -> float:
        """Of a sample's x∞, relative to its norm: by Newton's steps of every draw alone from it."""
        team = self._team
        shape = (team.d, draws)
        slab = team.mean_rows(lambda i: of[i].gradients_of_draws(x, draws).T, shape)
        each, whole = team.whole(slab), self._f.mean_hessian(_hessians(of), x)

        def solve() -> float:
            if each is None or whole is None:
                return 0.0
            steps = linalg.solve(whole, draws * each, assume_a="pos")
            squared = steps.var(axis=1, ddof=1) / draws + steps.mean(axis=1) ** 2
            return _relative(math.sqrt(float(squared.sum())), x)

        found: float = team.on_root(solve)
        return found


def _relative(distance: float, x: Float64) -> float:
    """To ‖x‖; NaN where that is 0."""
    norm = float(np.linalg.norm(x))
    return distance / norm if norm > 0 else math.nan


def _hessians(of: Mapping[int, Any]) -> Hessian:
    """Those of the workers' parts of f_D."""
    return lambda worker, x: np.asarray(of[worker].hessian(x))
