"""A network of ReLU layers: its outputs, its loss, and the loss's gradient.

Outputs are s W a + b, a the last hidden layer and s the scale; with squares the loss is
(1/2m) Σ ‖outputs − indicator of the class‖², with softmax (1/m) Σ −log of the class's share.
Products are of matrices, in the order of their arrays: the same numbers give the same bits.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ist_mpi.problems.neurons import Widths

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
Loss = Literal["softmax", "squares"]
ALL: Any = slice(None)


class Layer(NamedTuple):
    """Views of the vector of a network."""

    W: Float64
    """Shape (out, in)."""
    b: Float64
    """Shape (out,)."""


def layers(x: Float64, widths: Widths) -> list[Layer]:
    """The layers of a network, views of its vector x (d,)."""
    found, at = [], 0
    for into, out in pairwise(widths):
        middle, end = at + into * out, at + out * (into + 1)
        found.append(Layer(x[at:middle].reshape(out, into), x[middle:end]))
        at = end
    return found


def activations(net: Sequence[Layer], X: Float64) -> list[Float64]:
    """X (m, in) and every hidden layer's values (m, H)."""
    found = [X]
    for W, b in net[:-1]:
        z = found[-1] @ W.T
        z += b
        found.append(np.maximum(z, 0.0, out=z))
    return found


def outputs(net: Sequence[Layer], last: Float64, scale: float) -> Float64:
    """s W a + b of the last hidden layer's values a (m, H); shape (m, classes)."""
    z: Float64 = last @ net[-1].W.T
    z *= scale
    z += net[-1].b
    return z


def loss_of(z: Float64, y: Int64, loss: Loss) -> float:
    """The loss of outputs z (m, classes) for samples of the classes y (m,)."""
    if loss == "squares":
        return 0.5 * y.size * float(np.sum(_slope(z.copy(), y, loss) ** 2))
    top = z.max(axis=1)
    logs = np.log(np.sum(np.exp(z - top[:, None]), axis=1)) + top
    return float(np.sum(logs - z[np.arange(y.size), y])) / y.size


def accuracy_of(z: Float64, y: Int64) -> float:
    """The share of samples whose class has the largest output, the first of equal ones."""
    return float(np.mean(np.argmax(z, axis=1) == y))


def _slope(z: Float64, y: Int64, loss: Loss) -> Float64:
    """The loss's gradient by the outputs z (m, classes), in their place."""
    if loss == "softmax":
        z -= z.max(axis=1, keepdims=True)
        np.exp(z, out=z)
        z /= z.sum(axis=1, keepdims=True)
    z[np.arange(y.size), y] -= 1.0
    z /= y.size
    return z


def gradient(
    net: Sequence[Layer],
    X: Float64,
    y: Int64,
    scale: float,
    loss: Loss,
    held: Sequence[Any] | None = None,
) -> Float64:
    """The loss's gradient, as a vector like the network's.

    Parameters
    ----------
    held : sequence of ndarray, optional
        Neurons of each hidden layer: only the coordinates that go with them, of the whole network's
        gradient.
    """
    values = activations(net, X)
    slope = _slope(outputs(net, values[-1], scale), y, loss)
    kept = [ALL, *(held if held is not None else [ALL] * (len(net) - 1)), ALL]
    parts = []
    for at in range(len(net) - 1, -1, -1):
        factor = scale if at == len(net) - 1 else 1.0
        into, out = kept[at], kept[at + 1]
        mine = slope[:, out]
        parts.append(mine.sum(axis=0))
        dW = mine.T @ values[at][:, into]
        parts.append((dW if factor == 1.0 else factor * dW).ravel())
        if at:
            # Of the first hidden layer nothing is asked but what is held of it.
            wanted = into if at == 1 else ALL
            back = slope @ net[at].W[:, wanted]
            back *= factor
            back *= values[at][:, wanted] > 0.0
            slope = back
            if at == 1:
                kept[1] = ALL
    return np.concatenate(parts[::-1])
