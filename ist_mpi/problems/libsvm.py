"""Data sets in LIBSVM format, and what is wrong with one, by line and word."""

import bz2
import gzip
import os
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ist_mpi.errors import Fault, InputError
from ist_mpi.problems.bundled import sklearn_datasets
from ist_mpi.store import files

Float64 = NDArray[np.float64]


def read_libsvm(path: Path, features: int | None = None) -> tuple[Any, Float64]:
    """A LIBSVM file: A (m, d) as a CSR array, y (m,).

    Parameters
    ----------
    path : Path
        Plain, ``.gz`` or ``.bz2``.
    features : int, optional
        d, where trailing columns are absent from the file; default: the largest index.

    Raises
    ------
    InputError
        If the file is missing, empty, cut off, too large, not LIBSVM, or holds a number that is
        not finite.
    """
    where, expected = str(path), 'lines of "label index:value index:value …" (LIBSVM)'
    with files.opened(path, files.LIBSVM_BYTES, "a data set in LIBSVM format") as file:
        datasets = sklearn_datasets()
        remedy = ""
        try:
            got, remedy = _unfinished(file, path)
            if not got:
                A, y = datasets.load_svmlight_file(
                    _unpacked(file, path), n_features=features, dtype=np.float64
                )
        except (ValueError, EOFError, OSError, OverflowError, MemoryError, zlib.error) as error:
            got = _first_bad_line(file, path, features) or f"a file that cannot be read ({error})"
            raise InputError(Fault(where, got, expected)) from error
        if got:
            raise InputError(Fault(where, got, expected, remedy))
        if A.shape[0] == 0 or A.nnz == 0:
            got = "0 samples" if A.shape[0] == 0 else f"{A.shape[0]} samples without any feature"
            raise InputError(Fault(where, got, expected))
        if not (np.isfinite(y).all() and np.isfinite(A.data).all()):
            got = _first_bad_line(file, path, features) or "numbers that are not finite"
            raise InputError(Fault(where, got, "finite numbers"))
    return sparse.csr_array(A), np.asarray(y, dtype=np.float64)


INDEX_DIGITS = 19
"""Digits of an index, at most: far beyond any that fits into memory, far from the number that
Python refuses to read."""
MAX_LINE = 256 << 20
"""Bytes of a line, which is in memory whole."""
SMALL = 64 << 20
"""Bytes that a compressed file may expand to however short it is."""


def _unpacked(file: BinaryIO, path: Path) -> Any:
    """An open file from its start, unpacked if its name says that it is compressed."""
    file.seek(0)
    if path.suffix == ".gz":
        return gzip.GzipFile(fileobj=file)
    return bz2.BZ2File(file) if path.suffix == ".bz2" else file


def _unfinished(file: BinaryIO, path: Path) -> tuple[str, str]:
    """What speaks against parsing a file at all, and the remedy; empty if nothing does.

    It is empty, its last line has no end (a sign that it was cut off), or it is too large.
    """
    most, packed = files.LIBSVM_BYTES.value, os.fstat(file.fileno()).st_size
    expanded = max(SMALL, packed * files.EXPANSION.value)
    total, line, last = 0, 0, b""
    unpacked = _unpacked(file, path)
    while piece := unpacked.read(1 << 20):
        total, last = total + len(piece), piece
        newline = piece.rfind(b"\n")
        line = line + len(piece) if newline < 0 else len(piece) - newline - 1
        if total > most:
            return f"more than {files.LIBSVM_BYTES.text}, unpacked", files.LIBSVM_BYTES.remedy
        if unpacked is not file and total > expanded:
            return f"{packed} bytes that expand to more than {expanded}", files.EXPANSION.remedy
        if line > MAX_LINE:
            return f"a line of more than {MAX_LINE} bytes", ""
    if not last:
        return "an empty file", ""
    if last.endswith(b"\n"):
        return "", ""
    got = "a last line that does not end: it seems cut off"
    return got, "fetch it again, or end its last line"


def _first_bad_line(file: BinaryIO, path: Path, features: int | None) -> str | None:
    """What is wrong with the first line that is not LIBSVM, for the message; None if none is."""
    try:
        for number, raw in enumerate(_unpacked(file, path), start=1):
            line = raw.partition(b"#")[0].decode(errors="replace").split()
            trouble = _trouble(line, features) if line else None
            if trouble:
                return f"line {number}: {trouble}"
    except (OSError, EOFError, zlib.error):
        pass  # the caller's own error says it
    return None


def _trouble(words: list[str], features: int | None) -> str | None:
    """What is wrong with one line's words."""
    if not _finite(words[0]):
        return f'label "{words[0][:40]}" is no finite number'
    last = -1
    for word in words[1:]:
        index, colon, value = word.partition(":")
        if index == "qid":
            continue
        if not (colon and index.isdecimal() and _finite(value)):
            return f'"{word[:40]}" is not index:value with a finite value'
        digits = index.lstrip("0") or "0"
        if len(digits) > INDEX_DIGITS:
            return f"index {digits[:INDEX_DIGITS]}… of {len(digits)} digits is too large"
        if int(digits) <= last:
            return f"index {int(digits)} after {last}: indices must increase"
        last = int(digits)
    if features is not None and last > features:
        return f"feature {last}, but problem.d = {features}"
    return None


def _finite(word: str) -> bool:
    try:
        return bool(np.isfinite(float(word)))
    except ValueError:
        return False
