"""Arrays in NumPy's files: an .npy mapped, arrays of an .npz by name; never a pickle."""

import math
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from ist_mpi.errors import Fault, InputError
from ist_mpi.problems.data.words import LABEL_KINDS, array_of
from ist_mpi.store.files import EXPANSION, Limit
from ist_mpi.store.forms import SMALL

REAL = "fiu"
"""Kinds of arrays of real numbers."""
_BROKEN = (OSError, ValueError, EOFError, KeyError, RuntimeError, MemoryError, SyntaxError)


class Header(NamedTuple):
    """What an .npy says of its array."""

    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype[Any]


def mapped(file: BinaryIO, path: Path) -> NDArray[Any]:
    """The array of an open .npy, mapped: only what is looked at is read.

    Raises
    ------
    InputError
        If it is cut off, or holds objects.
    """
    size = file.seek(0, 2)
    file.seek(0)
    header = _header(file, size, str(path))
    if 0 in header.shape:
        return np.empty(header.shape, header.dtype)
    place: Any = file  # mmap is content with a file's descriptor
    found: NDArray[Any] = np.memmap(
        place, header.dtype, "r", file.tell(), header.shape, "F" if header.fortran_order else "C"
    )
    return found


def _header(stream: Any, size: int, where: str, kinds: str = REAL) -> Header:
    """What an .npy of `size` bytes says of its array, which begins where the stream is then.

    `kinds`: what it should be.
    """
    whole = "a whole .npy of numbers"
    try:
        version = npy.read_magic(stream)
        read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
        header = Header(*read(stream))
    except Exception as error:  # numpy parses the header as Python
        got = f"an .npy whose header cannot be read ({type(error).__name__}: {error})"
        raise InputError(Fault(where, got, whole)) from error
    if header.dtype.hasobject:
        got = f"{header.dtype} of shape {header.shape}: Python objects, which are pickled"
        remedy = "" if kinds == LABEL_KINDS else "convert it: array.astype(float)"
        if header.dtype.names is not None:
            remedy = 'fields of types that are no objects: "f8", of names "U20"'
        raise InputError(Fault(where, got, array_of(kinds), remedy))
    needed = math.prod(header.shape) * header.dtype.itemsize
    there = size - stream.tell()
    if needed != there:
        got = f"{there} bytes of data where shape {header.shape} has {needed}"
        raise InputError(Fault(where, got, whole))
    return header


class Archive:
    """An open .npz; see `archive`."""

    def __init__(self, zipped: zipfile.ZipFile, path: Path, limit: Limit) -> None:
        self._zip, self._path, self._limit = zipped, path, limit
        self.names = [
            name.removesuffix(".npy") for name in zipped.namelist() if name.endswith(".npy")
        ]

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def array(self, name: str, ndim: int, expected: str, kinds: str = REAL) -> NDArray[Any]:
        """An array of so many axes, real or of other `kinds`; InputError if there is none."""
        where = f"{self._path}: {name}"
        if name not in self.names:
            got = f"no {name} among {', '.join(self.names[:12]) or 'nothing'}"
            raise InputError(Fault(str(self._path), got, expected))
        info = self._zip.getinfo(f"{name}.npy")
        if info.file_size > self._limit.value:
            most = f"at most {self._limit.text}"
            raise InputError(Fault(where, f"{info.file_size} bytes", most, self._limit.remedy))
        if info.file_size > max(SMALL, info.compress_size * EXPANSION.value):
            got = f"{info.compress_size} bytes that expand to {info.file_size}"
            most = f"at most {EXPANSION.value} times as many"
            raise InputError(Fault(where, got, most, EXPANSION.remedy))
        try:
            with self._zip.open(info) as member:
                _header(member, info.file_size, where, kinds)
                member.seek(0)
                array = npy.read_array(member, allow_pickle=False)
        except InputError:
            raise
        except (*_BROKEN, zlib.error, zipfile.BadZipFile, NotImplementedError) as error:
            got = f"data that cannot be read ({error})"
            raise InputError(Fault(where, got, "whole data")) from error
        if array.ndim != ndim or array.dtype.kind not in kinds:
            got = f"{array.dtype} of shape {array.shape}"
            raise InputError(Fault(where, got, f"{array_of(kinds)}, of {ndim} dimension(s)"))
        return array


@contextmanager
def archive(file: BinaryIO, path: Path, limit: Limit, expected: str) -> Iterator[Archive]:
    """An open .npz, whose arrays are bounded in size each.

    Raises
    ------
    InputError
        If it is no whole zip archive, or one of other things.
    """
    try:
        zipped = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, *_BROKEN) as error:
        got = f"a zip archive that cannot be read ({error})"
        raise InputError(Fault(str(path), got, expected)) from error
    with zipped:
        found = Archive(zipped, path, limit)
        if not found.names:
            listed = ", ".join(zipped.namelist()[:5]) or "nothing"
            got = f"a zip archive of {listed}"
            raise InputError(Fault(str(path), got, expected, "unpack it"))
        yield found
