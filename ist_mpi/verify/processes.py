"""A method's second implementation at work: many independent runs at a time, round by round.

A method says where its second implementation is, `Method.replay`; what it needs of chance beside
the blocks it asks for here.
"""

import importlib
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ist_mpi.kernels import coins, philox
from ist_mpi.verify.logs import Instance
from ist_mpi.verify.rounds import SKETCHES, Draw, advance, advance_by_gradients

Float64 = NDArray[np.float64]


class Chance(Protocol):
    """The coins of R runs."""

    def up(self, k: int, p: float) -> NDArray[np.bool_]:
        """Whether round k's coins of probability p come up, (R,)."""

    def trials(self, k: int, p: float) -> NDArray[np.int64]:
        """How many round k tosses until one comes up, (R,)."""


class Seeded:
    """Those of one run, as its seed gives them."""

    def __init__(self, seed: int) -> None:
        self._seed, self._state = seed, np.zeros(philox.STATE_SIZE, dtype=np.uint32)

    def up(self, k: int, p: float) -> NDArray[np.bool_]:
        """See `Chance`."""
        return np.array([coins.comes_up(self._seed, k, p, self._state)])

    def trials(self, k: int, p: float) -> NDArray[np.int64]:
        """See `Chance`."""
        return np.array([coins.trials(self._seed, k, p, self._state)])


class Tossed:
    """Those of R runs, from a generator of our own."""

    def __init__(self, rng: np.random.Generator, R: int) -> None:
        self._rng, self._R = rng, R

    def up(self, k: int, p: float) -> NDArray[np.bool_]:
        """See `Chance`."""
        return np.asarray(self._rng.random(self._R) < p)

    def trials(self, k: int, p: float) -> NDArray[np.int64]:
        """See `Chance`."""
        return np.asarray(self._rng.geometric(p, self._R))


class Process:
    """R runs of an instance; `x` (R, d) are their models, changed by `advance`."""

    def __init__(self, instance: Instance, R: int, chance: Chance) -> None:
        self.instance, self.chance = instance, chance
        self.gamma, self.settings = instance.method.gamma, instance.method
        self.x = np.tile(instance.x0, (R, 1))
        self.begin()

    def begin(self) -> None:
        """What there is beside x, at x⁰."""

    def advance(self, k: int, draw: Draw) -> None:
        """Round k, with these blocks."""
        raise NotImplementedError


class WithoutState(Process):
    """Of ist, gradient descent and dcgd, where x is all."""

    def advance(self, k: int, draw: Draw) -> None:
        """See `Process`."""
        of = advance if self.instance.quadratic else advance_by_gradients
        self.x = of(self.instance, self.x, draw)


def without_replay(instance: Instance) -> str:
    """Why there is no second implementation of a round; empty where there is one."""
    method = instance.method
    if not getattr(type(method).method_class, "replay", ""):
        return f"no second implementation of the method {method.name}"
    if method.sketch not in SKETCHES:
        return f"no second implementation of the sketch {method.sketch}"
    return ""


def process_of(instance: Instance, R: int, chance: Chance) -> Process:
    """R runs of an instance at x⁰."""
    place, _, name = type(instance.method).method_class.replay.partition(":")
    kind: Any = getattr(importlib.import_module(place), name)
    made: Process = kind(instance, R, chance)
    return made
