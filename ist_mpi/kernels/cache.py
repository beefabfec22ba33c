"""The cache of compiled functions, kept honest.

Numba compiles a function again when its own file has changed, but not when a function that it
calls, in another file, has: after an update it would run a mixture of old and new.
"""

from pathlib import Path

from numba import config


def forget_outdated() -> None:
    """Drop what was compiled before any of the files here was last changed.

    Several processes may do so at once; a folder that cannot be written to is left alone, since
    nothing of ours is cached there.
    """
    here = Path(__file__).parent
    folders = [here / "__pycache__"]
    if config.CACHE_DIR:
        folders = list(Path(config.CACHE_DIR).glob(f"{here.name}_*"))
    changed = max(file.stat().st_mtime for file in here.glob("*.py"))
    for folder in folders:
        for index in folder.glob("*.nbi"):
            try:
                if index.stat().st_mtime < changed:
                    index.unlink()
            except OSError:
                continue
