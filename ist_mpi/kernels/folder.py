"""Where numba keeps what it has compiled: where nobody else may write.

What lies in a cache is executed by whoever loads it (its files are pickles and machine code), so
that a folder is used only if nobody but its user can have put something there. Where there is none,
this process gets one of its own, and compiles afresh.
"""

import atexit
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from numba import config, njit

from ist_mpi.errors import Fault, InputError

NAMED = "NUMBA_CACHE_DIR"
WRITABLE = stat.S_IWGRP | stat.S_IWOTH
ENTERABLE = stat.S_IXGRP | stat.S_IXOTH


class Folder(NamedTuple):
    """The folder in which the functions of this package are kept."""

    path: Path
    caution: str = ""
    """Why it is one of this process alone, in words; empty if it is not."""


def find() -> Folder:
    """The folder that numba is to use; it is told so, where that is not its own choice.

    Raises
    ------
    InputError
        If none can be had at all.
    """
    why = _distrust_of_named(Path(config.CACHE_DIR)) if config.CACHE_DIR else ""
    if not why:
        try:
            path = Path(njit(cache=True)(_any).stats.cache_path)
        except RuntimeError:
            why = "there is no folder for them that can be written to"
        else:
            why = _distrust_of(path)
            if not why:
                return Folder(path)
    _use(_of_this_process(why))
    remedy = f"{NAMED} may name a folder that belongs to you, with permissions 700"
    caution = f"compiled functions are not kept, and compiled anew: {why}; {remedy}"
    return Folder(Path(njit(cache=True)(_any).stats.cache_path), caution)


def _any() -> None:
    """What numba is asked about; never compiled."""


def _of_this_process(why: str) -> str:
    """A new folder that goes with this process."""
    try:
        path = tempfile.mkdtemp(prefix="ist-mpi-")
    except OSError as error:
        got = f"{why}, nor a temporary one ({error.strerror or error})"
        raise InputError(
            Fault("compiled functions", got, "a folder that belongs to you", f"set {NAMED}")
        ) from error
    owner = os.getpid()

    def forget() -> None:
        if os.getpid() == owner:
            shutil.rmtree(path, ignore_errors=True)

    atexit.register(forget)
    return path


def _use(path: str) -> None:
    """Have numba, here and in processes that this one starts, use a folder."""
    config.CACHE_DIR = os.environ[NAMED] = path  # numba asks the environment again


def _distrust_of_named(top: Path) -> str:
    """Why what lies in the folder that the environment names is not to be loaded, in words."""
    try:
        top.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in (top, *_inside(top)):
            if why := _fault(path, {os.geteuid(), 0}, 0, path == top):
                return why
    except OSError as error:
        return f"{NAMED} {top} cannot be used: {error.strerror or error}"
    return ""


def _inside(folder: Path) -> Iterator[Path]:
    """What others may reach in a folder of a cache: its folders, and the files in these."""
    if not folder.stat().st_mode & ENTERABLE:
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            path = Path(entry.path)
            if entry.is_dir(follow_symlinks=False):
                yield path
                yield from _inside(path)
            elif path.suffix in (".nbi", ".nbc"):
                yield path


def _distrust_of(folder: Path) -> str:
    """Why what lies in the folder that numba has chosen is not to be loaded, in words."""
    try:
        if not config.CACHE_DIR and folder.name == "__pycache__":
            # Whoever may write the sources is trusted anyway.
            sources = folder.parent.stat()
            owners, allowed = {os.geteuid(), 0, sources.st_uid}, sources.st_mode & WRITABLE
        else:
            owners, allowed = {os.geteuid(), 0}, 0
            _close_if_new(folder)
        for path in (folder, *(path for path in _inside(folder) if path.parent == folder)):
            if why := _fault(path, owners, allowed):
                return why
    except OSError as error:
        return f"{folder} cannot be looked at: {error.strerror or error}"
    return ""


def _close_if_new(folder: Path) -> None:
    """Numba makes folders as the umask has them: one of ours, still empty, is for us alone."""
    status = folder.lstat()
    ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
    if ours and status.st_mode & WRITABLE and not any(folder.iterdir()):
        folder.chmod(0o700)
        if any(folder.iterdir()):  # put there in between
            folder.chmod(status.st_mode & 0o777)


def _fault(path: Path, owners: set[int], allowed: int, link: bool = False) -> str:
    """Why a file or folder may be somebody else's doing, in words; `link`: it may be one."""
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode) and link and status.st_uid in owners:
        status = path.stat()
    if stat.S_ISLNK(status.st_mode):
        return f"{path} is a link"
    if status.st_uid not in owners:
        return f"{path} belongs to another user, and what lies there would be executed"
    if status.st_mode & WRITABLE & ~allowed:
        return f"others may write to {path}, and what lies there would be executed"
    return ""
