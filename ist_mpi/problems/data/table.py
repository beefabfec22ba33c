"""Tables as text: pandas reads them; where it cannot, the line and the column that are to blame."""

import contextlib
import csv
import io
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ist_mpi.errors import Fault, InputError
from ist_mpi.problems.data.columns import Columns, Roles, label
from ist_mpi.problems.data.words import (
    LABELS,
    MISSING,
    NUMBER,
    SHOWN,
    LabelError,
    Labels,
    not_text,
    shown,
    trouble,
    written,
)

Float64 = NDArray[np.float64]

EXPECTED = "a table of numbers in columns (CSV), none of them missing"
ENTRIES = 1 << 20
"""Numbers that are read at once."""
_WHOLE = re.compile(r"[+-]?\d+", re.ASCII)
EXACT = (3, 1)
"""From this version of pandas on decimals become the nearest numbers unless asked otherwise."""


class Layout(NamedTuple):
    """How a table is laid out, as its first row tells."""

    names: list[str] | None
    """None: the first row is a sample."""
    columns: int
    separator: str


Placed = Callable[[Sequence[str] | None, int], Roles]
"""What the columns of a table are, by their names, if they have any, and their number."""
Samples = tuple[sparse.csr_array, Labels, Float64 | None, Columns]
"""A (m, d), y (m,), of classes as written, whose each sample is (m,), where that is said."""


def read_table(
    reopened: Callable[[], BinaryIO],
    path: Path,
    header: bool | None,
    placed: Placed,
    counted: bool,
    classes: bool = False,
) -> Samples:
    """The samples of a table as text.

    Parameters
    ----------
    reopened : callable
        Gives the text from its start.
    path : Path
        For messages; a tab separates where it says ``.tsv``.
    header : bool, optional
        Whether the first row is names; None: unless it is numbers.
    placed : callable
        What the columns are, by their names, if they have any, and their number.
    counted : bool
        Whether the target is said by its number.
    classes : bool
        Whether the target is of labels, which may be words.

    Raises
    ------
    InputError
        Naming the line and the column of what is no number.
    """
    pandas = _pandas()
    separator = "\t" if ".tsv" in (suffix.lower() for suffix in path.suffixes) else ","
    layout = _layout(reopened(), path, separator, header, placed if classes and counted else None)
    of = placed(layout.names, layout.columns)
    at = of.target if classes else None
    words: list[str] = []
    try:
        chunks = [split(chunk, of) for chunk in _chunks(pandas, reopened(), layout, at, words)]
        labels = None if at is None else written(words)
    except InputError:
        raise
    except LabelError as error:
        raise _culprit(reopened(), path, layout, error.why, at, words[error.row]) from error
    except (ValueError, TypeError, MemoryError, Warning) as error:
        raise _culprit(reopened(), path, layout, str(error), at) from error
    if not chunks:
        raise InputError(Fault(str(path), "0 samples", EXPECTED))
    A = sparse.csr_array(sparse.vstack([part[0] for part in chunks], format="csr"))
    y = np.concatenate([part[1] for part in chunks]) if labels is None else labels
    whose = None if of.worker is None else np.concatenate([part[2] for part in chunks])
    return A, y, whose, Columns(layout.names, of)


def split(values: NDArray[Any], of: Roles) -> tuple[sparse.csr_array, Any, Any]:
    """Features, target and worker of some rows of a table (rows, columns)."""
    features = np.asarray(values[:, of.features], dtype=np.float64)
    rest = (
        None if at is None else np.array(values[:, at], dtype=np.float64)
        for at in (of.target, of.worker)
    )
    return sparse.csr_array(features), *rest


def _pandas() -> Any:
    """pandas; InputError where there is none."""
    try:
        import pandas
    except ImportError as error:
        raise InputError(
            Fault(
                "problem.path",
                "a table (CSV) without pandas",
                "an installed pandas, which reads tables",
                'python -m pip install "ist_mpi[data]"',
            )
        ) from error
    return pandas


def _chunks(
    pandas: Any, text: BinaryIO, layout: Layout, at: int | None, words: list[str]
) -> Iterator[Float64]:
    """The rows, some at a time; raises whatever pandas does where one is not all numbers.

    Column `at` is of labels: these are appended to `words`, and in the rows are 0 in their place.
    """
    options: dict[str, Any] = {} if at is None else {"converters": {at: str.strip}}
    if tuple(int(part) for part in pandas.__version__.split(".")[:2]) < EXACT:
        options["float_precision"] = "round_trip"
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of columns that would be dropped
        reader = pandas.read_csv(
            text,
            sep=layout.separator,
            header=None if layout.names is None else 0,
            index_col=False,
            na_filter=False,
            skipinitialspace=True,
            chunksize=max(1, ENTRIES // layout.columns),
            **options,
        )
        with reader:
            for chunk in reader:
                if at is not None:
                    words += chunk.iloc[:, at].tolist()
                columns = [
                    np.zeros(len(chunk)) if i == at else _numbers(chunk.iloc[:, i])
                    for i in range(chunk.shape[1])
                ]
                values = np.stack(columns, 1)
                if not np.isfinite(values).all():
                    raise ValueError("not all are finite")
                if len(values):
                    yield values


def _numbers(column: Any) -> Float64:
    """A column as numbers; raises ValueError if one is none."""
    if column.dtype.kind in "fiu":
        return np.asarray(column, dtype=np.float64)
    words = [str(cell).strip() for cell in column]  # where integers are too long, text
    if column.dtype.kind == "b" or not all(map(NUMBER.fullmatch, words)):
        raise ValueError("not all are numbers")
    return np.array([float(word) for word in words])


def _rows(text: BinaryIO, path: Path, separator: str) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not empty, with the lines that they begin on."""
    lines = io.TextIOWrapper(text, encoding="utf-8", errors="surrogateescape", newline="")
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True)
    before = 0
    try:
        for row in reader:
            line, before = before + 1, reader.line_num
            if any(cell.strip() for cell in row) or len(row) > 1:
                yield line, [cell.strip() for cell in row]
    except csv.Error as error:
        got = f"after line {reader.line_num}: {error}"
        raise InputError(Fault(str(path), got, EXPECTED)) from error


def _layout(
    text: BinaryIO, path: Path, separator: str, header: bool | None, placed: Placed | None
) -> Layout:
    """What the first row tells: it is names, or numbers and what stands for missing ones.

    `placed` tells in which column a sample has a label, which may be anything.
    """
    line, first = next(_rows(text, path, separator), (0, []))
    if not first:
        raise InputError(Fault(str(path), "0 samples", EXPECTED))
    numbers = all(map(_may_be_number, first))
    which = first == [str(i) for i in range(len(first))]
    at = None if placed is None or numbers else _target(placed, len(first))
    if at is not None:
        rest = [cell for i, cell in enumerate(first) if i != at]
        numbers = all(map(_may_be_number, rest)) and any(map(NUMBER.fullmatch, rest))
        # Names may be whole numbers; of a table whose columns have none, they are their places.
        whole = numbers and all(map(_WHOLE.fullmatch, rest))
        counting = all(cell == str(i) for i, cell in enumerate(first) if i != at)
        which, numbers = whole and not counting, numbers and not whole
    if header is None and which:
        got = f"line {line}: {', '.join(first[:3])}, …: the first sample, or numbers as names"
        raise InputError(Fault(str(path), got, "to be told which: problem.header = true or false"))
    if header is False or (header is None and numbers):
        return Layout(None, len(first), separator)
    for at, cell in enumerate(first):
        here = f"line {line}, {label(None, at)}"
        if not cell:
            remedy = "of an index, as pandas writes it: to_csv(…, index=False)" if at == 0 else ""
            expected = "a name for each column"
            raise InputError(Fault(str(path), f"{here}: no name", expected, remedy))
        if header is None and NUMBER.fullmatch(cell) and not _WHOLE.fullmatch(cell):
            other = next(word for word in first if not NUMBER.fullmatch(word))
            got = f'{here}: "{cell}" in a row with "{shown(other)}"'
            raise InputError(Fault(str(path), got, "a row of names, or of numbers"))
        if shown(cell) != cell[:SHOWN]:
            got = f'{here}: "{shown(cell)}", which is not UTF-8'
            raise InputError(Fault(str(path), got, "a name in UTF-8"))
        if cell in first[:at]:
            got = f'{here}: "{cell}" for the second time'
            raise InputError(Fault(str(path), got, "a name of its own for each column"))
    if len(first) == 1 and ";" in first[0]:
        got = f'line {line}: one column, "{first[0][:60]}"'
        raise InputError(Fault(str(path), got, "columns with commas between them"))
    return Layout(first, len(first), separator)


def _target(placed: Placed, count: int) -> int | None:
    """Where the target is in a table without names, if there can be one of so many columns."""
    with contextlib.suppress(InputError):
        return placed(None, count).target
    return None


def _may_be_number(cell: str) -> bool:
    return NUMBER.fullmatch(cell) is not None or cell.lower() in MISSING


def _culprit(
    text: BinaryIO,
    path: Path,
    layout: Layout,
    why: str,
    labels: int | None,
    wrong: str | None = None,
) -> InputError:
    """What is wrong with the first row that is not all numbers; column `labels` need not be.

    Of it, `wrong` is what is no label, if it is that.
    """
    rows = _rows(text, path, layout.separator)
    if layout.names is not None:
        next(rows, None)
    for line, row in rows:
        if len(row) != layout.columns:
            got = f"line {line}: {len(row)} values"
            return InputError(Fault(str(path), got, f"{layout.columns}, as in the first row"))
        for at, cell in enumerate(row):
            got = f"line {line}, {label(layout.names, at)}: "
            if at != labels and (found := trouble(cell)):
                return InputError(Fault(str(path), got + found, EXPECTED))
            if at == labels and (found := why if cell == wrong else not_text(cell)):
                return InputError(Fault(str(path), got + found, LABELS))
    return InputError(Fault(str(path), f"a table that pandas cannot read ({why})", EXPECTED))
