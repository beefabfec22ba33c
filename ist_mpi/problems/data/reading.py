"""Data sets from wherever they are: the same samples in every form give the same bits.

Whatever is not bundled with scikit-learn becomes a CSR array of float64 without entries that are 0.
"""

import logging
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ist_mpi.errors import Fault, InputError
from ist_mpi.problems.data import numpy_files
from ist_mpi.problems.data.bundled import bundled
from ist_mpi.problems.data.columns import Columns, Roles, roles, roles_to_test
from ist_mpi.problems.data.libsvm import as_wide, read_libsvm
from ist_mpi.problems.data.settings import OF_TABLES, DataSettings
from ist_mpi.problems.data.table import read_table, split
from ist_mpi.problems.data.words import (
    LABEL_KINDS,
    LABELS,
    LabelError,
    Labels,
    array_of,
    written_values,
)
from ist_mpi.problems.given import canonical
from ist_mpi.store import files, forms

Float64 = NDArray[np.float64]

LOGGER = logging.getLogger(__name__)
EXPECTED = "a data set: LIBSVM or CSV text (packed or not), .npz, or .npy"
TABLES, LIBSVM = {".csv", ".tsv"}, {".svm", ".libsvm", ".svmlight"}
"""What says which text it is; without, a table is one of which the target is named."""
ROWS = 1 << 20
"""Numbers of a mapped array that are in memory at once."""


class Data(NamedTuple):
    """Samples, checked."""

    A: Any
    """Shape (m, d): CSR array of float64, or ndarray of what is bundled."""
    y: Labels
    """Shape (m,): float64, or words; see `words.plain`."""
    worker: NDArray[Any] | None
    """Whose each sample is, (m,), where that is said."""
    name: str
    """For messages."""
    columns: Columns | None = None
    """Of a table."""
    first: int | None = None
    """The index of the first feature in LIBSVM text."""


def read(problem: DataSettings, rescaled: bool = False, like: Data | None = None) -> Data:
    """The configured samples.

    Parameters
    ----------
    problem : DataSettings
        Where they are.
    rescaled : bool
        Whether their columns will be, each to a size of its own.
    like : Data, optional
        The training data, where these are to test on: their columns are the same, and of settings
        counts what applies.

    Raises
    ------
    InputError
        If they cannot be read, are not finite, or all 0.
    """
    LOGGER.info("reading %s", problem.dataset or problem.path or "the samples")
    if problem.dataset is not None:
        data = Data(*bundled(problem.dataset), None, problem.dataset)
    elif problem.X is not None:
        whose = problem.worker if isinstance(problem.worker, np.ndarray) else None
        data = Data(problem.X, np.asarray(problem.y), whose, "problem.X", problem.columns)
    else:
        data = _of_file(Path(str(problem.path)), problem, like)
    if sparse.issparse(data.A):
        data = data._replace(A=canonical(data.A))
    if like is not None:
        features, expected = data.A.shape[1], like.A.shape[1]
        if features != expected:
            fault = Fault(data.name, f"{features} features", f"{expected}, as {like.name} has")
            raise InputError(fault)
    _check(data, problem, rescaled)
    return data


def _of_file(path: Path, problem: DataSettings, like: Data | None) -> Data:
    with files.opened(path, files.LIBSVM_BYTES, EXPECTED) as file:
        form = forms.form_of_file(file)
        if form == "hdf5":
            raise forms.refusal(path, form, EXPECTED)
        if form in ("zip", "npy"):
            _refuse(
                problem, ("header",), f"{path}, which is no text", "a table as text (CSV)", like
            )
        if form == "zip":
            with numpy_files.archive(file, path, files.LIBSVM_BYTES, EXPECTED) as archive:
                return _of_archive(archive, path, problem, like)
        if form == "npy":
            return _of_array(numpy_files.mapped(file, path), path, problem, like)

        def text() -> Any:
            return forms.text_of(file, path, files.LIBSVM_BYTES, EXPECTED)

        said = [one for one in map(str.lower, path.suffixes) if one in TABLES | LIBSVM]
        table = problem.target is not None or (like is not None and like.columns is not None)
        if said[-1] in TABLES if said else table:
            placed = partial(_roles, problem=problem, like=like, what=str(path))
            counted = isinstance(problem.target, int)
            A, y, whose, columns = read_table(
                text, path, problem.header, placed, counted, problem.classes
            )
            return Data(A, y, whose, str(path), columns)
        _refuse(
            *(problem, OF_TABLES, f"{path}, which is LIBSVM text", "a table of columns (CSV)", like)
        )
        A, y, first = read_libsvm(text(), path, problem.d)
        if like is not None:
            A = as_wide(A, first, like.A.shape[1], like.first, path, like.name)
        return Data(A, y, None, str(path), first=first)


def _roles(
    names: Sequence[str] | None, count: int, problem: DataSettings, like: Data | None, what: str
) -> Roles:
    """What the columns of a table are."""
    target, worker = _column(problem.target), _column(problem.worker)
    if like is None:
        return roles(names, count, target, worker, what)
    if like.columns is None:
        return roles(names, count, target, worker if worker in (names or ()) else None, what)
    return roles_to_test(names, count, like.columns, target, what, like.name)


def _column(wanted: Any) -> str | int | None:
    return wanted if isinstance(wanted, str | int) else None


def _refuse(
    problem: DataSettings, settings: Iterable[str], data: str, expected: str, like: Data | None
) -> None:
    """Refuse settings that mean nothing for these data, nor for a file to test on."""
    if like is not None:
        return
    for name in settings:
        value = getattr(problem, name)
        if value is not None and name not in problem.for_tests:
            where = f"problem.{name}"
            raise InputError(Fault(where, f"{value!r} for {data}", f"{expected}, or no {name}"))


def _names(
    problem: DataSettings, data: str, there: Sequence[str], like: Data | None
) -> dict[str, str]:
    """What y and worker are called among arrays that have names; of samples to test on, y."""
    names = {"target": "y"} if like is not None else {"target": "y", "worker": "worker"}
    for key, usual in names.items():
        wanted = getattr(problem, key)
        if like is not None or (isinstance(wanted, int) and key in problem.for_tests):
            wanted = wanted if wanted in there else None
        if isinstance(wanted, int):
            got = f"{wanted} for {data}"
            raise InputError(Fault(f"problem.{key}", got, "the name of an array"))
        names[key] = usual if wanted is None else str(wanted)
    return names


def _of_archive(archive: Any, path: Path, problem: DataSettings, like: Data | None) -> Data:
    """X (m, d), y (m,) and, where it is there or named, worker (m,)."""
    names = _names(problem, f"{path}, an archive of arrays", archive.names, like)
    expected = f"an .npz with X (m, d) and {names['target']} (m,)"
    X, kinds = archive.array("X", 2, expected), LABEL_KINDS if problem.classes else "fiu"
    y = archive.array(names["target"], 1, expected, kinds)
    whose = None
    if "worker" in names and (problem.worker is not None or "worker" in archive):
        whose = archive.array(names["worker"], 1, f"{expected} and {names['worker']} (m,)")
    return _fitting(X, y, whose, path, kinds)


def _of_array(array: NDArray[Any], path: Path, problem: DataSettings, like: Data | None) -> Data:
    """A table (m, columns); or an array of records, with fields X and y or a field a column."""
    names = array.dtype.names
    expected = "an .npy with a real array (m, columns), or of records with X and y"
    kinds, labels = LABEL_KINDS if problem.classes else "fiu", None
    if names is not None and "X" in names:
        named = _names(problem, f"{path}, an array of records", names, like)
        if problem.worker is None and "worker" not in names:
            named.pop("worker", None)
        for field in named.values():
            if field not in names:
                got = f"no {field} among {', '.join(names)}"
                raise InputError(Fault(str(path), got, expected))
        whose = array[named["worker"]] if "worker" in named else None
        return _fitting(array["X"], array[named["target"]], whose, path, kinds)
    if names is not None:
        at = _roles(names, len(names), problem, like, str(path)).target
        allowed = [kinds if i == at else "fiu" for i in range(len(names))]
        fields = [array.dtype[name] for name in names]
        plain = all(
            one.kind in of and not one.shape for one, of in zip(fields, allowed, strict=True)
        )
        if array.ndim != 1 or not plain:
            raise InputError(Fault(str(path), f"{array.dtype}", expected))
        columns = [array[name] for name in names]
        if at is not None and fields[at].kind in "bU":
            labels, columns[at] = _labels(columns[at], path), np.zeros(len(array))
        array = np.stack([column.astype(np.float64) for column in columns], axis=1)
    if array.ndim != 2 or array.dtype.kind not in "fiu":
        got = f"{array.dtype} of shape {array.shape}"
        raise InputError(Fault(str(path), got, expected))
    of = _roles(names, array.shape[1], problem, like, str(path))
    parts = [split(rows, of) for rows in _some_rows(array)]
    if not parts:
        raise InputError(Fault(str(path), "0 samples", expected))
    A = sparse.vstack([part[0] for part in parts], format="csr")
    y, whose = (
        None if parts[0][i] is None else np.concatenate([part[i] for part in parts]) for i in (1, 2)
    )
    y = np.asarray(y) if labels is None else labels
    return Data(A, y, whose, str(path), Columns(names, of))


def _labels(y: NDArray[Any], path: Path) -> Labels:
    """The labels of an array; InputError where one is none."""
    try:
        return written_values(y)
    except LabelError as error:
        raise InputError(Fault(f"{path}: y", str(error), LABELS)) from error


def _fitting(
    X: NDArray[Any], y: NDArray[Any], worker: NDArray[Any] | None, path: Path, kinds: str
) -> Data:
    """Samples of arrays of their own, whose shapes must fit; `kinds` of numbers are labels."""
    faults = []
    if X.ndim != 2 or X.dtype.kind not in "fiu":
        got = f"{X.dtype} of shape {X.shape}"
        raise InputError(Fault(f"{path}: X", got, "a real array (m, d)"))
    for name, array, of in (("y", y, kinds), ("worker", worker, "fiu")):
        if array is not None and (array.shape != (len(X),) or array.dtype.kind not in of):
            got = f"{array.dtype} of shape {array.shape}"
            expected = f"{array_of(of)}, of shape ({len(X)},), as X has"
            faults.append(Fault(f"{path}: {name}", got, expected))
    if faults:
        raise InputError(faults)
    rows = [sparse.csr_array(np.asarray(part, dtype=np.float64)) for part in _some_rows(X)]
    A = sparse.vstack(rows, format="csr") if rows else sparse.csr_array(X.shape)
    return Data(A, _labels(y, path), worker, str(path))


def _some_rows(array: NDArray[Any]) -> Any:
    """The rows of an array, some at a time."""
    step = max(1, ROWS // max(1, array.shape[1]))
    return (array[at : at + step] for at in range(0, len(array), step))


SQUARES = (1e-140, 1e140)
"""Between these are numbers whose squares can be added up."""


def _check(data: Data, problem: DataSettings, rescaled: bool) -> None:
    """Refuse what no problem can be made of."""
    A, y, name = data.A, data.y, data.name
    samples, features = A.shape
    entries = A.data if sparse.issparse(A) else A
    if samples == 0:
        raise InputError(Fault(name, "0 samples", "at least one"))
    if problem.d not in (None, features):
        raise InputError(
            Fault("problem.d", str(problem.d), f"{features}, the features of {name}", "or no d")
        )
    bad = np.flatnonzero(~np.isfinite(y)) if y.dtype.kind == "f" else np.empty(0)
    if bad.size:
        got = f"{y[bad[0]]} as label of sample {bad[0]} (the first is 0)"
        raise InputError(Fault(name, got, "finite numbers"))
    if not np.isfinite(entries).all():
        got = "a number that is not finite"
        if sparse.issparse(A):
            entry = int(np.flatnonzero(~np.isfinite(entries))[0])
            row = int(np.searchsorted(A.indptr, entry, side="right")) - 1
            got = f"{entries[entry]} at ({row}, {A.indices[entry]}), sample and feature from 0"
        raise InputError(Fault(name, got, "finite numbers"))
    if not entries.any():
        got = f"{samples} samples without any feature that is not 0"
        raise InputError(Fault(name, got, "features"))
    if not problem.classes and not y.any():
        got = "labels that are all 0, for which x = 0, where a run starts, is the solution"
        raise InputError(Fault(name, got, "labels that differ from 0"))
    if not problem.classes:
        _check_scale(name, "labels", np.abs(y).max(keepdims=True), False)
    largest = np.maximum(row_of(A.max(axis=0)), -row_of(A.min(axis=0)))
    sizes = largest[largest > 0.0] if rescaled else largest.max(initial=0.0, keepdims=True)
    _check_scale(name, "samples", sizes, rescaled)


def _check_scale(name: str, what: str, sizes: Float64, each_column: bool) -> None:
    """Refuse numbers whose squares vanish or overflow; of each column, where it is rescaled."""
    least, most = SQUARES
    wrong = sizes[(sizes > most) | ((sizes < least) & (sizes > 0.0))]
    if wrong.size:
        got = f"{what} up to {wrong[0]:.3g}, whose squares leave the range of float64"
        if each_column:
            got = f"a column of {got}"
        remedy = "choose units in which they are nearer to 1"
        raise InputError(Fault(name, got, f"numbers between {least:g} and {most:g}", remedy))


def row_of(values: Any) -> Float64:
    """A reduction over the rows as (d,), whatever kind of array it came as."""
    return np.ravel(values.toarray() if sparse.issparse(values) else values)
