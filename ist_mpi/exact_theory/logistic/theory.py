"""What is known of logistic regression without running: x*, x∞, the bounds that step sizes need.

No Hessian of f_i exceeds L_i = A_iᵀA_i/(4 m_i) + l2 I. With these matrices l0 = λ_max(L̄),
l1 = λ_max(ρL̄ + (1 − ρ)D̄), √λ_max(mean L_i²) and max λ_max(L_i) are what they are for quadratics,
and μ = l2; what takes more than bounds (θ, γ_max, W̄, σ², E f) is not known. All is collective.
"""

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ist_mpi.exact_theory.bounds import Bounds
from ist_mpi.exact_theory.constants import Constants
from ist_mpi.exact_theory.cost import Effort
from ist_mpi.exact_theory.logistic.fixed_point import Work, fixed_point
from ist_mpi.exact_theory.logistic.objective import Objective
from ist_mpi.exact_theory.missing import FROM_SOLUTION, ZERO_IS_SOLUTION
from ist_mpi.exact_theory.step import Known
from ist_mpi.parallel.team import Team
from ist_mpi.problems.local_logistic import LocalLogistic

LOGGER = logging.getLogger(__name__)
Float64 = NDArray[np.float64]


REASONS = {
    "fixed_point_relative_gap": FROM_SOLUTION,
    "fixed_point_gap_over_zero": ZERO_IS_SOLUTION,
    "fixed_point_error": "no sample of draws was taken that it is estimated from",
    "expected_smoothness": "no bound is known of blocks that overlap, or that D_i^{−1/2} scales",
}
"""Why a number is missing although x∞ is known, and bounds are."""


class Solution(NamedTuple):
    """Of f, and where the mean iterate goes; in the place of a `Prediction`."""

    x_star: Float64
    f_star: float
    fixed_point: Float64 | None
    mean_step_size_limit: float = math.nan


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
        self._effort = effort
        own = np.array([float(local.entries(i)) for i in range(team.first, team.last)])
        entries = float(team.all_workers(own).sum())
        samples = float(team.all_workers(local.storage.samples.astype(np.float64)).sum())
        self.quantities = Bounds(team, local.bounds, entries, known, sketch, problem.l2)
        f = Objective(team, local, problem.l2)
        LOGGER.info("solving for x*")
        self._x_star = f.minimum()
        work = Work(entries, samples, self.quantities.blocks)
        self._found = fixed_point(f, self._x_star, known, problem.fixed_point, work)
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
            further["fixed_point_error"] = None if math.isnan(found.error) else found.error
            if found.error != 0.0:
                estimated = ("fixed_point_relative_gap", "fixed_point_gap_over_zero")
        if self._effort != "none":
            of = self.quantities
            further |= {"l0": of.l0, "l1": of.l1, "mu": of.mu, "rms": of.rms}
            further["expected_smoothness"] = of.expected_smoothness
        left_out = {k: known.why_not for k in Constants().values() if k not in numbers}
        made = Constants.of(numbers, left_out, estimated)
        undefined = {}
        for name, why in REASONS.items():
            number = (numbers | further).get(name, 0.0)
            if number is None or math.isnan(number):
                undefined[name] = why
        return replace(made, further=further, words=words, undefined=undefined)
