"""Theory in plain words: what a run at this step size will do."""

import math
from collections.abc import Mapping
from typing import NamedTuple

from ist_mpi.exact_theory.constants import Constants
from ist_mpi.exact_theory.step import Known


class Reached(NamedTuple):
    """What it takes to a relative gap, on average."""

    rounds: int
    floats: float
    """Up and down, a worker's, in units of d."""


BIAS_ALONE, STEP_ALONE = 0.9, 0.1
"""From which share of a limit on the bias makes it, and up to which the step size does."""
SOLVED = 1e-14
"""Relative gap below which a limit is the solution itself, to rounding."""


def verdict(
    known: Known, gamma: float, constants: Constants, reached: Mapping[float, Reached] | None = None
) -> str:
    """Where the iterates go, and what Theorem 1 says of the step size: a sentence or two.

    `reached`: what it takes to relative gaps, where that is known.
    """
    start = "x⁰ is the solution. " if constants.from_solution else ""
    if known.own is not None:
        return start + _of_own_theory(gamma, constants, reached or {})
    if known.closed:
        words = f"{_destination(gamma, constants)} {_theorem(known, gamma, constants)}"
        return f"{start}{words}".strip()
    reason = known.why_not[0].upper() + known.why_not[1:]
    if known.both is not None:
        reason += "; the constants of one local step tell which step sizes to try"
    return f"{start}{reason}.{_as_steps_vanish(constants)}"


def _as_steps_vanish(constants: Constants) -> str:
    """Where the mean iterate of functions that are no quadratics goes, where that is known."""
    over = constants.fixed_point_gap_over_zero
    if over is None:
        return ""
    if over <= SOLVED:
        return " As γ goes to 0, the mean iterate goes to the solution."
    return (
        f" As γ goes to 0, the mean iterate goes to the minimiser of what submodels minimise, with "
        f"{over:.3g} of the gap of x = 0: the bias of the method, which no step size removes."
    )


def _of_own_theory(gamma: float, constants: Constants, reached: Mapping[float, Reached]) -> str:
    """Of a method that is linear and without noise around the solution."""
    contraction, stable = constants.cycle_contraction, constants.stable_step_size_limit
    if (contraction is not None and contraction >= 1.0) or (stable is not None and gamma >= stable):
        tail = "" if stable is None else f": it is stable for γ below {stable:.4g}"
        return f"The second moment grows{tail}; single runs may converge all the same."
    if contraction is None and stable is None:
        if constants.spectral_radius is not None and constants.spectral_radius > 1.0:
            return "Diverges: even the mean iterate grows."
        return "Convergence was not examined."
    words = [
        f"{goal:g} after {one.rounds} rounds, {one.floats:.3g} d floats"
        for goal, one in sorted(reached.items(), reverse=True)
    ]
    return f"Converges to the solution{'; '.join(['', *words])}."


def _destination(gamma: float, constants: Constants) -> str:
    stable, radius = constants.stable_step_size_limit, constants.spectral_radius
    if radius is not None and radius > 1.0:
        return f"Diverges: even the mean iterate grows (spectral radius {radius:.6g})."
    if stable is not None and gamma >= stable:
        return f"Diverges: the second moment is stable for γ below {stable:.4g}."
    limit, relative = constants.limit_gap, constants.limit_relative_gap
    if limit is not None:
        if limit == 0.0 or (relative is not None and relative <= SOLVED):
            return "Converges to the solution."
        if relative is None:
            return f"Goes from the solution to a neighbourhood of gap {limit:.3g}."
        return f"Converges to a neighbourhood of relative gap {relative:.3g}{_why(constants)}."
    computed = "limit_gap" not in constants.not_computed
    if computed and radius is not None:
        return "Diverges: the second moment grows."
    place, bias = constants.fixed_point_relative_gap, constants.bias_norm_squared
    if radius is None or bias is None:
        return "Convergence was not examined."
    if bias == 0.0 or (place is not None and place <= SOLVED):
        where = "the solution"
    elif place is None:
        where = f"a point of gap {bias / 2:.3g}"
    else:
        where = f"a point of relative gap {place:.3g}"
    return f"The mean iterate converges to {where}; the noise around it was not computed."


def _why(constants: Constants) -> str:
    """What a neighbourhood is due to, and beside what it is large."""
    relative, place = constants.limit_relative_gap, constants.fixed_point_relative_gap
    over = constants.limit_gap_over_zero
    words = ""
    if over is not None and relative is not None and over > 2.0 * relative:
        words += f" ({over:.3g} times that of x = 0)"
    if relative is not None and relative > 1.0:
        words += ", which is worse than the start"
    if place is None or relative is None:
        return words
    return f"{words}, {cause(relative, place)}"


def cause(limit: float, place: float) -> str:
    """Why a limit is where it is: `place`, the gap of x∞, is left as γ goes to 0; nan: unknown."""
    if math.isnan(place):
        return "whose parts are not known"
    if place >= BIAS_ALONE * limit:
        return (
            "because of the bias of the method, not of the step size: a smaller γ will not help "
            "(docs/bias.md)"
        )
    if place <= STEP_ALONE * limit:
        return "because of the step size: a smaller γ goes further down"
    return (
        "because of both the step size and the bias of the method: a smaller γ goes down to "
        f"{place:.3g}, and no further (docs/bias.md)"
    )


def _theorem(known: Known, gamma: float, constants: Constants) -> str:
    if known.multiplies_model:
        return "Theorem 1 does not apply to merges that multiply the model."
    smallest, limit = constants.w_min_eigenvalue, constants.step_size_limit
    if smallest is not None and limit is None and "theta" not in constants.not_computed:
        stable = constants.stable_step_size_limit
        tail = "" if stable is None else f"; the second moment is stable for γ below {stable:.4g}"
        return f"Theorem 1 covers no step size: W̄ has eigenvalue {smallest:.4g}{tail}."
    if limit is None:
        return ""
    if gamma <= limit * (1 + 1e-12):
        return f"Theorem 1 covers this step size: γ ≤ 1/θ = {limit:.4g}."
    return f"Theorem 1 covers γ ≤ 1/θ = {limit:.4g}, not this step size."


def rounds_to(tolerance: float, constants: Constants) -> float | None:
    """Rounds in which the mean iterate's distance² to x∞ falls by the factor `tolerance`."""
    radius = constants.spectral_radius
    if radius is None or radius >= 1.0:
        return None
    if radius == 0.0:
        return 1.0
    return max(0.0, math.ceil(math.log(tolerance) / (2.0 * math.log(radius))))


def step_sizes(constants: Constants) -> dict[str, float]:
    """The step sizes worth trying, with why."""
    found = {}
    if constants.step_size_limit is not None:
        found["1/θ, the largest of Theorem 1"] = constants.step_size_limit
    if constants.stable_step_size_limit is not None:
        found["γ_max/2, about the fastest"] = constants.stable_step_size_limit / 2
    if constants.stable_step_size_limit is not None and constants.rate is None:
        found["γ_max/20, a smaller neighbourhood"] = constants.stable_step_size_limit / 20
    return found
