"""The networks of one rank's workers: one model, samples of each worker's own."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ist_mpi.kernels import philox
from ist_mpi.kernels.batches import draw_batches
from ist_mpi.problems.functions import Columns, FunctionSteps, LocalFunctions
from ist_mpi.problems.layers import (
    Loss,
    accuracy_of,
    activations,
    gradient,
    layers,
    loss_of,
    outputs,
)
from ist_mpi.problems.neurons import Neurons
from ist_mpi.sketches.blocks import Blocks

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]


class Objective(NamedTuple):
    """What a network is trained for, and how it is measured."""

    loss: Loss
    logit_scale: float
    """s, of training."""
    evaluation_scale: float
    """s_ev, of the whole model in measurements."""
    batch: int
    """Samples of a local step; 0: all."""


class Samples(NamedTuple):
    """A worker's, or those held out."""

    X: Float64
    """Shape (m, in)."""
    y: Int64
    """Classes, shape (m,)."""


def measured(
    neurons: Neurons, objective: Objective, x: Float64, samples: Samples
) -> tuple[float, float, float]:
    """The loss at the scale of training; loss and accuracy at that of evaluation."""
    net = layers(x, neurons.widths)
    last = activations(net, samples.X)[-1]
    z = outputs(net, last, objective.evaluation_scale)
    loss = loss_of(z, samples.y, objective.loss)
    trained = loss
    if objective.logit_scale != objective.evaluation_scale:
        at_scale = outputs(net, last, objective.logit_scale)
        trained = loss_of(at_scale, samples.y, objective.loss)
    return trained, loss, accuracy_of(z, samples.y)


class LocalNetwork(LocalFunctions):
    """f_i is the mean loss of the whole network on all of worker i's samples, at the scale s.

    What a round asks for is of minibatches: gradients of the first local step's.

    Parameters
    ----------
    samples : sequence of Samples
        Of this rank's workers.
    first : int
        The rank's first worker.
    """

    columns: Columns = {  # noqa: RUF012 - nobody changes it
        "train_loss": ("1", "loss at the scale of evaluation, mean over workers"),
        "train_accuracy": ("1", "share of samples whose class is told right, mean over workers"),
    }

    def __init__(
        self,
        neurons: Neurons,
        objective: Objective,
        samples: Sequence[Samples],
        digests: tuple[str, ...],
        first: int,
    ) -> None:
        super().__init__(neurons.size(neurons.counts), first, first + len(samples))
        self.neurons, self.objective, self.samples = neurons, objective, samples
        self.digests = digests
        self._orders = [np.arange(part.y.size) for part in samples]
        self._state = np.zeros(philox.STATE_SIZE, dtype=np.uint32)
        self._seed, self._k = 0, 0

    def value(self, worker: int, x: Float64) -> float:
        """See `LocalFunctions`."""
        return self._measured(worker, x)[0]

    def measurements(self, worker: int, x: Float64) -> Sequence[float]:
        """See `LocalFunctions`."""
        return self._measured(worker, x)[1:]

    def _measured(self, worker: int, x: Float64) -> tuple[float, float, float]:
        return measured(self.neurons, self.objective, x, self.samples[worker - self.first])

    def gradient(self, worker: int, x: Float64) -> Float64:
        """∇f_i(x), of all samples."""
        return self._gradient(x, self.neurons.widths, self.samples[worker - self.first])

    def open_round(self, seed: int, k: int) -> None:
        """See `LocalFunctions`."""
        self._seed, self._k = seed, k

    def batches(self, worker: int, count: int) -> list[Samples]:
        """What a worker's local steps in this round see."""
        i, size = worker - self.first, self.objective.batch
        own = self.samples[i]
        if not 0 < size < own.y.size:
            return [own] * count
        rows = np.empty((count, size), dtype=np.int64)
        draw_batches(self._seed, self._k, worker, self._orders[i], rows, self._state)
        return [Samples(own.X[some], own.y[some]) for some in rows]

    def gradients(self, x: Float64, S: Blocks) -> Float64:
        """See `LocalFunctions`."""
        out, net = np.empty(S.pi.size), layers(x, self.neurons.widths)
        scale, loss = self.objective.logit_scale, self.objective.loss
        for worker, piece in self._pieces(S):
            held: Any = None
            if piece.stop - piece.start < self.d:
                held = self.neurons.held(S.pi[piece])
            (some,) = self.batches(worker, 1)
            out[piece] = gradient(net, some.X, some.y, scale, loss, held)
        return out

    def submodels(self, S: Blocks, x: Float64, steps: FunctionSteps) -> Float64:
        """See `LocalFunctions`: local steps of smaller networks, whose vectors the blocks are."""
        pieces = np.empty(x.size)
        inputs, classes = self.neurons.widths[0], self.neurons.widths[-1]
        for worker, piece in self._pieces(S):
            C, A = S.C[piece], S.A[piece]
            held = self.neurons.held(S.pi[piece])
            widths = (inputs, *(neurons.size for neurons in held), classes)
            start = C * x[piece]
            w = start.copy()
            for some in self.batches(worker, steps.local_steps):
                w -= steps.gamma * C * self._gradient(w, widths, some)
            w = A * (w if steps.merging else w - start)
            pieces[piece] = w if steps.merging or not steps.disjoint else x[piece] + w
        return pieces

    def _gradient(self, x: Float64, widths: tuple[int, ...], samples: Samples) -> Float64:
        scale, loss = self.objective.logit_scale, self.objective.loss
        return gradient(layers(x, widths), samples.X, samples.y, scale, loss)
