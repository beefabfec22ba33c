"""Coins from the stream (seed, round): the same on every rank, and after every stop."""

import numpy as np
from numba import njit

from ist_mpi.kernels.philox import next_word, open_stream

COIN_STREAM = np.int64(2**32 - 1)
"""Stream of a round's coins; those below belong to its blocks."""

_FRACTION = 2.0**-53


@njit(cache=True)
def _uniform(state):  # type: ignore[no-untyped-def]  # numba infers
    """A number in [0, 1), from the top 53 bits of two words."""
    high = np.uint64(next_word(state))
    low = np.uint64(next_word(state))
    return float(((high << np.uint64(32)) | low) >> np.uint64(11)) * _FRACTION


@njit(cache=True)
def comes_up(seed, k, p, state):  # type: ignore[no-untyped-def]  # numba infers
    """Whether round k's coin of probability p comes up; `state` is scratch."""
    open_stream(state, seed, COIN_STREAM, k)
    return _uniform(state) < p


@njit(cache=True)
def trials(seed, k, p, state):  # type: ignore[no-untyped-def]  # numba infers
    """How many coins of probability p round k tosses until one comes up, at least 1."""
    open_stream(state, seed, COIN_STREAM, k)
    count = 1
    while _uniform(state) >= p:
        count += 1
    return count
