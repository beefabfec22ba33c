"""What remains of an attempt at a run that did not come to its end: ``RUN.attempt.json``.

It is put there before anything is read, says who is at work, and is replaced by the reason when
the attempt fails, which need not have come as far as a log. A run that is finished, stopped or
diverged says so in its log, and needs none. A process that ends without a word leaves the first
version behind.
"""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ist_mpi.batch.points import Point
from ist_mpi.errors import ISTError, LogError
from ist_mpi.parallel import ranks
from ist_mpi.store import files
from ist_mpi.store.files import Limit
from ist_mpi.store.locks import whoami
from ist_mpi.training.api import alone_at

FORMAT = {"format": "ist_mpi.attempt", "version": 1}
SILENT = "ended without saying why"
LONGEST = 2000
"""Characters of a reason that are kept: its end, where the words are that matter."""
_BYTES = Limit("IST_MPI_MAX_ATTEMPT_BYTES", 1 << 20)


def path_of(log: Path) -> Path:
    """Where the attempt at a run is noted."""
    return log.with_suffix(".attempt.json")


@contextmanager
def attempting(comm: Any, point: Point) -> Iterator[None]:
    """Be the one who makes a run in the body, and leave a note unless it ends well; collective.

    Raises LockedError or LogError on every rank: another is at work on it, or nothing can be
    written there.
    """
    root = comm.rank == 0
    with alone_at(comm, point.log):
        with ranks.agreeing(comm):
            try:
                if root:
                    note(point)
            except OSError as error:
                raise LogError(f"{path_of(point.log)} cannot be written: {error}") from error
        try:
            yield
        except Exception as error:
            if root:
                fail(point, *_reason(error))
            raise
        except KeyboardInterrupt:
            _forget(point, root)
            raise
        _forget(point, root)


def _reason(error: Exception) -> tuple[str, int]:
    """Why an attempt failed, and its exit code."""
    if isinstance(error, ISTError):
        return str(error), error.exit_code
    return "".join(traceback.format_exception_only(error)).strip(), 1


def _forget(point: Point, root: bool) -> None:
    if root:
        with suppress(OSError):
            path_of(point.log).unlink()


def fail(point: Point, reason: str, code: int) -> None:
    """Note why an attempt failed; where even that cannot be written, what is there has to do."""
    with suppress(OSError):
        note(point, reason[-LONGEST:], code)


def note(point: Point, reason: str = "", code: int | None = None) -> None:
    """Note that this process is at work on a run, or why it failed; raises OSError."""
    document = {
        **FORMAT,
        "run_id": point.log.stem,
        "settings": point.settings,
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        **whoami(),
        "reason": reason,
        "code": code,
    }
    files.remove_leftovers(path_of(point.log))
    files.replace(path_of(point.log), files.sealed(document))


def read(log: Path) -> tuple[str, str] | None:
    """Whether the attempt at a run "failed" or was "killed", and why; None: nothing is noted."""
    path = path_of(log)
    if not path.exists():
        return None
    try:
        with files.opened(path, _BYTES, "the note of an attempt") as file:
            told = files.unsealed(file.read(), path.name)
        if any(told[key] != value for key, value in FORMAT.items()):
            raise ValueError(f"not of format {FORMAT['format']}, version {FORMAT['version']}")
        if told["reason"]:
            return "failed", str(told["reason"])
        job = f", SLURM job {told['slurm_job_id']}" if told["slurm_job_id"] else ""
        return "killed", f"process {told['pid']} on {told['host']}{job} {SILENT}"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return "failed", f"its note cannot be read: {error}"
