"""The round once more, in plain numpy and explicit formulas, many independent runs at a time.

It shares no code with `ist_mpi.methods`: with recorded or redrawn blocks it replays a run, with
blocks drawn from a generator of its own it simulates the law of many.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ist_mpi.partition import spans
from ist_mpi.sketches import drawing_of
from ist_mpi.verify.logs import Instance, Integers

Float64 = NDArray[np.float64]

SKETCHES = ("identity", "permutation", "rand")


class Draw(NamedTuple):
    """The blocks of one round of R runs, padded to the size of the largest."""

    S: NDArray[np.int64]
    """Shape (R, n, q): worker i's coordinates."""
    held: NDArray[np.bool_]
    """Shape (R, n, q): false for padding."""


def padded(pi: Integers, sizes: Integers) -> Draw:
    """The draw whose blocks lie one after the other in pi (R, t), with sizes (R, n)."""
    q = int(sizes.max())
    first = np.cumsum(sizes, axis=1) - sizes
    held = np.arange(q) < sizes[:, :, None]
    entry = np.where(held, first[:, :, None] + np.arange(q), 0)
    rows = np.arange(len(pi))[:, None, None]
    return Draw(pi[rows, entry].astype(np.int64), held)


def seeded(instance: Instance, seed: int, rounds: int) -> Iterator[tuple[Integers, Integers]]:
    """pi (t,) and offsets (n + 1,) of rounds 0, 1, … as the run seed gives them."""
    drawing = drawing_of(instance.sketch, seed)
    for k in range(rounds):
        drawing.draw(k)
        yield drawing.pi.copy(), drawing.offsets.copy()


def drawn(instance: Instance, R: int, rng: np.random.Generator) -> Draw:
    """The blocks of one round of R independent runs, as the sketch defines them."""
    n, d, method = instance.n, instance.d, instance.method
    if method.sketch == "identity":
        return padded(np.tile(np.arange(d), (R, n)), np.full((R, n), d))
    if method.sketch == "rand":
        q = instance.q
        order = rng.random((R, n, d)).argsort(axis=2)
        return padded(order[:, :, :q].reshape(R, n * q), np.full((R, n), q))
    g, N = method.group_size, method.groups(d)
    items, parts = max(n, N), min(n, N)
    sizes = rng.permuted(np.tile(np.diff(spans(items, parts)), (R, 1)), axis=1)
    if n > N:  # the workers are dealt to the groups
        dealt = np.repeat(np.tile(np.arange(N), R), sizes.ravel()).reshape(R, n)
        return padded(_members(rng.permuted(dealt, axis=1), g), np.full((R, n), g))
    return padded(_members(rng.permuted(np.tile(np.arange(N), (R, 1)), axis=1), g), g * sizes)


def _members(groups: Integers, g: int) -> Integers:
    """The g coordinates of each of the groups (R, t), shape (R, t g)."""
    return np.asarray((g * groups[:, :, None] + np.arange(g)).reshape(len(groups), -1))


def advance(instance: Instance, x: Float64, draw: Draw) -> Float64:
    """The models after a round: (6), (5) or (33), one local step or several.

    Parameters
    ----------
    instance : Instance
    x : ndarray, shape (R, d)
    draw : Draw
        Of R runs.

    Returns
    -------
    ndarray, shape (R, d)
    """
    method, gamma = instance.method, instance.method.gamma
    S = draw.S
    runs, workers = np.arange(len(x))[:, None, None], np.arange(instance.n)[:, None]
    whole = method.sketch == "identity"
    C, A = _factors(instance, draw)
    b = instance.b[workers, S]
    if method.name != "ist":
        rows = instance.L if whole else instance.L[workers, S]
        gradient = np.matmul(rows, x[:, None, :, None])[..., 0] - b
        return x + _added(-gamma * A * C * gradient, S, x)
    L = instance.L if whole else instance.L[workers[:, None], S[..., :, None], S[..., None, :]]
    start = C * x[runs, S]
    w = start
    for _ in range(method.local_steps):
        w = w - gamma * C * (np.matmul(L, w[..., None])[..., 0] - b)
    if getattr(method, "form", None) == "merge":
        return _added(A * w, S, x)
    return x + _added(A * (w - start), S, x)


def advance_by_gradients(instance: Instance, x: Float64, draw: Draw) -> Float64:
    """`advance` where nothing is known of the functions but the gradients of whole models."""
    method, gamma = instance.method, instance.method.gamma
    R, n, d = len(x), instance.n, instance.d
    C, A = (np.zeros((R, n, d)) for _ in range(2))
    runs, workers, _ = np.nonzero(draw.held)
    at = runs, workers, draw.S[draw.held]
    for whole, part in zip((C, A), _factors(instance, draw), strict=True):
        whole[at] = np.broadcast_to(part, draw.held.shape)[draw.held]
    if method.name != "ist":
        return np.asarray(x - gamma * (A * C * instance.gradients(x[:, None])).sum(axis=1))
    start = w = C * x[:, None]
    for _ in range(method.local_steps):
        w = w - gamma * C * instance.gradients(w)
    if getattr(method, "form", None) == "merge":
        return np.asarray((A * w).sum(axis=1))
    return np.asarray(x + (A * (w - start)).sum(axis=1))


def _factors(instance: Instance, draw: Draw) -> tuple[Float64, Float64]:
    """The diagonals of C_i and A_i on the blocks, (R, n, q), 0 on padding."""
    n, d, method = instance.n, instance.d, instance.method
    S, held = draw
    one = held.astype(np.float64)
    if method.sketch == "identity":
        return one, one / n
    if method.sketch == "rand":
        return one * (d / S.shape[2]), one / n
    holders = _added(one, S, np.empty((len(S), d)))
    h = np.maximum(holders[np.arange(len(S))[:, None, None], S], 1.0)
    if method.scaling == "unscaled":
        return one, one / h
    if method.scaling == "unbiased":
        return one * n / h, one / n
    diagonal = instance.diagonals[np.arange(n)[:, None], S]
    return one * np.sqrt(n / h / diagonal), one / n


def _added(pieces: Float64, S: NDArray[np.int64], x: Float64) -> Float64:
    """Σ_i of the pieces (R, n, q) at their coordinates, shaped like x (R, d)."""
    R, d = x.shape
    places = (np.arange(R)[:, None, None] * d + S).ravel()
    return np.bincount(places, pieces.ravel(), minlength=R * d).reshape(R, d).astype(np.float64)


def largest_block(instance: Instance) -> int:
    """q: coordinates of the largest block."""
    if instance.method.sketch == "identity":
        return instance.d
    g, N = instance.method.group_size, instance.method.groups(instance.d)
    return int(instance.q or g * -(-N // instance.n))


def entries_per_run(instance: Instance) -> int:
    """Matrix entries that a round of one run reads."""
    q = largest_block(instance)
    return instance.n * q * (instance.d if instance.method.name != "ist" else q)


def seconds_per_round(instance: Instance, R: int) -> float:
    """About how long a round of R runs takes."""
    if instance.seconds_of_rounds is not None:
        return R * instance.seconds_of_rounds[0]
    n, d, method = instance.n, instance.d, instance.method
    steps = entries_per_run(instance) * (1e-8 + 1e-9 * method.local_steps)
    return 2e-4 + R * (steps + 1e-7 * n * largest_block(instance) + 5e-8 * d)
