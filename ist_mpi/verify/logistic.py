"""Logistic regression once more, in plain numpy: f, its gradients and the columns of a log.

It shares no code with the kernels, nor with what is known without running.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse, special

from ist_mpi.verify.findings import Comparison
from ist_mpi.verify.logs import MAX_BYTES, Instance, Log
from ist_mpi.verify.measure import RELATIVE, ROUNDING, Measured

Float64 = NDArray[np.float64]

RESIDUAL = 1e-10
"""Largest ‖∇f(x*)‖ relative to that at 0, and its like."""


@dataclass(frozen=True)
class LogisticInstance(Instance):
    """The samples of all workers; L are the bounds of the Hessians, b is 0."""

    samples: list[tuple[Any, Float64]] = field(default_factory=list)
    """A_i (m_i, d), ndarray or CSR, and ±1 (m_i,)."""
    l2: float = 0.0
    test: tuple[Any, Float64] | None = None

    quadratic = False
    moments = None
    chain = None
    mean_step = None

    @cached_property
    def steep(self) -> float:
        """At least the largest eigenvalue of a Hessian of f."""
        return float(np.abs(self.L_mean).sum(axis=1).max())

    def gradients(self, X: Float64) -> Float64:
        """See `Instance`."""
        out = np.empty((len(X), self.n, self.d))
        for i, (A, y) in enumerate(self.samples):
            x = X[:, min(i, X.shape[1] - 1)]
            slopes = -y[:, None] * special.expit(-y[:, None] * (A @ x.T)) / len(y)
            out[:, i] = (A.T @ slopes).T + self.l2 * x
        return out

    def values(self, X: Float64) -> Float64:
        """f at X (r, d), shape (r,)."""
        each = [-special.log_expit(y[:, None] * (A @ X.T)).mean(axis=0) for A, y in self.samples]
        return np.asarray(np.mean(each, axis=0) + 0.5 * self.l2 * np.sum(X * X, axis=1))

    def columns(
        self, x_star: Float64, x_infinity: Float64 | None, models: Float64, radius: Float64
    ) -> dict[str, Measured]:
        """See `measure.columns`; the gap of what submodels minimise is not among them."""
        with np.errstate(all="ignore"):
            off = radius + ROUNDING * (np.linalg.norm(models, axis=1) + np.linalg.norm(x_star))
            value, g = self.values(models), self.gradients(models[:, None]).mean(axis=1)
            slope = np.linalg.norm(g, axis=1)
            blur = self.steep * off
            rounding = slope * off + 0.5 * blur * off + ROUNDING * np.abs(value)
            gap = value - self.values(x_star[None])[0]
            out = {
                "value": Measured(value, RELATIVE * value + rounding),
                "gap": Measured(gap, RELATIVE * np.abs(gap) + 2.0 * rounding),
                "gradient_norm_squared": Measured(
                    slope**2, RELATIVE * slope**2 + 2 * slope * blur + blur**2
                ),
                "train_accuracy": self._accuracies(self.samples, models, off),
            }
            for name, x in (
                ("distance_to_solution", x_star),
                ("distance_to_fixed_point", x_infinity),
            ):
                if x is not None:
                    far = np.linalg.norm(models - x, axis=1)
                    out[name] = Measured(far, RELATIVE * far + off)
        if self.test is not None:
            out["test_accuracy"] = self._accuracies([self.test], models, off)
        return out

    @staticmethod
    def _accuracies(samples: list[tuple[Any, Float64]], models: Float64, off: Float64) -> Measured:
        """The mean share of margins above 0, and of those that may be on either side of it."""
        value, unsure = np.zeros(len(models)), np.zeros(len(models))
        for A, y in samples:
            z = y[:, None] * (A @ models.T)
            squares = A.multiply(A) if sparse.issparse(A) else A * A
            reach = np.sqrt(np.ravel(squares.sum(axis=1)))[:, None] * off
            value += (0.5 + 0.5 * np.sign(z)).mean(axis=0) / len(samples)
            unsure += ((np.abs(z) <= reach) & (z != 0.0)).mean(axis=0) / len(samples)
        return Measured(value, RELATIVE + unsure)

    def constants(self, theory: dict[str, Any]) -> Iterator[Comparison]:
        """x* by its gradient, f* by its value."""
        zero, x_star = np.zeros((1, self.d)), theory["x_star"][None]
        first = float(np.linalg.norm(self.gradients(zero[:, None]).mean(axis=1)))
        there = self.gradients(x_star[:, None]).mean(axis=1)
        yield Comparison("gradient at x_star", there, 0.0, RESIDUAL * first)
        f_star = float(self.values(x_star)[0])
        yield Comparison("f_star", theory.get("f_star", np.nan), f_star, RELATIVE * abs(f_star))
        at_zero = float(self.values(zero)[0]) - f_star
        yield Comparison("gap_at_zero", theory.get("gap_at_zero", np.nan), at_zero, 1e-9 * at_zero)


def instance_of(log: Log, source: Any) -> Instance | str:
    """The problem that the configuration describes, or why it cannot be rebuilt."""
    n, d = source.n, source.d
    if n * d * d * 8 > MAX_BYTES:
        return f"cost: {n} matrices of {d} × {d} numbers"
    samples = [source.samples(worker) for worker in range(n)]
    L = np.empty((n, d, d))
    for i, (A, y) in enumerate(samples):
        gram = A.T @ A
        L[i] = (gram.toarray() if sparse.issparse(gram) else gram) / (4.0 * len(y))
        L[i] += source.l2 * np.eye(d)
    held = source.held_out()
    test = None if held is None else (held.A, held.y)
    zeros = np.zeros((n, d)), np.zeros(n)
    return LogisticInstance(log.method, L, *zeros, source.start(), False, samples, source.l2, test)
