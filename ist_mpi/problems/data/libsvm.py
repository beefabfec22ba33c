"""Data sets in LIBSVM format: scikit-learn reads them, after one look at every line.

The look is what scikit-learn does not do: it names line and word, refuses what only Python calls a
number (``1_0``, digits of other scripts), and mends what is written otherwise in files that are
about: ``63: 1``, line ends of all kinds, none after the last line.
"""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NoReturn

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ist_mpi.errors import Fault, InputError
from ist_mpi.problems.data.bundled import sklearn_datasets

Float64 = NDArray[np.float64]

EXPECTED = 'lines of "label index:value index:value …" (LIBSVM)'
MAX_LINE = 256 << 20
"""Bytes of a line, which is in memory whole."""
MAX_INDEX = 2**31 - 2
"""As large as a number of coordinates may be."""
SHOWN = 40
"""Letters of a wrong word in its message."""

_BLANK = rb"[ \t\v\f]"
_NUMBER = rb"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"
_FEATURE = rb"(?:qid:[^ \t\v\f#]*+|(\d+):" + _BLANK + rb"*+" + _NUMBER + rb")"
_LINE = re.compile(
    _BLANK
    + rb"*+(?:"
    + _NUMBER
    + rb"(?:"
    + _BLANK
    + rb"++"
    + _FEATURE
    + rb")*+)?+"
    + _BLANK
    + rb"*+(?:#.*)?",
    re.DOTALL,
)
"""A line as it should be; its group is the last index."""
_VALUE = re.compile(_NUMBER)
_MAY_OVERFLOW = re.compile(rb"[eE]\+?\d{3}|\d{300}")
_BLANK_AFTER_COLON = re.compile(rb":" + _BLANK + rb"++")


def read_libsvm(
    text: BinaryIO, path: Path, features: int | None = None
) -> tuple[sparse.csr_array, Float64, int]:
    """LIBSVM text: A (m, d) as it stands, y (m,), and the index that the first feature has.

    That is 0 if any has it, and else 1.

    Parameters
    ----------
    text : binary file
        From its start.
    path : Path
        For messages.
    features : int, optional
        d, where trailing columns are absent from the file; default: the largest index.

    Raises
    ------
    InputError
        Naming line and word of the first that is not LIBSVM.
    """
    lines = _Lines(text, path, features)
    try:
        A, y = sklearn_datasets().load_svmlight_file(lines, n_features=features, dtype=np.float64)
    except InputError:
        raise
    except (ValueError, OverflowError, MemoryError) as error:
        if lines.over:  # the whole of it is wrong, not a line
            got = f"feature {lines.most}, where the first is 0, but problem.d = {features}"
            raise InputError(Fault(str(path), got, EXPECTED)) from error
        lines.refuse(str(error))
    first = lines.most - int(A.indices.max(initial=lines.most - 1))
    return sparse.csr_array(A), np.asarray(y, dtype=np.float64), first


def as_wide(
    A: sparse.csr_array, first: int, features: int, numbered: int | None, path: Path, data: str
) -> sparse.csr_array:
    """Samples (m, any) to test on, as (m, features) or more: features that occur in none are 0.

    Parameters
    ----------
    A, first, path
        See `read_libsvm`.
    features : int
        Those of the training data.
    numbered : int, optional
        The index that the first of these has, where they are LIBSVM text too.
    data : str
        The training data, for messages.

    Raises
    ------
    InputError
        If a feature 0 occurs, where the first is 1.
    """
    shift = 0 if numbered is None else first - numbered
    if shift < 0:
        got = f"feature 0, where the first of {data} is 1"
        raise InputError(Fault(str(path), got, "features counted from the same on"))
    shape = A.shape[0], max(A.shape[1] + shift, features)
    return sparse.csr_array((A.data, A.indices + shift, A.indptr), shape=shape)


class _Lines:
    """The lines of a text, each looked at, as scikit-learn iterates over those of a file."""

    def __init__(self, text: BinaryIO, path: Path, features: int | None) -> None:
        self._text, self._path, self._features = text, path, features
        self._number, self._line = 0, b""
        self.over = False
        """Whether all have been read."""
        self.most = 0
        """The largest index."""

    def read(self, count: int = -1) -> NoReturn:
        """By which scikit-learn knows a file; it iterates."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[bytes]:
        for line in self._split():
            self._number, self._line = self._number + 1, line
            found = _LINE.fullmatch(line)
            if found is None or _MAY_OVERFLOW.search(line) is not None:
                self._check()
            last = found[1] if found is not None else None
            if last is not None:
                index = int(last) if len(last) < 19 else MAX_INDEX + 1
                if index > (MAX_INDEX if self._features is None else self._features):
                    self._check()
                self.most = max(self.most, index)
            yield _BLANK_AFTER_COLON.sub(b":", line) if b": " in line or b":\t" in line else line
        self.over = True

    def _split(self) -> Iterator[bytes]:
        """The lines, whose ends are LF, CR LF or CR; the last one may have none."""
        begun = b""
        while piece := self._text.read(1 << 20):
            lines = (begun + piece).splitlines()
            begun = b""
            if piece.endswith(b"\r"):  # an LF may follow
                begun = lines.pop() + b"\r"
            elif not piece.endswith(b"\n"):
                begun = lines.pop()
            yield from lines
            if len(begun) > MAX_LINE:
                got = f"a line of more than {MAX_LINE} bytes"
                raise InputError(Fault(str(self._path), got, EXPECTED))
        if begun:
            yield begun.removesuffix(b"\r")

    def _check(self) -> None:
        """Raise if something is wrong with the line of now."""
        trouble = _trouble(self._line.partition(b"#")[0].split(), self._features)
        if trouble:
            self.refuse(trouble)

    def refuse(self, why: str) -> NoReturn:
        """Raise what is wrong with the line of now, in this package's words where it has some."""
        words = self._line.partition(b"#")[0].split()
        got = f"line {self._number}: {_trouble(words, self._features) or why}"
        remedy = ""
        if words and any(sign in words[0] for sign in (b",", b";")):
            remedy = "a table of columns is read if its name ends in .csv, or with problem.target"
        raise InputError(Fault(str(self._path), got, EXPECTED, remedy))


def _trouble(words: list[bytes], features: int | None) -> str | None:
    """What is wrong with one line's words."""
    if words and not _finite(words[0]):
        return f'label "{_shown(words[0])}" is no finite number'
    last, pending = -1, b""
    for word in words[1:]:
        # A value may be a word of its own, after its colon.
        whole, pending = pending + word, b""
        index, colon, value = whole.partition(b":")
        if index == b"qid":
            continue
        if colon and not value and index.isdigit():
            pending = whole
            continue
        if not (colon and index.isdigit() and _finite(value)):
            wrong = word if whole == word else whole.removesuffix(word)
            return f'"{_shown(wrong)}" is not index:value with a finite value'
        digits = index.lstrip(b"0").decode() or "0"
        if len(digits) >= 19 or int(digits) > MAX_INDEX:
            dots = f"{digits[:19]}…" if len(digits) > 19 else digits
            return f"index {dots} of {len(digits)} digits is too large"
        if int(digits) <= last:
            return f"index {int(digits)} after {last}: indices must increase"
        last = int(digits)
    if pending:
        return f'"{_shown(pending)}" is not index:value with a finite value'
    if features is not None and last > features:
        return f"feature {last}, but problem.d = {features}"
    return None


def _finite(word: bytes) -> bool:
    return _VALUE.fullmatch(word) is not None and math.isfinite(float(word))


def _shown(word: bytes) -> str:
    return word.decode(errors="replace")[:SHOWN]
