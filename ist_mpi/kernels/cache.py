"""The cache of compiled functions, kept honest.

Numba compiles a function again when its own file has changed, but not when a function that it
calls, in another file, has: after an update it would run a mixture of old and new. And a file that
a power cut or a full disk cut short stops it with a traceback, for ever.
"""

import pickletools
from pathlib import Path


def forget_outdated(folder: Path) -> None:
    """Drop what was compiled before any of the files here was last changed, and what is cut short.

    Several processes may do so at once; a folder that cannot be written to is left alone.
    """
    changed = max(file.stat().st_mtime for file in Path(__file__).parent.glob("*.py"))
    for index in folder.glob("*.nbi"):
        try:
            if index.stat().st_mtime < changed or not _is_whole(index, 2):
                index.unlink()
        except OSError:
            continue
    for code in folder.glob("*.nbc"):
        try:
            if not _is_whole(code, 1):
                code.unlink()  # the index may name it: numba then compiles again
        except OSError:
            continue


def _is_whole(path: Path, pickles: int) -> bool:
    """Whether a file has so many pickles, to their last byte; they are not executed."""
    with path.open("rb") as file:
        try:
            for _ in range(pickles):
                for _ in pickletools.genops(file):
                    pass
        except Exception:  # genops promises none: ValueError, IndexError, UnicodeDecodeError, …
            return False
    return True
