"""What a program gives as arguments, checked before anything begins.

Texts and truth values are no numbers; and only truth values are those.
"""

import numbers
import os
from collections.abc import Collection
from pathlib import Path
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


def flag(name: str, value: Any) -> bool:
    """True or False; raises InputError for anything else."""
    if not isinstance(value, bool | np.bool_):
        raise InputError(Fault(name, repr(value), "True or False"))
    return bool(value)


def path_of(name: str, value: Any) -> Path:
    """The path of a file or folder; raises InputError for what is none."""
    if not isinstance(value, str | os.PathLike):
        raise InputError(Fault(name, repr(value), "a path"))
    return Path(value)


def function(name: str, value: Any) -> Any:
    """What can be called; raises InputError for what cannot."""
    if not callable(value):
        raise InputError(Fault(name, repr(value), "a function"))
    return value


def one_of(name: str, value: Any, known: Collection[str]) -> str:
    """One of the names; raises InputError for anything else."""
    if not (isinstance(value, str) and value in known):
        raise InputError(Fault(name, repr(value), " or ".join(f'"{one}"' for one in known)))
    return value
