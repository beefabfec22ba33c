"""Networks written out sample by sample with masks of neurons; no code of the package in it."""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

Net = list[tuple[np.ndarray, np.ndarray]]


def unpacked(x: np.ndarray, widths: Sequence[int]) -> Net:
    """W (out, in) and b (out,) of each layer, copies, from one vector: W by rows, then b."""
    net, numbers = [], list(x)
    for layer in range(1, len(widths)):
        rows, columns = widths[layer], widths[layer - 1]
        W = np.array([[numbers.pop(0) for _ in range(columns)] for _ in range(rows)])
        net.append((W, np.array([numbers.pop(0) for _ in range(rows)])))
    assert not numbers
    return net


def packed(net: Net) -> np.ndarray:
    """The vector again."""
    return np.concatenate([part for W, b in net for part in (*W, b)])


def whole(widths: Sequence[int]) -> list[np.ndarray]:
    """Masks (H,) of each hidden layer, with all neurons."""
    return [np.ones(width) for width in widths[1:-1]]


def owned(widths: Sequence[int], masks: Sequence[np.ndarray]) -> np.ndarray:
    """Which coordinates go with the neurons of the masks, 0/1 (d,)."""
    ends = [np.ones(widths[0]), *masks, np.ones(widths[-1])]
    return packed([(np.outer(out, into), out) for into, out in itertools.pairwise(ends)])


def loss_and_gradient(
    x: np.ndarray,
    widths: Sequence[int],
    X: np.ndarray,
    y: np.ndarray,
    loss: str,
    scale: float,
    masks: Sequence[np.ndarray] | None = None,
) -> tuple[float, np.ndarray]:
    """Of the network with the masks' neurons only, as a function of all d coordinates."""
    net, masks = unpacked(x, widths), whole(widths) if masks is None else masks
    total, slopes = 0.0, [(np.zeros_like(W), np.zeros_like(b)) for W, b in net]
    for sample, label in zip(X, y, strict=True):
        values = [sample]
        for (W, b), mask in zip(net[:-1], masks, strict=True):
            values.append(np.array([max(0.0, v) for v in W @ values[-1] + b]) * mask)
        z = scale * (net[-1][0] @ values[-1]) + net[-1][1]
        target = np.eye(widths[-1])[label]
        if loss == "squares":
            total += sum((z - target) ** 2) / 2
            slope = z - target
        else:
            shares = np.exp(z - z.max()) / sum(np.exp(z - z.max()))
            total -= math.log(shares[label])
            slope = shares - target
        for layer in range(len(net) - 1, -1, -1):
            s = scale if layer == len(net) - 1 else 1.0
            slopes[layer][0][:] += s * np.outer(slope, values[layer])
            slopes[layer][1][:] += slope
            if layer:
                slope = s * (net[layer][0].T @ slope) * (values[layer] > 0)
    return total / len(y), packed(slopes) / len(y)


def accuracy(x: np.ndarray, widths: Sequence[int], X: np.ndarray, y: Any, scale: float) -> float:
    """The share of samples whose class has the largest output."""
    net, right = unpacked(x, widths), 0
    for sample, label in zip(X, y, strict=True):
        value = sample
        for W, b in net[:-1]:
            value = np.maximum(W @ value + b, 0.0)
        right += int(np.argmax(scale * (net[-1][0] @ value) + net[-1][1]) == label)
    return right / len(y)


def philox(counter: list[int], key: list[int]) -> list[int]:
    """Philox 4x32-10 of Salmon, Moraes, Dror, Shaw."""
    c, k = list(counter), list(key)
    for _ in range(10):
        one, two = c[0] * 0xD2511F53, c[2] * 0xCD9E8D57
        c = [(two >> 32) ^ c[1] ^ k[0], two % 2**32, (one >> 32) ^ c[3] ^ k[1], one % 2**32]
        k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
    return c


def words(seed: int, stream: int, k: int) -> Iterator[int]:
    """The words of a stream."""
    block = 0
    while True:
        yield from philox([block, stream, k % 2**32, k >> 32], [seed % 2**32, seed >> 32])
        block += 1


def below(stream: Iterator[int], bound: int) -> int:
    """Uniform in 0 … bound − 1, by Lemire's rejection."""
    while True:
        product = next(stream) * bound
        if product % 2**32 >= 2**32 % bound:
            return product >> 32


def batches(seed: int, k: int, worker: int, m: int, size: int, steps: int) -> list[list[int]]:
    """A worker's minibatches in round k: the first of a shuffle for each local step."""
    if not 0 < size < m:
        return [list(range(m))] * steps
    stream, found = words(seed, 2**31 + worker, k), []
    for _ in range(steps):
        rows = list(range(m))
        for a in range(size):
            other = a + below(stream, m - a)
            rows[a], rows[other] = rows[other], rows[a]
        found.append(rows[:size])
    return found


def masks_of(block: np.ndarray, widths: Sequence[int]) -> list[np.ndarray]:
    """The neurons whose biases are in the block."""
    net = unpacked(np.arange(sum(w * (v + 1) for v, w in itertools.pairwise(widths))), widths)
    return [np.isin(b, block).astype(float) for _, b in net[:-1]]


def rounds(
    x: np.ndarray,
    widths: Sequence[int],
    data: Sequence[tuple[np.ndarray, np.ndarray]],
    blocks: Sequence[Sequence[np.ndarray]],
    method: str,
    gamma: float,
    **settings: Any,
) -> Iterator[np.ndarray]:
    """x^0, x^1, … of "ist" or of "shared_block" with these blocks; all for SGD.

    settings: loss, scale, batch, seed, steps.
    """
    loss, scale, steps = settings["loss"], settings["scale"], settings["steps"]
    x, n = x.copy(), len(data)
    yield x.copy()
    for k, drawn in enumerate(blocks):
        change, holders = np.zeros_like(x), np.zeros_like(x)
        for i, (X, y) in enumerate(data):
            masks = masks_of(drawn[0] if method == "shared_block" else drawn[i], widths)
            mine, w = owned(widths, masks), x.copy()
            rows = batches(settings["seed"], k, i, len(y), settings["batch"], steps)
            for some in rows:
                inside = None if method == "shared_block" else masks
                slope = loss_and_gradient(w, widths, X[some], y[some], loss, scale, inside)[1]
                w -= gamma * mine * slope
            change, holders = change + mine * (w - x), holders + mine
        x = x + change / np.maximum(holders, 1)
        if method == "shared_block":
            assert set(holders) <= {0.0, float(n)}
        yield x.copy()
