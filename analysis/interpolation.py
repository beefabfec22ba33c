"""Draw how runs without a linear term reach the solution, below the bound (16).

    python analysis/interpolation.py RUN.h5… -o figure.pdf

A panel for every problem and scaling of the sketch; the bound is drawn where the log's theory has
its factor and the step size is at most 1/θ.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from command import main_of

from ist_mpi.plots.curves import Curve, column, mean_and_error, open_curves, require_rows, stacked
from ist_mpi.plots.drawing import COLOURS, MARKERS, Figure, Panel, look
from ist_mpi.plots.names import method_name, problem_name
from ist_mpi.plots.words import rounded, shown

FLOOR = 1e-32
"""Where the vertical axis ends."""
AT_ONCE = 1e-28
"""A gap that is the square of a rounding error, relative to the start."""


def by_method(curves: Sequence[Curve]) -> list[list[Curve]]:
    """The curves of each problem and method, whatever the step size, in order of appearance."""
    groups: dict[str, list[Curve]] = {}
    for curve in curves:
        key = repr([curve.settings["problem.kind"], problem_name(curve), method_name(curve)])
        groups.setdefault(key, []).append(curve)
    return list(groups.values())


def draw_group(panel: Panel, curves: Sequence[Curve]) -> str:
    """One panel; returns what it shows."""
    method, problem = method_name(curves[0]), problem_name(curves[0])
    panel.describe("round", "squared_distance", f"{method}\n{problem}", name=method)
    covered, ratios, at_once = 0, [], []
    for place, curve in enumerate(curves):
        gamma = float(curve.settings["method.step_size"])
        name = f"$\\gamma$ = {rounded(gamma, 3)}"
        mean, error = mean_and_error(stacked(curve, "relative_gap"))
        rounds = column(curve.runs[0], "round")[: len(mean)]
        mean = np.where(mean >= FLOOR, mean, np.nan)
        band = (mean - 2 * error, mean + 2 * error) if len(curve.runs) > 1 else None
        style = look(place) | {"marker": MARKERS[place], "markersize": 4.0}
        style["markevery"] = (0, max(1, len(rounds) // 10))
        panel.line(name, rounds, mean, label=name, band=band, **style)
        if mean[1] <= AT_ONCE and rounds[1] == 1:
            at_once.append(f"At γ = {shown(gamma)} one round leaves {rounded(float(mean[1]))}.")
        if not gamma <= curve.theory("step_size_limit") * (1 + 1e-9):
            continue
        bound = max(0.0, curve.theory("contraction")) ** rounds
        label = "bound (16)" if covered == 0 else None
        panel.line(
            *(name, rounds, np.where(bound >= FLOOR, bound, np.nan)),
            kind="bound",
            label=label,
            color=COLOURS[place % len(COLOURS)],
            linewidth=0.9,
            linestyle=(0, (6, 4)),
        )
        covered += 1
        judged = (rounds > 0) & (bound >= FLOOR) & (mean >= FLOOR)
        ratios += list(mean[judged] / bound[judged])
    panel.axes.set_ylim(bottom=FLOOR, top=30)
    panel.legend(loc="best")
    words = f"{method} ({problem}): "
    if ratios:
        worst = max(ratios)
        position = "below" if worst <= 1 else "not everywhere below"
        words += (
            f"the mean of the runs is {position} the bound (16), at most {rounded(worst)} of it "
            f"after round 0, at {covered} step sizes up to 1/θ."
        )
    else:
        words += "the bound (16) covers none of the step sizes."
    return " ".join([words, *at_once])


def draw(runs: Sequence[Path], output: Path) -> str:
    """A panel for every group; returns what they show."""
    curves = open_curves(runs)
    require_rows(curves)
    groups = by_method(curves)
    figure = Figure(1, len(groups), (4.4, 4.0))
    findings = [
        draw_group(panel, curves) for panel, curves in zip(figure.panels[0], groups, strict=True)
    ]
    figure.save(output)
    return " ".join(findings)


main = main_of("interpolation.py", __doc__, draw)


if __name__ == "__main__":
    sys.exit(main())
