"""Minibatches: which of a worker's samples each of its local steps sees.

They belong to (seed, round, worker): the same on every rank, and after every stop.
"""

import numpy as np
from numba import njit

from ist_mpi.kernels.philox import below, open_stream

BATCH_STREAM = np.int64(2**31)
"""Stream of worker 0's minibatches; those far below belong to blocks, those far above to coins."""


@njit(cache=True)
def draw_batches(seed, k, worker, order, batches, state):  # type: ignore[no-untyped-def]  # numba infers
    """Write a uniform random choice of the worker's m samples for each local step of round k.

    batches (steps, s) is written, s ≤ m; each row has different samples, and rows are independent.
    order (m,) must hold 0 … m − 1 and holds it again afterwards; `state` is scratch.
    """
    open_stream(state, seed, BATCH_STREAM + worker, k)
    for step in range(batches.shape[0]):
        for a in range(batches.shape[1]):
            other = a + below(state, order.size - a)
            order[a], order[other] = order[other], order[a]
            batches[step, a] = order[a]
        # Every entry that moved is among the first, or is what one of those stands for.
        for a in range(batches.shape[1]):
            order[batches[step, a]] = batches[step, a]
        for a in range(batches.shape[1]):
            order[a] = a
