"""Draw what methods reach for the numbers that they send.

    python analysis/communication.py RUN.h5… -o figure.pdf

A row of panels for every problem: the relative gap against the floats that a worker sends, and
against those that it sends and receives. Several seeds: the median in a band of deciles.
"""

import math
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from command import main_of

from ist_mpi.plots.convergence import draw_curve, draw_predictions
from ist_mpi.plots.curves import Curve, by_problem, is_whole, median, open_curves, stacked
from ist_mpi.plots.drawing import Figure, Panel
from ist_mpi.plots.names import method_name, problem_name, with_remarks
from ist_mpi.plots.words import listed, rounded


def draw_problem(panels: Sequence[Panel], curves: Sequence[Curve]) -> str:
    """One row of panels; returns what it shows."""
    problem = problem_name(curves[0])
    names = [with_remarks(method_name(curve), curve, seeds=False) for curve in curves]
    for panel, x, words in zip(
        panels, ("floats_up", "floats"), ("sent", "sent and received"), strict=True
    ):
        panel.describe(x, "relative_gap", problem, x_scale="log", name=f"{problem}, {words}")
        for place, (curve, name) in enumerate(zip(curves, names, strict=True)):
            draw_curve(panel, curve, x, "relative_gap", name, place)
        draw_predictions(panel, [curve for curve in curves if _biased(curve)], "relative_gap")
        levels = [curve.theory("fixed_point_relative_gap") for curve in curves if _biased(curve)]
        if levels:  # gradient descent goes on for ever
            bottom = max(panel.axes.get_ylim()[0], 1e-3 * min(levels))
            panel.axes.set_ylim(bottom=bottom, top=min(panel.axes.get_ylim()[1], 3.0))
    panels[0].legend(loc="best")
    return finding(problem, curves, names)


def _biased(curve: Curve) -> bool:
    """Whether the method's fixed point is not the solution."""
    return curve.theory("fixed_point_relative_gap") > 1e-12


def floats_to(curve: Curve, level: float) -> float:
    """The floats sent and received until the median gap is at most `level`; nan: never."""
    places = np.flatnonzero(median(curve, "relative_gap") <= level)
    return float(median(curve, "floats")[places[0]]) if places.size else math.nan


def finding(problem: str, curves: Sequence[Curve], names: Sequence[str]) -> str:
    """What the panels show of the runs that have finished, in words."""
    whole = [pair for pair in zip(curves, names, strict=True) if is_whole(pair[0])]
    curves, names = [curve for curve, _ in whole], [name for _, name in whole]
    levels = [curve.theory("fixed_point_relative_gap") for curve in curves if _biased(curve)]
    if not levels:
        return ""
    level = 1.5 * max(levels)
    reached = []
    for curve, name in zip(curves, names, strict=True):
        floats = floats_to(curve, level)
        reached.append(
            f"{name} {rounded(floats)}" if math.isfinite(floats) else f"{name} does not get there"
        )
    ends = [
        f"{name} {rounded(float(np.median(stacked(curve, 'relative_gap')[:, -1])))}"
        for curve, name in zip(curves, names, strict=True)
    ]
    return (
        f"{problem[0].upper()}{problem[1:]}: to a relative gap of {rounded(level)}, one and a half "
        f"times that of IST's fixed point, a worker sends and receives so many floats: "
        f"{listed(reached)}. The last relative gaps are {listed(ends)}."
    )


def draw(runs: Sequence[Path], output: Path) -> str:
    """A row of panels for every problem; returns what they show."""
    problems = by_problem(open_curves(runs))
    problems.sort(key=lambda curves: curves[0].settings["problem.kind"] != "synthetic")
    figure = Figure(len(problems), 2, (4.6, 3.5))
    findings = []
    for row, curves in enumerate(problems):
        ordered = sorted(curves, key=lambda curve: (not _biased(curve), method_name(curve)))
        findings.append(draw_problem(figure.panels[row], ordered))
    figure.save(output)
    return " ".join(filter(None, findings))


main = main_of("communication.py", __doc__, draw)


if __name__ == "__main__":
    sys.exit(main())
