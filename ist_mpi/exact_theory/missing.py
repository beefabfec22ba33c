"""Why a constant of theory is undefined, in a sentence; not why it was left out."""

import math
from collections.abc import Mapping

from ist_mpi.exact_theory.step import Known

Values = Mapping[str, float | None]

FROM_SOLUTION = "x⁰ is the solution: f(x⁰) = f*"
ZERO_IS_SOLUTION = "f(0) = f*"
NO_SOLUTION = "no x* is known"
OTHER_ROUNDS = "it is about rounds x − γ(B̄x − c), which those of this method are not"
ONLY_OWN = 'only methods with exact theory of their own have it, as "diana"'
MULTIPLIES = "Theorem 1 does not apply to merges that multiply the model"
NOT_MONOTONOUS = "where merges multiply the model, stability may come and go as γ grows"
NOT_CERTAIN = "it depends on x unless B̄ is the same in every draw"
NO_FIXED_POINT = "x∞ is not defined: the equation of the mean step is singular"
NO_MEAN_STEP = "where merges multiply the model, the mean step is not I − γM"
NO_MEAN_LIMIT = "no γ was found below which the mean iterate is stable"
NO_TURN = "no γ was found at which the second moment begins to grow"
NOT_STABLE = "the second moment does not converge at this step size"
NO_BOUND = "θ is 0: Theorem 1 sets no bound"
OVERFLOWS = "it is too large for a floating-point number"

OF_CYCLES = ("cycle_rounds", "cycle_contraction", "rate")
OF_THEOREM = ("theta", "step_size_limit", "w_min_eigenvalue", "contraction")
OF_STEP = {
    "stable_step_size_limit": NOT_MONOTONOUS,
    "sigma_squared": NOT_CERTAIN,
    "bias_norm_squared": NO_FIXED_POINT,
    "mean_step_size_limit": NO_MEAN_LIMIT,
}
MADE_OF = {
    "limit_relative_gap": "limit_gap",
    "limit_gap_over_zero": "limit_gap",
    "fixed_point_relative_gap": "bias_norm_squared",
    "fixed_point_gap_over_zero": "bias_norm_squared",
    "fixed_point_gap": "bias_norm_squared",
    "initial_gap": "f_star",
}
"""What is missing wherever the other is, for the same reason."""


def reasons(values: Values, known: Known, given: Mapping[str, str]) -> dict[str, str]:
    """For every constant that is no number, and has no reason among those given, its reason.

    Parameters
    ----------
    values : mapping
        All constants by name, and numbers beside them; None: undefined, or left out.
    known : Known
    given : mapping of str
        Reasons that there are, as that it was left out for its cost.
    """
    found = {}
    for name, value in values.items():
        if name in given or (value is not None and math.isfinite(value)):
            continue
        origin = MADE_OF.get(name, name)
        cause = origin if values.get(origin) is None else name
        found[name] = given.get(cause) or _reason(cause, values, known)
    return found


def _reason(name: str, values: Values, known: Known) -> str:
    if values[name] is not None:
        return OVERFLOWS
    if name == "f_star":
        return NO_SOLUTION
    if name in MADE_OF:  # of which there is a number
        return FROM_SOLUTION if name.endswith("_relative_gap") else ZERO_IS_SOLUTION
    if known.own is not None:
        return _of_own_theory(name, values)
    if not known.closed:
        return known.why_not
    if name in OF_CYCLES:
        return ONLY_OWN
    if name == "limit_gap":
        if (stable := values["stable_step_size_limit"]) is None:
            return NOT_STABLE
        return f"the second moment stays bounded for γ below γ_max = {stable:.4g} alone"
    if name in OF_THEOREM:
        return MULTIPLIES if known.multiplies_model else _of_theorem_one(name, values)
    if name == "mean_step_size_limit" and known.multiplies_model:
        return NO_MEAN_STEP
    return OF_STEP.get(name, "nothing is known of it")


def _of_own_theory(name: str, values: Values) -> str:
    """Of a method with exact theory of its own."""
    if name == "limit_gap":
        factor = values["cycle_contraction"]
        return f"the second moment does not fall: a cycle multiplies it by {factor:.4g}"
    return NO_TURN if name == "stable_step_size_limit" else OTHER_ROUNDS


def _of_theorem_one(name: str, values: Values) -> str:
    """Of a method that Theorem 1 is about."""
    theta, smallest = values["theta"], values["w_min_eigenvalue"]
    if theta is None:
        tail = "" if smallest is None else f": W̄ has eigenvalue {smallest:.4g}"
        return f"no θ exists{tail}"
    if name == "contraction" and theta > 0.0:
        return f"(16) holds for γ up to 1/θ = {1.0 / theta:.4g} alone"
    return NO_BOUND
