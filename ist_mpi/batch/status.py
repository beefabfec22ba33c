"""What there is of the runs of a sweep, told from their locks, logs and notes."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from ist_mpi.batch import attempts
from ist_mpi.batch.points import Plan, Point
from ist_mpi.errors import ISTError
from ist_mpi.store import locks
from ist_mpi.training import resume

STATES = {
    "finished": "all rounds made, or the tolerance reached",
    "diverged": "a result too: it would diverge again, bit for bit",
    "running": "a process holds its lock",
    "stopped": "can go on",
    "killed": "its process ended without saying why",
    "failed": "with an error",
    "missing": "nothing is there",
}
"""Of a run, and what they mean."""

OVER = ("finished", "diverged")
"""Those that are not made again."""


class Status(NamedTuple):
    """What there is of a run."""

    state: str
    """One of `STATES`."""
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


def statuses_of(plan: Plan) -> dict[int, Status]:
    """What there is of every run of a sweep, by the point's index."""
    return {point.index: status_of(point) for point in plan.points}


def to_be_made(statuses: Mapping[int, Status]) -> list[int]:
    """The indices of the runs that are neither over nor running."""
    passed = (*OVER, "running")
    return [index for index, status in statuses.items() if status.state not in passed]


def status_of(point: Point) -> Status:
    """What there is of a run, as its lock, its log and the note of the last attempt say."""
    found = _look(point)
    if found.state == "killed":  # unless it began between the look at the lock and that at the log
        holder = locks.holder(point.log)
        return found if holder is None else found._replace(state="running", reason=holder)
    return found


def state_of_log(log: Path, status: str) -> str:
    """The state of a run that has a log with that status, whatever sweep it is of."""
    if locks.holder(log) is not None:
        return "running"
    if status in ("finished", "failed"):
        return "finished" if status == "finished" else "diverged"
    if (noted := attempts.read(log)) is not None:
        return noted[0]
    return "killed" if status == "running" else "stopped"


def _look(point: Point) -> Status:
    holder = locks.holder(point.log)
    noted = attempts.read(point.log)
    standing, run = "absent", None
    try:
        standing, run = resume.examine(point.config, point.log)
    except ISTError as error:
        noted = noted if noted is not None and noted[0] == "failed" else ("failed", str(error))
    found = Status("missing")
    if run is not None:
        row = {name: column[-1].item() for name, column in run.rounds.items()}
        found = Status("missing", run.stop_reason, row, int(run.attributes["ranks"]))
    if holder is not None:
        return found._replace(state="running", reason=holder)
    if standing in ("finished", "failed"):
        return found._replace(state="finished" if standing == "finished" else "diverged")
    if noted is None and run is not None and run.status == "running":
        noted = "killed", f"its process {attempts.SILENT}"
    if noted is not None:
        return found._replace(state=noted[0], reason=noted[1])
    return found if standing == "absent" else found._replace(state="stopped")
