"""One run at a time for a log: a lock file beside it."""

import errno
import fcntl
import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, NamedTuple

from ist_mpi.errors import LockedError

_WITHOUT_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, 524}
"""What a file system without locks answers; Linux has no public name for the last, of NFS."""
_PAUSE = 0.02
"""Seconds between two tries to take a lock: whoever only looks has it for an instant."""
_TRIES, _TRIES_UNSIGNED = 5, 50
"""How often a lock is asked for, and one that no run has signed: those who look do not sign, and on
a busy host several may look one after another.
"""


class Lock(NamedTuple):
    """What can be seen of a log's lock from outside."""

    state: Literal["held", "unknown", "left", "free"]
    """held: a process of this host has it; left: one of this host had it, and is gone; unknown:
    another host's, or one that cannot be seen; free: there is none."""
    holder: str = ""
    """Who, in words."""


def path_of(log: Path) -> Path:
    """The lock file of a log."""
    return log.parent / f"{log.name}.lock"  # also of ".", which has no name


@contextmanager
def locked(log: Path) -> Iterator[None]:
    """Keep every other run out of `log` while the body runs.

    The kernel drops the lock of a process that ends, however it ends, and whatever it leaves
    running: a process that is forked from it has no part in the lock. On a file system without
    locks the file itself is the lock, and one that a killed run left behind has to be removed by
    hand.

    Raises
    ------
    LockedError
        If another run has it.
    OSError
        If the folder cannot be written to.
    """
    path = path_of(log)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, held = _acquire(path)
    _ours.add(handle)
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(whoami()).encode(), 0)
        yield
    finally:
        if handle in _ours:
            with suppress(OSError):  # on a disk that has failed; the lock goes with the handle
                held.unlink()  # while it is still ours
            _ours.discard(handle)
            os.close(handle)


_ours: set[int] = set()
"""Handles of the locks that this process has."""


def _let_go() -> None:
    """Have no part in the locks of the process that this one was forked from."""
    while _ours:
        with suppress(OSError):
            os.close(_ours.pop())


os.register_at_fork(after_in_child=_let_go)


def holder(log: Path) -> str | None:
    """Who is writing a log now, on any host, in words; None: nobody.

    Where `look` cannot tell, the file system is asked for the lock, which takes it for an instant;
    `locked` allows for that. On a file system without locks this is whoever left a lock file
    behind, alive or not.
    """
    path = path_of(log)
    without = _existing(path)
    if without.exists():
        return _who(without)
    try:
        handle = os.open(path, _LOOKING)
    except OSError:  # most often there is none
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return _who(path) if error.errno in (errno.EWOULDBLOCK, errno.EACCES) else None
    finally:
        os.close(handle)
    return None


def look(log: Path) -> Lock:
    """What can be seen of the lock of `log` without touching it.

    Trying to take a lock, even for a moment, could keep the run out that it is for, and F_GETLK
    does not see flock's. The kernel's table is of this host only, so of other hosts nothing can be
    said: there the caller has nothing but the age of the log.
    """
    flocked = path_of(log)
    path = next((p for p in (flocked, _existing(flocked)) if os.path.lexists(p)), None)
    if path is None:
        return Lock("free")
    try:
        inode, told = path.stat().st_ino, json.loads(_words(path))
        host, pid = str(told["host"]), int(told["pid"])
    except (OSError, ValueError, KeyError, TypeError):  # just made, or just removed
        return Lock("unknown", "another process")
    holder = f"process {pid} on {host}"
    if host != platform.node():
        return Lock("unknown", holder)
    # The process may be another by now that has the number; the inode may be another disk's, and
    # disks cannot be told apart: stat and the table name those of some file systems differently.
    if path == flocked and any(pid == owner or inode == file for owner, file in _flocks()):
        return Lock("held", holder)
    return Lock("unknown" if Path(f"/proc/{pid}").exists() else "left", holder)


def _flocks() -> Iterator[tuple[int, int]]:
    """Process and inode of every flock that the kernel of this host tells of."""
    with suppress(OSError), open("/proc/locks") as table:
        for line in table:
            words = line.split()
            if words[1:2] == ["FLOCK"]:
                yield int(words[4]), int(words[5].rpartition(":")[2])


def _acquire(path: Path) -> tuple[int, Path]:
    """The lock file, open and ours, and its path."""
    tries = 0
    while True:
        # Never through a symbolic link: what it names would be emptied.
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(handle)
            if error.errno in _WITHOUT_LOCKS:
                return _create(path)
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
            tries += 1
            if tries >= (_TRIES if _is_signed(path) else _TRIES_UNSIGNED):
                raise _taken(path, "it ends when that run does") from error
            time.sleep(_PAUSE)
            continue
        if _is_still(path, handle):
            if os.fstat(handle).st_nlink > 1:  # what else it is the name of would be emptied
                os.close(handle)
                raise OSError(errno.EMLINK, "a file with other names; remove it", str(path))
            return handle, path
        os.close(handle)  # removed by the run that had it, between our open and our lock


def _is_signed(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        return False


def _create(path: Path) -> tuple[int, Path]:
    """The lock where only the existence of a file can be one: another file, since any run that
    tries to lock makes the first.
    """
    with suppress(OSError):
        path.unlink()
    path = _existing(path)
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except FileExistsError as error:
        raise _taken(path, f"if that run is gone, remove {path}") from error
    return handle, path


def _existing(path: Path) -> Path:
    """The file whose existence is the lock, where `path` would have been locked."""
    return path.with_suffix(".locked")


def _is_still(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False


def whoami() -> dict[str, str | int]:
    """This process: host, pid, SLURM job."""
    job = os.environ.get("SLURM_JOB_ID", "")
    return {"host": platform.node(), "pid": os.getpid(), "slurm_job_id": job}


def _taken(path: Path, remedy: str) -> LockedError:
    log = path.with_suffix("")
    return LockedError(f"{log}: {_who(path)} is writing this log ({remedy})")


_LOOKING = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
"""Somebody else may have put anything there; nothing is waited for or followed."""


def _words(path: Path) -> bytes:
    """What a lock file says; raises OSError."""
    handle = os.open(path, _LOOKING)
    try:
        return os.read(handle, 4096)
    finally:
        os.close(handle)


def _who(path: Path) -> str:
    """Whom a lock file names."""
    try:
        holder = json.loads(_words(path))
        who = f"process {holder['pid']} on {holder['host']}"
        return who + (f", SLURM job {holder['slurm_job_id']}" if holder["slurm_job_id"] else "")
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
