"""One run at a time for a log: a lock file beside it."""

import errno
import fcntl
import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ist_mpi.errors import LockedError

_WITHOUT_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
"""What a file system without locks answers."""


def path_of(log: Path) -> Path:
    """The lock file of a log."""
    return log.with_name(log.name + ".lock")


@contextmanager
def locked(log: Path) -> Iterator[None]:
    """Keep every other run out of `log` while the body runs.

    The kernel drops the lock of a process that ends, however it ends. On a file system without
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
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(_whoami()).encode(), 0)
        yield
    finally:
        with suppress(OSError):  # on a disk that has failed; the lock itself goes with the handle
            held.unlink()  # while it is still ours
        os.close(handle)


def _acquire(path: Path) -> tuple[int, Path]:
    """The lock file, open and ours, and its path."""
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
            raise _taken(path, "it ends when that run does") from error
        if _is_still(path, handle):
            return handle, path
        os.close(handle)  # removed by the run that had it, between our open and our lock


def _create(path: Path) -> tuple[int, Path]:
    """The lock where only the existence of a file can be one: another file, since any run that
    tries to lock makes the first.
    """
    with suppress(OSError):
        path.unlink()
    path = path.with_suffix(".locked")
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except FileExistsError as error:
        raise _taken(path, f"if that run is gone, remove {path}") from error
    return handle, path


def _is_still(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False


def _whoami() -> dict[str, str | int]:
    job = os.environ.get("SLURM_JOB_ID", "")
    return {"host": platform.node(), "pid": os.getpid(), "slurm_job_id": job}


def _taken(path: Path, remedy: str) -> LockedError:
    try:
        holder = json.loads(path.read_text())
        who = f"process {holder['pid']} on {holder['host']}"
        who += f", SLURM job {holder['slurm_job_id']}" if holder["slurm_job_id"] else ""
    except (OSError, ValueError, KeyError, TypeError):
        who = "another process"
    return LockedError(f"{path.with_suffix('')}: {who} is writing this log ({remedy})")
