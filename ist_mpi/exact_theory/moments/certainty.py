"""Whether B̄ is the same in every draw for the quadratics at hand: then σ² of (30) is a number.

Under an `Exchangeable` law an entry of B̄ is Σ_i w_i X_i,ab with random weights w_i, and its
variance follows from the mean weight e, from g₁ = E[w_i²] and from g₂ = E[w_i w_j]:

    Var B̄_ab = n (g₁ − g₂) V_ab + [n (g₁ − g₂) + n² (g₂ − e²)] X̄_ab²,

X̄ the mean of the X_i, V_ab the variance of X_i,ab over the workers. The weights are those of two
slots in the same group, or in two.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ist_mpi.exact_theory.moments.first import first_moments
from ist_mpi.exact_theory.step import Step
from ist_mpi.exact_theory.workers import Quadratic, Workers
from ist_mpi.sketches.law import Exchangeable

Float64 = NDArray[np.float64]
Factor = Callable[[Quadratic], Float64]
EPSILON = float(np.finfo(float).eps)
COEFFICIENT = 64 * EPSILON
"""What is within rounding of zero of a coefficient, relative to the terms that it is made of."""


class Weights(NamedTuple):
    """Whether the variance of an entry takes part of V, and of X̄²."""

    of_workers: bool
    of_mean: bool


def weights(step: Step, law: Exchangeable, n: int, groups: int) -> Weights:
    """Those of entries whose two slots are in that number of groups: 1 or 2."""
    alpha, rho, _, _ = first_moments(step, law)
    e = (alpha if groups == 1 else alpha * rho) / n
    power, slots = (2, groups) if step.two_sided else (1, 1)  # one-sided: the row's slot alone
    g1 = law.one(power, power, slots)
    g2 = law.two(power, power, slots, slots, True)
    apart = n * (g1 - g2)
    rounding = COEFFICIENT * (n * g1 + n * n * (g2 + e * e))
    return Weights(abs(apart) > rounding, abs(apart + n * n * (g2 - e * e)) > rounding)


def same_in_every_draw(
    step: Step, law: Exchangeable, n: int, X_mean: Float64, factor: Factor, workers: Workers
) -> bool:
    """Whether B̄ is, up to rounding; collective.

    Parameters
    ----------
    n : int
        Workers.
    X_mean : ndarray, shape (d, d)
        The mean of the X_i.
    factor : callable
        X_i of a worker's quadratic.
    """
    g, d = law.group_size, len(X_mean)
    inside = np.equal.outer(np.arange(d) // g, np.arange(d) // g)
    size = np.sqrt(np.abs(np.diagonal(X_mean)))
    rounding = (n + 16) * EPSILON * np.multiply.outer(size, size)
    to_compare = np.zeros((d, d), dtype=bool)
    for groups, entries in ((1, inside), (2, ~inside)):
        if not entries.any():
            continue
        random = weights(step, law, n, groups)
        if random.of_mean and (np.abs(X_mean) > rounding)[entries].any():
            return False
        if random.of_workers:
            to_compare |= entries
    if n == 1 or not to_compare.any():
        return True

    def different(f: Quadratic) -> Float64:
        return np.asarray(np.abs(factor(f) - X_mean) > rounding, dtype=np.float64)

    return not workers.sum(different)[to_compare].any()
