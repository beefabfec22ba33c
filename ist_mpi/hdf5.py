"""The door to HDF5: files built in memory and replaced whole, files read with care.

A file on its final path is never updated in place and never opened for writing: its bytes are made
in memory, written to a temporary file beside it, and moved over it. A process killed at any moment
leaves the old file or the new one.
"""

import hashlib
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ist_mpi import files
from ist_mpi.errors import Fault, InputError

TEMPORARY_PREFIX = ".ist-mpi-"
"""Of the files that become logs."""

VERSION: str = h5py.version.hdf5_version
H5PY_VERSION: str = h5py.version.version


def image(fill: Callable[[Any], None]) -> bytes:
    """The bytes of a new HDF5 file, readable by HDF5 1.10 and later, as `fill` makes it."""
    with h5py.File(
        "in-memory.h5", "w", driver="core", backing_store=False, libver=("v108", "v110")
    ) as file:
        fill(file)
        file.flush()
        contents: bytes = file.id.get_file_image()
    return contents


def replace(path: Path, contents: bytes, overwrite: bool) -> None:
    """Put `contents` at `path` in one step that survives a kill and a power cut.

    One process at a time may do so for a path: what a killed one left beside it is taken away.

    Raises
    ------
    FileExistsError
        If `overwrite` is false and something is there.
    OSError
        If the directory or the disk refuses; what was there before is untouched.
    """
    digest = hashlib.sha256(path.name.encode()).hexdigest()[:16]  # shorter than a long name
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{digest}")
    temporary.unlink(missing_ok=True)
    try:
        files.write_durably(temporary, contents)
        if overwrite:
            temporary.replace(path)
        else:
            _move_to_free(temporary, path)
    finally:
        with suppress(OSError):  # where it cannot be removed, the first error is the one to tell
            temporary.unlink()
    files.sync_folder(path.parent)


def _move_to_free(temporary: Path, path: Path) -> None:
    """Move a file to a path where nothing is; FileExistsError if something is there."""
    try:
        os.link(temporary, path)  # unlike a rename, fails where something exists
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        temporary.replace(path)


@contextmanager
def reading(path: str | Path) -> Iterator[Any]:
    """An existing HDF5 file, open for reading.

    Raises
    ------
    InputError
        If there is no such regular file, or it is not (whole) HDF5.
    """
    path = Path(path)
    expected = "an HDF5 file"
    got = files.trouble(path)
    if got is not None:
        raise InputError(Fault(str(path), got, expected))
    try:
        file = h5py.File(path, "r", locking=False)
    except OSError as error:
        got = f"a file that HDF5 cannot open ({error})"
        raise InputError(Fault(str(path), got, expected)) from error
    with file:
        yield file


@contextmanager
def in_memory(contents: bytes) -> Iterator[Any]:
    """The file that `image` made, open for reading."""
    with h5py.File(io.BytesIO(contents), "r") as file:
        yield file


def dataset(file: Any, name: str, ndim: int) -> Any:
    """The dataset `name` of real numbers with `ndim` dimensions, not yet read."""
    where = f"{file.filename}:/{name}"
    expected = f"a dataset of real numbers with {ndim} dimension(s)"
    found = file.get(name)
    if found is None:
        raise InputError(Fault(where, "nothing", expected))
    if not isinstance(found, h5py.Dataset):
        raise InputError(Fault(where, "a group", expected))
    if found.dtype.kind not in "fiu" or found.ndim != ndim:
        raise InputError(Fault(where, f"{found.dtype} of shape {found.shape}", expected))
    return found


def read(found: Any, selection: Any = ()) -> NDArray[np.float64]:
    """A dataset, or a selection of it, as float64; damaged data is an InputError."""
    try:
        return np.ascontiguousarray(found[selection], dtype=np.float64)
    except OSError as error:
        where = f"{found.file.filename}:{found.name}"
        got = f"data that cannot be read ({error})"
        raise InputError(Fault(where, got, "whole data")) from error
