"""The coins of a method that tosses some: of (seed, round) alone, known to every rank."""

import numpy as np

from ist_mpi.kernels import coins, philox


class Coins:
    """A coin of probability p for every round."""

    def __init__(self, seed: int, p: float) -> None:
        self._seed, self._p = seed, p
        self._state = np.zeros(philox.STATE_SIZE, dtype=np.uint32)

    def up(self, k: int) -> bool:
        """Whether round k's coin comes up."""
        return bool(coins.comes_up(self._seed, k, self._p, self._state))

    def trials(self, k: int) -> int:
        """How many coins round k tosses until one comes up, at least 1."""
        return int(coins.trials(self._seed, k, self._p, self._state))
