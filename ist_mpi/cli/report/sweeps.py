"""What there is of a sweep, and what it will cost."""

import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.text import Text

from ist_mpi.batch.cost import Cost
from ist_mpi.batch.points import Plan, Point
from ist_mpi.batch.status import OVER, STATES, Status
from ist_mpi.batch.sweep_file import described, ranges
from ist_mpi.cli.report.text import (
    Sheet,
    console,
    duration,
    facts_table,
    number,
    show_sheet,
    to_json,
)
from ist_mpi.errors import printable
from ist_mpi.training.budget import size_text

ROWS = 40
"""Of a table of points that are shown unless all are asked for."""
LONGEST = 300
"""Characters of a reason in a table."""

MEASURED = ("relative_gap", "predicted_limit", "floats_to")

Statuses = Mapping[int, Status]
"""By the point's index."""


def counted(states: Iterable[str]) -> str:
    """How many there are of each state: ``2 finished, 1 failed``."""
    counts = Counter(states)
    return ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])


def show_plan(
    plan: Plan,
    statuses: Statuses,
    costs: Mapping[int, Cost],
    basis: str,
    jobs: int,
    everything: bool,
) -> None:
    """All runs, what there is of them, and what they will take."""
    table = _points_table("state", "time", "memory", "log")
    shown = plan.points if everything else plan.points[:ROWS]
    for point in shown:
        cost = costs[point.index]
        table.row(
            str(point.index),
            described(point.settings),
            statuses[point.index].state,
            duration(cost.seconds),
            size_text(cost.memory),
            f"{point.log.name}, {size_text(cost.disk)}",
        )
    facts = facts_table()
    states = [status.state for status in statuses.values()]
    facts.row("runs", f"{len(plan.points)}: {counted(states)}")
    if left := [costs[index] for index, status in statuses.items() if status.state not in OVER]:
        seconds = [cost.seconds for cost in left]
        time = f"{duration(sum(seconds))} of runs"
        if jobs > 1:
            time += f", {duration(max(*seconds, sum(seconds) / jobs))} with {jobs} at a time"
        facts.row("time left, roughly", time)
        facts.row("based on", basis)
        memory = sum(sorted((cost.memory for cost in left), reverse=True)[:jobs])
        facts.row("memory at a time", f"{size_text(memory)}, beyond the programs themselves")
        facts.row("disk left", size_text(sum(cost.disk for cost in left)))
    facts.row("logs", str(plan.points[0].log.parent))
    screen = console()
    show_sheet(screen, table, "a wider terminal shows all")
    if len(shown) < len(plan.points):
        screen.print(f"… and {len(plan.points) - len(shown)} more: --all")
    screen.print(facts)
    _say_merged(plan)


def show_status(plan: Plan, statuses: Statuses, everything: bool) -> None:
    """How many runs there are of each kind, and which did not go as they should."""
    table = _points_table("state", "round", "relative gap", "reason")
    for point in plan.points:
        status = statuses[point.index]
        if everything or status.state not in ("finished", "missing"):
            style = "bold red" if status.state in ("failed", "killed") else ""
            table.row(
                str(point.index),
                described(point.settings),
                Text(status.state, style=style),
                f"{status.round}/{point.config.run.rounds}" if status.row else "",
                number(status.row["relative_gap"]) if status.row else "",
                _shortened(status.reason, "…"),
            )
    screen = console()
    if table.row_count:
        show_sheet(screen, table, "--json has all")
    facts = facts_table()
    for state, meaning in STATES.items():
        if which := [index for index, status in statuses.items() if status.state == state]:
            points = f"point{'s' if len(which) > 1 else ''} {ranges(which)}"
            points = points if len(which) < len(plan.points) else "all"
            facts.row(state, f"{len(which)} ({meaning}): {points}")
    facts.row("runs", str(len(plan.points)))
    screen.print(facts)
    _say_merged(plan)


def print_json(plan: Plan, statuses: Statuses) -> None:
    """The status of a sweep for programs."""
    counts = Counter(status.state for status in statuses.values())
    document = {
        "sweep": str(plan.sweep.path),
        "digest": plan.sweep.digest,
        "counts": {state: counts[state] for state in STATES},
        "merged": {str(index): first for index, first in plan.merged.items()},
        "points": [
            {
                "index": point.index,
                "settings": point.settings,
                "run_id": point.log.stem,
                "log": str(point.log),
                "state": statuses[point.index].state,
                "reason": statuses[point.index].reason,
                "round": statuses[point.index].round,
                "rounds": point.config.run.rounds,
                "relative_gap": statuses[point.index].row.get("relative_gap"),
            }
            for point in plan.points
        ],
    }
    print(to_json(document))


def show_end(point: Point, status: Status, place: str) -> None:
    """A line about a run that has ended (stderr)."""
    line = f"[{place}] {point.title}: {status.state}"
    if status.row:
        gap, seconds = status.row["relative_gap"], status.row["seconds"]
        line += f", round {status.round} after {duration(seconds)}, relative gap {gap:.3e}"
    if status.reason and status.state not in OVER:
        line += f": {_shortened(status.reason)}"
    print(printable(line), file=sys.stderr, flush=True)


def _shortened(reason: str, mark: str = "") -> str:
    """A reason in one line that is not too long."""
    reason = " ".join(reason.split())
    return reason if len(reason) <= LONGEST else reason[: LONGEST - len(mark)] + mark


def _points_table(*headings: str) -> Sheet:
    table = Sheet()
    table.add_column("point", justify="right")
    for heading in ("settings", *headings):
        table.add_column(heading)
    return table


def _say_merged(plan: Plan) -> None:
    for first in dict.fromkeys(plan.merged.values()):
        same = [index for index, other in plan.merged.items() if other == first]
        words = f"points {ranges(same)} are" if len(same) > 1 else f"point {same[0]} is"
        console().print(f"{words} the same run as point {first}, and left out")


def show_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """A table with a row for every run, without the paths of its logs.

    Where the screen is narrow, measured numbers are shorter.
    """
    screen = console()
    table = _table_of(rows, 6)
    if not table.fits(screen.width):
        table = _table_of(rows, 3)
    show_sheet(screen, table, "--csv FILE has all")


def _table_of(rows: Sequence[Mapping[str, Any]], digits: int) -> Sheet:
    """Measured numbers to so many digits; by their settings runs are told apart."""
    names = [name for name in dict.fromkeys(key for row in rows for key in row) if name != "log"]
    table = Sheet()
    for name in names:
        table.add_column(name)
    for row in rows:
        values = ((row.get(name), digits if name in MEASURED else 6) for name in names)
        table.row(*("" if value is None else number(value, most) for value, most in values))
    return table
