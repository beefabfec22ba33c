"""What step sizes are made of: eigenvalues of the problem, each found when it is asked for.

Everything here is collective, and the same to the bit on every rank and any number of ranks. Only
products are asked of the workers, except for the smallest eigenvalue, which no few products tell,
and for d small enough that dense algebra is quicker.
"""

from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from ist_mpi.exact_theory import krylov, matrix_free, stability
from ist_mpi.exact_theory.chains.chain import Chain
from ist_mpi.exact_theory.cost import (
    DENSE,
    MAX_RESTARTS,
    WORD_SECONDS,
    chain_seconds,
    out_of_patience,
)
from ist_mpi.exact_theory.moments.first import FirstMoments, mean_operator
from ist_mpi.exact_theory.moments.second import RoundMoments
from ist_mpi.exact_theory.objective import Means
from ist_mpi.exact_theory.operators import Slabs
from ist_mpi.exact_theory.over_ranks import OverRanks, moments_of
from ist_mpi.exact_theory.rules import StepRule, no_rule
from ist_mpi.exact_theory.step import Known, OwnTheory, Step
from ist_mpi.exact_theory.theorem_step import theory_step_size
from ist_mpi.exact_theory.theorems import theorem_one
from ist_mpi.exact_theory.units import Units, exponent
from ist_mpi.parallel.team import Team
from ist_mpi.problems.quadratic import LocalQuadratics
from ist_mpi.sketches.law import Exchangeable

Float64 = NDArray[np.float64]

QUICK = 1000
"""Largest d for which all eigenvalues of L̄ are found at once."""
HALVINGS = 12
"""Of a step size, before there is none."""
TOLERANCE = 1e-10
"""Relative, of Lanczos' method."""


class OfSketch:
    """What is known whatever the problem is."""

    def __init__(self, sketch: Any) -> None:
        self.n: int = sketch.n
        self.d: int = sketch.d
        self.blocks: float = sketch.n * sketch.d / sketch.total
        """N = d/q, q the mean size of a block: min(n, d) for a permutation."""
        self.sketch = sketch
        self.independent: bool = sketch.independent
        """Whether the workers' blocks are drawn independently of each other."""

    quadratic = True
    """Whether the functions are quadratics, or L_i but bounds of their Hessians."""
    mu = 0.0
    """What λ_min(L̄) is not below; 0: nothing is known."""


class Quantities(OfSketch):
    """What is known of a problem, for whoever makes a step size of it.

    Parameters
    ----------
    team : Team
    local : LocalQuadratics
    mean : Means
    known : Known
        Of the configured method.
    sketch : Sketch
    """

    def __init__(
        self, team: Team, local: LocalQuadratics, mean: Means, known: Known, sketch: Any
    ) -> None:
        super().__init__(sketch)
        self._team, self._local, self._mean, self._known = team, local, mean, known
        self._law = known.law

    @cached_property
    def l0(self) -> float:
        """λ_max(L̄)."""
        return self._largest_of_mean(FirstMoments(1.0, 1.0, 1.0))

    @cached_property
    def l1(self) -> float:
        """λ_max(M1), M1 = ρL̄ + (1 − ρ) D̄."""
        return self._largest_of_mean(self._first_moments())

    @cached_property
    def mu(self) -> float:  # type: ignore[override]  # a property: found when it is asked for
        """λ_min(L̄), or where L̄ is not formed what it is not below; 0: nothing is known."""
        mean = self._mean
        if not isinstance(mean.L, Slabs) or self.d > DENSE:
            return mean.least
        whole = mean.L.whole()
        found: float = self._team.on_root(
            lambda: (
                0.0 if whole is None else float(linalg.eigvalsh(whole, subset_by_index=[0, 0])[0])
            )
        )
        return max(found, mean.least, 0.0)

    @cached_property
    def rms(self) -> float:
        """√λ_max(mean L_i²)."""
        square = self._lanczos(self._mean_square, "mean L_i²")
        return float(np.ldexp(np.sqrt(square), self._exponent))

    @cached_property
    def spread(self) -> float:
        """v = √λ_max(mean L_i² − L̄²)."""
        if self.n == 1 or self._local.homogeneous:
            return 0.0
        of_mean, scaled = self._mean.L.product_everywhere, self._scaled

        def apply(v: Float64) -> Float64:
            return self._mean_square(v) - scaled(of_mean(scaled(of_mean(v))))

        square = max(0.0, self._lanczos(apply, "mean L_i² − L̄²"))
        return float(np.ldexp(np.sqrt(square), self._exponent))

    @cached_property
    def largest(self) -> float:
        """max_i λ_max(L_i)."""
        local = self._local
        each = [
            krylov.extreme_eigenvalue(
                partial(local.product, u), self.d, True, TOLERANCE, MAX_RESTARTS
            )
            for u in range(len(local.b))
        ]
        mine = np.array([np.nan if value is None else value for value in each])
        found = float(self._team.all_workers(mine[local.index]).max())
        if np.isnan(found):
            raise no_rule("default", "Lanczos' method does not find λ_max(L_i)")
        return found

    @cached_property
    def tight_alpha(self) -> float:
        """λ_max(M1^{−1/2} L̄ M1^{−1/2}), at least 1."""
        mean, first = self._mean.L, self._first_moments()
        if not isinstance(mean, Slabs) or self.d > DENSE:
            raise no_rule("default", f'alpha = "tight" needs d × d matrices, d = {self.d}')
        whole = mean.whole()

        def solve() -> float:
            if whole is None:
                return 1.0
            M1, last = mean_operator(first, whole.copy()), self.d - 1
            return float(linalg.eigvalsh(whole, M1, subset_by_index=[last, last])[0])

        found: float = self._team.on_root(solve)
        return max(1.0, found)

    def stable(self, own: OwnTheory | None, gamma: float) -> float | None:
        """γ, halved until second moments fall in the long run; None where that is not to be had."""
        if own is None or chain_seconds(own) > WORD_SECONDS or self.d > DENSE:
            return None
        workers = OverRanks(self._team, self._local, self._known, self._mean)
        chain_at = own.build(self._law, workers, self.n, self.d)
        for _ in range(HALVINGS):
            chain: Chain = chain_at(workers.units.step_size(gamma))
            if chain.contraction() < 1.0:
                return gamma
            gamma /= 2.0
        raise no_rule("default", f"second moments grow down to γ = {2 * gamma:.3g}")

    @property
    def out_of_patience(self) -> bool:
        """Whether `stability_limit` takes too long to wait for."""
        return out_of_patience(self._local.homogeneous, self.n, self.d)

    def stability_limit(self, step: Step | None = None) -> float | None:
        """γ_max of such a round, by default the method's; None where it is not known."""
        known = self._known if step is None else Known(step, self._law)
        if not known.closed or self.d > DENSE:
            return None
        return self._limit(*moments_of(self._team, self._local, known, self._mean))

    @staticmethod
    def _limit(moments: RoundMoments, units: Units) -> float | None:
        found = stability.step_size_limit(moments)
        return None if found is None else units.number("stable_step_size_limit", found)

    def theorem_one_limit(self) -> float:
        """1/θ of the method's round; InputError where there is none."""
        return theory_step_size(self._team, self._local, self._known, self._mean)

    def theorem_or_half_limit(self) -> StepRule:
        """1/θ where it exists, else γ_max/2; InputError where there is neither."""
        known = self._known
        if not known.closed:
            raise no_rule("default", known.why_not)
        if self.d > DENSE:
            raise no_rule("default", f"d = {self.d}", f"a number, or d ≤ {DENSE}")
        moments, units = moments_of(self._team, self._local, known, self._mean)
        found = theorem_one(moments)
        if found is not None and found.theta:
            limit = units.number("step_size_limit", 1.0 / found.theta)
            return StepRule(limit, "1/θ of Theorem 1", proved=True)
        largest = self._limit(moments, units)
        if largest is None:
            raise no_rule("default", "there is neither a θ nor a γ_max")
        return StepRule(largest / 2, "γ_max/2: no θ exists", proved=True)

    def _first_moments(self) -> FirstMoments:
        """Of M1."""
        law = self._law
        if not isinstance(law, Exchangeable):
            raise no_rule("default", "nothing is known of the sketch's draws")
        return FirstMoments(1.0, law.rho, 1.0, law.group_size)

    def _largest_of_mean(self, first: FirstMoments) -> float:
        """λ_max of a mean of L̄ and its diagonal."""
        mean = self._mean.L
        if not isinstance(mean, Slabs) or self.d > QUICK:
            return self._lanczos(matrix_free.mean_product(first, mean), "L̄")
        whole = mean.whole()
        found: float = self._team.on_root(
            lambda: (
                0.0 if whole is None else float(linalg.eigvalsh(mean_operator(first, whole))[-1])
            )
        )
        return found

    def _mean_square(self, v: Float64) -> Float64:
        """mean L_i² v, for the L_i of `_scaled`."""
        team, local, scaled = self._team, self._local, self._scaled

        def image(worker: int) -> Float64:
            u = int(local.index[worker - team.first])
            return scaled(local.product(u, scaled(local.product(u, v))))

        slab = team.mean_rows(image, (self.d,))
        return np.asarray(team.whole(slab, everywhere=True))

    @cached_property
    def _exponent(self) -> int:
        """Of two, of numbers of L̄ whose squares may leave the range of float64; mostly 0."""
        return exponent(self._mean.L.diagonal)

    def _scaled(self, image: Float64) -> Float64:
        """An image under L̄ or L_i, by this exponent less."""
        return np.asarray(np.ldexp(image, -self._exponent)) if self._exponent else image

    def _lanczos(self, apply: krylov.Product, what: str) -> float:
        found = krylov.extreme_eigenvalue(apply, self.d, True, TOLERANCE, MAX_RESTARTS)
        if found is None:
            raise no_rule("default", f"Lanczos' method does not find the eigenvalue of {what}")
        return found
