"""Tables of columns: which one is the target, which says whose a sample is, what the rest hold."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ist_mpi.errors import Fault, InputError
from ist_mpi.problems.data.words import LABELS, LabelError, Labels, labels_of_values

Float64 = NDArray[np.float64]
Column = str | int
"""The name of a column, or its number from 0, as Python counts; −1 is the last."""

SHOWN = 12
"""Names of columns that a message lists."""


class Roles(NamedTuple):
    """What the columns of a table are, by their places."""

    features: list[int]
    target: int | None
    worker: int | None


def roles(
    names: Sequence[str] | None,
    count: int,
    target: Column | None,
    worker: Column | None,
    what: str,
    apart: bool = False,
) -> Roles:
    """What the columns of a table are.

    Parameters
    ----------
    names : sequence of str, optional
        None: they have no names.
    count : int
        How many there are.
    target, worker : str or int, optional
        `problem.target`, `problem.worker`.
    what : str
        The table, for messages.
    apart : bool
        Whether y is given apart from the table.

    Raises
    ------
    InputError
        If there is no such column, two are one, or none is left.
    """
    at, whose = None, None
    if target is not None:
        at = _place(names, count, target, "problem.target", what)
    elif not apart:
        got = f"nothing, for the columns of {what}"
        expected = f"which of them is y: {_listed(names, count)}"
        raise InputError(Fault("problem.target", got, expected))
    if worker is not None:
        whose = _place(names, count, worker, "problem.worker", what)
        if whose == at:
            got = f"{worker!r}, which is problem.target"
            raise InputError(Fault("problem.worker", got, "another column"))
    features = [i for i in range(count) if i not in (at, whose)]
    if not features:
        raise InputError(Fault(what, f"{count} column(s)", "columns of features besides"))
    return Roles(features, at, whose)


def _place(names: Sequence[str] | None, count: int, wanted: Column, where: str, what: str) -> int:
    listed = _listed(names, count)
    if isinstance(wanted, int):
        if not -count <= wanted < count:
            raise InputError(Fault(where, f"{wanted}, with {count} columns in {what}", listed))
        return wanted % count
    if names is None:
        raise InputError(Fault(where, f'"{wanted}", but {what} has no names', listed))
    if wanted not in names:
        raise InputError(Fault(where, f'"{wanted}"', f"a column of {what}: {listed}"))
    return names.index(wanted)


def _listed(names: Sequence[str] | None, count: int) -> str:
    numbers = f"a number from 0 to {count - 1}"
    if names is None:
        return numbers
    more = f", … ({count} in all)" if count > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}, or {numbers}"


def label(names: Sequence[str] | None, at: int) -> str:
    """What to call a column in a message."""
    return f'column "{names[at]}"' if names is not None else f"column {at} (the first is 0)"


def is_frame(value: Any) -> bool:
    """Whether this is a frame of pandas or of polars, neither of which need be there."""
    return hasattr(value, "columns") and (hasattr(value, "iloc") or hasattr(value, "get_columns"))


def frame_columns(
    frame: Any, what: str, labels: Column | None = None
) -> tuple[list[str], list[Labels]]:
    """The names and the columns of a frame; raises InputError if one has other than numbers.

    `labels` is a column that may be of names.
    """
    names = [str(name) for name in frame.columns]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(Fault(what, f'two columns "{twice}"', "a name of its own for each"))
    series = (
        frame.get_columns()
        if hasattr(frame, "get_columns")
        else [frame.iloc[:, i] for i in range(len(names))]
    )
    found = []
    for at, (name, one) in enumerate(zip(names, series, strict=True)):
        of_labels = labels is not None and labels in (name, at, at - len(names))
        found.append((_labels if of_labels else _numbers)(one, f'{what}, column "{name}"'))
    return names, found


def _labels(series: Any, where: str) -> Labels:
    """A column as labels, (m,)."""
    values = series.to_numpy()
    if np.ma.isMaskedArray(values):
        values = np.ma.filled(values.astype(object), np.nan)
    try:
        found = labels_of_values(values)
    except LabelError as error:
        raise InputError(Fault(where, str(error), LABELS)) from error
    if found.dtype.kind == "f" and np.isnan(found).any():
        row = int(np.flatnonzero(np.isnan(found))[0])
        raise InputError(Fault(where, f"row {row}: no value", LABELS))
    return found


def _numbers(series: Any, where: str) -> Float64:
    """A column as numbers, (m,)."""
    expected = "a column of numbers, none of them missing"
    values = series.to_numpy()
    if np.ma.isMaskedArray(values):
        values = values.filled(np.nan)
    if values.dtype.kind == "O":
        for row, value in enumerate(values):
            if not isinstance(value, int | float | np.number) or isinstance(value, bool):
                got = f'row {row}: "{value}"' if isinstance(value, str) else f"row {row}: {value}"
                absent = value is None or str(value) in ("<NA>", "NaT")
                got = f"row {row}: no value" if absent else got
                raise InputError(Fault(where, got, expected))
        values = np.array([float(value) for value in values], dtype=np.float64)
    if values.dtype.kind not in "fiu":
        raise InputError(Fault(where, f"{values.dtype}", expected))
    values = values.astype(np.float64)
    if np.isnan(values).any():
        row = int(np.flatnonzero(np.isnan(values))[0])
        raise InputError(Fault(where, f"row {row}: no value", expected))
    return np.asarray(values)
