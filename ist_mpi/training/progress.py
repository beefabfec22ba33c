"""How a run tells where it stands, to whoever shows it."""

from collections.abc import Callable, Mapping
from typing import NamedTuple


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


Watcher = Callable[[Progress], None]
"""Called on rank 0 a few times a second, and at the end."""
