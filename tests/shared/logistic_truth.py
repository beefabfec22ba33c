"""Logistic regression written out for the tests; no code of the package in it.

f_i(x) = (1/m_i) Σ_r log(1 + exp(−y_r a_rᵀ x)) + (l2/2) ‖x‖², and f_D(x) = E (1/n) Σ f_i(C_i x) over
every draw of a round.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import reference


class Problem(NamedTuple):
    """The samples of every worker."""

    A: list[np.ndarray]
    y: list[np.ndarray]
    l2: float

    @property
    def n(self) -> int:
        """Workers."""
        return len(self.A)

    @property
    def d(self) -> int:
        """Coordinates."""
        return int(self.A[0].shape[1])

    def value(self, i: int, x: np.ndarray) -> float:
        """f_i(x)."""
        z = self.y[i] * (self.A[i] @ x)
        return float(np.logaddexp(0.0, -z).mean() + 0.5 * self.l2 * x @ x)

    def gradient(self, i: int, x: np.ndarray) -> np.ndarray:
        """∇f_i(x)."""
        z = self.y[i] * (self.A[i] @ x)
        weights = -self.y[i] * np.exp(-np.logaddexp(0.0, z)) / len(z)
        return np.asarray(self.A[i].T @ weights + self.l2 * x)

    def hessian(self, i: int, x: np.ndarray) -> np.ndarray:
        """∇²f_i(x)."""
        z = self.A[i] @ x
        bent = np.exp(-np.logaddexp(0.0, z) - np.logaddexp(0.0, -z)) / len(z)
        return np.asarray(self.A[i].T @ (bent[:, None] * self.A[i]) + self.l2 * np.eye(self.d))

    def mean(self, of: Callable[..., Any], x: np.ndarray) -> Any:
        """The mean over the workers."""
        return sum(of(i, x) for i in range(self.n)) / self.n

    def accuracy(self, x: np.ndarray) -> float:
        """The share of samples whose class is told right, mean over the workers."""
        right = [0.5 + 0.5 * np.sign(y * (A @ x)) for A, y in zip(self.A, self.y, strict=True)]
        return float(np.mean([each.mean() for each in right]))

    def bounds(self) -> np.ndarray:
        """L_i = A_iᵀA_i/(4 m_i) + l2 I, shape (n, d, d)."""
        eye = self.l2 * np.eye(self.d)
        return np.stack([A.T @ A / (4 * len(A)) + eye for A in self.A])

    def minimiser(self) -> np.ndarray:
        """x*, by Newton's method."""
        return newton(
            np.zeros(self.d),
            lambda x: self.mean(self.gradient, x),
            lambda x: self.mean(self.hessian, x),
        )


def newton(x: np.ndarray, gradient: Callable[..., Any], hessian: Callable[..., Any]) -> np.ndarray:
    """The zero of a gradient, by steps that are halved until the gradient is shorter."""
    for _ in range(60):
        g = gradient(x)
        step, t = np.linalg.solve(hessian(x), g), 1.0
        while np.linalg.norm(gradient(x - t * step)) >= np.linalg.norm(g) and t > 1e-6:
            t /= 2
        if t <= 1e-6:
            break
        x = x - t * step
    return x


def made(n: int, d: int, seed: int = 3) -> tuple[Problem, dict[str, Any]]:
    """A problem whose workers have different numbers of samples, and the settings that say so."""
    rng = np.random.default_rng([seed, n, d])
    whose = np.concatenate([np.full(4 + 3 * (i % 3), i) for i in range(n)])
    X = rng.standard_normal((whose.size, d)) + 0.3 * whose[:, None]
    X[rng.random(X.shape) < 0.3] = 0.0
    y = (X @ rng.standard_normal(d) + rng.standard_normal(whose.size) > 0).astype(float)
    y[:2] = 0.0, 1.0
    settings = {"kind": "logistic", "X": X, "y": y, "worker": whose, "n": n, "l2": 0.05}
    parts = [whose == i for i in range(n)]
    return Problem([X[at] for at in parts], [2 * y[at] - 1 for at in parts], 0.05), settings


def ist_round(
    problem: Problem, x: np.ndarray, blocks: reference.Blocks, method: dict[str, Any]
) -> np.ndarray:
    """A round of ist or dcgd, with explicit (d, d) matrices C_i and A_i."""
    sketch, scaling = method.get("sketch", "permutation"), method.get("scaling", "unbiased")
    C = reference.sketch_matrices(sketch, scaling, blocks, problem.bounds())
    A = reference.weights(sketch, scaling, blocks, problem.n, problem.d)
    gamma, total = method["step_size"], np.zeros(problem.d)
    if method["name"] == "dcgd":
        return x - gamma * problem.mean(lambda i, x: C[i] @ problem.gradient(i, x), x)
    form = method.get("form", reference.default_form(sketch, scaling))
    for i in range(problem.n):
        start = w = C[i] @ x
        for _ in range(method.get("local_steps", 1)):
            w = w - gamma * C[i] @ problem.gradient(i, w)
        total = total + A[i] @ (w if form == "merge" else w - start)
    return total if form == "merge" else x + total


class Expected(NamedTuple):
    """E Σ A_i C_i ∇f_i(C_i x), and the pieces that make it the gradient of f_D."""

    draws: list[tuple[float, np.ndarray, np.ndarray]]
    problem: Problem

    def _sum(self, of: Callable[[int, np.ndarray, float], Any]) -> Any:
        return sum(
            chance * of(i, C[i], float(A[i][np.diag(C[i]) > 0].max()))
            for chance, C, A in self.draws
            for i in range(self.problem.n)
        )

    def value(self, x: np.ndarray) -> float:
        """E Σ a_i f_i(C_i x), a_i the number that A_i is on the block: in proportion to f_D."""
        return float(self._sum(lambda i, C, a: a * self.problem.value(i, C @ x)))

    def gradient(self, x: np.ndarray) -> np.ndarray:
        """The mean step."""
        return np.asarray(self._sum(lambda i, C, a: a * C @ self.problem.gradient(i, C @ x)))

    def hessian(self, x: np.ndarray) -> np.ndarray:
        """Its derivative."""
        return np.asarray(self._sum(lambda i, C, a: a * C @ self.problem.hessian(i, C @ x) @ C))

    def minimiser(self) -> np.ndarray:
        """x∞."""
        return newton(np.zeros(self.problem.d), self.gradient, self.hessian)


def expected(problem: Problem, method: dict[str, Any]) -> Expected:
    """Over every draw of a round of ist."""
    n, d = problem.n, problem.d
    sketch, scaling = method.get("sketch", "permutation"), method.get("scaling", "unbiased")
    drawn = reference.draws(sketch, n, d, method.get("q"), method.get("group_size", 1))
    found = []
    for chance, blocks in drawn:
        C = reference.sketch_matrices(sketch, scaling, blocks, problem.bounds())
        found.append((chance, C, reference.weights(sketch, scaling, blocks, n, d)))
    return Expected(found, problem)
