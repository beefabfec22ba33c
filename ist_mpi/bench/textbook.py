"""The loop that one would write from the paper in an afternoon: numpy, one worker after another.

It shares no code with the package; it is what speed is compared with.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]


class Problem(NamedTuple):
    """The quadratics of all workers."""

    L: Float64
    """Shape (n, d, d)."""
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


def block_products(problem: Problem, blocks: list[list[NDArray[np.int64]]], w: Float64) -> None:
    """L_i[S, S] w for every worker's block in each of several rounds."""
    L = problem.L
    for of_round in blocks:
        for i, S in enumerate(of_round):
            L[i][np.ix_(S, S)] @ w[: S.size]


class Ruler(NamedTuple):
    """What the metrics of a run log need, known beforehand."""

    L_mean: Float64
    x_star: Float64
    fixed_point: Float64
    diagonal: Float64
    alpha: float
    rho: float

    def metrics(self, x: Float64) -> tuple[float, ...]:
        """Gap, both distances, ‖∇f‖² and (x − x*)ᵀ W̄ (x − x*), M = α (ρ L̄ + (1 − ρ) D̄)."""
        error = x - self.x_star
        gradient = self.L_mean @ error
        turned = self.alpha * (self.rho * gradient + (1 - self.rho) * self.diagonal * error)
        return (
            0.5 * float(gradient @ error),
            float(np.linalg.norm(error)),
            float(np.linalg.norm(x - self.fixed_point)),
            float(gradient @ gradient),
            float(gradient @ turned),
        )


def whole_run(
    problem: Problem, x: Float64, gamma: float, rounds: int, every: int, ruler: Ruler
) -> list[tuple[float, ...]]:
    """So many rounds from x⁰ (d,), with the metrics every so many rounds and at the end."""
    random = np.random.default_rng(0)
    rows = [ruler.metrics(x)]
    for k in range(1, rounds + 1):
        x = permutation_round(problem, x, gamma, random)
        if k % every == 0 or k == rounds:
            rows.append(ruler.metrics(x))
    return rows
