"""Files: what can be wrong with a path, and writing so that a power cut loses nothing."""

import os
from pathlib import Path


def trouble(path: Path) -> str | None:
    """Why `path` cannot be read as a regular file, in words; None if nothing is in the way."""
    try:
        if path.is_file():
            return None
        return "a directory or special file" if path.exists() else "no such file"
    except OSError as error:  # a name that is too long, a folder that may not be entered
        return error.strerror or str(error)


def write_durably(path: Path, contents: bytes | memoryview) -> None:
    """Write a new file and wait until the disk has it; raises OSError."""
    with path.open("xb") as file:
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
