"""A sweep as a table: a row for every point, with what it took to a tolerance."""

import csv
import io
import math
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ist_mpi.batch.points import Plan, plan
from ist_mpi.batch.status import state_of_log, status_of
from ist_mpi.config import OPERATION
from ist_mpi.errors import Fault, InputError
from ist_mpi.store.log import Run, open_run

Row = dict[str, Any]


class Member(NamedTuple):
    """A run of a sweep, or of a folder of logs."""

    settings: Mapping[str, Any]
    """In what it differs from the others, by ``section.key``."""
    state: str
    """One of `status.STATES`."""
    log: Path
    whole: bool
    """Whether there is a log that can be read."""

    def run(self) -> Run | None:
        """Its log; None if there is none yet."""
        return open_run(self.log, bulk=False) if self.whole else None


def members(path: Path, folder: Path | None = None) -> list[Member]:
    """The runs of a sweep file, `folder` as for `points.plan`; or of a folder of logs.

    Raises
    ------
    InputError
        With every fault of the sweep and its points, or if there are no logs.
    """
    return _of_folder(path) if path.is_dir() else _of_sweep(plan(path, folder))


def _of_sweep(found: Plan) -> list[Member]:
    states = {point.index: status_of(point) for point in found.points}
    return [
        Member(point.settings, states[point.index].state, point.log, bool(states[point.index].row))
        for point in found.points
    ]


def _of_folder(folder: Path) -> list[Member]:
    paths = sorted(folder.glob("*.h5"))
    if not paths:
        raise InputError(Fault(str(folder), "no logs", "a sweep file, or a folder of *.h5"))
    runs = {path: open_run(path, bulk=False) for path in paths}
    settings = {path: _settings(run) for path, run in runs.items()}
    keys = sorted({key for one in settings.values() for key in one})
    differing = [k for k in keys if len({repr(one.get(k)) for one in settings.values()}) > 1]
    return [
        Member(
            {key: settings[path].get(key) for key in differing},
            state_of_log(path, run.status),
            path,
            True,
        )
        for path, run in runs.items()
    ]


def _settings(run: Run) -> Row:
    tables = tomllib.loads(run.attributes["config"])
    hidden = {*(f"run.{name}" for name in OPERATION), "method.step_size_rule"}
    flat = {f"{table}.{key}": v for table, inner in tables.items() for key, v in inner.items()}
    return {key: value for key, value in flat.items() if key not in hidden}


def rows(found: Sequence[Member], to: float = 1e-6) -> list[Row]:
    """A row for every run.

    Parameters
    ----------
    to : float
        A relative gap.

    Returns
    -------
    list of dict
        The run's settings; ``state``, ``round`` and ``relative_gap`` (of the last logged row),
        ``predicted_limit`` (lim E f, relative), ``rounds_to`` and ``floats_to`` (up and down, of a
        worker, at the first logged round with a relative gap of at most `to`), ``log``. None for
        what there is not.

    Raises
    ------
    InputError
        If `to` is no number above 0, or a log is damaged.
    """
    if not 0.0 < to < math.inf:
        raise InputError(Fault("to", f"{to}", "a relative gap, above 0"))
    return [_row(member, member.run(), to) for member in found]


def _row(member: Member, run: Run | None, to: float) -> Row:
    made: Row = {**member.settings, "state": member.state}
    found: Row = dict.fromkeys(
        ("round", "relative_gap", "predicted_limit", "rounds_to", "floats_to")
    )
    if run is not None:
        last = run.last_row()
        found["round"] = int(last["round"])
        found["relative_gap"] = _number(last["relative_gap"])
        found["predicted_limit"] = _number(run.theory.get("limit_relative_gap", math.nan))
        below = np.flatnonzero(run.rounds["relative_gap"] <= to)
        if below.size:
            at = int(below[0])
            found["rounds_to"] = int(run.rounds["round"][at])
            sent = run.rounds["floats_up"][at] + run.rounds["floats_down"][at]
            found["floats_to"] = _number(sent)
    return {**made, **found, "log": str(member.log)}


def _number(value: Any) -> float | None:
    return None if math.isnan(value) else float(value)


def as_csv(table: Sequence[Row]) -> str:
    """The rows as CSV; what there is not is an empty cell."""
    text = io.StringIO()
    names = list(dict.fromkeys(name for row in table for name in row))
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue()
