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


class Columns(NamedTuple):
    """The columns of a table that was read."""

    names: Sequence[str] | None
    of: Roles

    def called(self, at: int | None) -> str | None:
        """The name of a column, if there is one."""
        return None if at is None or self.names is None else self.names[at]


def roles_to_test(
    names: Sequence[str] | None,
    count: int,
    like: Columns,
    target: Column | None,
    what: str,
    data: str,
) -> Roles:
    """What the columns of a table to test on are: those of the training data, by their names.

    Where either has no names, by their places. A column that says which worker has a sample may be
    there or not; the target may have another name where it is said by its number.

    Parameters
    ----------
    names, count, target, what
        See `roles`.
    like : Columns
        Those of the training data.
    data : str
        The training data, for messages.

    Raises
    ------
    InputError
        Naming columns that are missing, or that the training data do not have.
    """
    if names is None or like.names is None:
        return _by_place(count, like, target, what, data)
    features = [like.names[at] for at in like.of.features]
    known = like.called(like.of.target)
    if known is None or (known not in names and isinstance(target, int)):
        at = roles(names, count, target, None, what).target
        known = None if at is None or names[at] in features else names[at]
    wanted = features if known is None else [*features, known]
    missing = [name for name in wanted if name not in names]
    strange = [name for name in names if name not in (*wanted, like.called(like.of.worker))]
    if missing or strange or known is None:
        parts = [f"no column {_some(missing)}"] if missing else []
        parts += [f"unknown column {_some(strange)}"] if strange else []
        got = ", ".join(parts) or "no column that is the target"
        expected = f"the columns of {data}, in any order: {_some(wanted)}"
        raise InputError(Fault(what, got, expected))
    return Roles([names.index(name) for name in features], names.index(known), None)


def _by_place(count: int, like: Columns, target: Column | None, what: str, data: str) -> Roles:
    """See `roles_to_test`."""
    features, at, whose = like.of
    if at is None:
        return roles(None, count, target, None, what)
    there = sorted([*features, at, *([] if whose is None else [whose])])
    if count == len(there) - 1 and whose is not None:
        there.remove(whose)
    if count != len(there):
        raise InputError(Fault(what, f"{count} columns", f"{len(there)}, as {data} has"))
    return Roles([there.index(one) for one in features], there.index(at), None)


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
    return numbers if names is None else f"{_some(names)}, or {numbers}"


def _some(names: Sequence[str]) -> str:
    more = f", … ({len(names)} in all)" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}"


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
