"""The paper's bounds on expectations, judged on the means of many runs: mean ≤ bound + chance."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ist_mpi.errors import apart
from ist_mpi.exact_theory import theorems
from ist_mpi.exact_theory.moments.second import RoundMoments
from ist_mpi.verify import means
from ist_mpi.verify.findings import Finding, Options, not_judged
from ist_mpi.verify.groups import Group, Statistic
from ist_mpi.verify.simulate import Simulated, descent, seconds_of_expectations

Float64 = NDArray[np.float64]


def check(group: Group, simulated: Simulated, options: Options) -> Iterator[Finding | Statistic]:
    """(16) at every compared round; (15), (30) and the sharper bound over all rounds."""
    instance, moments = group.instance, group.instance.moments
    if seconds_of_expectations(instance, 0) > options.seconds:
        yield not_judged("bounds", group.name, f"cost: more than {options.seconds:g} s")
        return
    if moments is None or moments.mean_sketch is not None:
        reason = "several local steps, or a merge that multiplies the model"
        if instance.known.both is None:
            reason = instance.known.why_not
        yield not_judged("bounds", group.name, reason)
        return
    if np.any(instance.b):
        yield not_judged("bounds (15), (16)", group.name, "Theorem 1 is about b = 0")
    else:
        yield from _theorem_one(group, simulated, moments)
    yield from _theorem_two(group, simulated, moments)


def _theorem_one(
    group: Group, simulated: Simulated, moments: RoundMoments
) -> Iterator[Finding | Statistic]:
    """(15) and (16), for γ ≤ 1/θ."""
    theorem, gamma = theorems.theorem_one(moments), group.instance.method.gamma
    if theorem is None or theorem.theta is None or gamma * theorem.theta > 1.0 + 1e-9:
        yield not_judged("bounds (15), (16)", group.name, "there is no θ, or γ > 1/θ")
        return
    yield _sixteen(group, simulated, theorem.contraction(gamma))
    yield from _descent(group, simulated, "w", {"bound (15)": 0.0})


def _sixteen(group: Group, simulated: Simulated, contraction: float) -> Statistic:
    """E‖x^k − x*‖²_L̄ = 2 E gap against (16)."""
    first = float(group.logs[0].run.rounds["gap"][0])
    measured = group.column("gap")
    bound = [theorems.bound_16(contraction, first, int(k)) for k in group.places]
    ps = []
    for k, limit in enumerate(bound):
        runs, slack = simulated.curves["gap"][:, k], 1e-8 * limit
        ps.append(means.p_value(measured[:, k], limit, 0.0, runs, slack, upwards=True))
    k = int(np.argmin(ps))
    mean, at_most = apart(measured[:, k].mean(), bound[k])
    seen = f"mean gap at round {group.places[k]}: {mean}, bound {at_most}"
    return Statistic("bound (16)", group.name, ps[k], len(ps), seen)


def _theorem_two(
    group: Group, simulated: Simulated, moments: RoundMoments
) -> Iterator[Finding | Statistic]:
    """(30) and the sharper bound, for M = I and a σ² that does not depend on x."""
    instance, gamma = group.instance, group.instance.method.gamma
    sigma_squared = moments.sigma_squared()
    identity = np.allclose(moments.M, np.eye(instance.d), rtol=0.0, atol=1e-12)
    if sigma_squared is None or not identity or not moments.preconditioned or gamma > 1.0:
        reason = "for preconditioned sketches with M = I, and γ ≤ 1"
        yield not_judged("bound (30)", group.name, reason)
        return
    h = instance.x_star - moments.m
    bias = float(h @ instance.L_mean @ h)
    constants = {"sharper bound": theorems.sharper_bound(0.0, gamma, bias, sigma_squared)}
    if gamma < 1.0:
        beta = 0.5 * (1.0 - gamma) / (1.0 + gamma)
        constants["bound (30)"] = theorems.bound_30(0.0, gamma, bias, sigma_squared, beta)
    yield from _descent(group, simulated, "gap", constants)


def _descent(
    group: Group, simulated: Simulated, norm: str, constants: dict[str, float]
) -> Iterator[Finding | Statistic]:
    """(1/K) Σ_{k<K} ‖·‖² + 2 gap_K/(γK) ≤ 2 gap_0/(γK) + constant, in expectation.

    The norm is that of (15), logged as gradient_norm_squared_w, or for "gap" that of (30), 2 gap.
    """
    K, gamma = group.last, group.instance.method.gamma
    if group.logs[0].every != 1 or not group.to_plan:
        reason = "not every round was logged, or a log stopped at its tolerance"
        for name in constants:
            yield not_judged(name, group.name, reason)
        return
    column, factor = ("gap", 2.0) if norm == "gap" else ("gradient_norm_squared_w", 1.0)
    measured = np.array(
        [
            descent(factor * rounds[column][:K].sum(), rounds["gap"][K], gamma, K)
            for rounds in (log.run.rounds for log in group.logs)
        ]
    )
    first = float(group.logs[0].run.rounds["gap"][0])
    for name, constant in constants.items():
        bound = theorems.bound_15(first, 0.0, gamma, K) + constant
        runs = simulated.descents[norm]
        p = means.p_value(measured, bound, 0.0, runs, 1e-8 * bound, upwards=True)
        mean, limit = apart(measured.mean(), bound)
        yield Statistic(name, group.name, p, 1, f"{mean}, bound {limit}")
