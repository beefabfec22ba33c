"""What a file is, by its first bytes; and its text, unpacked within limits.

Names are not asked: a suffix is missing, in capitals, or wrong more often than the first bytes are.
"""

import bz2
import gzip
import io
import lzma
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from ist_mpi.errors import Fault, InputError
from ist_mpi.store import files

HEAD = 4096
"""Bytes that are looked at; HDF5 may begin at 512, 1024 or 2048."""

_HDF5 = b"\x89HDF\r\n\x1a\n"
_BZIP2 = {b"1AY&SY", b"\x17rE8P\x90"}
"""After ``BZh`` and a digit: a block, or the end of what is empty."""
_FIRST_BYTES: tuple[tuple[bytes, str], ...] = (
    (b"\x1f\x8b", "gzip"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"\x93NUMPY", "npy"),
    (b"PAR1\x15", "parquet"),
    (b"ARROW1\x00", "arrow"),
    (b"MATLAB 5.0 MAT-file", "matlab"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"%PDF-", "pdf"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)

WORDS = {
    "gzip": "a file packed by gzip",
    "bzip2": "a file packed by bzip2",
    "xz": "a file packed by xz",
    "zstd": "a file packed by zstd",
    "zip": "a zip archive",
    "npy": "an array of NumPy (.npy)",
    "hdf5": "an HDF5 file",
    "parquet": "a Parquet file",
    "arrow": "an Arrow file",
    "matlab": "a MATLAB file of before v7.3",
    "7z": "a 7z archive",
    "pdf": "a PDF",
    "utf-16": "text in UTF-16",
    "utf-32": "text in UTF-32",
}
"""What to call each form in a message."""

REMEDIES = {
    "zip": "unpack it",
    "7z": "unpack it",
    "parquet": "pandas.read_parquet reads it: give the frame from Python, or write a CSV file",
    "arrow": "pandas.read_feather reads it: give the frame from Python, or write a CSV file",
    "matlab": "save it with -v7.3",
    "utf-16": "iconv -f UTF-16 -t UTF-8",
    "utf-32": "iconv -f UTF-32 -t UTF-8",
}


def form_of(head: bytes) -> str:
    """The form of what begins with these bytes: a key of `WORDS`, or "text"."""
    if any(head[at : at + len(_HDF5)] == _HDF5 for at in (0, 512, 1024, 2048)):
        return "hdf5"
    if head.startswith(b"BZh") and head[4:10] in _BZIP2:
        return "bzip2"
    for first, form in _FIRST_BYTES:
        if head.startswith(first):
            return form
    # Latin letters and digits in UTF-16 that does not say so have a NUL each.
    halves = [half.count(0) for half in (head[::2], head[1::2])]
    if len(head) >= 8 and max(halves) > len(head) // 4 and min(halves) < len(head) // 16 + 1:
        return "utf-16"
    return "text"


def form_of_file(file: BinaryIO) -> str:
    """The form of an open file, which is at its start again afterwards."""
    file.seek(0)
    head = file.read(HEAD)
    file.seek(0)
    return form_of(head)


def refusal(path: Path, form: str, expected: str, inside: str = "") -> InputError:
    """The error of a file of another form, named for what it is; `inside`: what it is packed in."""
    got = f"{WORDS[form]} inside {WORDS[inside]}" if inside else WORDS[form]
    remedy = "unpack it" if inside else REMEDIES.get(form, "")
    return InputError(Fault(str(path), got, expected, remedy))


BOM = b"\xef\xbb\xbf"
"""Which some editors put before UTF-8."""
SMALL = 64 << 20
"""Bytes that a compressed file may expand to however short it is."""

_PACKED: dict[str, Callable[[BinaryIO], Any]] = {
    "gzip": lambda file: gzip.GzipFile(fileobj=file),
    "bzip2": bz2.BZ2File,
    "xz": lzma.LZMAFile,
    "zstd": lambda file: _zstd(file),
}


def text_of(file: BinaryIO, path: Path, limit: files.Limit, expected: str) -> BinaryIO:
    """An open file's text from its start, unpacked, without a byte-order mark.

    Parameters
    ----------
    limit : Limit
        Of the bytes, unpacked.
    expected : str
        For messages.

    Raises
    ------
    InputError
        If the file is empty, or is no text in UTF-8; and from every reading, where the file is
        too large or what it is packed in is damaged.
    """
    form = form_of_file(file)
    if form != "text" and form not in _PACKED:
        raise refusal(path, form, expected)
    packed = form in _PACKED
    unpacked = _PACKED[form](file) if packed else file
    text: io.BufferedReader[Any] = io.BufferedReader(
        _Bounded(file, unpacked, path, limit, packed), 1 << 20
    )
    head = text.peek(HEAD)[:HEAD]
    if not head:
        raise InputError(Fault(str(path), "an empty file", expected))
    if packed and form_of(head) != "text":
        raise refusal(path, form_of(head), expected, form)
    if head.startswith(BOM):
        text.read(len(BOM))
    return text


class _Bounded(io.RawIOBase):
    """What is unpacked of a file, at most so much; whatever is wrong with it is an InputError."""

    def __init__(
        self, file: BinaryIO, unpacked: Any, path: Path, limit: files.Limit, packed: bool
    ) -> None:
        self._unpacked, self._path, self._limit = unpacked, path, limit
        self._size, self._packed = os.fstat(file.fileno()).st_size, packed
        self._most = max(SMALL, self._size * files.EXPANSION.value)
        self._total = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            piece = self._unpacked.read(len(buffer))
        except (OSError, EOFError, ValueError, MemoryError, zlib.error, lzma.LZMAError) as error:
            got = f"a file that cannot be read ({error})"
            raise InputError(Fault(str(self._path), got, "a whole file")) from error
        self._total += len(piece)
        if self._total > self._limit.value:
            got = f"more than {self._limit.text}, unpacked"
            raise InputError(Fault(str(self._path), got, "a smaller file", self._limit.remedy))
        if self._packed and self._total > self._most:
            got = f"{self._size} bytes that expand to more than {self._most}"
            raise InputError(Fault(str(self._path), got, "less", files.EXPANSION.remedy))
        buffer[: len(piece)] = piece
        return len(piece)


def _zstd(file: BinaryIO) -> Any:
    """What Python 3.14 has itself, and pyarrow for those before; InputError without either."""
    try:
        from compression import zstd  # type: ignore[import-not-found, unused-ignore]

        return zstd.ZstdFile(file)
    except ImportError:
        pass
    try:
        import pyarrow
    except ImportError as error:
        got, expected = WORDS["zstd"], "an installed pyarrow, which unpacks it"
        remedy = 'python -m pip install "ist_mpi[data]", or zstd -d'
        raise InputError(
            Fault(str(getattr(file, "name", "data")), got, expected, remedy)
        ) from error
    return pyarrow.CompressedInputStream(pyarrow.PythonFile(_Kept(file), mode="r"), "zstd")


class _Kept:
    """A file to be read, which stays open when pyarrow, done with it, closes it."""

    closed = False

    def __init__(self, file: BinaryIO) -> None:
        self.read, self.seek, self.tell = file.read, file.seek, file.tell

    def close(self) -> None:
        """Whoever opened the file does."""
