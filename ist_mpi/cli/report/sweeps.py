"""What there is of a sweep, and what it will cost."""

import sys
from collections import Counter
from collections.abc import Mapping
from typing import Any

from rich.text import Text

from ist_mpi.batch import OVER, WORDS, Plan, Point, Prediction, Standing
from ist_mpi.batch.sweep_file import described, ranges
from ist_mpi.cli.report.text import Sheet, console, duration, facts_table, number
from ist_mpi.errors import printable
from ist_mpi.training.budget import size_text

ROWS = 40
"""Of a table of points that are shown unless all are asked for."""
LONGEST = 300
"""Characters of a reason in a table."""

Standings = Mapping[int, Standing]
"""By the point's index."""


def show_sweep_plan(
    plan: Plan, standings: Standings, prediction: Prediction, jobs: int, everything: bool
) -> None:
    """All runs, what there is of them, and what they will take."""
    table = _points_table("state", "time", "memory", "log")
    shown = plan.points if everything else plan.points[:ROWS]
    for point in shown:
        cost = prediction.costs[point.index]
        table.row(
            str(point.index),
            Text(described(point.settings)),
            standings[point.index].word,
            duration(cost.seconds),
            size_text(cost.memory),
            f"{point.log.name}, {size_text(cost.disk)}",
        )
    screen = console()
    screen.print(table)
    _say_left_out(len(plan.points) - len(shown))
    screen.print(_totals(plan, standings, prediction, jobs))
    _say_merged(plan)


def _totals(plan: Plan, standings: Standings, prediction: Prediction, jobs: int) -> Sheet:
    """The costs of what is not over."""
    facts = facts_table()
    facts.row("runs", _counts(plan, standings))
    left = [prediction.costs[p.index] for p in plan.points if standings[p.index].word not in OVER]
    if left:
        seconds = sum(cost.seconds for cost in left)
        longest = max(cost.seconds for cost in left)
        time = f"{duration(seconds)} of runs"
        if jobs > 1:
            time += f", {duration(max(longest, seconds / jobs))} with {jobs} at a time"
        facts.row("time left, roughly", time)
        facts.row("based on", prediction.basis)
        memory = sum(sorted((cost.memory for cost in left), reverse=True)[:jobs])
        facts.row("memory at a time", f"{size_text(memory)}, beyond the programs themselves")
        facts.row("disk left", size_text(sum(cost.disk for cost in left)))
    facts.row("logs", str(plan.points[0].log.parent))
    return facts


def show_sweep_status(plan: Plan, standings: Standings, everything: bool) -> None:
    """How many runs there are of each kind, and which did not go as they should."""
    table = _points_table("state", "round", "relative gap", "reason")
    for point in plan.points:
        standing = standings[point.index]
        if everything or standing.word not in ("finished", "missing"):
            table.row(*_status_row(point, standing))
    screen = console()
    if table.row_count:
        screen.print(table)
    facts = facts_table()
    for word, meaning in WORDS.items():
        which = [p.index for p in plan.points if standings[p.index].word == word]
        if which:
            points = "point" if len(which) == 1 else "points"
            points = f"{points} {ranges(which)}" if len(which) < len(plan.points) else "all"
            facts.row(word, f"{len(which)} ({meaning}): {points}")
    facts.row("runs", str(len(plan.points)))
    screen.print(facts)
    _say_merged(plan)


def _status_row(point: Point, standing: Standing) -> tuple[str | Text, ...]:
    style = "bold red" if standing.word in ("failed", "killed") else ""
    rounds = f"{standing.round}/{point.config.run.rounds}" if standing.row else ""
    gap = number(standing.row["relative_gap"]) if standing.row else ""
    reason = " ".join(standing.reason.split())
    reason = reason if len(reason) <= LONGEST else reason[: LONGEST - 1] + "…"
    settings = Text(described(point.settings))
    return str(point.index), settings, Text(standing.word, style=style), rounds, gap, Text(reason)


def sweep_document(plan: Plan, standings: Standings) -> dict[str, Any]:
    """The status of a sweep for programs."""
    counts = Counter(standings[point.index].word for point in plan.points)
    return {
        "sweep": str(plan.sweep.path),
        "digest": plan.sweep.digest,
        "counts": {word: counts[word] for word in WORDS},
        "merged": {str(index): first for index, first in plan.merged.items()},
        "points": [_point_document(point, standings[point.index]) for point in plan.points],
    }


def _point_document(point: Point, standing: Standing) -> dict[str, Any]:
    return {
        "index": point.index,
        "settings": point.settings,
        "run_id": point.log.stem,
        "log": str(point.log),
        "state": standing.word,
        "reason": standing.reason,
        "round": standing.round,
        "rounds": point.config.run.rounds,
        "relative_gap": standing.row.get("relative_gap"),
    }


def show_sweep_end(point: Point, standing: Standing, place: int, count: int) -> None:
    """A line about a run that has ended (stderr)."""
    facts = ""
    if standing.row:
        gap, seconds = standing.row["relative_gap"], standing.row["seconds"]
        facts = f", round {standing.round} after {duration(seconds)}, relative gap {gap:.3e}"
    reason = " ".join(standing.reason.split()) if standing.word not in OVER else ""
    reason = f": {reason[:LONGEST]}" if reason else ""
    line = f"[{place}/{count}] {point.title}: {standing.word}{facts}{reason}"
    print(printable(line), file=sys.stderr, flush=True)


def _points_table(*headings: str) -> Sheet:
    table = Sheet()
    table.add_column("point", justify="right")
    for heading in ("settings", *headings):
        table.add_column(heading, overflow="fold")
    return table


def _counts(plan: Plan, standings: Standings) -> str:
    counts = Counter(standings[point.index].word for point in plan.points)
    words = [f"{counts[word]} {word}" for word in WORDS if counts[word]]
    return f"{len(plan.points)}: {', '.join(words)}"


def _say_left_out(count: int) -> None:
    if count:
        console().print(f"… and {count} more: --all")


def _say_merged(plan: Plan) -> None:
    for first in dict.fromkeys(plan.merged.values()):
        same = [index for index, other in plan.merged.items() if other == first]
        words = f"points {ranges(same)} are" if len(same) > 1 else f"point {same[0]} is"
        console().print(f"{words} the same run as point {first}, and left out")
