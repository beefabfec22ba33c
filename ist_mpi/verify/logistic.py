"""Logistic regression once more, in plain numpy: f, its gradients and the columns of a log.

It shares no code with the kernels, nor with what is known without running.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations
from math import comb
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse, special

from ist_mpi.partition import spans
from ist_mpi.verify.findings import Comparison
from ist_mpi.verify.logs import MAX_BYTES, Instance, Log
from ist_mpi.verify.measure import RELATIVE, ROUNDING, Measured

Float64 = NDArray[np.float64]

RESIDUAL = 1e-10
"""Largest ‖∇f(x*)‖ relative to that at 0, and its like."""
FORMED = 1e7
"""Numbers of all L_i, at most, where their eigenvalues are judged."""
VECTORS = 12
"""Of d numbers that a worker has in a replayed round."""
MARGINS = 1e6
"""Of all blocks, at most, where f_D is added up over them."""


class EveryBlock(NamedTuple):
    """Every block that a worker may have, in exact proportion."""

    C: Float64
    """The diagonals of C_i, 0 off the block; shape (c, n, d)."""
    weights: Float64
    """Shape (c,); their sum is 1."""


@dataclass(frozen=True)
class LogisticInstance(Instance):
    """The samples of all workers; L and b are empty.

    L_i = A_iᵀA_i/(4m_i) + l2 I, the bounds of the Hessians, are never formed.
    """

    samples: list[tuple[Any, Float64]] = field(default_factory=list)
    """A_i (m_i, d), ndarray or CSR, and ±1 (m_i,)."""
    l2: float = 0.0
    test: tuple[Any, Float64] | None = None
    blocks: EveryBlock | None = None
    """What f_D, the objective of submodels, is added up over, if the log follows it so."""

    quadratic = False
    moments = None
    chain = None
    mean_step = None

    @cached_property
    def diagonals(self) -> Float64:
        """See `Instance`."""
        each = [_squares(A).sum(axis=0) / (4.0 * len(y)) for A, y in self.samples]
        return np.array([np.ravel(one) for one in each]) + self.l2

    @cached_property
    def steep(self) -> float:
        """At least the largest eigenvalue of a Hessian of f: a trace, or the largest row sum."""
        rows = [abs(A).T @ (abs(A) @ np.ones(self.d)) / (4.0 * len(y)) for A, y in self.samples]
        trace = (self.diagonals - self.l2).mean(axis=0).sum()
        return float(min(np.mean(rows, axis=0).max(), trace)) + self.l2

    @property
    def seconds_of_rounds(self) -> tuple[float, float]:
        """See `Instance`."""
        entries = float(sum(A.nnz if sparse.issparse(A) else A.size for A, _ in self.samples))
        blocks = 0 if self.blocks is None else len(self.blocks.weights)
        step = 1e-4 * self.n + 6e-9 * entries + 1e-7 * self.n * self.d
        return getattr(self.method, "local_steps", 1) * step, step + 5e-9 * blocks * entries

    def mean_gradient(self, X: Float64) -> Float64:
        """∇f at X (r, d), shape (r, d)."""
        mean = np.zeros_like(X)
        for i in range(self.n):
            mean += self._slopes(i, X) / self.n
        return mean + self.l2 * X

    def _slopes(self, i: int, X: Float64) -> Float64:
        """∇f_i at X (r, d), but for l2; shape (r, d)."""
        A, y = self.samples[i]
        slopes = -y[:, None] * special.expit(-y[:, None] * (A @ X.T)) / len(y)
        return np.asarray((A.T @ slopes).T)

    def gradients(self, X: Float64) -> Float64:
        """See `Instance`."""
        out = np.empty((len(X), self.n, self.d))
        for i in range(self.n):
            x = X[:, min(i, X.shape[1] - 1)]
            out[:, i] = self._slopes(i, x) + self.l2 * x
        return out

    def values(self, X: Float64) -> Float64:
        """f at X (r, d), shape (r,)."""
        each = [-special.log_expit(y[:, None] * (A @ X.T)).mean(axis=0) for A, y in self.samples]
        return np.asarray(np.mean(each, axis=0) + 0.5 * self.l2 * np.sum(X * X, axis=1))

    def columns(
        self, x_star: Float64, x_infinity: Float64 | None, models: Float64, radius: Float64
    ) -> dict[str, Measured]:
        """See `measure.columns`; with the gap of what submodels minimise, where that is exact."""
        with np.errstate(all="ignore"):
            off = radius + ROUNDING * (np.linalg.norm(models, axis=1) + np.linalg.norm(x_star))
            value, g = self.values(models), self.mean_gradient(models)
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
            if self.blocks is not None and x_infinity is not None:
                out["submodel_gap"] = self._submodel_gap(x_infinity, models, off)
        if self.test is not None:
            out["test_accuracy"] = self._accuracies([self.test], models, off)
        return out

    def _submodel_gap(self, x_infinity: Float64, models: Float64, off: Float64) -> Measured:
        """f_D(x) − f_D(x∞)."""
        least = self.of_submodels(x_infinity)[0]
        found = [self.of_submodels(x) for x in models]
        value = np.array([one[0] for one in found])
        slope = np.array([np.linalg.norm(one[1]) for one in found])
        largest = 0.0 if self.blocks is None else float(self.blocks.C.max()) ** 2
        rounding = slope * off + largest * self.steep * off**2 + ROUNDING * (np.abs(value) + least)
        return Measured(value - least, RELATIVE * np.abs(value - least) + rounding)

    def of_submodels(self, x: Float64) -> tuple[float, Float64]:
        """f_D(x) = E (1/n) Σ f_i(C_i x) and its gradient (d,), over every block of a worker."""
        value, gradient = 0.0, np.zeros(self.d)
        C, weights = self.blocks or EveryBlock(np.ones((1, self.n, self.d)), np.ones(1))
        for i, (A, y) in enumerate(self.samples):
            w = C[:, i] * x
            z = y[:, None] * (A @ w.T)
            each = -special.log_expit(z).mean(axis=0) + 0.5 * self.l2 * np.sum(w * w, axis=1)
            value += float(weights @ each) / self.n
            slopes = A.T @ (-y[:, None] * special.expit(-z) / len(y))
            gradient += weights @ (C[:, i] * (slopes.T + self.l2 * w)) / self.n
        return value, gradient

    def bounds(self) -> dict[str, float]:
        """What step sizes are made of; but for μ only where the L_i are small."""
        method, n, d = self.method, self.n, self.d
        found = {"mu": self.l2}
        if n * d * d > FORMED:
            return found
        L = np.empty((n, d, d))
        for i, (A, y) in enumerate(self.samples):
            gram = A.T @ A / (4.0 * len(y))
            L[i] = (gram.toarray() if sparse.issparse(gram) else gram) + self.l2 * np.eye(d)
        mean = L.mean(axis=0)
        found["l0"] = _largest(mean)
        found["rms"] = math.sqrt(_largest(np.matmul(L, L).mean(axis=0)))
        if method.sketch == "permutation" and method.group_size == 1:
            sizes = np.diff(spans(d, n)) if n <= d else np.ones(d)
            meet = float(np.sum(sizes * (sizes - 1.0))) / max(1, d * (d - 1))
            found["l1"] = _largest(meet * mean + (1.0 - meet) * np.diag(np.diag(mean)))
            if getattr(method, "scaling", None) in ("unbiased", "unscaled"):
                factor = _scaled(method.scaling, n / max(1, n // d))
                found["expected_smoothness"] = factor * max(map(_largest, L))
        return found

    @staticmethod
    def _accuracies(samples: list[tuple[Any, Float64]], models: Float64, off: Float64) -> Measured:
        """The mean share of margins above 0, and of those that may be on either side of it."""
        value, unsure = np.zeros(len(models)), np.zeros(len(models))
        for A, y in samples:
            z = y[:, None] * (A @ models.T)
            reach = np.sqrt(np.ravel(_squares(A).sum(axis=1)))[:, None] * off
            value += (0.5 + 0.5 * np.sign(z)).mean(axis=0) / len(samples)
            unsure += ((np.abs(z) <= reach) & (z != 0.0)).mean(axis=0) / len(samples)
        return Measured(value, RELATIVE + unsure)

    def constants(self, theory: dict[str, Any]) -> Iterator[Comparison]:
        """x* by its gradient, f* by its value."""
        zero, x_star = np.zeros((1, self.d)), theory["x_star"][None]
        first = float(np.linalg.norm(self.mean_gradient(zero)))
        there = self.mean_gradient(x_star)
        yield Comparison("gradient at x_star", there, 0.0, RESIDUAL * first)
        f_star = float(self.values(x_star)[0])
        yield Comparison("f_star", theory.get("f_star", np.nan), f_star, RELATIVE * abs(f_star))
        at_zero = float(self.values(zero)[0]) - f_star
        yield Comparison("gap_at_zero", theory.get("gap_at_zero", np.nan), at_zero, 1e-9 * at_zero)
        if "fixed_point" in theory and at_zero > 0:
            over = max(0.0, float(self.values(theory["fixed_point"][None])[0]) - f_star) / at_zero
            seen = theory.get("fixed_point_gap_over_zero", np.nan)
            yield Comparison("fixed_point_gap_over_zero", seen, over, 1e-9 * (1.0 + over))
        for name, value in self.bounds().items() if "l0" in theory else ():
            seen = theory.get(name, np.nan)
            yield Comparison(name, seen, value, 1e-8 * value)
        if self.blocks is not None and "fixed_point" in theory:
            there = self.of_submodels(theory["fixed_point"])[1]
            first = float(np.linalg.norm(self.of_submodels(zero[0])[1]))
            yield Comparison("gradient of f_D at fixed_point", there, 0.0, RESIDUAL * first)


def instance_of(log: Log, source: Any) -> Instance | str:
    """The problem that the configuration describes, or why it cannot be rebuilt."""
    n, d, rows = source.n, source.d, len(log.run.rounds["round"])
    if (n * VECTORS + rows) * d * 8 > MAX_BYTES:
        return f"cost: {n} models and {rows} rows of {d} numbers"
    samples = [source.samples(worker) for worker in range(n)]
    held = source.held_out()
    test = None if held is None else (held.A, held.y)
    followed = "submodel_gap" in log.run.rounds
    exact = followed and log.run.theory.get("fixed_point_rule") == "exact"
    nothing = np.empty((n, 0, 0)), np.empty((n, 0)), np.zeros(n)
    made = LogisticInstance(log.method, *nothing, source.start(), False, samples, source.l2, test)
    return replace(made, blocks=every_block(log.method, made)) if exact else made


def every_block(method: Any, instance: LogisticInstance) -> EveryBlock | None:
    """Every block that a worker may have; None where there are too many to go through."""
    n, d, samples = instance.n, instance.d, sum(len(y) for _, y in instance.samples)
    g, q = method.group_size, getattr(method, "q", None)
    N = d // g
    if q:  # (size, C, probability)
        kinds = [(q, d / q, 1.0)]
    elif n <= N:
        kinds = [(int(size), float(n), 1.0 / n) for size in np.diff(spans(N, n))]
    else:  # of the h workers of a coordinate one is this one
        kinds = [(1, n / h, h / n) for h in np.diff(spans(n, N))]
    if sum(comb(N, size) for size in {size for size, *_ in kinds}) * samples > MARGINS:
        return None
    found: dict[tuple[int, float], float] = {}
    for size, factor, share in kinds:
        found[size, factor] = found.get((size, factor), 0.0) + share
    masks, weights = [], list[float]()
    for (size, factor), share in found.items():
        chosen = np.array(list(combinations(range(N), size)))
        mask = np.zeros((len(chosen), N))
        np.put_along_axis(mask, chosen, _scaled(method.scaling, factor), axis=1)
        masks.append(np.repeat(mask, g, axis=1))
        weights += [share / len(chosen)] * len(chosen)
    C = np.repeat(np.concatenate(masks)[:, None], n, axis=1)
    if method.scaling == "preconditioned":
        C = C / np.sqrt(instance.diagonals)
    return EveryBlock(C, np.array(weights))


def _squares(A: Any) -> Any:
    """Of every number."""
    return A.multiply(A) if sparse.issparse(A) else A * A


def _largest(matrix: Float64) -> float:
    """Its largest eigenvalue."""
    return float(np.linalg.eigvalsh(matrix)[-1])


def _scaled(scaling: str, factor: float) -> float:
    """The number in C_i, where an unbiased one is `factor`."""
    return {"unbiased": factor, "unscaled": 1.0}.get(scaling, math.sqrt(factor))
