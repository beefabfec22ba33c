"""Draw what more local steps do: the relative gap against rounds and against floats.

    python analysis/local_steps.py RUN.h5… -o figure.pdf

A row of panels for every problem. Several seeds: the median in a band of deciles.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from command import main_of

from ist_mpi.plots.convergence import draw_curve
from ist_mpi.plots.curves import Curve, by_problem, column, is_whole, open_curves, stacked
from ist_mpi.plots.drawing import SMALLEST, Figure, Panel
from ist_mpi.plots.names import method_name, problem_name, with_remarks
from ist_mpi.plots.words import listed, rounded

NEAR = 1.1
"""A curve has arrived where it is below this times the level at which it ends."""


def name_of(curve: Curve) -> str:
    """IST by its local steps, other methods by their name."""
    if curve.settings["method.name"] != "ist":
        return method_name(curve)
    steps = curve.settings["method.local_steps"]
    return f"{steps} local step{'s' if steps > 1 else ''}"


def draw_problem(panels: Sequence[Panel], curves: Sequence[Curve]) -> str:
    """One row of panels; returns what it shows."""
    problem = problem_name(curves[0])
    for panel, x in zip(panels, ("round", "floats"), strict=True):
        scale = "rounds" if x == "round" else "log"
        panel.describe(x, "relative_gap", problem, x_scale=scale, name=f"{problem}, {x}")
        for place, curve in enumerate(curves):
            name = with_remarks(name_of(curve), curve, seeds=False)
            draw_curve(panel, curve, x, "relative_gap", name, place)
    ends, speeds, levels = [], [], []
    for curve in filter(is_whole, curves):
        median = np.median(stacked(curve, "relative_gap"), axis=0)
        level = float(np.median(median[-max(1, len(median) // 5) :]))
        rounds = column(curve.runs[0], "round")
        first = rounds[np.flatnonzero(median <= NEAR * level)[0]]
        if curve.settings["method.name"] == "ist":
            levels.append(level)
            ends.append(f"{rounded(level, 3)} with {name_of(curve)}")
            speeds.append(f"{first:.0f}")
    if any(map(is_whole, curves)):
        lowest = min((level for level in levels if level >= SMALLEST), default=1e-16)
        for panel in panels:
            panel.axes.set_ylim(bottom=0.7 * lowest, top=1.5)
    if not levels:
        return ""
    return (
        f"{problem[0].upper()}{problem[1:]}: the relative gap levels off at {listed(ends)}; "
        f"to within {rounded(100 * (NEAR - 1))} % of that it takes {listed(speeds)} rounds."
    )


def draw(runs: Sequence[Path], output: Path) -> str:
    """A row of panels for every problem; returns what they show."""
    problems = by_problem(open_curves(runs))
    figure = Figure(len(problems), 2, (4.6, 3.4))
    findings = []
    for row, curves in enumerate(problems):

        def order(curve: Curve) -> tuple[bool, int]:
            return curve.settings["method.name"] != "ist", curve.settings["method.local_steps"]

        findings.append(draw_problem(figure.panels[row], sorted(curves, key=order)))
    figure.legend_below(figure.panels[0][0], columns=6)
    figure.save(output)
    return " ".join(filter(None, findings))


main = main_of("local_steps.py", __doc__, draw)


if __name__ == "__main__":
    sys.exit(main())
