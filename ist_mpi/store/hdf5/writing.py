"""Files built in memory and sealed: bytes that `files.replace` puts in place whole.

A file on its final path is never updated in place and never opened for writing.
"""

import math
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

import h5py
from numpy.typing import NDArray

from ist_mpi.store.hdf5 import seal

CHUNK_BYTES = 1 << 20
"""Largest chunk: as much as HDF5 keeps of a dataset in memory."""

_images = count()
"""HDF5 opens no file twice, also those in memory, and several threads may make one at a time."""


def image(fill: Callable[[Any], None]) -> bytes:
    """The bytes of a new sealed HDF5 file, readable by HDF5 1.10 and later, as `fill` makes it."""
    with h5py.File(
        f"in-memory-{next(_images)}.h5",
        "w",
        driver="core",
        backing_store=False,
        libver=("v110", "v110"),
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
