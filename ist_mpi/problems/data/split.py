"""Who has which samples."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ist_mpi.errors import Fault, InputError
from ist_mpi.partition import spans
from ist_mpi.randomness import Purpose, data_stream

Int64 = NDArray[np.int64]


def dealt(
    y: NDArray[np.float64], worker: NDArray[Any] | None, n: int, how: str, seed: int, name: str
) -> tuple[Int64, Int64]:
    """The samples (m,) in the workers' order, and where each worker's begin and end (n + 1,).

    Parameters
    ----------
    y : ndarray
        Shape (m,).
    worker : ndarray, optional
        Shape (m,): whose each sample is; None: near-equal spans of them.
    how : {"contiguous", "shuffled"}
        In the order of their labels, or in one drawn from the seed.
    name : str
        The data, for messages.

    Raises
    ------
    InputError
        If there are too few samples, or the workers are not 0 … n − 1.
    """
    samples = y.size
    if n > samples:
        raise InputError(
            Fault("problem.n", f"{n} workers", f"at most {samples}, the samples of {name}")
        )
    if worker is not None:
        return _as_said(worker, n, how, name)
    if how == "contiguous":
        order = np.argsort(y, kind="stable")
    else:
        order = data_stream(seed, Purpose.SHUFFLE).permutation(samples)
    return order, spans(samples, n)


def _as_said(worker: NDArray[Any], n: int, how: str, name: str) -> tuple[Int64, Int64]:
    """By the ids of the workers; a worker's samples in the order in which they came."""
    where, expected = f"{name}: worker", f"whole numbers from 0 to {n - 1}, as problem.n = {n}"
    if how != "contiguous":
        got = f'"{how}", but {name} says which worker has a sample'
        raise InputError(Fault("problem.split", got, "no split"))
    odd = np.flatnonzero(worker != np.floor(worker))
    if odd.size:
        got = f"{worker[odd[0]]:g} for sample {odd[0]} (the first is 0)"
        raise InputError(Fault(where, got, expected))
    least, most = float(worker.min()), float(worker.max())
    if least < 0 or most >= n:
        got = f"ids from {least:.0f} to {most:.0f}"
        remedy = ""
        if (least, most) == (1.0, float(n)):
            remedy = "workers are counted from 0: subtract 1"
        elif least >= 0:
            remedy = f"or problem.n = {most + 1:.0f}"
        raise InputError(Fault(where, got, expected, remedy))
    ids = worker.astype(np.int64)
    counts = np.bincount(ids, minlength=n)
    without = np.flatnonzero(counts == 0)
    if without.size:
        more = f" and {without.size - 1} more" if without.size > 1 else ""
        got = f"no sample of worker {without[0]}{more}, of {n} workers"
        raise InputError(Fault(where, got, "at least one sample of each, or a smaller problem.n"))
    return np.argsort(ids, kind="stable"), np.concatenate([[0], np.cumsum(counts)])
