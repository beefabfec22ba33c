"""Draw methods without bias beside independent subnetwork training: gap against rounds and floats.

    python analysis/bias_removed.py RUN.h5… -o figure.pdf

A row of panels for every problem: the mean of the seeds, dotted the exact expectation where its
table is beside the logs (NAME.csv for NAME.h5 or NAME-seed3.h5). A table of the rounds, and of the
floats sent and received, until the median run has a relative gap of 1e-6 and 1e-12.
"""

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from command import main_of

from ist_mpi.plots.curves import (
    Curve,
    by_problem,
    column,
    companion,
    expectation,
    open_curves,
    stacked,
)
from ist_mpi.plots.drawing import EXACT, Figure, Panel, look
from ist_mpi.plots.names import method_name, problem_name, with_remarks

LEVELS = (1e-6, 1e-12)
FLOOR = 1e-14
"""The bottom of the panels: below, gaps are made of rounding errors."""


class Reached(NamedTuple):
    """When the median run of a method gets to a level; nan where it does not."""

    rounds: float
    floats: float
    """Sent and received by a worker, in units of d."""


def reached(curve: Curve, level: float) -> Reached:
    """The first logged round at which the median relative gap is at most `level`.

    Runs that end at their tolerance are as good as there from then on.
    """
    rows = max((run.rounds for run in curve.runs), key=lambda rounds: len(rounds["round"]))
    gaps = np.full((len(curve.runs), len(rows["round"])), math.nan)
    for place, run in enumerate(curve.runs):
        own = run.rounds["relative_gap"]
        gaps[place] = own[-1]
        gaps[place, : len(own)] = own
    found = np.flatnonzero(np.median(gaps, axis=0) <= level)
    if not found.size:
        return Reached(math.nan, math.nan)
    first = found[0]
    floats = rows["floats_up"][first] + rows["floats_down"][first]
    return Reached(float(rows["round"][first]), float(floats) / len(curve.runs[0].x))


def short_name(curve: Curve) -> str:
    """A method in the legend of several problems, without what differs between these."""
    settings = curve.settings
    name, scaling = settings["method.name"], settings["method.scaling"]
    if name == "ist":
        return "IST" if scaling == "unbiased" else f"IST, {scaling}"
    if settings.get("method.alpha", 1.0) != 1.0:
        return "anchored, tight α, m = n"
    return method_name(curve)


def draw_problem(panels: Sequence[Panel], curves: Sequence[Curve], names: Sequence[str]) -> None:
    """One row of panels."""
    problem = problem_name(curves[0])
    for panel, x in zip(panels, ("round", "floats"), strict=True):
        panel.describe(x, "relative_gap", problem, x_scale="log", name=f"{problem}, {x}")
        for place, (curve, name) in enumerate(zip(curves, names, strict=True)):
            across = stacked(curve, x).mean(axis=0)
            gaps = stacked(curve, "relative_gap").mean(axis=0)
            panel.line(name, across, gaps, label=short_name(curve), **look(place))
            if companion(curve.runs[0], ".csv").is_file():
                _draw_exact(panel, curve, x, name)
        panel.axes.set_ylim(bottom=FLOOR)


def _draw_exact(panel: Panel, curve: Curve, x: str, name: str) -> None:
    table = expectation(curve)
    rounds, across = column(curve.runs[0], "round"), stacked(curve, x).mean(axis=0)
    rows = table["round"] <= rounds[len(across) - 1]
    places = np.interp(table["round"][rows], rounds[: len(across)], across)
    panel.line(name, places, table["expected_relative_gap"][rows], kind="exact", zorder=4, **EXACT)


def table_of(problem: str, curves: Sequence[Curve], names: Sequence[str]) -> str:
    """The rounds and floats of every method, in Markdown."""
    words = [f"{level:.0e}".replace("e-0", "e-") for level in LEVELS]
    head = "".join(f" rounds to {word} | floats (d) |" for word in words)
    lines = [f"| {problem} |{head}", "|---|" + "---|---|" * len(LEVELS)]
    for curve, name in zip(curves, names, strict=True):
        cells = ""
        for level in LEVELS:
            found = reached(curve, level)
            both = (f"{found.rounds:.0f}", f"{found.floats:.0f}")
            cells += " | ".join(("", *both)) if math.isfinite(found.rounds) else " | – | –"
        lines.append(f"| {name}{cells} |")
    return "\n".join(lines)


def draw(runs: Sequence[Path], output: Path) -> str:
    """A row of panels for every problem; returns the tables."""
    problems = by_problem(open_curves(runs))
    problems.sort(key=lambda curves: curves[0].settings["problem.kind"] != "synthetic")
    figure = Figure(len(problems), 2, (4.8, 3.3))
    tables = []
    for row, curves in enumerate(problems):
        ordered = sorted(curves, key=_order)
        names = [with_remarks(method_name(curve), curve, seeds=False) for curve in ordered]
        draw_problem(figure.panels[row], ordered, names)
        tables.append(table_of(problem_name(ordered[0]), ordered, names))
    figure.legend_below(figure.panels[0][0], 3)
    figure.save(output)
    seeds = f"{max(len(curve.runs) for curve in problems[0])} seeds"
    return (
        f"The median of {seeds} at its step size; floats are what a worker sends and receives, "
        f"values only, in units of d; – where the run levels off above.\n\n" + "\n\n".join(tables)
    )


def _order(curve: Curve) -> tuple[bool, str]:
    """Those that stop short of the solution first."""
    return not curve.theory("fixed_point_relative_gap") > FLOOR, method_name(curve)


main = main_of("bias_removed.py", __doc__, draw)


if __name__ == "__main__":
    sys.exit(main())
