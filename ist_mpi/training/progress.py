"""How a run tells where it stands, to whoever shows it."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Progress(NamedTuple):
    """Where a run stands."""

    seed: int
    """The run seed."""
    round: int
    rounds: int
    """How many there are to be."""
    seconds: float
    """Since round 0."""
    row: Mapping[str, float]
    """The latest logged row."""


class Look(NamedTuple):
    """A logged round, as a program's own function sees it."""

    round: int
    rounds: int
    """How many there are to be."""
    row: Mapping[str, float]
    """By column: what the log has of it."""
    x: NDArray[np.float64]
    """The model x^k, shape (d,); a copy, to be kept or changed."""


Callback = Callable[[Look], Any]
"""Called on rank 0 with every logged round; what is true stops the run."""
Watcher = Callable[[Progress], None]
"""Called on rank 0 a few times a second, and at the end."""
