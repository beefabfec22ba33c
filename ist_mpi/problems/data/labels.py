"""Labels that are classes: two of them as −1 and +1, or any number of them as 0, 1, …"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ist_mpi.errors import Fault, InputError

Float64 = NDArray[np.float64]

SHOWN = 6
"""Labels that a message lists."""


class Signs(NamedTuple):
    """Which label stands for +1, and which for −1."""

    positive: float
    negative: float | None
    """None: every other."""

    def of(self, y: Float64, name: str) -> Float64:
        """±1 for labels y (m,); InputError where one is neither."""
        if self.negative is not None:
            strange = np.flatnonzero((y != self.positive) & (y != self.negative))
            if strange.size:
                got = f"{y[strange[0]]:g} as label of sample {strange[0]} (the first is 0)"
                raise InputError(Fault(name, got, f"{self.negative:g} or {self.positive:g}"))
        return np.where(y == self.positive, 1.0, -1.0)

    @property
    def note(self) -> str:
        """What the user should know of it; nothing, where labels are −1 and +1."""
        if (self.negative, self.positive) == (-1.0, 1.0):
            return ""
        other = "any other" if self.negative is None else f"{self.negative:g}"
        return f"labels: {other} counts as −1, {self.positive:g} as +1"


def signs(y: Float64, positive: float | None, name: str) -> Signs:
    """How the labels y (m,) of two classes, or of one against the rest, become ±1.

    Raises
    ------
    InputError
        If they are of one class, or of more than two and it is not said which is +1.
    """
    found = classes(y, name)
    if positive is not None and positive not in found:
        got = f"{positive:g}, no label of {name}"
        raise InputError(Fault("problem.positive", got, _listed(found)))
    if positive is not None and found.size > 2:
        return Signs(positive, None)
    if found.size > 2:
        got = f"labels of {found.size} classes: {_listed(found)}"
        remedy = "problem.positive = LABEL: one class against the rest"
        raise InputError(Fault(name, got, "labels of two classes", remedy))
    low, high = found
    return Signs(low, high) if positive == low else Signs(high, low)


def classes(y: Float64, name: str) -> Float64:
    """The labels that there are, in increasing order; InputError if there is but one."""
    found = np.unique(y)
    if found.size < 2:
        raise InputError(Fault(name, f"labels that are all {y[0]:g}", "labels of two classes"))
    return found


def numbered(y: Float64, found: Float64, name: str) -> NDArray[np.int64]:
    """The place of each label y (m,) among `classes`; InputError where one is not there."""
    places = np.minimum(np.searchsorted(found, y), found.size - 1)
    strange = np.flatnonzero(found[places] != y)
    if strange.size:
        got = f"{y[strange[0]]:g} as label of sample {strange[0]} (the first is 0)"
        raise InputError(Fault(name, got, _listed(found)))
    return places


def _listed(found: Float64) -> str:
    more = ", …" if found.size > SHOWN else ""
    return f"{', '.join(f'{label:g}' for label in found[:SHOWN])}{more}"
