"""Open a file for a guarded reader."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import h5py
from h5py import h5pl

from ist_mpi.errors import DamagedError, Fault, InputError
from ist_mpi.store import files
from ist_mpi.store.files import Limit
from ist_mpi.store.hdf5 import probe, seal
from ist_mpi.store.hdf5.guard import Reader, Stamp
from ist_mpi.store.hdf5.wanted import Wanted
from ist_mpi.threads import Shared


@contextmanager
def reading(
    path: str | Path,
    wanted: Wanted,
    limit: Limit,
    *,
    ours: bool = False,
    checked: Stamp | None = None,
) -> Iterator[Reader]:
    """An HDF5 file, open for reading what is wanted of it.

    A file with a seal is read if the digest is right. One without is first read in a process of its
    own, which takes a fifth of a second, unless it was `checked` already. Hundreds of calls for one
    file, or calls on many ranks, therefore pass on the stamp of the first one.

    Parameters
    ----------
    path : Path
    wanted : Wanted
    limit : Limit
        Of the bytes of the file and of each array.
    ours : bool
        Whether it is a file as this program writes them: then what is wrong with its contents is a
        `DamagedError`, and nothing may follow the HDF5 file but the digest.
    checked : Stamp, optional
        Of the same file, from the `Reader` that it was read with before.

    Raises
    ------
    InputError
        Naming the path, what is wrong and with which part. Whatever the path is to blame for is
        not a `DamagedError`.
    """
    path = Path(path)
    with files.opened(path, limit, "an HDF5 file") as file:
        state = seal.examine(file)
        if state in _REFUSED or (ours and state is seal.State.TAIL):
            raise _refusal(path, state, ours)
        unsealed = state is not seal.State.WHOLE
        error = DamagedError if ours else InputError
        if unsealed and checked != stamp_of(file):
            fault = probe.fault_of(file, path, wanted, limit)
            if fault is not None:
                raise error(fault)
            file.seek(0)
        with parsed(file, path, wanted, limit, error, packed=unsealed) as reader:
            yield reader


_REFUSED = (seal.State.CHANGED, seal.State.CUT, seal.State.EMPTY, seal.State.OTHER)


@contextmanager
def parsed(
    file: BinaryIO,
    path: Path,
    wanted: Wanted,
    limit: Limit,
    error: type[InputError],
    packed: bool,
) -> Iterator[Reader]:
    """Open file as HDF5; whatever HDF5 cannot open is an `error`.

    HDF5 reads through the file that is already open, so it is the one whose kind, size and digest
    were looked at. `packed`: whether deflate is allowed.
    """
    with _without_plugins():
        try:
            opened = h5py.File(file, "r")
        except (OSError, RuntimeError, ValueError, MemoryError) as cause:
            got = f"a file that HDF5 cannot open ({' '.join(str(cause).split())[:300]})"
            raise error(Fault(str(path), got, "a whole HDF5 file")) from cause
        with opened:
            yield Reader(opened, path, stamp_of(file), wanted, limit, error, packed)


@contextmanager
def in_memory(contents: bytes, wanted: Wanted, path: Path = Path("memory")) -> Iterator[Reader]:
    """The bytes that `image` made, known to be whole, open for reading; `path` is for messages.

    What is in memory already is read whatever its size.
    """
    with (
        io.BytesIO(contents) as file,
        parsed(file, path, wanted, files.ANY_BYTES, DamagedError, packed=False) as reader,
    ):
        yield reader


def verify(path: str | Path, limit: Limit) -> None:
    """Check every byte of a file that must have a seal.

    Raises
    ------
    DamagedError
        If it has none, or the wrong one.
    InputError
        If there is no such regular file, or it is too large.
    """
    path = Path(path)
    with files.opened(path, limit, "a file with a digest at its end") as file:
        state = seal.examine(file)
    if state is not seal.State.WHOLE:
        raise _refusal(path, state, ours=True)


def stamp_of(file: BinaryIO) -> Stamp:
    """The stamp of an open file."""
    if isinstance(file, io.BytesIO):
        return Stamp(len(file.getbuffer()), 0)
    status = os.fstat(file.fileno())
    return Stamp(status.st_size, status.st_mtime_ns)


def _refusal(path: Path, state: seal.State, ours: bool) -> InputError:
    """What the first look at the bytes says."""
    fault = Fault(str(path), state.value, "a whole HDF5 file")
    # What never was an HDF5 file is not a damaged one, but the wrong one.
    return DamagedError(fault) if ours and state is not seal.State.OTHER else InputError(fault)


@contextmanager
def _no_plugins() -> Iterator[None]:
    """HDF5 with nowhere to look for filters and drivers to load; then as it was."""
    paths = [h5pl.get(index) for index in range(h5pl.size())]
    for _ in paths:
        h5pl.remove(0)
    try:
        yield
    finally:
        for path in paths:
            h5pl.append(path)


_without_plugins = Shared(_no_plugins)
