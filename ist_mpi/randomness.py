"""Who owns which random numbers: (seed, worker) the data, (seed, round) the sketches.

No stream belongs to a rank or depends on the order of calls, so the same run on any number of
ranks draws the same numbers.

*Data* (L_i, b_i, x⁰, the shuffle of a data set) come from numpy's Philox generator, keyed by
``SeedSequence(seed, spawn_key=(purpose, worker))``.

*Sketches* come from `ist_mpi.kernels.draws`, a Philox 4x32-10 counter generator of our own whose
numbers depend on no library's version: key = seed, counter = (block, stream, round).
"""

from enum import IntEnum

import numpy as np

MAX_SEED = 2**63 - 1
"""Largest seed: what a TOML integer holds."""


class Purpose(IntEnum):
    """What a stream of data is used for; the numbers are part of the format, never reused."""

    WORKER = 0
    START = 1
    SHUFFLE = 2
    SKETCH = 3
    """Of a round: its number takes the place of the worker."""
    HELD_OUT = 4
    """Which samples models are tested on."""


def data_stream(seed: int, purpose: Purpose, worker: int = 0) -> np.random.Generator:
    """The generator of one worker's data (or of x⁰, or of a shuffle, where worker is 0)."""
    sequence = np.random.SeedSequence(seed, spawn_key=(int(purpose), worker))
    return np.random.Generator(np.random.Philox(sequence))
