"""Networks once more, in plain numpy: whole networks with zeros where a worker has no neurons.

A neuron whose weights and biases are 0 gives 0, so that what a worker trains is the whole network
at C x. It shares no code with `ist_mpi.problems`, nor with the kernels.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from ist_mpi.partition import spans
from ist_mpi.sketches import sketch_of
from ist_mpi.verify.batches import batches
from ist_mpi.verify.logs import MAX_BYTES, Instance, Log
from ist_mpi.verify.measure import RELATIVE, ROUNDING, Measured

Float64 = NDArray[np.float64]
Integers = NDArray[np.integer]


class Samples(NamedTuple):
    """Of one worker, or held out."""

    X: Float64
    """Shape (m, features)."""
    y: NDArray[np.int64]
    """Numbers of classes, shape (m,)."""


class Seen(NamedTuple):
    """A network on samples, at one scale of the outputs."""

    inputs: list[Float64]
    """What each layer has for its input, (m, width)."""
    sums: list[Float64]
    """What each hidden layer's neurons add up, (m, width)."""
    outputs: Float64
    """Shape (m, classes)."""
    reach: list[Float64]
    """How far each layer's sums, the outputs last, may be off, (m,)."""


@dataclass(frozen=True)
class NetworkInstance(Instance):
    """The samples of all workers; L and b are empty."""

    settings: Any = None
    """The table [problem], resolved."""
    widths: tuple[int, ...] = ()
    samples: list[Samples] = field(default_factory=list)
    test: Samples | None = None
    units: Any = None
    """What the sketch deals out, in the words of `sketches.units`."""
    drawn: list[Iterator[list[int]]] = field(default_factory=list)
    """The minibatches of this round's local steps, by worker."""

    quadratic = False
    moments = None
    chain = None
    mean_step = None
    replicas = 2

    @cached_property
    def sketch(self) -> Any:
        """See `Instance`."""
        return sketch_of(self.method, self.n, self.d, self.units)

    @property
    def seconds_of_rounds(self) -> tuple[float, float]:
        """See `Instance`."""
        most = max(len(own.y) for own in self.samples)
        seen, steps = self.settings.batch or most, getattr(self.method, "local_steps", 1)
        step = 2e-4 + 1e-5 * min(seen, most) + 1e-9 * self.d * (20 + seen)
        return self.n * steps * step, self.n * (1e-3 + 4e-9 * self.d * most)

    def open_round(self, seed: int, k: int) -> None:
        """See `Instance`."""
        size = self.settings.batch
        self.drawn[:] = [
            batches(seed, k, worker, len(own.y), size) for worker, own in enumerate(self.samples)
        ]

    def gradients(self, X: Float64) -> Float64:
        """Of this round's next minibatches; see `Instance`."""
        out = np.empty((len(X), self.n, self.d))
        for i, own in enumerate(self.samples):
            some = next(self.drawn[i])
            batch = Samples(own.X[some], own.y[some])
            for r, models in enumerate(X):
                out[r, i] = self.slope(models[min(i, len(models) - 1)], batch)
        return out

    def layers(self, x: Float64) -> list[tuple[Float64, Float64]]:
        """W (out, in) and b (out,) of each layer: W by rows, then b."""
        found, rest = [], x
        for into, out in pairwise(self.widths):
            W, b, rest = np.split(rest, [into * out, into * out + out])
            found.append((W.reshape(out, into), b))
        return found

    def seen(self, x: Float64, X: Float64, scale: float, off: float = 0.0) -> Seen:
        """Forward; x is known to `off`."""
        net = self.layers(x)
        inputs, sums, reach = [X], [], [np.zeros(len(X))]
        for W, b in net[:-1]:
            sums.append(inputs[-1] @ W.T + b)
            reach.append(_reach(off, W, inputs[-1], reach[-1]))
            inputs.append(np.maximum(sums[-1], 0.0))
        W, b = net[-1]
        reach.append(max(scale, 1.0) * _reach(off, W, inputs[-1], reach[-1]))
        return Seen(inputs, sums, scale * (inputs[-1] @ W.T) + b, reach[1:])

    def residuals(self, z: Float64, y: NDArray[np.int64]) -> Float64:
        """The loss's derivatives by the outputs, m times, (m, classes)."""
        told = z if self.settings.loss == "squares" else special.softmax(z, axis=1)
        return np.asarray(told - np.eye(self.widths[-1])[y])

    def loss(self, z: Float64, y: NDArray[np.int64]) -> float:
        """The mean loss of outputs z (m, classes)."""
        if self.settings.loss == "squares":
            return 0.5 * float(np.mean(np.sum(self.residuals(z, y) ** 2, axis=1)))
        shares = special.log_softmax(z, axis=1)
        return -float(np.mean(np.take_along_axis(shares, y[:, None], axis=1)))

    def slope(self, x: Float64, samples: Samples, off: float = 0.0) -> Float64:
        """The loss's gradient at the scale of training, (d,).

        With x known to |off|, neurons count that may (off < 0) or that must (off > 0) be above 0.
        """
        scale, net = self.settings.logit_scale, self.layers(x)
        seen = self.seen(x, samples.X, scale, abs(off))
        D = self.residuals(seen.outputs, samples.y) / len(samples.y)
        parts = [D.sum(axis=0), scale * (D.T @ seen.inputs[-1]).ravel()]
        D = scale * (D @ net[-1][0])
        for at in range(len(net) - 2, -1, -1):
            D = D * (seen.sums[at] > np.sign(off) * seen.reach[at][:, None])
            parts += [D.sum(axis=0), (D.T @ seen.inputs[at]).ravel()]
            D = D @ net[at][0]
        return np.concatenate(parts[::-1])

    def columns(
        self, x_star: Float64 | None, x_infinity: Float64 | None, models: Float64, radius: Float64
    ) -> dict[str, Measured]:
        """See `measure.columns`; there is no x*."""
        with np.errstate(all="ignore"):
            off = radius + ROUNDING * np.linalg.norm(models, axis=1)
            rows = [self._row(x, float(far)) for x, far in zip(models, off, strict=True)]
        found = {
            name: Measured(*np.array([row[name] for row in rows]).reshape(-1, 2).T)
            for name in rows[0]
        }
        unknown = Measured(np.full(len(models), np.nan), np.zeros(len(models)))
        return found | dict.fromkeys(("gap", "distance_to_solution"), unknown)

    def _row(self, x: Float64, off: float) -> dict[str, tuple[float, float]]:
        """The columns of one model, each with its tolerance."""
        training, evaluation = self.settings.logit_scale, self.settings.evaluation_scale
        values = [self._loss(x, own, training, off) for own in self.samples]
        losses = [self._loss(x, own, evaluation, off) for own in self.samples]
        right = [self._accuracy(x, own, evaluation, off) for own in self.samples]
        g, low, high = (
            np.mean([self.slope(x, own, lean) for own in self.samples], axis=0)
            for lean in (0.0, -off, off)
        )
        size, blur = np.linalg.norm(g), np.linalg.norm(high - low)
        blur += off * max(self._steep(x, own) for own in self.samples)
        found = {
            "value": _mean(values),
            "gradient_norm_squared": (
                float(size**2),
                float(RELATIVE * size**2 + 2 * size * blur + blur**2),
            ),
            "train_loss": _mean(losses),
            "train_accuracy": _mean(right),
        }
        if self.test is not None:
            found["test_loss"] = self._loss(x, self.test, evaluation, off)
            found["test_accuracy"] = self._accuracy(x, self.test, evaluation, off)
        return found

    def _loss(self, x: Float64, samples: Samples, scale: float, off: float) -> tuple[float, float]:
        seen = self.seen(x, samples.X, scale, off)
        steep = np.linalg.norm(self.residuals(seen.outputs, samples.y), axis=1) + seen.reach[-1]
        value = self.loss(seen.outputs, samples.y)
        tolerance = RELATIVE * abs(value) + float(np.mean(steep * seen.reach[-1]))
        return value, tolerance + ROUNDING * float(np.abs(seen.outputs).max())

    def _accuracy(
        self, x: Float64, samples: Samples, scale: float, off: float
    ) -> tuple[float, float]:
        """Samples whose two largest outputs may change places are unsure."""
        seen = self.seen(x, samples.X, scale, off)
        least = np.sort(seen.outputs, axis=1)
        unsure = least[:, -1] - least[:, -2] <= 2.0 * seen.reach[-1]
        right = np.argmax(seen.outputs, axis=1) == samples.y
        return float(np.mean(right)), RELATIVE + float(np.mean(unsure))

    def _steep(self, x: Float64, samples: Samples) -> float:
        """About the largest eigenvalue of a Hessian: squares of Jacobians, times 1 + residuals."""
        scale, net = self.settings.logit_scale, self.layers(x)
        seen, later = self.seen(x, samples.X, scale), np.float64(max(scale, 1.0)) ** 2
        squares = np.zeros(len(samples.y))
        for (W, _), a in zip(net[::-1], seen.inputs[::-1], strict=True):
            squares += later * (1.0 + np.sum(a**2, axis=1))
            later *= np.linalg.norm(W) ** 2
        residuals = np.linalg.norm(self.residuals(seen.outputs, samples.y), axis=1)
        return float(np.mean(squares * (1.0 + residuals)))

    def constants(self, theory: dict[str, Any]) -> Iterator[Any]:
        """None: there is no exact theory."""
        return iter(())

    @property
    def items(self) -> int:
        """Neurons of the first hidden layer."""
        return self.widths[1]

    def dealt_out(self, pi: Integers, offsets: Integers) -> tuple[Integers, Integers]:
        """See `Instance`: the neurons of the first hidden layer whose biases are in the blocks."""
        first = self.widths[0] * self.widths[1]
        inside = (pi >= first) & (pi < first + self.widths[1])
        edges = np.concatenate([[0], np.cumsum(inside)])[offsets]
        return pi[inside] - first, edges

    def trouble_of_blocks(self, pi: Integers, offsets: Integers) -> str:
        """See `Instance`: a near-equal part of each layer's neurons, with what goes with them."""
        shapes, blocks = list(pairwise(self.widths)), np.split(pi, offsets[1:-1])
        held = []
        for block in blocks:
            mine, at = [np.ones(self.widths[0], bool)], 0
            for into, out in shapes[:-1]:
                at += into * out
                mine.append(np.isin(np.arange(at, at + out), block))
                at += out
            mine.append(np.ones(self.widths[-1], bool))
            parts = [np.append(np.outer(out, into), out) for into, out in pairwise(mine)]
            if not np.array_equal(block, np.flatnonzero(np.concatenate(parts))):
                return "a block that is not what goes with its neurons, in order"
            held.append(mine[1:-1])
        for at, layer in enumerate(zip(*held, strict=True)):
            if not (np.sum(layer, axis=0) == 1).all():
                return f"a neuron of layer {at + 1} with other than one worker"
            sizes = np.sort(np.sum(layer, axis=1))
            if not np.array_equal(sizes, np.sort(np.diff(spans(self.widths[at + 1], self.n)))):
                return f"blocks of {sizes.tolist()} neurons of layer {at + 1}"
        return ""


def _reach(off: float, W: Float64, a: Float64, before: Float64) -> Float64:
    """How far W a + b may be off, where W and b are by `off` and a (m, width) by `before` (m,)."""
    return np.asarray(off * (1.0 + np.linalg.norm(a, axis=1)) + np.linalg.norm(W) * before)


def _mean(found: list[tuple[float, float]]) -> tuple[float, float]:
    value, tolerance = np.mean(found, axis=0)
    return float(value), float(tolerance)


def instance_of(log: Log, source: Any) -> Instance | str:
    """The problem that the configuration describes, or why it cannot be rebuilt."""
    n, d, settings = source.n, source.d, source.settings
    if 64 * n * d * NetworkInstance.replicas > MAX_BYTES:
        return f"cost: {n} models of {d} numbers"
    samples = [Samples(*source.share(worker).samples) for worker in range(n)]
    held = source.held_out()
    test = None if held is None else Samples(*held.samples)
    nothing = np.empty((n, 0, 0)), np.empty((n, 0)), np.zeros(n)
    return NetworkInstance(
        log.method,
        *nothing,
        source.start(),
        False,
        settings,
        source.neurons.widths,
        samples,
        test,
        source.units,
    )
