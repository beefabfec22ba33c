"""Methods without bias, written out with explicit (d, d) matrices; no code of the package in it.

Each is a generator that yields, of x^0, x^1, … in turn, the model and the numbers sent so far, up
and down, mean over the workers.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from reference import projection


class Case(NamedTuple):
    """A run to repeat."""

    L: np.ndarray
    b: np.ndarray
    x0: np.ndarray
    gamma: float
    settings: dict[str, Any]
    blocks: Callable[[int], list[np.ndarray]]
    coin: Callable[[int], int]
    """Whether the coin of round k comes up, or how many are tossed until one does."""

    @property
    def n(self) -> int:
        """Workers."""
        return len(self.b)

    @property
    def d(self) -> int:
        """Coordinates."""
        return len(self.x0)

    def gradient(self, i: int, x: np.ndarray) -> np.ndarray:
        """∇f_i(x)."""
        return np.asarray(self.L[i] @ x - self.b[i])

    def mean_gradient(self, x: np.ndarray) -> np.ndarray:
        """∇f(x), added up in the order of the workers."""
        return np.asarray(sum(self.gradient(i, x) for i in range(self.n)) / self.n)

    def projections(self, k: int) -> list[np.ndarray]:
        """P_i of round k, (d, d) each."""
        return [projection(block, self.d) for block in self.blocks(k)]

    def weights(self, P: list[np.ndarray]) -> list[np.ndarray]:
        """What makes Σ W_i P_i v_i an unbiased estimate of Σ/n: 1/h_j, or d/(qn) for Rand-q."""
        if self.settings.get("sketch") == "rand":
            q = self.settings["q"]
            return [self.d / (q * self.n) * np.eye(self.d)] * self.n
        holders = np.diag(sum(P))
        return [np.diag(1.0 / holders)] * self.n

    @property
    def q(self) -> float:
        """The mean size of a block."""
        if self.settings.get("sketch") == "rand":
            return float(self.settings["q"])
        return max(1.0, self.d / self.n)

    @property
    def N(self) -> float:
        """Blocks."""
        return self.d / self.q


Rows = Iterator[tuple[np.ndarray, float, float]]


def shared_block(case: Case) -> Rows:
    gamma, N, d = case.gamma, case.N, case.d
    x, z = case.x0.copy(), case.x0.copy()
    up, down = 0.0, float(d)
    nesterov = case.settings.get("momentum") == "nesterov"
    a = np.sqrt(case.settings["mu"] * gamma) / N if nesterov else 0.0
    k = 0
    while True:
        yield x, up, down
        P = case.projections(k)[0]
        y = (x + a * z) / (1 + a)
        g = P @ case.mean_gradient(y)
        if nesterov:
            z = (1 - a) * z + a * y - gamma / (N * a) * g
        x = y - gamma * g
        up, down, k = up + np.trace(P), down + np.trace(P), k + 1


def gradient_descent(case: Case) -> Rows:
    """Nesterov's method, in its other form: y = x + β (x − x_previous)."""
    gamma, d = case.gamma, case.d
    root = np.sqrt(case.settings["mu"] * gamma)
    beta = (1 - root) / (1 + root)
    x, previous, k = case.x0.copy(), case.x0.copy(), 0
    while True:
        yield x, float(k * d), float(k * d)
        y = x + beta * (x - previous)
        previous, x, k = x, y - gamma * case.mean_gradient(y), k + 1


def anchored(case: Case) -> Rows:
    gamma, d, alpha = case.gamma, case.d, case.settings["alpha"]
    m = case.settings.get("refresh")
    x, up, down, k = case.x0.copy(), 0.0, 0.0, 0
    while True:
        yield x, up, down
        if k == 0 or (k % m == 0 if m is not None else case.coin(k)):
            h, at_h = x, case.mean_gradient(x)
            x = x - gamma * at_h
            up, down = up + d, down + d
        else:
            P = case.projections(k)
            step = at_h.copy()
            for i, W in enumerate(case.weights(P)):
                u = P[i] @ (x - h)
                v = P[i] @ (case.gradient(i, h + alpha * u) - case.gradient(i, h))
                step = step + W @ v
            x = x - gamma * step
            up, down = up + case.q, down + case.q
        k += 1


def stale(case: Case) -> Rows:
    gamma, d, n, tau = case.gamma, case.d, case.n, case.settings.get("tau", 1.0)
    x = case.x0.copy()
    w = [x.copy() for _ in range(n)]
    h = [case.gradient(i, x) for i in range(n)]
    up, down, k = float(d), float(d), 0
    while True:
        yield x, up, down
        P = case.projections(k)
        mean = sum(h) / n
        total = np.zeros(d)
        for i, W in enumerate(case.weights(P)):
            w[i] = w[i] + P[i] @ (x - w[i])
            delta = P[i] @ (case.gradient(i, w[i]) - h[i])
            h[i] = h[i] + delta
            total = total + W @ delta
        x = x - gamma * (mean + tau * total)
        up, down, k = up + case.q, down + case.q, k + 1


def marina_p(case: Case) -> Rows:
    gamma, d, n = case.gamma, case.d, case.n
    x = case.x0.copy()
    previous = x
    w = [x.copy() for _ in range(n)]
    h = [case.gradient(i, x) for i in range(n)]
    up, down, k = float(d), float(d), 0
    while True:
        yield x, up, down
        if case.coin(k):
            w = [x.copy() for _ in range(n)]
            h = [case.gradient(i, x) for i in range(n)]
            up, down = up + d, down + d
        else:
            P = case.projections(k)
            for i, W in enumerate(case.weights(P)):
                w[i] = w[i] + n * W @ P[i] @ (x - previous)
                h[i] = h[i] + P[i] @ (case.gradient(i, w[i]) - h[i])
            up, down = up + case.q, down + case.q
        previous, x = x, x - gamma * sum(h) / n
        k += 1


def diana(case: Case, ef21: bool = False) -> Rows:
    gamma, d, n = case.gamma, case.d, case.n
    x = case.x0.copy()
    h = [case.gradient(i, x) for i in range(n)]
    up, down, k = float(d), 0.0, 0
    while True:
        yield x, up, down
        P = case.projections(k)
        g = sum(h) / n
        for i, W in enumerate(case.weights(P)):
            delta = P[i] @ (case.gradient(i, x) - h[i])
            h[i] = h[i] + delta
            g = g + (delta / n if ef21 else W @ delta)
        x = x - gamma * g
        up, down, k = up + case.q, down + d, k + 1


def ef21(case: Case) -> Rows:
    return diana(case, ef21=True)


def marina(case: Case) -> Rows:
    gamma, d = case.gamma, case.d
    x, up, down, k = case.x0.copy(), 0.0, 0.0, 0
    previous = x
    while True:
        yield x, up, down
        if k == 0 or case.coin(k):
            g = case.mean_gradient(x)
            up += d
        else:
            P = case.projections(k)
            for i, W in enumerate(case.weights(P)):
                g = g + W @ P[i] @ (case.gradient(i, x) - case.gradient(i, previous))
            up += case.q
        previous, x = x, x - gamma * g
        down, k = down + d, k + 1


def scaffnew(case: Case) -> Rows:
    gamma, d, n, p = case.gamma, case.d, case.n, case.settings["probability"]
    x, k = case.x0.copy(), 0
    h = [np.zeros(d) for _ in range(n)]
    while True:
        yield x, float(k * d), float(k * d)
        each = [x.copy() for _ in range(n)]
        for _ in range(case.coin(k)):
            each = [x_i - gamma * (case.gradient(i, x_i) - h[i]) for i, x_i in enumerate(each)]
        x = sum(each) / n
        h = [h_i + p / gamma * (x - x_i) for h_i, x_i in zip(h, each, strict=True)]
        k += 1


METHODS: dict[str, Callable[[Case], Rows]] = {
    "shared_block": shared_block,
    "gradient_descent": gradient_descent,
    "anchored": anchored,
    "stale": stale,
    "marina_p": marina_p,
    "diana": diana,
    "ef21": ef21,
    "marina": marina,
    "scaffnew": scaffnew,
}
