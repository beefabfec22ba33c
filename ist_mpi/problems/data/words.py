"""Values as words: numbers, what stands for missing ones, and labels, which may be names.

Labels (m,) are float64, or names: an array of objects, each a str. The same labels in every form
become the same array: words that are all numbers are numbers, truth values are true and false.
Of samples to test on they stay as written: there they are what they are in the training data.
"""

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[Any]

SHOWN = 40
"""Letters of a value in a message."""
NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
MISSING = {"", "na", "n/a", "nan", "null", "none", "?", "-", "#n/a", "<na>", "nat"}
"""What stands for a value that is missing."""
BITS = 1023
"""Of integers that certainly are below the largest number of float64."""
TRUTH = {"false", "true"}
LABELS = "labels that are numbers, names or truth values, none of them missing"

LABEL_KINDS = "fiubU"
"""Kinds of arrays that may be labels of classes."""


class LabelError(ValueError):
    """What is no label: its row, and why."""

    def __init__(self, row: int, why: str) -> None:
        super().__init__(f"row {row}: {why}")
        self.row, self.why = row, why


def array_of(kinds: str) -> str:
    """What an array of some kinds is called: a real one, or one of labels."""
    labels = "an array of numbers, truth values or text (names: array.astype(str))"
    return labels if kinds == LABEL_KINDS else "a real array"


def shown(cell: str) -> str:
    """A value for a message; what is not UTF-8 as signs that stand for it."""
    return cell[:SHOWN].encode(errors="surrogateescape").decode(errors="replace")


def trouble(cell: str) -> str:
    """What keeps a value from being a number; empty if nothing does."""
    if cell.lower() in MISSING:
        return f'a missing value ("{cell}")' if cell else "a missing value"
    if NUMBER.fullmatch(cell):
        return "" if math.isfinite(float(cell)) else f'"{shown(cell)}" is beyond float64'
    return f'"{shown(cell)}" is no finite number'


def not_text(word: str) -> str:
    """What keeps a word from being text: bytes that were no UTF-8; empty if nothing does."""
    odd = any("\ud800" <= sign <= "\udfff" for sign in word)
    return f'"{shown(word)}", which is not UTF-8' if odd else ""


def labels_of(words: Sequence[str]) -> Labels:
    """The labels that words (m,) are; see `written`."""
    return plain(written(words))


def written(words: Sequence[str]) -> Labels:
    """Words (m,) that are labels, as they stand.

    Raises
    ------
    LabelError
        Naming the first that is missing, or a number that is not finite.
    """
    stripped = np.array([word.strip() for word in words], dtype=object)
    found = set(stripped)
    wrong = {word: why for word in found if (why := _trouble(word, found))}
    if wrong:
        row = next(row for row, word in enumerate(stripped) if word in wrong)
        raise LabelError(row, wrong[stripped[row]])
    return stripped


def plain(y: Labels) -> Labels:
    """Labels as numbers or truth values, where all of them are."""
    if y.dtype.kind != "O":
        return y
    found, places = distinct(y)
    if all(map(NUMBER.fullmatch, found)):
        return np.array([float(word) for word in found])[places]
    if {word.lower() for word in found} <= TRUTH:
        found = np.array([word.lower() for word in found], dtype=object)
    return np.asarray(found[places])


def distinct(y: Labels) -> tuple[Labels, NDArray[np.int64]]:
    """The labels that there are, in increasing order, and where among them each label is."""
    if y.dtype.kind != "O":
        return np.unique(y, return_inverse=True)
    found = np.array(sorted(set(y)), dtype=object)  # sorting all words takes far longer
    place = {word: at for at, word in enumerate(found)}
    return found, np.fromiter((place[word] for word in y), dtype=np.int64, count=y.size)


def _trouble(word: str, others: set[str]) -> str:
    """What keeps a word from being a label: a sign alone is one where there is the other too."""
    if word == "-" and "+" in others:
        return ""
    number = NUMBER.fullmatch(word) or word.lower().lstrip("+-") in ("inf", "infinity", "nan")
    return trouble(word) if number or word.lower() in MISSING else not_text(word)


def labels_of_values(values: Labels) -> Labels:
    """The labels that values (m,) are; see `written_values`."""
    return plain(written_values(values))


def written_values(values: Labels) -> Labels:
    """Numbers, texts, truth values or objects of one of these (m,) as labels, texts as they stand.

    Raises
    ------
    LabelError
        Naming the first that is missing, or that is of another kind than those before it.
    """
    if values.dtype.kind in "fiu":
        return np.array(values, dtype=np.float64)
    kind: Any = None
    for row, value in enumerate(objects := values.astype(object)):
        if value is None or str(value) in ("nan", "<NA>", "NaT"):
            raise LabelError(row, "no value")
        own = _kind(value)
        kind = own if kind is None else kind
        if own is None or own is not kind:
            after = "" if own is None else f", after a {kind.__name__}"
            raise LabelError(row, f"{shown(str(value))}, a {type(value).__name__}{after}")
        if isinstance(value, int) and value.bit_length() > BITS:
            raise LabelError(row, f"an integer of {value.bit_length()} bits")
    if kind in (int, None):
        return np.array([float(value) for value in objects], dtype=np.float64)
    return written([str(value) for value in objects])


def _kind(value: Any) -> type | None:
    """Which kind of label a value is."""
    if isinstance(value, bool | np.bool_):
        return bool
    if isinstance(value, int | float | np.integer | np.floating):
        return int
    return str if isinstance(value, str) else None
