"""The log of another process's run, look after look: on a terminal a view, else lines."""

import math
import time
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ist_mpi.cli.report.plot import curve
from ist_mpi.cli.report.runs import show_outcome
from ist_mpi.cli.report.text import Sheet, duration, facts_table, number, rate
from ist_mpi.errors import printable
from ist_mpi.store.log import Run
from ist_mpi.training.watching import EXIT_CODES, Moment, Watch, limits

WIDEST, TALLEST = 90, 16
"""Columns and lines of the plot where there is room."""
AROUND = 9
"""Lines around the plot."""


class LiveReport:
    """Shows moments of a log on standard output as they come."""

    def __init__(self) -> None:
        self._screen = Console(highlight=False)
        self._shown: object = None
        self._live: Live | None = None
        if self._screen.is_terminal and not self._screen.is_dumb_terminal:
            self._live = Live(console=self._screen, auto_refresh=False)

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, moment: Moment) -> None:
        """Show what there is to say now; as a line only if it is not what the last one said."""
        if self._live is not None:
            self._live.update(view(moment, self._screen), refresh=True)
            return
        what = (moment.state, moment.silent, moment.note, _version(moment.run))
        if what != self._shown:
            print(printable(line(moment)), flush=True)
        self._shown = what


def follow(watch: Watch, interval: float, once: bool, wait: bool) -> Moment:
    """Show a log until its run is over, then how it ended; returns the last moment.

    Parameters
    ----------
    interval : float
        Seconds between two looks, at least.
    once : bool
        Whether one look is enough.
    wait : bool
        Whether a run that can go on is waited for.
    """
    with LiveReport() as show:
        while True:
            moment = watch.look()
            show(moment)
            if once or moment.is_over(wait):
                break
            time.sleep(watch.pause(interval))
    if moment.run is not None and moment.state in EXIT_CODES:
        show_outcome(moment.run)
    return moment


def _version(run: Run | None) -> tuple[object, ...]:
    """What changes with what a line says of a log."""
    if run is None:
        return ()
    return run.attributes["created"], int(run.rounds["round"][-1]), run.status


def line(moment: Moment) -> str:
    """A moment in one line."""
    run, note = moment.run, _note(moment)
    if run is None:
        return f"{moment.log}: {moment.state}: {note}"
    row = run.last_row()
    parts = [f"{label(moment, run)}: round {row['round']}/{moment.rounds}", *_pace(moment)]
    if "relative_gap" in row:
        parts.append(f"relative gap {row['relative_gap']:.3e}")
    return "  ".join([*parts, note] if note else parts)


def label(moment: Moment, run: Run) -> str:
    """A run in a few words."""
    return f"{moment.log.stem} seed {run.attributes['seed']}"


def _note(moment: Moment) -> str:
    news = f"no news for {duration(round(moment.age))}" if moment.silent else ""
    return ", ".join(filter(None, [news, moment.note]))


def _pace(moment: Moment) -> list[str]:
    """Rate and time left, as far as there is something to say, or how it ended."""
    words = [] if math.isnan(moment.rate) else [f"{rate(moment.rate)} rounds/s"]
    if moment.state != "running":
        return [*words, moment.state]
    if math.isnan(moment.left) or moment.silent:
        return words
    return [*words, f"{'at most ' if moment.at_most else ''}{duration(moment.left)} left"]


def view(moment: Moment, screen: Console) -> RenderableType:
    """A moment as it is shown on a terminal."""
    run, note = moment.run, printable(_note(moment))
    if run is None:
        return Text(f"{printable(str(moment.log))}: {moment.state}: {note}")
    parts: list[RenderableType] = [_bar(moment, run, screen.width), _metrics(moment, run)]
    size = (min(WIDEST, screen.width), min(TALLEST, screen.height - AROUND))
    if screen.encoding.startswith("utf") and "relative_gap" in run.rounds:
        rounds, gaps = run.rounds["round"], run.rounds["relative_gap"]
        drawn = curve(rounds, gaps, moment.rounds, sorted(limits(run).values()), size)
        parts.append(Text(drawn, no_wrap=True))
    if note:
        parts.append(Text(note, style="bold" if moment.state == "running" else "bold red"))
    return Group(*parts)


def _bar(moment: Moment, run: Run, columns: int) -> Table:
    """How far the run is: a bar, rounds, rate, time left."""
    done = int(run.rounds["round"][-1])
    table = Table.grid(padding=(0, 2, 0, 0))
    named = Text(printable(label(moment, run)), no_wrap=True)
    facts = Text("  ".join([f"{done}/{moment.rounds} rounds", *_pace(moment)]), no_wrap=True)
    width = min(24, columns - len(named) - len(facts) - 4)
    bar = ProgressBar(total=max(moment.rounds, 1), completed=done, width=max(1, width))
    table.add_row(*((named, bar, facts) if width > 3 else (named, facts)))
    return table


def _metrics(moment: Moment, run: Run) -> Sheet:
    """The last metrics, and where theory sees them in the end."""
    row = run.last_row()
    known = ", ".join(f"{name} {number(value)}" for name, value in limits(run).items())
    table = facts_table()
    for words, name, more in (
        ("relative gap", "relative_gap", f"  ({known})" if known else ""),
        ("distance to the fixed point", "distance_to_fixed_point", ""),
        ("distance to the solution", "distance_to_solution", ""),
    ):
        if name in row:
            table.row(words, number(row[name]) + more)
    table.row("log", f"{moment.log}, {duration(round(moment.age))} old")
    return table
