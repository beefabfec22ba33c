"""What a log says: how a run ended, what ran, where."""

import json
import math
import shlex
import sys
import time
import tomllib
from typing import Any

from rich.text import Text

from ist_mpi.cli.report.text import Sheet, console, duration, facts_table, number, to_json
from ist_mpi.errors import printable
from ist_mpi.store.log import Run


def rounds_per_second(run: Run) -> float:
    """Rounds per second of the whole run, logging included; NaN where nothing was timed."""
    rounds, seconds = run.rounds["round"][-1], run.rounds["seconds"][-1]
    return float(rounds / seconds) if seconds > 0 else math.nan


def standing(run: Run) -> str:
    """The status of a log, in words; a run that was killed could not change it."""
    if run.status != "running":
        return f"{run.status} ({run.stop_reason})"
    age = ""
    if run.path is not None:
        age = f"; last written {duration(max(0.0, time.time() - run.path.stat().st_mtime))} ago"
    return f"running, or killed{age}"


def summary(run: Run) -> Sheet:
    """How a run ended, as far as the log measures it."""
    row, theory = run.last_row(), run.theory
    table = facts_table()
    table.row("status", standing(run))
    table.row("rounds", f"{row['round']} in {duration(row['seconds'])}")
    table.row("rounds per second", f"{rounds_per_second(run):.0f}")
    measuring = run.attributes.get("seconds_measuring")
    if measuring is not None and row["seconds"] > 0:
        table.row("share of time measuring", f"{100 * measuring / row['seconds']:.1f} %")
    for words, values, name in (
        ("f", row, "value"),
        ("final relative gap", row, "relative_gap"),
        ("predicted fixed point's relative gap", theory, "fixed_point_relative_gap"),
        ("predicted limit of the expected relative gap", theory, "limit_relative_gap"),
        ("distance to the predicted fixed point", row, "distance_to_fixed_point"),
        ("distance to the solution", row, "distance_to_solution"),
    ):
        unknown = name == "limit_relative_gap" and number(values.get(name)) == "undefined"
        if name in values and not unknown:
            table.row(words, number(values[name]))
    if not math.isnan(row.get("floats_up", math.nan)):
        floats = f"{row['floats_up']:.0f} up, {row['floats_down']:.0f} down"
        table.row("floats sent per worker", floats)
    if run.path is not None:
        table.row("log", str(run.path))
        if run.status == "stopped":
            table.row("to go on", f"ist-mpi resume {shlex.quote(str(run.path))}, on any ranks")
    return table


def info(run: Run) -> Sheet:
    """What ran, where, and how it ended."""
    table = summary(run)
    attributes = run.attributes
    config = tomllib.loads(attributes["config"])
    for section, settings in config.items():
        words = ", ".join(f"{key} = {_toml(value)}" for key, value in settings.items())
        table.row(Text(f"[{section}]"), Text(words))
    table.row("created", str(attributes["created"]))
    table.row("run id", str(attributes["run_id"]))
    table.row("rows", str(attributes["committed"]))
    hosts = sorted(set(json.loads(attributes["hosts"])))
    table.row("ranks", f"{attributes['ranks']} on {', '.join(hosts)}")
    table.row("MPI library", str(attributes["mpi_library"]))
    table.row("versions", ", ".join(f"{k} {v}" for k, v in attributes["versions"].items() if v))
    if attributes["slurm_job_id"]:
        table.row("SLURM job", str(attributes["slurm_job_id"]))
    return table


def info_json(run: Run) -> str:
    """The same for programs: root attributes, theory's constants, the last row."""
    attributes = dict(run.attributes)
    attributes["config"] = tomllib.loads(attributes["config"])
    attributes["hosts"] = json.loads(attributes["hosts"])
    constants = {name: value for name, value in run.theory.items() if not hasattr(value, "shape")}
    document = {
        "path": str(run.path),
        **attributes,
        "rounds_per_second": rounds_per_second(run),
        "theory": constants,
        "last_row": run.last_row(),
    }
    return to_json(document)


def show_outcome(run: Run) -> None:
    """How a run ended: a table, and what is remarkable about it (stderr)."""
    console().print(summary(run))
    if run.status == "failed":
        print(printable(f"ist-mpi: {run.stop_reason}"), file=sys.stderr)
    elif run.divergence or run.last_row().get("relative_gap", math.nan) > 1.0:
        limit = float(run.theory.get("mean_step_size_limit", math.nan))
        stable = "Try a smaller step size"
        if not math.isnan(limit):
            stable = (
                "With one local step the mean iterate is stable only at step sizes below "
                f"{number(limit)}"
            )
        words = run.divergence or "the gap grew: the run diverges"
        print(f"ist-mpi: caution: {words}. {stable}", file=sys.stderr)


def _toml(value: Any) -> str:
    return json.dumps(value)
