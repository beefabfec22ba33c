"""Second implementations of the methods without bias: whole vectors and 0/1 masks, R runs at once.

Shapes: x (R, d); what every worker has (R, n, d). P is the mask of the blocks, W the weights with
which blocks are added up to an unbiased estimate: 1/h_j for the h_j holders of a coordinate, d/(qn)
for Rand-q.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ist_mpi.verify.processes import Process
from ist_mpi.verify.rounds import Draw

Float64 = NDArray[np.float64]


class Unbiased(Process):
    """What they share."""

    settings: Any

    def gradients(self, X: Float64) -> Float64:
        """∇f_i at x (R, d) or at a model of each worker's own (R, n, d); shape (R, n, d)."""
        return self.instance.gradients(X[:, None] if X.ndim == 2 else X)

    def masks(self, draw: Draw) -> tuple[Float64, Float64]:
        """P and W, (R, n, d)."""
        R, n, d = len(self.x), self.instance.n, self.instance.d
        P = np.zeros((R, n, d))
        runs, workers, _ = np.nonzero(draw.held)
        P[runs, workers, draw.S[draw.held]] = 1.0
        if self.instance.q:
            return P, P * (d / (self.instance.q * n))
        return P, P / P.sum(axis=1, keepdims=True)

    @property
    def blocks(self) -> float:
        """N = d/q, q the mean size of a block."""
        return float(self.instance.n * self.instance.d / self.instance.sketch.total)


class Momentum(Unbiased):
    """Nesterov's, on the coordinates of a mask."""

    def begin(self) -> None:
        """z = x⁰."""
        self.z = self.x.copy()

    def step(self, mask: Float64 | float, blocks: float) -> None:
        """A round, on the coordinates of the mask (R, d)."""
        momentum = getattr(self.settings, "momentum", None)
        if momentum is None:
            self.x = self.x - self.gamma * mask * self.gradients(self.x).mean(axis=1)
            return
        a = np.sqrt(self.settings.mu * self.gamma) / blocks
        y = (self.x + a * self.z) / (1.0 + a)
        g = mask * self.gradients(y).mean(axis=1)
        self.z = (1.0 - a) * self.z + a * y - self.gamma / (blocks * a) * g
        self.x = y - self.gamma * g


class GradientDescent(Momentum):
    """On all coordinates."""

    def advance(self, k: int, draw: Draw) -> None:
        """See `Process`."""
        self.step(1.0, 1.0)


class SharedBlock(Momentum):
    """On the first worker's block."""

    def advance(self, k: int, draw: Draw) -> None:
        """See `Process`."""
        self.step(self.masks(draw)[0][:, 0], self.blocks)


class Anchored(Unbiased):
    """The anchor h of each run, and its gradients."""

    def begin(self) -> None:
        """h = x⁰, which the first round sees to."""
        self.h = self.x.copy()

    def advance(self, k: int, draw: Draw) -> None:
        """See `Process`."""
        p, m = self.settings.refresh_probability, self.settings.refresh
        moves = np.full(len(self.x), k == 0 if p is not None else k % m == 0)
        if p is not None:
            moves |= self.chance.up(k, p)
        self.h = np.where(moves[:, None], self.x, self.h)
        at_h = self.gradients(self.h)
        P, W = self.masks(draw)
        way = self.settings.alpha * P * (self.x - self.h)[:, None]
        v = self.gradients(self.h[:, None] + way) - at_h
        self.x = self.x - self.gamma * (at_h.mean(axis=1) + (W * v).sum(axis=1))


class Shifted(Unbiased):
    """A shift h_i on every worker."""

    def begin(self) -> None:
        """h_i = ∇f_i(x⁰), w_i = x⁰."""
        self.h = self.gradients(self.x)
        self.w = np.tile(self.x[:, None], (1, self.instance.n, 1))
        self.previous = self.x.copy()

    def learn(self, P: Float64, gradients: Float64) -> Float64:
        """δ_i, which the shifts take in."""
        delta = P * (gradients - self.h)
        self.h = self.h + delta
        return delta


class Diana(Shifted):
    """An unbiased estimate."""

    def advance(self, k: int, draw: Draw) -> None:
        """See `Process`."""
        (P, W), mean = self.masks(draw), self.h.mean(axis=1)
        delta = self.learn(P, self.gradients(self.x))
        self.x = self.x - self.gamma * (mean + (W * delta).sum(axis=1))


class EF21(Shifted):
    """The mean shift."""

    def advance(self, k: int, draw: Draw) -> None:
        """See `Process`."""
        self.learn(self.masks(draw)[0], self.gradients(self.x))
        self.x = self.x - self.gamma * self.h.mean(axis=1)


class Stale(Shifted):
    """A model on every worker, whose block is new."""

    def advance(self, k: int, draw: Draw) -> None:
        """See `Process`."""
        (P, W), mean = self.masks(draw), self.h.mean(axis=1)
        self.w = np.where(P > 0, self.x[:, None], self.w)
        delta = self.learn(P, self.gradients(self.w))
        estimate = self.settings.tau * (W * delta).sum(axis=1)
        self.x = self.x - self.gamma * (mean + estimate)


class MarinaP(Shifted):
    """A model on every worker, moved by compressed differences."""

    def advance(self, k: int, draw: Draw) -> None:
        """See `Process`."""
        whole = self.chance.up(k, self.settings.refresh_probability)[:, None, None]
        P, W = self.masks(draw)
        moved = self.w + self.instance.n * W * (self.x - self.previous)[:, None]
        self.w = np.where(whole, self.x[:, None], moved)
        self.learn(np.where(whole, 1.0, P), self.gradients(self.w))
        self.previous = self.x
        self.x = self.x - self.gamma * self.h.mean(axis=1)


class Marina(Unbiased):
    """An estimate g of the gradient, made anew by chance."""

    def begin(self) -> None:
        """The first round makes g."""
        self.g, self.previous = np.zeros_like(self.x), self.x.copy()

    def advance(self, k: int, draw: Draw) -> None:
        """See `Process`."""
        whole = self.chance.up(k, self.settings.refresh_probability) | (k == 0)
        here, W = self.gradients(self.x), self.masks(draw)[1]
        change = (W * (here - self.gradients(self.previous))).sum(axis=1)
        self.g = np.where(whole[:, None], here.mean(axis=1), self.g + change)
        self.previous = self.x
        self.x = self.x - self.gamma * self.g


class Scaffnew(Unbiased):
    """Local steps until a coin comes up, less the shifts."""

    def begin(self) -> None:
        """h_i = 0."""
        self.h = np.zeros((len(self.x), self.instance.n, self.instance.d))

    def advance(self, k: int, draw: Draw) -> None:
        """See `Process`."""
        p = self.settings.probability
        steps = self.chance.trials(k, p)
        each = np.tile(self.x[:, None], (1, self.instance.n, 1))
        for done in range(int(steps.max())):
            going = (done < steps)[:, None, None]
            each = np.where(going, each - self.gamma * (self.gradients(each) - self.h), each)
        self.x = each.mean(axis=1)
        self.h = self.h + p / self.gamma * (self.x[:, None] - each)
