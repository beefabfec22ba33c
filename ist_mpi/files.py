"""What can be wrong with the path of a file that is to be read."""

from pathlib import Path


def trouble(path: Path) -> str | None:
    """Why `path` cannot be read as a regular file, in words; None if nothing is in the way."""
    try:
        if path.is_file():
            return None
        return "a directory or special file" if path.exists() else "no such file"
    except OSError as error:  # a name that is too long, a folder that may not be entered
        return error.strerror or str(error)
