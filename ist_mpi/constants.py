"""The constants of theory for a run: which can be had, at what cost, and their values.

Everything here is collective. The sums over workers are made in worker order, so that the
constants, and the step size that is made from them, are the same on any number of ranks.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ist_mpi import recursions
from ist_mpi.config import Config, Method
from ist_mpi.errors import Fault, InputError
from ist_mpi.estimates import estimate
from ist_mpi.exchange import workers
from ist_mpi.exchange.workers import Layout
from ist_mpi.moments import Quadratic, RoundMoments, round_moments
from ist_mpi.objective import Objective
from ist_mpi.problems.quadratic import LocalQuadratics
from ist_mpi.theory import first_moments

Float64 = NDArray[np.float64]
Effort = Literal["none", "cheap", "dense", "full"]

AUTO_DENSE = 300
"""Largest d for which a run computes second moments unasked."""
AUTO_CHEAP = 1500
"""Largest d for which a run computes eigenvalues unasked."""
AUTO_SECONDS = 5.0
"""Longest that a run waits, unasked, for the constants that take many applications of T."""
DENSE = 6000
"""Largest d for which d × d eigenvalues are computed at all."""
PATIENCE = 150.0
"""Seconds, estimated, beyond which a constant is left out unless all are asked for."""
FLOPS = 2e10
"""Of a core's matrix products, for that estimate."""
APPLICATIONS = 30
"""Of T, in an iteration for γ_max or for the limit."""


@dataclass(frozen=True)
class Constants:
    """Constants of SPEC §4 at the configured step size; None: undefined, or not computed."""

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
    not_computed: tuple[str, ...] = field(default=())
    """What was left out for its cost; not the same as undefined."""
    estimated: tuple[str, ...] = field(default=())
    """What is an estimate, because d is too large for d × d matrices; all else is exact."""

    @classmethod
    def of(
        cls,
        found: dict[str, float | None],
        left_out: tuple[str, ...] = (),
        estimated: tuple[str, ...] = (),
    ) -> "Constants":
        """Those found, by name, and the names of those left out, or estimated."""
        numbers: dict[str, Any] = dict(found)
        return cls(**numbers, not_computed=left_out, estimated=estimated)

    def values(self) -> dict[str, float | None]:
        """The constants by name."""
        notes = ("not_computed", "estimated")
        names = [item.name for item in fields(self) if item.name not in notes]
        return {name: getattr(self, name) for name in names}


def over_workers(
    comm: Any, where: Layout, local: LocalQuadratics
) -> Callable[[Callable[[Quadratic], Float64]], Float64]:
    """The sum over all workers, for `round_moments`."""
    n = int(where.workers[-1])
    mine = [Quadratic(L, b) for L, b in zip(local.L, local.b, strict=True)]

    def total(term: Callable[[Quadratic], Float64]) -> Float64:
        if local.homogeneous:  # one term, the same on every rank that has a worker
            one = term(mine[0]) if comm.rank == 0 else None
            return n * np.asarray(comm.bcast(one))
        if comm.size == 1:
            result = np.zeros(())
            for quadratic in mine:
                result = result + term(quadratic)
            return result
        terms = [term(quadratic) for quadratic in mine]
        shape = comm.bcast(terms[0].shape if comm.rank == 0 else None)
        return workers.sum_everywhere(comm, where, terms, shape)

    return total


def moments_of(
    comm: Any, where: Layout, local: LocalQuadratics, method: Method, d: int
) -> RoundMoments:
    """The moments of one round, on every rank."""
    n = int(where.workers[-1])
    return round_moments(method, n, d, over_workers(comm, where, local))


def theory_step_size(
    comm: Any, where: Layout, local: LocalQuadratics, method: Method, d: int
) -> float:
    """1/θ, the largest step size of Theorem 1.

    Raises
    ------
    InputError
        On every rank, where no θ exists, or d is too large to find it.
    """
    expected = "a number, or a problem for which θ of (14) exists"
    if d > DENSE:
        raise _agreed(Fault("method.step_size", f'"theory" at d = {d}', f"d ≤ {DENSE}"))
    found = recursions.theorem_one(moments_of(comm, where, local, method, d))
    if found is None or not found.theta:
        reason = "Theorem 1 does not apply"
        if found is not None:
            reason = f"no θ exists: W̄ has eigenvalue {found.w_min_eigenvalue:.4g}"
        raise _agreed(Fault("method.step_size", f'"theory", but {reason}', expected))
    return 1.0 / found.theta


def _agreed(fault: Fault) -> InputError:
    """An error that every rank raises, since all came to the same numbers."""
    error = InputError(fault)
    error.agreed = True
    return error


def effort_of(config: Config, distinct: int, d: int) -> Effort:
    """What a run computes: `run.theory`, or what costs next to nothing, on any number of ranks."""
    asked = config.run.theory
    if asked != "auto":
        return "dense" if asked else "none"
    if d <= AUTO_DENSE:
        return "dense" if _seconds(distinct, d) <= AUTO_SECONDS else "cheap"
    return "cheap" if d <= AUTO_CHEAP else "none"


def _seconds(distinct: int, d: int) -> float:
    """A rough time of an iteration with T for so many distinct quadratics, on one core."""
    products = 2 * distinct + 2
    return APPLICATIONS * products * 2.0 * float(d) ** 3 / FLOPS


def compute(
    comm: Any,
    where: Layout,
    local: LocalQuadratics,
    objective: Objective,
    method: Method,
    x0: Float64,
    effort: Effort,
) -> Constants:
    """The constants that the effort allows; collective, the same on every rank."""
    prediction = objective.prediction
    d, n = len(x0), int(where.workers[-1])
    first_gap = objective.gap(x0)
    values: dict[str, float | None] = {}
    if prediction.fixed_point is not None:
        gap = objective.gap(prediction.fixed_point)
        values["bias_norm_squared"] = 2.0 * gap
        values["fixed_point_relative_gap"] = gap / first_gap if first_gap > 0 else None
    if method.local_steps > 1:
        return Constants.of(values)  # nothing else is defined
    eigenvalues = ("w_min_eigenvalue", "contraction", "spectral_radius", "sigma_squared")
    second = (
        "theta",
        "step_size_limit",
        "stable_step_size_limit",
        "limit_relative_gap",
        "limit_gap",
    )
    if effort in ("dense", "full") and d > DENSE and not method.multiplies_model:
        found = estimate(objective, first_moments(method, n, d), method.gamma, d)
        left_out = ("contraction", "sigma_squared", *second)
        return Constants.of(values | found, left_out, tuple(found))
    if effort == "none" or d > DENSE:
        return Constants.of(values, (*eigenvalues, *second))
    moments = moments_of(comm, where, local, method, d)
    values["sigma_squared"] = moments.sigma_squared()
    values["spectral_radius"] = recursions.mean_spectral_radius(moments, method.gamma)
    if effort == "cheap":
        if not method.multiplies_model:
            spectrum = recursions.w_spectrum(moments)
            values["w_min_eigenvalue"] = spectrum.w_min_eigenvalue
            values["contraction"] = 1.0 - method.gamma * float(spectrum.eigenvalues[0])
        return Constants.of(values, second)
    theorem = recursions.theorem_one(moments)
    if theorem is not None:
        values["theta"] = theorem.theta
        values["step_size_limit"] = 1.0 / theorem.theta if theorem.theta else None
        values["w_min_eigenvalue"] = theorem.w_min_eigenvalue
        if theorem.theta and method.gamma * theorem.theta <= 1.0 + 1e-12:
            values["contraction"] = theorem.contraction(method.gamma)
    distinct = 1 if local.homogeneous else n
    if effort == "dense" and _seconds(distinct, d) > PATIENCE:
        return Constants.of(values, second[2:])
    largest = recursions.step_size_limit(moments)
    values["stable_step_size_limit"] = largest
    stable = method.gamma < largest if largest else recursions.is_stable(moments, method.gamma)
    limits = recursions.limits(moments, method.gamma, stable=stable)
    if limits is None and stable:  # so close to γ_max that the equation cannot be solved
        return Constants.of(values, ("limit_relative_gap", "limit_gap"))
    if limits is not None:
        values["limit_gap"] = max(0.0, limits.gap)
        values["limit_relative_gap"] = max(0.0, limits.gap) / first_gap if first_gap > 0 else None
    return Constants.of(values)


def as_attributes(constants: Constants) -> dict[str, Any]:
    """What the log keeps: numbers, NaN for what is undefined or was left out, and the latter."""
    numbers = {
        name: math.nan if value is None else value for name, value in constants.values().items()
    }
    return {
        **numbers,
        "not_computed": " ".join(constants.not_computed),
        "estimated": " ".join(constants.estimated),
    }
