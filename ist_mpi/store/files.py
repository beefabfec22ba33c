"""Files: what others wrote, read within limits; ours, written so that a power cut loses none."""

import errno
import hashlib
import io
import json
import os
import secrets
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar

from ist_mpi.errors import Fault, InputError, ReadError

T = TypeVar("T")


class Limit(NamedTuple):
    """A number that an input may not exceed, unless the environment says another."""

    variable: str
    """The environment variable: a number, and K, M, G or T for powers of 1024."""
    default: int
    unit: str = "bytes"

    @property
    def value(self) -> int:
        """What holds now; raises InputError if the variable is no number."""
        text = os.environ.get(self.variable, "").strip()
        if not text:
            return self.default
        digits, suffix = (text[:-1], text[-1].upper()) if text[-1:].isalpha() else (text, "")
        if not (digits.isdecimal() and len(digits) < 16 and suffix in _POWERS):
            raise InputError(
                Fault(self.variable, f'"{text[:40]}"', f"a number of {self.unit}, as 500M or 8G")
            )
        return int(digits) << _POWERS[suffix]

    @property
    def text(self) -> str:
        """What holds now, in words: ``16 GiB``."""
        value = self.value
        if self.unit == "bytes":
            for prefix, power in (("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)):
                if value and value % (1 << power) == 0:
                    return f"{value >> power} {prefix}"
        return f"{value} {self.unit}"

    @property
    def remedy(self) -> str:
        """How to raise it."""
        return f"if it is to be read, set the environment variable {self.variable} higher"


_POWERS = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}

TOML_BYTES = Limit("IST_MPI_MAX_TOML_BYTES", 1 << 20)
"""Of a configuration."""
LIBSVM_BYTES = Limit("IST_MPI_MAX_LIBSVM_BYTES", 16 << 30)
"""Of a data set, unpacked."""
ARRAYS_BYTES = Limit("IST_MPI_MAX_ARRAYS_BYTES", 256 << 30)
"""Of an HDF5 file of arrays, and of each array in it."""
LOG_BYTES = Limit("IST_MPI_MAX_LOG_BYTES", 16 << 30)
"""Of a run log, and of each array in it."""
ANY_BYTES = Limit("", sys.maxsize)
"""Of a file whose size is known from elsewhere."""
EXPANSION = Limit("IST_MPI_MAX_EXPANSION", 200, "times")
"""Bytes in memory for a byte on disk, of what is compressed."""


ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG}
"""Errors of reading that say what is there."""
SAYING = ABSENT | {errno.EACCES, errno.EPERM, errno.ENXIO, errno.ENODEV, errno.EINVAL}
"""Those that say that it is not to be read, whenever it is tried, too; any other says nothing about
it: the disk or the file server is in the way.
"""
UNWRITABLE = SAYING | {errno.EROFS, errno.ENOSPC, errno.EDQUOT}
"""Those of making a file that say that it is not to be made there."""


def trouble(path: Path) -> str | None:
    """Why `path` cannot be read as a regular file, in words; None if nothing is in the way.

    Raises
    ------
    ReadError
        If the disk or the file server does not say.
    """
    try:
        if path.is_file():
            return None
        return "a directory or special file" if path.exists() else "no such file"
    except OSError as error:  # a name too long, a closed folder
        return _words(path, error)
    except ValueError as error:  # a NUL
        return str(error)


def _words(path: Path, error: OSError) -> str:
    """What an error of opening says of a path; raises ReadError if it says nothing about it."""
    if error.errno not in SAYING:
        raise failed(path, error) from error
    return error.strerror or str(error)


def failed(path: Path, error: OSError) -> ReadError:
    """The error of a disk, or a file server, that failed while a file was read."""
    named = ReadError(f"{path} cannot be read: {error.strerror or error}")
    named.errno = error.errno
    return named


class _Noting(io.FileIO):
    """A file that is read, and remembers that it could not be: who reads may tell it otherwise."""

    failure: OSError | None = None

    def readinto(self, buffer: Any) -> int | None:
        """As of any file, as what follows."""
        return self._noted(super().readinto, buffer)

    def readall(self) -> bytes:
        return self._noted(super().readall)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return self._noted(super().seek, offset, whence)

    def tell(self) -> int:
        return self._noted(super().tell)

    def _noted(self, operation: Callable[..., T], *arguments: Any) -> T:
        try:
            return operation(*arguments)
        except OSError as error:
            if error.errno != errno.EINVAL:  # of a place that there cannot be, in damaged files
                self.failure = error
            raise


@contextmanager
def noting(descriptor: int, path: Path) -> Iterator[BinaryIO]:
    """An open file for reading; that it could not be read is told whatever became of it.

    HDF5, a parser or a decompressor make of a failing disk a file that is damaged.

    Raises
    ------
    ReadError
        If a reading has failed.
    """
    raw = _Noting(descriptor, "rb")
    try:
        with io.BufferedReader(raw) as file:
            yield file
    finally:
        if raw.failure is not None:
            raise failed(path, raw.failure) from raw.failure


def followed(path: Path) -> Path:
    """The file that a symbolic link names, whose lock and checkpoints lie beside it; else `path`.

    A link that leads nowhere, or in a circle, stays; so does a name that cannot be looked at.
    """
    try:
        return path.resolve() if path.is_symlink() and path.is_file() else path
    except (OSError, ValueError):  # too long, or with a NUL: what opens it says so
        return path


@contextmanager
def opened(path: Path, limit: Limit, expected: str) -> Iterator[BinaryIO]:
    """A regular file of at most so many bytes, open for reading; nothing is waited for.

    A device is not even opened, and a FIFO that takes the file's place meanwhile does not block.

    Raises
    ------
    InputError
        If there is no such file, it is not regular, too large, or may not be read.
    ReadError
        If the disk or the file server fails, now or while it is read.
    """
    got = trouble(path)
    if got is not None:
        raise InputError(Fault(str(path), got, expected))
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise InputError(Fault(str(path), _words(path, error), expected)) from error
    with noting(descriptor, path) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise InputError(Fault(str(path), "a directory or special file", expected))
        if status.st_size > limit.value:
            most = f"{expected} of at most {limit.text}"
            raise InputError(Fault(str(path), f"{status.st_size} bytes", most, limit.remedy))
        yield file


def as_word(path: Path) -> str:
    """A path as a word of a command line, where one that begins with a dash is an option."""
    return f"./{path}" if str(path).startswith("-") else str(path)


def replace(path: Path, contents: bytes | memoryview, *, overwrite: bool = True) -> None:
    """Put a file in place in one step that survives a kill and a power cut: every file is.

    It is written under a name that nobody can foresee, where nothing is, and moved: a link that
    lies at `path` is replaced, never followed. The permissions of a file of ours that it replaces
    stay, those of a new one are as the umask has them.

    Raises
    ------
    FileExistsError
        If `overwrite` is false and something is there.
    OSError
        If the directory or the disk refuses; what was there before is untouched.
    """
    temporary = path.with_name(f"{_leftover_prefix(path)}{secrets.token_hex(8)}")
    mode = _mode_of(path) if overwrite else None
    try:
        write_durably(temporary, contents, mode)
        if overwrite:
            temporary.replace(path)
        else:
            _move_to_free(temporary, path)
    finally:
        with suppress(OSError):  # where it cannot be removed, the first error is the one to tell
            temporary.unlink()
    sync_folder(path.parent)


def remove_leftovers(path: Path) -> None:
    """Take away what killed processes left of `replace`; only where no other may be at it now."""
    prefix = _leftover_prefix(path)
    with suppress(OSError), os.scandir(path.parent) as entries:
        for entry in entries:
            if entry.name.startswith(prefix):
                os.unlink(entry.path)


TEMPORARY_PREFIX = ".ist-mpi-"
"""Of the files that are to be moved in place."""


def _leftover_prefix(path: Path) -> str:
    """How the names of the files begin that become `path`; shorter than a long name."""
    return f"{TEMPORARY_PREFIX}{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]}-"


def _mode_of(path: Path) -> int | None:
    """The permissions of a regular file of this user; None of anything else, or of nothing."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    ours = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()
    return status.st_mode & 0o777 if ours else None


def _move_to_free(temporary: Path, path: Path) -> None:
    """Move a file to a path where nothing is; FileExistsError if something is there."""
    try:
        os.link(temporary, path)  # unlike a rename, fails where something exists
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        temporary.replace(path)


def write_durably(path: Path, contents: bytes | memoryview, mode: int | None = None) -> None:
    """Write a new file and wait until the disk has it; raises OSError.

    Nothing may be at `path`, not even a link. `mode`: its permissions, whatever the umask.
    """

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags | os.O_EXCL | os.O_NOFOLLOW, 0o666 if mode is None else mode)

    with open(path, "xb", opener=opener) as file:
        if mode is not None:
            os.fchmod(file.fileno(), mode)
        file.write(contents)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the disk knows the names in a folder; raises OSError."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sealed(document: Mapping[str, Any]) -> bytes:
    """A document as JSON, and below it the SHA-256 of that text."""
    text = json.dumps(document, indent=1, sort_keys=True) + "\n"
    return (text + hashlib.sha256(text.encode()).hexdigest() + "\n").encode()


def unsealed(contents: bytes, name: str) -> dict[str, Any]:
    """The document, if it is as it was written; raises ValueError with its name if not."""
    text, digest = contents[:-65], contents[-65:]
    if digest != (hashlib.sha256(text).hexdigest() + "\n").encode():
        raise ValueError(f"{name} is damaged")
    document: dict[str, Any] = json.loads(text)
    return document
