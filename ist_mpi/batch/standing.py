"""What there is of the runs of a sweep, told from their locks, logs and notes."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from ist_mpi.batch import attempts
from ist_mpi.batch.points import Point
from ist_mpi.errors import ISTError
from ist_mpi.store import locks
from ist_mpi.training import resume as continuation

WORDS = {
    "finished": "all rounds made, or the tolerance reached",
    "diverged": "a result too: it would diverge again, bit for bit",
    "running": "a process holds its lock",
    "stopped": "can go on",
    "killed": "its process ended without saying why",
    "failed": "with an error",
    "missing": "nothing is there",
}
"""The states of a run."""

OVER = ("finished", "diverged")
"""Those that are not made again."""


class Standing(NamedTuple):
    """What there is of a run."""

    word: str
    """One of `WORDS`."""
    reason: str = ""
    """Why it ended, who is at work, or what is in the way."""
    row: Mapping[str, float] = MappingProxyType({})
    """The last logged row, where the log is whole."""
    ranks: int = 0
    """Which made it."""

    @property
    def round(self) -> int:
        """The last logged round."""
        return int(self.row.get("round", 0))


def standing_of(point: Point) -> Standing:
    """What there is of a run, as its lock, its log and the note of the last attempt say."""
    found = _look(point)
    if found.word == "killed":  # unless it began between the look at the lock and that at the log
        holder = locks.holder(point.log)
        return found if holder is None else found._replace(word="running", reason=holder)
    return found


def _look(point: Point) -> Standing:
    holder = locks.holder(point.log)
    attempt = attempts.read(point.log)
    status, run, trouble = "absent", None, ""
    try:
        status, run = continuation.examine(point.config, point.log)
    except ISTError as error:
        trouble = str(error)
    seen = Standing("missing")
    if run is not None:
        row = {name: column[-1].item() for name, column in run.rounds.items()}
        seen = seen._replace(reason=run.stop_reason, row=row, ranks=int(run.attributes["ranks"]))
    if holder is not None:
        return seen._replace(word="running", reason=holder)
    if status in ("finished", "failed"):
        return seen._replace(word="finished" if status == "finished" else "diverged")
    if attempt is not None and attempt.reason:
        return seen._replace(word="failed", reason=attempt.reason)
    if trouble:
        return seen._replace(word="failed", reason=trouble)
    if attempt is not None:
        return seen._replace(word="killed", reason=f"{attempt.who} ended without saying why")
    if run is not None and run.status == "running":
        return seen._replace(word="killed", reason="its process ended without saying why")
    return seen if status == "absent" else seen._replace(word="stopped")
