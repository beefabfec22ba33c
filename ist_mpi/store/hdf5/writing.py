"""Files built in memory, sealed, and replaced whole.

A file on its final path is never updated in place and never opened for writing: its bytes are made
in memory, written to a temporary file beside it, and moved over it. A process killed at any moment
leaves the old file or the new one.
"""

import hashlib
import math
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
from numpy.typing import NDArray

from ist_mpi.store import files
from ist_mpi.store.hdf5 import seal

TEMPORARY_PREFIX = ".ist-mpi-"
"""Of the files that become logs."""

CHUNK_BYTES = 1 << 20
"""Largest chunk: as much as HDF5 keeps of a dataset in memory."""


def image(fill: Callable[[Any], None]) -> bytes:
    """The bytes of a new sealed HDF5 file, readable by HDF5 1.10 and later, as `fill` makes it."""
    with h5py.File(
        "in-memory.h5", "w", driver="core", backing_store=False, libver=("v110", "v110")
    ) as file:
        fill(file)
        file.flush()
        contents: bytes = file.id.get_file_image()
    return seal.sealed(contents)


def write_array(group: Any, name: str, data: NDArray[Any]) -> Any:
    """A new dataset with Fletcher's checksum over each of its chunks, for whatever reads it."""
    if data.ndim == 0 or data.size == 0:
        return group.create_dataset(name, data=data)
    chunks = _chunk(data.shape, data.itemsize)
    return group.create_dataset(name, data=data, chunks=chunks, fletcher32=True)


def write_attributes(group: Any, values: Mapping[str, str | int | float]) -> None:
    """Attributes of a group: numbers and texts."""
    for name, value in values.items():
        group.attrs[name] = value


def _chunk(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """The largest chunk of whole trailing axes, and of part of the one before them, that fits."""
    sides = [1] * len(shape)
    room = CHUNK_BYTES // itemsize
    for axis in reversed(range(len(shape))):
        sides[axis] = max(1, min(shape[axis], room // math.prod(sides)))
        if sides[axis] < shape[axis]:
            break
    return tuple(sides)


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
