"""The constants of theory for a run: which can be had, at what cost, and their values.

Everything here is collective. The sums over workers are made in worker order, so that the
constants, and the step size that is made from them, are the same on any number of ranks.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ist_mpi.exact_theory import missing, recursions, stability, theorems
from ist_mpi.exact_theory.chains import constants as own
from ist_mpi.exact_theory.cost import DENSE, MAX_RESTARTS, Effort, few_restarts
from ist_mpi.exact_theory.matrix_free import estimate
from ist_mpi.exact_theory.moments import enumeration
from ist_mpi.exact_theory.moments.first import first_moments
from ist_mpi.exact_theory.moments.second import RoundMoments
from ist_mpi.exact_theory.objective import TOO_LARGE, Objective
from ist_mpi.exact_theory.over_ranks import OverRanks, moments_of
from ist_mpi.exact_theory.stages import stages, tell
from ist_mpi.exact_theory.step import Known
from ist_mpi.parallel.team import Team
from ist_mpi.problems.quadratic import LocalQuadratics
from ist_mpi.sketches.law import Finite

Float64 = NDArray[np.float64]

SLOW = "--full"
"""Why a constant was left out: it takes longer than was allowed."""
IN_WORDS = {SLOW: "it takes long: --full computes it"}
"""Reasons that are no sentence, as one."""
NO_MEMORY = "does not fit into free memory"
AT_THE_LIMIT = "the step size is γ_max, to rounding"
INDEFINITE = "conjugate gradients do not find x∞: the mean step is indefinite or singular"
NOT_FOUND = "Lanczos' method did not converge"
NOT_DEFINITE = "the mean step is not symmetric and positive definite"


@dataclass(frozen=True)
class Constants:
    """Constants of the theory at the configured step size; None: undefined, or not computed."""

    theta: float | None = None
    """The smallest θ of (14)."""
    step_size_limit: float | None = None
    """1/θ: Theorem 1 holds for step sizes up to this."""
    w_min_eigenvalue: float | None = None
    """λ_min(W̄); where it is negative no θ exists."""
    contraction: float | None = None
    """The factor of (16) at the step size."""
    spectral_radius: float | None = None
    """Of I − γM: the mean iterate's rate."""
    stable_step_size_limit: float | None = None
    """γ_max: the second moment stays bounded below."""
    fixed_point_relative_gap: float | None = None
    """(f(x∞) − f*) / (f(x⁰) − f*)."""
    limit_relative_gap: float | None = None
    """lim E f(x^k) − f*, relative likewise."""
    limit_gap: float | None = None
    """The same, not relative."""
    bias_norm_squared: float | None = None
    """‖x* − x∞‖²_L̄."""
    sigma_squared: float | None = None
    """σ² of (30), where it does not depend on x."""
    cycle_rounds: float | None = None
    """Rounds of a cycle, of a method with exact theory of its own."""
    cycle_contraction: float | None = None
    """The factor of the second moments over a cycle, in the long run: E f falls where it is < 1."""
    rate: float | None = None
    """The factor of E f − f* a round, in the long run: the same, to the power 1/`cycle_rounds`."""
    gap_at_zero: float | None = None
    """f(0) − f*: what knowing nothing costs, wherever x⁰ is."""
    fixed_point_gap_over_zero: float | None = None
    """(f(x∞) − f*) / (f(0) − f*)."""
    limit_gap_over_zero: float | None = None
    """(lim E f(x^k) − f*) / (f(0) − f*)."""
    not_computed: Mapping[str, str] = field(default_factory=dict)
    """What was left out, though defined, and why (`SLOW`: more effort helps)."""
    undefined: Mapping[str, str] = field(default_factory=dict)
    """Why all else is None that is; see `explained`."""
    estimated: tuple[str, ...] = field(default=())
    """What is an estimate, because d is too large for d × d matrices; all else is exact."""

    further: Mapping[str, float | None] = field(default_factory=dict)
    """What a problem that is no quadratic adds, by name."""
    words: Mapping[str, str] = field(default_factory=dict)
    """What it says of them."""
    from_solution: bool = False
    """Whether x⁰ is the solution, to rounding: what is relative to its gap is then undefined."""

    @classmethod
    def of(
        cls,
        found: dict[str, float | None],
        left_out: Mapping[str, str],
        estimated: tuple[str, ...] = (),
    ) -> "Constants":
        """Those found, by name; those left out, with why; the names of estimates."""
        numbers: dict[str, Any] = dict(found)
        return cls(**numbers, not_computed=left_out, estimated=estimated)

    def values(self) -> dict[str, float | None]:
        """The constants by name."""
        notes = ("not_computed", "undefined", "estimated", "further", "words", "from_solution")
        names = [item.name for item in fields(self) if item.name not in notes]
        return {**{name: getattr(self, name) for name in names}, **self.further}

    def explained(self, known: Known, prediction: Any) -> "Constants":
        """With the reasons of all that is undefined, and of what a prediction lacks."""
        beside = {name: getattr(prediction, name) for name in ("f_star", "mean_step_size_limit")}
        values = {name: None if math.isnan(value) else value for name, value in beside.items()}
        given = {**self.undefined, **self.not_computed}
        more = missing.reasons({**values, **self.values()}, known, given)
        return replace(self, undefined={**self.undefined, **more})

    def because(self, old: str, new: str) -> "Constants":
        """With another reason in the place of one."""
        reasons = [self.not_computed, self.undefined]
        changed = [{name: new if why == old else why for name, why in r.items()} for r in reasons]
        return replace(self, not_computed=changed[0], undefined=changed[1])

    @property
    def why(self) -> dict[str, str]:
        """Of everything that is None, why: a sentence each."""
        reasons = {**self.not_computed, **self.undefined}
        return {name: IN_WORDS.get(why, why) for name, why in reasons.items()}


THEOREM = ("theta", "step_size_limit")
LIMIT = ("limit_relative_gap", "limit_gap")
OF_FIXED_POINT = ("fixed_point_relative_gap", "bias_norm_squared")
RELATIVE = ("limit_relative_gap", "fixed_point_relative_gap")


def compute(
    team: Team,
    local: LocalQuadratics,
    objective: Objective,
    known: Known,
    gamma: float,
    x0: Float64,
    effort: Effort,
) -> Constants:
    """The constants that the effort allows; collective, the same on every rank."""
    first_gap = objective.gap(x0)
    found = _compute(team, local, objective, known, gamma, first_gap, effort)
    if objective.prediction.unknown:
        left_out = {**dict.fromkeys(OF_FIXED_POINT, INDEFINITE), **found.not_computed}
        found = replace(found, not_computed=left_out)
    found = _beside_zero(found, objective.gap(np.zeros(team.d)))
    if not first_gap > 0:
        left_out = {name: why for name, why in found.not_computed.items() if name not in RELATIVE}
        found = replace(found, not_computed=left_out, from_solution=True)
    return found.explained(known, objective.prediction)


def _compute(
    team: Team,
    local: LocalQuadratics,
    objective: Objective,
    known: Known,
    gamma: float,
    first_gap: float,
    effort: Effort,
) -> Constants:
    values = _of_fixed_point(objective, first_gap)
    tell(values)
    if known.own is not None:
        computed: dict[str, float | None] = {}
        if effort != "none":
            workers = OverRanks(team, local, known, objective.mean)
            computed = own.constants(known, workers, team.n, team.d, gamma, effort)
        return Constants.of(values | computed, _left_out(own.NAMES, computed, SLOW))
    if known.both is None:
        return Constants.of(values, dict.fromkeys(Constants().values(), known.why_not))
    if not known.closed:
        return Constants.of(values, {})  # nothing else is defined
    if team.d > DENSE:
        return _without_matrices(objective, known, gamma, effort, values)
    why = SLOW
    if isinstance(known.law, Finite) and not enumeration.fits(known.law, team.d):
        effort, why = "none", NO_MEMORY
    if effort == "none":
        return Constants.of(values, _left_out(_defined(known), values, why))
    moments, units = moments_of(team, local, known, objective.mean)
    gamma = units.step_size(gamma)
    found: dict[str, float | None] = {"sigma_squared": moments.sigma_squared()}
    at = stages(_stages(known, effort))
    next(at)
    found["spectral_radius"] = stability.mean_spectral_radius(moments, gamma)
    tell(units.constants(found))
    if known.theorem_one:
        if effort != "cheap":
            next(at)
        of_theorem = _of_theorem_one(moments, gamma, effort)
        tell(units.constants(of_theorem))
        found |= of_theorem
    if effort != "full":
        values |= units.constants(found)
        return Constants.of(values, _left_out(_defined(known), values, SLOW))
    next(at)
    largest = stability.step_size_limit(moments)
    found["stable_step_size_limit"] = largest
    tell(units.constants({"stable_step_size_limit": largest}))
    values |= units.constants(found)
    left_out = {}
    if largest is None and known.theorem_one:
        left_out["stable_step_size_limit"] = NOT_DEFINITE
    stable = gamma < largest if largest else stability.is_stable(moments, gamma)
    next(at)
    limits = recursions.limits(moments, gamma, stable=stable)
    if limits is None and stable:  # so close to γ_max that the equation cannot be solved
        return Constants.of(values, left_out | dict.fromkeys(LIMIT, AT_THE_LIMIT))
    if limits is not None:
        gap = units.number("limit_gap", max(0.0, limits.gap))
        if first_gap == 0.0 and gap <= _resolution(objective):
            gap = 0.0
        values["limit_gap"] = gap
        values["limit_relative_gap"] = gap / first_gap if first_gap > 0 else None
    return Constants.of(values, left_out)


def _stages(known: Known, effort: Effort) -> list[str]:
    """What is to be computed with matrices, one after the other."""
    of_theorem = ["θ of Theorem 1"] if known.theorem_one and effort != "cheap" else []
    of_limit = ["γ_max, the largest stable step size", "where the expected gap levels off"]
    return ["eigenvalues of the mean round", *of_theorem, *(of_limit if effort == "full" else [])]


def _beside_zero(found: Constants, zero: float) -> Constants:
    """With what gaps are beside that of x = 0, which a far x⁰ does not flatter."""
    gaps = {
        "fixed_point_gap_over_zero": None
        if found.bias_norm_squared is None
        else 0.5 * found.bias_norm_squared,
        "limit_gap_over_zero": found.limit_gap,
    }
    left_out = {k: why for k, why in found.not_computed.items() if k != "gap_at_zero"}
    found = replace(found, gap_at_zero=zero, not_computed=left_out)
    if zero <= 0.0:
        reasons = dict.fromkeys(gaps, missing.ZERO_IS_SOLUTION)
        return replace(found, not_computed={**reasons, **left_out})
    over: dict[str, Any] = {k: None if gap is None else gap / zero for k, gap in gaps.items()}
    return replace(found, **over)


def _resolution(objective: Objective) -> float:
    """What two values of f between f(0) and f* differ by at least, if they do."""
    scale = 0.5 * abs(float(objective.mean.b @ objective.prediction.x_star))  # f(0) − f*
    return float(np.finfo(float).eps) * scale


def _defined(known: Known) -> list[str]:
    """The constants, of those that cost something, that are defined as far as can be told."""
    names = ["spectral_radius", *LIMIT]
    if known.theorem_one:
        names += ["w_min_eigenvalue", "contraction", *THEOREM, "stable_step_size_limit"]
    if known.certain:
        names.append("sigma_squared")
    return names


def _left_out(names: Iterable[str], values: Mapping[str, float | None], why: str) -> dict[str, str]:
    """Those not among the values: what is there and None is undefined."""
    return {name: why for name in names if name not in values}


def _of_fixed_point(objective: Objective, first_gap: float) -> dict[str, float | None]:
    """What is known once x∞ is; collective."""
    fixed_point = objective.prediction.fixed_point
    if fixed_point is None:
        return {}
    gap = objective.gap(fixed_point)
    relative = gap / first_gap if first_gap > 0 else None
    return {"bias_norm_squared": 2.0 * gap, "fixed_point_relative_gap": relative}


def _of_theorem_one(moments: RoundMoments, gamma: float, effort: Effort) -> dict[str, float | None]:
    """The constants of Theorem 1; without θ at effort "cheap", unless it does not exist."""
    if effort == "cheap":
        spectrum = theorems.w_spectrum(moments)
        w_min = spectrum.w_min_eigenvalue
        if spectrum.indefinite:
            return _no_theta(w_min)
        contraction = 1.0 - gamma * float(spectrum.eigenvalues[0])
        return {"w_min_eigenvalue": w_min, "contraction": contraction}
    theorem = theorems.theorem_one(moments)
    if theorem is None or theorem.theta is None:
        return _no_theta(None if theorem is None else theorem.w_min_eigenvalue)
    covered = theorem.theta > 0 and gamma * theorem.theta <= 1.0 + 1e-12
    return {
        "w_min_eigenvalue": theorem.w_min_eigenvalue,
        "theta": theorem.theta,
        "step_size_limit": 1.0 / theorem.theta if theorem.theta else None,
        "contraction": theorem.contraction(gamma) if covered else None,
    }


def _no_theta(w_min_eigenvalue: float | None) -> dict[str, float | None]:
    """Where W̄ is not positive semidefinite the theorem has no constants."""
    undefined = dict.fromkeys((*THEOREM, "contraction"))
    return {"w_min_eigenvalue": w_min_eigenvalue, **undefined}


def _without_matrices(
    objective: Objective,
    known: Known,
    gamma: float,
    effort: Effort,
    values: dict[str, float | None],
) -> Constants:
    """Estimates by Lanczos' method, where d × d matrices are too large; collective."""
    defined = _defined(known)
    lanczos = ("spectral_radius", "w_min_eigenvalue")
    found: dict[str, float | None] = {}
    why = SLOW
    if known.multiplies_model or (known.law is not None and known.law.listed):
        why = TOO_LARGE  # E C̄ is no multiple of I; M may not be symmetric
    elif effort != "none" and known.both is not None:
        restarts = MAX_RESTARTS if effort == "full" else few_restarts(objective.mean.L.entries)
        why = SLOW if restarts < MAX_RESTARTS else NOT_FOUND
        first = first_moments(*known.both)
        next(stages(["extreme eigenvalues, by Lanczos' method"]))
        estimates = estimate(objective.mean.L, objective.X, first, gamma, restarts)
        found |= estimates.found
        if estimates.indefinite:
            values = values | _no_theta(None)
    left_out = _left_out(lanczos, found, why)
    others = [name for name in defined if name not in lanczos]
    left_out |= _left_out(others, values, TOO_LARGE)
    left_out = {name: left_out[name] for name in defined if name in left_out}
    return Constants.of(values | found, left_out, tuple(found))
