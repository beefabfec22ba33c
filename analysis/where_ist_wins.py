"""Draw where independent subnetwork training needs the fewest floats: interpolation, and early on.

    python analysis/where_ist_wins.py RUN.h5… -o figure.pdf

A row for every problem: the relative gap against the floats that a worker sends and receives, and
the floats to every gap, as multiples of what the cheapest method needs for it. Of several seeds
both are of the median run.
"""

import math
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from bias_removed import reached, short_name
from command import main_of

from ist_mpi.plots.curves import Curve, by_problem, open_curves, stacked
from ist_mpi.plots.drawing import Figure, Panel, look
from ist_mpi.plots.names import problem_name
from ist_mpi.plots.words import rounded

LEVELS = np.logspace(-0.25, -12, 48)
FLOOR = 1e-13


def draw_problem(panels: Sequence[Panel], curves: Sequence[Curve], title: str) -> str:
    """One row of panels; returns what it shows."""
    gaps, costs = panels
    gaps.describe("floats", "relative_gap", title, x_scale="log", name=f"{title}, gaps")
    costs.describe("relative_gap", "floats_over_least", title, x_scale="log", name=title)
    names = [short_name(curve) for curve in curves]
    floats = np.array([[reached(curve, level).floats for level in LEVELS] for curve in curves])
    floats[floats == 0] = math.nan  # at round 0 nothing has been sent
    least = np.nanmin(np.where(np.isfinite(floats), floats, math.inf), axis=0)
    least[~np.isfinite(least)] = math.nan
    for place, (curve, name) in enumerate(zip(curves, names, strict=True)):
        median = np.median(stacked(curve, "relative_gap"), axis=0)
        gaps.line(name, stacked(curve, "floats").mean(axis=0), median, label=name, **look(place))
        costs.line(name, LEVELS, floats[place] / least, label=name, **look(place))
    gaps.axes.set_ylim(bottom=FLOOR)
    costs.axes.invert_xaxis()
    costs.axes.set_ylim(0.9, 60.0)
    return finding(title, names, floats)


def finding(title: str, names: Sequence[str], floats: np.ndarray) -> str:
    """Down to which gap which method is the cheapest, in words."""
    known = np.isfinite(floats).any(axis=0)
    first = np.nanargmin(np.where(np.isfinite(floats), floats, math.inf), axis=0)
    words, place = [], 0
    chosen = np.flatnonzero(known)
    while place < len(chosen):
        best = first[chosen[place]]
        last = place
        while last + 1 < len(chosen) and first[chosen[last + 1]] == best:
            last += 1
        words.append(f"{names[best]} down to {rounded(float(LEVELS[chosen[last]]))}")
        place = last + 1
    return f"{title[0].upper()}{title[1:]}: the cheapest in floats is {', then '.join(words)}."


def draw(runs: Sequence[Path], output: Path) -> str:
    """A row for every problem; returns what they show."""
    problems = by_problem(open_curves(runs))
    figure = Figure(len(problems), 2, (4.8, 3.3))
    findings = []
    for row, curves in enumerate(problems):
        title = problem_name(curves[0])
        if curves[0].settings.get("problem.linear_term") is False:
            title += ", interpolation"
        ordered = sorted(curves, key=short_name)
        findings.append(draw_problem(figure.panels[row], ordered, title))
    figure.legend_below(figure.panels[0][0], 4)
    figure.save(output)
    return " ".join(findings)


main = main_of("where_ist_wins.py", __doc__, draw)


if __name__ == "__main__":
    sys.exit(main())
