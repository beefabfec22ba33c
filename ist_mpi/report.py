"""What people read: progress, summaries, and the tables of the commands."""

import json
import math
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from ist_mpi.bench import tables
from ist_mpi.budget import Budget, seconds_per_round, size_text
from ist_mpi.config import Config
from ist_mpi.foresight import Foresight
from ist_mpi.problems.quadratic import Facts
from ist_mpi.progress import Progress as Standing
from ist_mpi.runlog import Run
from ist_mpi.verdict import rounds_to, step_sizes, verdict
from ist_mpi.verify import Report

LINE_SECONDS = 5.0


def console() -> Console:
    """Standard output; where it is no terminal nothing is folded, so that paths stay whole."""
    screen = Console(highlight=False)
    if not screen.is_terminal:
        screen.width = 4096
    return screen


class ProgressReport:
    """Shows where a run stands: a bar on a terminal, else a line every few seconds (stderr)."""

    def __init__(self, label: str, rounds: int) -> None:
        self._label = label
        self._next_line = LINE_SECONDS
        self._last_round = 0
        self._bar: Progress | None = None
        self._task = TaskID(0)
        screen = Console(stderr=True)
        if screen.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.completed}/{task.total} rounds"),
                TextColumn("{task.fields[facts]}"),
                TimeRemainingColumn(),
                console=screen,
            )
            self._task = self._bar.add_task(label, total=rounds, facts="")

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, standing: Standing) -> None:
        """Take note of where the run stands now."""
        if standing.round < self._last_round:  # the next seed's run
            self._next_line = LINE_SECONDS
        self._last_round = standing.round
        rate = standing.round / standing.seconds if standing.seconds > 0 else math.nan
        facts = f"{rate:.0f} rounds/s  relative gap {standing.row['relative_gap']:.3e}"
        label = f"{self._label} seed {standing.seed}"
        if self._bar is not None:
            self._bar.update(self._task, description=label, completed=standing.round, facts=facts)
        elif standing.seconds >= self._next_line:
            self._next_line = standing.seconds + LINE_SECONDS
            left = (standing.rounds - standing.round) / rate if rate > 0 else math.nan
            line = f"{label}: round {standing.round}/{standing.rounds}  {facts}"
            print(f"{line}  {duration(left)} left", file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """Seconds for people."""
    if math.isnan(seconds):
        return "?"
    if seconds < 100:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def number(value: Any) -> str:
    """A measured value for people."""
    if isinstance(value, float):
        return "undefined" if math.isnan(value) else f"{value:.6g}"
    return str(value)


def rounds_per_second(run: Run) -> float:
    """Rounds per second of the whole run, logging included; NaN where nothing was timed."""
    rounds, seconds = run.rounds["round"][-1], run.rounds["seconds"][-1]
    return float(rounds / seconds) if seconds > 0 else math.nan


def last_row(run: Run) -> dict[str, Any]:
    """The last row of /rounds as plain numbers."""
    return {name: column[-1].item() for name, column in run.rounds.items()}


def standing(run: Run) -> str:
    """The status of a log, in words; a run that was killed could not change it."""
    if run.status != "running":
        return f"{run.status} ({run.stop_reason})"
    age = ""
    if run.path is not None:
        age = f"; last written {duration(max(0.0, time.time() - run.path.stat().st_mtime))} ago"
    return f"running, or ended without a word{age}"


def summary(run: Run) -> Table:
    """How a run ended."""
    row = last_row(run)
    table = _facts()
    table.add_row("status", standing(run))
    table.add_row("rounds", f"{row['round']} in {duration(row['seconds'])}")
    table.add_row("rounds per second", f"{rounds_per_second(run):.0f}")
    measuring = run.attributes.get("seconds_measuring")
    if measuring is not None and row["seconds"] > 0:
        table.add_row("share of time measuring", f"{100 * measuring / row['seconds']:.1f} %")
    table.add_row("final relative gap", number(row["relative_gap"]))
    table.add_row(
        "predicted fixed point's relative gap", number(run.theory["fixed_point_relative_gap"])
    )
    limit = run.theory.get("limit_relative_gap", math.nan)
    if not math.isnan(limit):
        table.add_row("predicted limit of the expected relative gap", number(limit))
    table.add_row("distance to the predicted fixed point", number(row["distance_to_fixed_point"]))
    table.add_row("distance to the solution", number(row["distance_to_solution"]))
    floats = f"{row['floats_up']:.0f} up, {row['floats_down']:.0f} down"
    table.add_row("floats sent per worker", floats)
    if run.path is not None:
        table.add_row("log", str(run.path))
    return table


def info(run: Run) -> Table:
    """What ran, where, and how it ended."""
    table = summary(run)
    attributes = run.attributes
    config = tomllib.loads(attributes["config"])
    for section, settings in config.items():
        words = ", ".join(f"{key} = {_toml(value)}" for key, value in settings.items())
        table.add_row(Text(f"[{section}]"), Text(words))
    table.add_row("created", str(attributes["created"]))
    table.add_row("run id", str(attributes["run_id"]))
    table.add_row("rows", str(attributes["committed"]))
    hosts = sorted(set(json.loads(attributes["hosts"])))
    table.add_row("ranks", f"{attributes['ranks']} on {', '.join(hosts)}")
    table.add_row("MPI library", str(attributes["mpi_library"]))
    table.add_row("versions", ", ".join(f"{k} {v}" for k, v in attributes["versions"].items() if v))
    if attributes["slurm_job_id"]:
        table.add_row("SLURM job", str(attributes["slurm_job_id"]))
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
        "last_row": last_row(run),
    }
    return to_json(document)


def to_json(document: Mapping[str, Any]) -> str:
    """JSON with null for what is undefined."""
    return json.dumps(_without_nan(document), indent=2)


def show_outcome(run: Run) -> None:
    """How a run ended: a table, and what is remarkable about it (stderr)."""
    console().print(summary(run))
    if run.status == "failed":
        print(f"ist-mpi: {run.stop_reason}", file=sys.stderr)
    elif run.rounds["relative_gap"][-1] > 1.0:
        limit = number(run.theory["mean_step_size_limit"])
        print(
            "ist-mpi: caution: the gap grew: the run diverges; the mean iterate of one local step "
            f"is stable only at step sizes below {limit}",
            file=sys.stderr,
        )


def show_plan(
    config: Config, facts: Facts, needs: Budget, logs: Sequence[object], ranks: int, checked: bool
) -> None:
    """What a run would be and need; `checked`: whether the workers' matrices were looked at."""
    seconds = seconds_per_round(config, facts, ranks)
    table = _facts()
    table.add_row("ranks", str(ranks))
    kept = {"matrix": "L_i", "dense": "samples, dense", "sparse": "samples, sparse"}
    table.add_row("workers keep", f"{kept[facts.stored.kind]}, {facts.stored.precision}")
    table.add_row("memory per rank", size_text(needs.memory))
    table.add_row("memory of rank 0", size_text(needs.memory_root))
    if needs.theory:
        table.add_row("memory for constants, per rank", size_text(needs.theory))
    table.add_row("floats per worker", f"{needs.floats_up:.0f} up, {needs.floats_down:.0f} down")
    total = seconds * config.run.rounds * len(logs)
    table.add_row("time, roughly", f"{duration(total)} ({1e6 * seconds:.0f} µs a round)")
    for log in logs:
        table.add_row("log", f"{log}, {size_text(needs.log)}")
    matrices = "checked" if checked else "not checked: large; the run itself will check them"
    table.add_row("the workers' matrices", matrices)
    screen = console()
    screen.print(Text(config.to_toml()))
    screen.print(table)


SYMBOLS = {
    "theta": "θ (14)",
    "step_size_limit": "1/θ, largest step size of Theorem 1",
    "w_min_eigenvalue": "λ_min(W̄) (14)",
    "contraction": "contraction factor (16)",
    "spectral_radius": "spectral radius of I − γM",
    "stable_step_size_limit": "γ_max, second moment stable below",
    "fixed_point_relative_gap": "relative gap of x∞ = M⁻¹m",
    "limit_relative_gap": "relative gap in the limit, lim E f",
    "limit_gap": "gap in the limit, lim E f − f*",
    "bias_norm_squared": "bias ‖x* − x∞‖² in L̄ (27)",
    "sigma_squared": "σ² (30)",
}


def show_foresight(foresight: Foresight) -> None:
    """The constants with their equations, what to expect, and what to try."""
    constants = foresight.constants
    table = _facts()
    table.add_row("γ, the step size", number(foresight.method.gamma))
    for name, value in constants.values().items():
        shown = number(math.nan if value is None else value)
        shown += " (an estimate)" if name in constants.estimated else ""
        if name in constants.not_computed:
            shown = f"not computed ({constants.not_computed[name]})"
        table.add_row(SYMBOLS[name], shown)
    table.add_row("2/λ_max(M), mean stable below", number(foresight.mean_step_size_limit))
    needed = rounds_to(foresight.tolerance, constants)
    shown = "undefined" if needed is None else f"{needed:.0f}"
    table.add_row(f"rounds for {foresight.tolerance:g} of E x's distance²", shown)
    floats = f"{foresight.floats_up:g} up, {foresight.floats_down:g} down"
    table.add_row("floats per round per worker", floats)
    for why, step in step_sizes(constants).items():
        table.add_row("worth trying", f"γ = {step:.4g} ({why})")
    screen = console()
    screen.print(table)
    screen.print(Text(verdict(foresight.method, constants)))


def show_findings(found: Report) -> None:
    """What failed and what was not judged, each in a row; of what is in order the count."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("verdict", "check", "log", "seen", "allowed, or why not judged"):
        table.add_column(heading, overflow="fold")
    alike: dict[tuple[str, ...], list[str]] = {}
    for row in found.rows:
        if row.verdict != "ok":
            key = (row.verdict, row.check, row.seen, row.allowed)
            alike.setdefault(key, []).append(row.subject)
    for (judged, check, seen, allowed), logs in alike.items():
        style = "bold red" if judged == "failed" else ""
        subject = logs[0] if len(logs) == 1 else f"{logs[0]} and {len(logs) - 1} more"
        table.add_row(Text(judged, style=style), *map(Text, (check, subject, seen, allowed)))
    screen = console()
    if table.row_count:
        screen.print(table)
    counts = Counter(row.verdict for row in found.rows)
    words = [f"{counts[kind]} {kind}" for kind in ("ok", "failed", "not judged")]
    screen.print(Text(", ".join(words)))


def show_bench(document: Mapping[str, Any]) -> None:
    """Where it was measured, and what came out."""
    screen = console()
    where = _facts()
    for name, value in tables.facts(document):
        where.add_row(name, Text(value))
    screen.print(where)
    for sheet in tables.sheets(document):
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for place, heading in enumerate(sheet.headings):
            table.add_column(heading, justify="left" if place < 2 else "right", overflow="fold")
        for row in sheet.rows:
            table.add_row(*map(Text, row))
        screen.print()
        screen.print(Text(sheet.title, style="bold"))
        screen.print(table)
    if document["notes"]:
        screen.print()
    for note in document["notes"]:
        screen.print(Text(f"note: {note}"))


def health(findings: Mapping[str, Any]) -> Table:
    """What `doctor` found."""
    table = _facts()
    table.add_row("MPI library", findings["mpi_library"] or "none")
    if findings["mpi_library"]:
        table.add_row("ranks", str(findings["ranks"]))
        for host, count in findings["hosts"].items():
            cores = findings["cores"][host]
            table.add_row("host", f"{host}: {count} rank(s), {cores} usable core(s)")
        settings = ", ".join(f"{k}={v}" for k, v in findings["threads"].items()) or "none set"
        table.add_row("threads per rank", f"1 (pinned by the program; environment: {settings})")
    for name, version in findings["versions"].items():
        table.add_row(name, version or "unknown")
    for problem in findings["problems"]:
        table.add_row(Text("problem", style="bold red"), problem)
    if not findings["problems"]:
        table.add_row("problems", "none")
    return table


def _facts() -> Table:
    """A borderless table of names and values."""
    table = Table(show_header=False, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _toml(value: Any) -> str:
    return json.dumps(value)


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
