"""Labels that are classes: two of them as −1 and +1, or any number of them as 0, 1, …

What the classes are, and whether they are numbers, truth values or names, is decided on the
training data. Labels of other samples are found among them: by what is written, then as truth
values, then as numbers.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ist_mpi.errors import Fault, InputError
from ist_mpi.problems.data.words import NUMBER, TRUTH, Labels, distinct, shown

Float64 = NDArray[np.float64]
Label = float | str

SHOWN = 6
"""Labels that a message lists."""
INTEGERS = 2.0**53
"""From here on float64 merges integers."""


class Signs(NamedTuple):
    """Which label stands for +1, and which for −1."""

    positive: Label
    negative: Label | None
    """None: every other."""
    known: Labels
    """The classes of the training data."""

    def of(self, y: Labels, name: str) -> Float64:
        """±1 for labels y (m,); InputError where one is neither."""
        at = places(y, self.known, name)
        strange = np.flatnonzero(at < 0)
        if self.negative is not None and strange.size:
            expected = f"{_said(self.negative)} or {_said(self.positive)}"
            raise InputError(Fault(name, _strange(y, strange[0]), expected))
        if strange.size == y.size:  # all −1 would be what was meant by none of them
            got = f"{_strange(y, 0)}, and no other label that is known"
            raise InputError(Fault(name, got, listed(self.known)))
        return np.where((at >= 0) & (self.known[at] == self.positive), 1.0, -1.0)

    def unknown(self, y: Labels, name: str) -> str:
        """What the user should know of labels y (m,) that are no classes; nothing if all are."""
        strange = y[places(y, self.known, name) < 0]
        if not strange.size:
            return ""
        return f"labels: {listed(distinct(strange)[0])} of {name}, no class of the data, as −1"

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
    wanted = None if positive is None else _label(positive, found, name)
    if wanted is not None and found.size > 2:
        return Signs(wanted, None, found)
    if found.size > 2:
        got = f"labels of {found.size} classes: {listed(found)}"
        remedy = "problem.positive = LABEL: one class against the rest"
        raise InputError(Fault(name, got, "labels of two classes", remedy))
    low, high = found
    return Signs(low, high, found) if wanted == low else Signs(high, low, found)


def classes(y: Labels, name: str) -> Labels:
    """The labels that there are, in increasing order; InputError if there is but one."""
    found = distinct(y)[0]
    if found.dtype.kind != "O" and (largest := np.abs(found).max()) >= INTEGERS:
        got = f"{_said(largest)} as label, where float64 has not every integer"
        remedy = "other numbers, or names with a letter"
        raise InputError(Fault(name, got, "labels below 2⁵³", remedy))
    if found.size < 2:
        got = f"labels that are all {_said(found[0])}"
        raise InputError(Fault(name, got, "labels of two classes"))
    return found


def whole(found: Labels, name: str) -> None:
    """Refuse `classes` that are measurements: numbers, and not all of them whole."""
    if found.dtype.kind == "O" or (found == np.floor(found)).all():
        return
    first = found[found != np.floor(found)][0]
    got = f"labels of {found.size} different real numbers, {_said(first)} among them"
    remedy = 'for regression: problem.kind = "ridge"'
    expected = "classes: integers, names or truth values"
    raise InputError(Fault(name, got, expected, remedy))


def numbered(y: Labels, found: Labels, name: str) -> NDArray[np.int64]:
    """The place of each label y (m,) among `classes`; InputError where one is not there."""
    at = places(y, found, name)
    strange = np.flatnonzero(at < 0)
    if strange.size:
        raise InputError(Fault(name, _strange(y, strange[0]), listed(found)))
    return at


def places(y: Labels, found: Labels, name: str) -> NDArray[np.int64]:
    """The place of each label y (m,) among `classes`, −1 where one is none of them.

    Raises
    ------
    InputError
        If one may be several of them.
    """
    known = _by_key(found)
    labels, which = distinct(y)
    at = np.full(labels.size, -1)
    for place, one in enumerate(labels):
        meant = _meant(one, known)
        if len(meant) > 1:
            got = _strange(y, int(np.flatnonzero(which == place)[0]))
            raise InputError(Fault(name, got, f"one label of {listed(found[meant])}"))
        if meant:
            at[place] = meant[0]
    return at[which]


def _keys(label: Label) -> Iterator[tuple[str, Any]]:
    """What a label is: as it is written, as a truth value, as a number."""
    if not isinstance(label, str):
        yield "number", float(label)
        return
    yield "word", label
    if label.lower() in TRUTH:
        yield "truth", label.lower()
    if NUMBER.fullmatch(label):
        number = float(label)
        yield "number", number if abs(number) < INTEGERS else Decimal(label)


def _by_key(found: Labels) -> dict[tuple[str, Any], list[int]]:
    """The places of `classes`."""
    known: dict[tuple[str, Any], list[int]] = {}
    for at, label in enumerate(found):
        for key in _keys(label):
            known.setdefault(key, []).append(at)
    return known


def _meant(label: Label, known: dict[tuple[str, Any], list[int]]) -> list[int]:
    """The places of the classes that a label may be."""
    return next((known[key] for key in _keys(label) if key in known), [])


def named(found: Labels) -> str:
    """What the user should know of `classes` that are names; nothing, where they are numbers."""
    if found.dtype.kind != "O":
        return ""
    return f"labels: {listed(found)} are classes 0 to {found.size - 1}, in this order"


def _label(wanted: Label | bool, found: Labels, name: str) -> Label:
    """Which of `classes` is meant by a setting; InputError if it is none of them, or several."""
    word = str(wanted).lower() if isinstance(wanted, bool) else str(wanted).strip()
    meant = _meant(word, _by_key(found))
    if len(meant) != 1:
        what = f"several labels of {name}" if meant else f"no label of {name}"
        expected = listed(found[meant] if meant else found)
        raise InputError(Fault("problem.positive", f"{_said(wanted)}, {what}", expected))
    label: Label = found[meant[0]]
    return label


def _strange(y: Labels, at: Any) -> str:
    return f"{_said(y[at])} as label of sample {at} (the first is 0)"


def _said(label: Label | bool) -> str:
    """A label for a message."""
    if isinstance(label, bool):
        return str(label).lower()
    if not isinstance(label, str):
        return str(label) if isinstance(label, int) else repr(float(label) + 0.0).removesuffix(".0")
    return f'"{shown(label)}"' if label.isprintable() else ascii(shown(label))


def listed(found: Labels) -> str:
    """Labels for a message."""
    more = ", …" if found.size > SHOWN else ""
    return f"{', '.join(_said(label) for label in found[:SHOWN])}{more}"
