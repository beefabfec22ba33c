"""The loop that one would write from the paper in an afternoon: numpy, one worker after another.

It shares no code with the package; it is what speed is compared with.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]


class Problem(NamedTuple):
    """The quadratics of all workers."""

    L: Sequence[Float64]
    """n matrices (d, d)."""
    b: Float64
    """Shape (n, d)."""


def permutation_round(
    problem: Problem, x: Float64, gamma: float, random: np.random.Generator
) -> Float64:
    """x^{k+1} from x^k (d,): Algorithm 1 with one local step and C_i = n P_i."""
    L, b = problem
    n = len(L)
    pi = random.permutation(x.size)
    merged = np.empty_like(x)
    for i, S in enumerate(np.array_split(pi, n)):
        w = n * x[S]
        gradient = L[i][np.ix_(S, S)] @ w - b[i][S]
        w -= gamma * n * gradient
        merged[S] = w / n
    return merged


def rand_round(
    problem: Problem, x: Float64, gamma: float, random: np.random.Generator, q: int
) -> Float64:
    """The same with Rand-q sketches, C_i = (d/q) P_i, in estimator form."""
    L, b = problem
    n, d = len(L), x.size
    total = x.copy()
    for i in range(n):
        S = random.choice(d, q, replace=False)
        w = (d / q) * x[S]
        gradient = L[i][np.ix_(S, S)] @ w - b[i][S]
        total[S] -= gamma * (d / q) * gradient / n
    return total
