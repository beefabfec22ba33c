"""Numbers that a program gives as arguments; texts and truth values are none."""

import numbers
from typing import Any

import numpy as np

from ist_mpi.errors import Fault, InputError


def integer(name: str, value: Any, least: int) -> int:
    """An integer of Python or numpy, of at least `least`; raises InputError for anything else."""
    whole = isinstance(value, numbers.Integral | np.integer) and not isinstance(value, bool)
    if not whole or value < least:
        raise InputError(Fault(name, repr(value), f"an integer of at least {least}"))
    return int(value)


def between(name: str, value: Any, most: float) -> float:
    """A number above 0 and below `most`; raises InputError for anything else."""
    real = isinstance(value, numbers.Real | np.floating) and not isinstance(value, bool)
    if not real or not 0.0 < value < most:
        expected = "a number above 0" + (f" and below {most:g}" if np.isfinite(most) else "")
        raise InputError(Fault(name, repr(value), expected))
    return float(value)
