"""What remains of an attempt at a run that did not come to its end: ``RUN.attempt.json``.

It is put there before anything is read, says who is at work, and is replaced by the reason when
the attempt fails. A run that is finished, stopped or diverged says so in its log, and needs none.
A process that ends without a word leaves the first version behind.
"""

import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from ist_mpi.batch.points import Point
from ist_mpi.errors import ISTError, LogError
from ist_mpi.parallel import ranks
from ist_mpi.store import files, hdf5
from ist_mpi.store.files import Limit
from ist_mpi.store.locks import whoami
from ist_mpi.training.api import alone_at

FORMAT = "ist_mpi.attempt"
VERSION = 1
LONGEST = 2000
"""Characters of a reason that are kept: its end, where the words are that matter."""
_BYTES = Limit("IST_MPI_MAX_ATTEMPT_BYTES", 1 << 20)


class Attempt(NamedTuple):
    """An attempt as it was noted."""

    who: str
    """Process, host and SLURM job, in words."""
    reason: str
    """Why it failed; empty: it has not said."""
    code: int | None
    """Its exit code, if it failed."""


def path_of(log: Path) -> Path:
    """Where the attempt at a run is noted."""
    return log.with_suffix(".attempt.json")


@contextmanager
def attempting(comm: Any, point: Point) -> Iterator[None]:
    """Be the one who makes a run in the body, and leave a note unless it ends well; collective.

    Raises
    ------
    LockedError, LogError
        On every rank: another is at work on it, or nothing can be written there.
    """
    with alone_at(comm, point.log):
        with ranks.agreeing(comm):
            if comm.rank == 0:
                _begin(point)
        try:
            yield
        except KeyboardInterrupt:
            _forget(comm, point)
            raise
        except Exception as error:
            if comm.rank == 0:
                code = error.exit_code if isinstance(error, ISTError) else 1
                words = str(error) if isinstance(error, ISTError) else _last_words(error)
                fail(point, words, code)
            raise
        _forget(comm, point)


def _last_words(error: Exception) -> str:
    return "".join(traceback.format_exception_only(error)).strip()


def _begin(point: Point) -> None:
    try:
        _write(point, "", None)
    except OSError as error:
        raise LogError(f"{path_of(point.log)} cannot be written: {error}") from error


def fail(point: Point, reason: str, code: int) -> None:
    """Note why an attempt failed; where even that cannot be written, what is there has to do."""
    with suppress(OSError):
        _write(point, reason[-LONGEST:], code)


def _forget(comm: Any, point: Point) -> None:
    if comm.rank == 0:
        with suppress(OSError):
            path_of(point.log).unlink()


def _write(point: Point, reason: str, code: int | None) -> None:
    document = {
        "format": FORMAT,
        "version": VERSION,
        "run_id": point.log.stem,
        "settings": point.settings,
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        **whoami(),
        "reason": reason,
        "code": code,
    }
    hdf5.replace(path_of(point.log), files.sealed(document), overwrite=True)


def read(log: Path) -> Attempt | None:
    """What is noted of the attempt at a run; None: nothing is."""
    path = path_of(log)
    if not path.exists():
        return None
    try:
        with files.opened(path, _BYTES, "the note of an attempt") as file:
            return _attempt(files.unsealed(file.read(), path.name))
    except (OSError, ValueError, KeyError, TypeError) as error:
        return Attempt("another process", f"its note cannot be read: {error}", None)


def _attempt(document: Mapping[str, Any]) -> Attempt:
    if (document["format"], document["version"]) != (FORMAT, VERSION):
        raise ValueError(f"not of format {FORMAT}, version {VERSION}")
    who = f"process {document['pid']} on {document['host']}"
    who += f", SLURM job {document['slurm_job_id']}" if document["slurm_job_id"] else ""
    code = document["code"]
    return Attempt(who, str(document["reason"]), None if code is None else int(code))
