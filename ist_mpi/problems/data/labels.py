"""Labels that are classes: two of them as −1 and +1, or any number of them as 0, 1, …"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ist_mpi.errors import Fault, InputError
from ist_mpi.problems.data.words import NUMBER, TRUTH, Labels, shown

Float64 = NDArray[np.float64]
Label = float | str

SHOWN = 6
"""Labels that a message lists."""


class Signs(NamedTuple):
    """Which label stands for +1, and which for −1."""

    positive: Label
    negative: Label | None
    """None: every other."""

    def of(self, y: Labels, name: str) -> Float64:
        """±1 for labels y (m,); InputError where one is neither."""
        y = _alike(y, isinstance(self.positive, str))
        if self.negative is not None:
            strange = np.flatnonzero((y != self.positive) & (y != self.negative))
            if strange.size:
                expected = f"{_said(self.negative)} or {_said(self.positive)}"
                raise InputError(Fault(name, _strange(y, strange[0]), expected))
        return np.where(y == self.positive, 1.0, -1.0)

    @property
    def note(self) -> str:
        """What the user should know of it; nothing, where labels are −1 and +1."""
        if (self.negative, self.positive) == (-1.0, 1.0):
            return ""
        other = "any other" if self.negative is None else _said(self.negative)
        return f"labels: {other} counts as −1, {_said(self.positive)} as +1"


def signs(y: Labels, positive: Label | bool | None, name: str) -> Signs:
    """How the labels y (m,) of two classes, or of one against the rest, become ±1.

    Raises
    ------
    InputError
        If they are of one class, or of more than two and it is not said which is +1.
    """
    found = classes(y, name)
    wanted = None if positive is None else _label(positive, found)
    if positive is not None and wanted is None:
        got = f"{_said(positive)}, no label of {name}"
        raise InputError(Fault("problem.positive", got, _listed(found)))
    if wanted is not None and found.size > 2:
        return Signs(wanted, None)
    if found.size > 2:
        got = f"labels of {found.size} classes: {_listed(found)}"
        remedy = "problem.positive = LABEL: one class against the rest"
        raise InputError(Fault(name, got, "labels of two classes", remedy))
    low, high = found
    return Signs(low, high) if wanted == low else Signs(high, low)


def classes(y: Labels, name: str) -> Labels:
    """The labels that there are, in increasing order; InputError if there is but one."""
    found = np.unique(y)
    if found.size < 2:
        got = f"labels that are all {_said(found[0])}"
        raise InputError(Fault(name, got, "labels of two classes"))
    return found


def whole(found: Labels, name: str) -> None:
    """Refuse `classes` that are measurements: numbers, and not all of them whole."""
    if found.dtype.kind == "O" or (found == np.floor(found)).all():
        return
    first = found[found != np.floor(found)][0]
    got = f"labels of {found.size} different real numbers, {first:g} among them"
    remedy = 'for regression: problem.kind = "ridge"'
    expected = "classes: integers, names or truth values"
    raise InputError(Fault(name, got, expected, remedy))


def numbered(y: Labels, found: Labels, name: str) -> NDArray[np.int64]:
    """The place of each label y (m,) among `classes`; InputError where one is not there."""
    y = _alike(y, found.dtype.kind == "O")
    if y.dtype != found.dtype:
        raise InputError(Fault(name, _strange(y, 0), _listed(found)))
    places = np.minimum(np.searchsorted(found, y), found.size - 1)
    strange = np.flatnonzero(found[places] != y)
    if strange.size:
        raise InputError(Fault(name, _strange(y, strange[0]), _listed(found)))
    return places


def named(found: Labels) -> str:
    """What the user should know of `classes` that are names; nothing, where they are numbers."""
    if found.dtype.kind != "O":
        return ""
    return f"labels: {_listed(found)} are classes 0 to {found.size - 1}, in this order"


def _alike(y: Labels, names: bool) -> Labels:
    """Labels of other samples; numbers as names, where those of the first samples are names."""
    if names and y.dtype.kind != "O":
        return np.array([np.format_float_positional(label, trim="-") for label in y], dtype=object)
    return y


def _label(wanted: Label | bool, found: Labels) -> Label | None:
    """Which of `classes` is meant by a setting; None if it is none of them."""
    word = str(wanted).lower() if isinstance(wanted, bool) else str(wanted).strip()
    if found.dtype.kind != "O":
        number = None if isinstance(wanted, bool) or not NUMBER.fullmatch(word) else float(word)
        return number if number in found else None
    if set(found) <= TRUTH:
        word = word.lower()
    return word if word in found else None


def _strange(y: Labels, at: Any) -> str:
    return f"{_said(y[at])} as label of sample {at} (the first is 0)"


def _said(label: Label | bool) -> str:
    """A label for a message."""
    if isinstance(label, bool):
        return str(label).lower()
    if not isinstance(label, str):
        return f"{label:g}"
    return f'"{shown(label)}"' if label.isprintable() else ascii(shown(label))


def _listed(found: Labels) -> str:
    more = ", …" if found.size > SHOWN else ""
    return f"{', '.join(_said(label) for label in found[:SHOWN])}{more}"
