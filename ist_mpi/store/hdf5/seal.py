"""The seal: a digest at the end of every file this program writes, checked before HDF5 reads it.

A damaged file can make the HDF5 library loop or crash, so its bytes are checked first. A file is

    HDF5 file | "ist_mpi sha256: " | 64 hexadecimal digits | newline

and ``head -c -81 FILE | sha256sum`` prints the digits. HDF5 ignores what comes after the end that
its superblock declares, and removes it when it changes a file: then the seal is gone, not wrong.
A digest tells damage, not malice: whoever makes a file can seal it too.
"""

import hashlib
import os
from enum import Enum
from typing import BinaryIO

MAGIC = b"ist_mpi sha256: "
LENGTH = len(MAGIC) + 64 + 1
"""Bytes of the seal."""

SIGNATURE = b"\x89HDF\r\n\x1a\n"
"""The first bytes of an HDF5 file."""

_SUPERBLOCK = 64
"""Bytes to read of the superblock; no HDF5 file is as short."""

_PIECE = 1 << 20


class State(Enum):
    """What the bytes of a file say before anything is parsed."""

    WHOLE = "sealed, and every byte as it was"
    UNSEALED = "an HDF5 file without a digest at its end"
    CHANGED = "a file changed since it was written: its digest is another"
    CUT = "a file that was cut off: it ends before its end as HDF5 file"
    TAIL = "a file cut off or changed: what follows its end as HDF5 file is no digest"
    EMPTY = "a file of 0 bytes"
    OTHER = "a file that does not begin as HDF5 files do"


def sealed(contents: bytes) -> bytes:
    """The bytes of a file with the seal."""
    return contents + MAGIC + hashlib.sha256(contents).hexdigest().encode() + b"\n"


def examine(file: BinaryIO) -> State:
    """What the bytes of an open file say; the file is left at its start.

    A file that ends where HDF5 wants it to end is `UNSEALED`: one whose seal was removed, as by a
    program that changed the file, or that never had one.
    """
    try:
        return _examine(file, os.fstat(file.fileno()).st_size)
    finally:
        file.seek(0)


def _examine(file: BinaryIO, size: int) -> State:
    if size == 0:
        return State.EMPTY
    file.seek(max(0, size - LENGTH))
    tail = file.read(LENGTH)
    if len(tail) == LENGTH and tail.startswith(MAGIC):
        digest = _digest(file, size - LENGTH).encode() + b"\n"
        return State.WHOLE if tail[len(MAGIC) :] == digest else State.CHANGED
    start = _signature(file, size)
    if start is None:
        file.seek(0)
        cut = SIGNATURE.startswith(file.read(len(SIGNATURE)))
        return State.CUT if cut else State.OTHER
    file.seek(start)
    head = file.read(_SUPERBLOCK)
    if len(head) < _SUPERBLOCK:
        return State.CUT
    end = _declared_end(head) if start == 0 else None
    if end is None or end == size:
        return State.UNSEALED
    return State.CUT if end > size else State.TAIL


def _digest(file: BinaryIO, count: int) -> str:
    """The SHA-256 of the first `count` bytes."""
    file.seek(0)
    digest = hashlib.sha256()
    while count > 0:
        piece = file.read(min(count, _PIECE))
        if not piece:
            return ""  # it became shorter meanwhile
        digest.update(piece)
        count -= len(piece)
    return digest.hexdigest()


def _signature(file: BinaryIO, size: int) -> int | None:
    """Where the signature is: at 0, or after a user block of 512, 1024, 2048, … bytes."""
    start = 0
    while start < size:
        file.seek(start)
        if file.read(len(SIGNATURE)) == SIGNATURE:
            return start
        start = 2 * start or 512
    return None


def _declared_end(head: bytes) -> int | None:
    """Where a superblock says that the file ends; None where it is of a kind not known here."""
    version = head[8]
    if version in (0, 1):  # free-space address between base and end; version 1 has 4 bytes more
        sizes, base, end = head[13:15], 24 + 4 * version, 40 + 4 * version
    elif version in (2, 3):  # extension address between base and end
        sizes, base, end = head[9:11], 12, 28
    else:
        return None
    if sizes != b"\x08\x08" or head[base : base + 8] != bytes(8):
        return None
    return int.from_bytes(head[end : end + 8], "little")
