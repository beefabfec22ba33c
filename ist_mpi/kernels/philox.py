"""Philox 4x32-10: random words from a key and a counter, with no state to carry along.

Salmon, Moraes, Dror, Shaw: *Parallel random numbers: as easy as 1, 2, 3*, SC 2011.

Layout of a stream: key = (seed, seed >> 32); counter = (block, stream, round, round >> 32). The
four words of block 0 come first, then those of block 1, and so on.
"""

import numpy as np
from numba import njit

BLOCKS = 16
"""Blocks that are made at a time, which vectorises."""
_WORDS = 4 * BLOCKS
_USED, _COUNTER, _KEY = _WORDS, _WORDS + 1, _WORDS + 5
STATE_SIZE = _WORDS + 7
"""Words of a stream's state: the words at hand, how many are used, counter (4), key (2)."""

_MULTIPLIER_0 = np.uint64(0xD2511F53)
_MULTIPLIER_1 = np.uint64(0xCD9E8D57)
_WEYL_0 = np.uint32(0x9E3779B9)
_WEYL_1 = np.uint32(0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


@njit(cache=True)
def philox_block(c0, c1, c2, c3, k0, k1):  # type: ignore[no-untyped-def]  # numba infers
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
def open_stream(state, seed, stream, k):  # type: ignore[no-untyped-def]  # numba infers
    """Put `state` (uint32, STATE_SIZE) at the start of the stream (seed, round k, stream)."""
    wide_seed = np.uint64(seed)
    wide_round = np.uint64(k)
    state[_COUNTER] = np.uint32(0)
    state[_COUNTER + 1] = np.uint32(stream)
    state[_COUNTER + 2] = np.uint32(wide_round & _LOW)
    state[_COUNTER + 3] = np.uint32(wide_round >> _HALF)
    state[_KEY] = np.uint32(wide_seed & _LOW)
    state[_KEY + 1] = np.uint32(wide_seed >> _HALF)
    state[_USED] = np.uint32(_WORDS)


@njit(cache=True)
def _next_blocks(state):  # type: ignore[no-untyped-def]  # numba infers
    """Make the next words of the stream."""
    first = state[_COUNTER]
    c1, c2, c3 = state[_COUNTER + 1], state[_COUNTER + 2], state[_COUNTER + 3]
    k0, k1 = state[_KEY], state[_KEY + 1]
    for block in range(BLOCKS):
        w0, w1, w2, w3 = philox_block(first + np.uint32(block), c1, c2, c3, k0, k1)
        state[4 * block] = w0
        state[4 * block + 1] = w1
        state[4 * block + 2] = w2
        state[4 * block + 3] = w3
    state[_COUNTER] = first + np.uint32(BLOCKS)
    state[_USED] = np.uint32(0)


# Inlined, because a call would count references to `state`, which takes longer than its work.
@njit(cache=True, inline="always")
def next_word(state):  # type: ignore[no-untyped-def]  # numba infers
    """The next uint32 of the stream."""
    if state[_USED] == _WORDS:
        _next_blocks(state)
    used = state[_USED]
    state[_USED] = used + np.uint32(1)
    return state[used]


@njit(cache=True, inline="always")
def below(state, bound):  # type: ignore[no-untyped-def]  # numba infers
    """An exactly uniform integer in 0 … bound − 1, bound < 2³² (Lemire 2019: reject, not bias)."""
    wide = np.uint64(bound)
    product = np.uint64(next_word(state)) * wide
    if (product & _LOW) < wide:
        threshold = (np.uint64(4294967296) - wide) % wide
        while (product & _LOW) < threshold:
            product = np.uint64(next_word(state)) * wide
    return np.int64(product >> _HALF)
