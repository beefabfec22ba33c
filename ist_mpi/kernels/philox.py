"""Philox 4x32-10: random words from a key and a counter, with no state to carry along.

Salmon, Moraes, Dror, Shaw: *Parallel random numbers: as easy as 1, 2, 3*, SC 2011.

Layout of a stream: key = (seed, seed >> 32); counter = (block, stream, round, round >> 32). The
four words of block 0 come first, then those of block 1, and so on.
"""

import numpy as np
from numba import njit

STATE_SIZE = 11
"""Words of a stream's state: counter (4), key (2), the block's words (4), how many are used."""

_MULTIPLIER_0 = np.uint64(0xD2511F53)
_MULTIPLIER_1 = np.uint64(0xCD9E8D57)
_WEYL_0 = np.uint32(0x9E3779B9)
_WEYL_1 = np.uint32(0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


@njit(cache=True)
def philox_block(c0, c1, c2, c3, k0, k1):  # type: ignore[no-untyped-def]
    """Ten rounds of Philox on one counter: four uint32 words."""
    for _ in range(10):
        product_0 = _MULTIPLIER_0 * np.uint64(c0)
        product_1 = _MULTIPLIER_1 * np.uint64(c2)
        c0 = np.uint32(product_1 >> _HALF) ^ c1 ^ k0
        c1 = np.uint32(product_1 & _LOW)
        c2 = np.uint32(product_0 >> _HALF) ^ c3 ^ k1
        c3 = np.uint32(product_0 & _LOW)
        k0 = np.uint32(k0 + _WEYL_0)
        k1 = np.uint32(k1 + _WEYL_1)
    return c0, c1, c2, c3


@njit(cache=True)
def open_stream(state, seed, stream, k):  # type: ignore[no-untyped-def]
    """Put `state` (uint32, STATE_SIZE) at the start of the stream (seed, round k, stream)."""
    wide_seed = np.uint64(seed)
    wide_round = np.uint64(k)
    state[0] = np.uint32(0)
    state[1] = np.uint32(stream)
    state[2] = np.uint32(wide_round & _LOW)
    state[3] = np.uint32(wide_round >> _HALF)
    state[4] = np.uint32(wide_seed & _LOW)
    state[5] = np.uint32(wide_seed >> _HALF)
    state[10] = np.uint32(4)


@njit(cache=True)
def next_word(state):  # type: ignore[no-untyped-def]
    """The next uint32 of the stream."""
    used = state[10]
    if used == 4:
        state[6], state[7], state[8], state[9] = philox_block(
            state[0], state[1], state[2], state[3], state[4], state[5]
        )
        state[0] += np.uint32(1)
        used = np.uint32(0)
    state[10] = used + np.uint32(1)
    return state[6 + used]


@njit(cache=True)
def below(state, bound):  # type: ignore[no-untyped-def]
    """An exactly uniform integer in 0 … bound − 1, bound < 2³² (Lemire 2019: reject, not bias)."""
    wide = np.uint64(bound)
    product = np.uint64(next_word(state)) * wide
    if (product & _LOW) < wide:
        threshold = (np.uint64(4294967296) - wide) % wide
        while (product & _LOW) < threshold:
            product = np.uint64(next_word(state)) * wide
    return np.int64(product >> _HALF)
