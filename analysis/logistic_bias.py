"""Draw the bias of submodel training on logistic regression, beside methods without it.

    python analysis/logistic_bias.py RUN.h5… -o figure.pdf

A row for every data set: the gap against floats, the median of the seeds, dotted where theory puts
the limit for small step sizes; the gap of that limit, the minimiser x∞ of what submodels minimise,
along the regularisation; and its norm beside that of x*. Logs of one round are those of the last
two panels.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from bias_removed import short_name
from command import main_of

from ist_mpi.plots.curves import Curve, diverged, open_curves, require_kind, stacked
from ist_mpi.plots.drawing import EXACT, Figure, Panel, look
from ist_mpi.plots.names import problem_name
from ist_mpi.plots.words import rounded

FLOOR = 1e-12


def is_biased(curve: Curve) -> bool:
    """Whether the limit is not x*."""
    return bool(curve.theory("fixed_point_gap_over_zero") > 0.0)


def draw_gaps(panel: Panel, curves: Sequence[Curve], title: str) -> None:
    """Gaps against floats."""
    panel.describe("floats", "relative_gap", title, x_scale="log", name=f"{title}, gaps")
    for place, curve in enumerate(curves):
        name = short_name(curve)
        median = np.median(stacked(curve, "relative_gap"), axis=0)
        across = stacked(curve, "floats").mean(axis=0)
        panel.line(name, across, median, label=name, **look(place))
        if is_biased(curve):
            level = curve.theory("fixed_point_relative_gap")
            panel.across(name, y=level, **EXACT)
    panel.axes.set_ylim(bottom=FLOOR)


def draw_along(panels: Sequence[Panel], curves: Sequence[Curve], title: str) -> None:
    """x∞ along the regularisation: its gap, and its norm beside that of x*."""
    gaps, norms = panels
    gaps.describe("l2", "fixed_point_gap_over_zero", title, x_scale="log", name=f"{title}, x∞")
    norms.describe("l2", "norm", title, x_scale="log", name=f"{title}, norms")
    for place, name in enumerate(sorted({short_name(curve) for curve in curves})):
        own = sorted((one for one in curves if short_name(one) == name), key=lambda one: _l2(one))
        across = [_l2(curve) for curve in own]
        gaps.line(
            name, across, [one.theory("fixed_point_gap_over_zero") for one in own], **look(place)
        )
        norms.line(f"x∞, {name}", across, [_norm(one, "fixed_point") for one in own], **look(place))
        if place == 0:
            solution = [_norm(one, "x_star") for one in own]
            norms.line("x*", across, solution, label="$x^*$", color="black", linestyle=":")
    norms.legend()


def _l2(curve: Curve) -> float:
    return float(curve.settings["problem.l2"])


def _norm(curve: Curve, name: str) -> float:
    return float(np.linalg.norm(curve.runs[0].theory[name]))


def finding(title: str, curves: Sequence[Curve]) -> str:
    """Where biased methods level off, and what theory says of it, in words."""
    words = []
    converged = [curve for curve in curves if not diverged(curve)]
    for curve in filter(is_biased, converged):
        gaps = stacked(curve, "relative_gap")
        level = float(gaps[:, -max(1, gaps.shape[1] // 5) :].mean())
        said = rounded(curve.theory("fixed_point_relative_gap"))
        words.append(f"{short_name(curve)} levels off at {rounded(level)} (x∞: {said})")
    if not converged:
        return f"{title}: all runs diverged."
    best = min(float(np.median(stacked(curve, "relative_gap")[:, -1])) for curve in converged)
    return f"{title}: {', '.join(words)}; methods without bias go on to {rounded(best)}."


def draw(runs: Sequence[Path], output: Path) -> str:
    """A row for every data set; returns what they show."""
    curves = open_curves(runs)
    require_kind(curves, "logistic")
    if not any(one.settings["run.rounds"] > 1 for one in curves):
        raise ValueError("runs of one round alone: no gaps to draw")
    titles = sorted({problem_name(curve) for curve in curves})
    figure = Figure(len(titles), 3, (4.4, 3.3))
    findings = []
    for row, title in zip(figure.panels, titles, strict=True):
        own = [curve for curve in curves if problem_name(curve) == title]
        long = sorted((one for one in own if one.settings["run.rounds"] > 1), key=short_name)
        draw_gaps(row[0], long, title)
        draw_along(row[1:], [one for one in own if one.settings["run.rounds"] == 1], title)
        findings.append(finding(title, long))
    figure.legend_below(figure.panels[0][0], 4)
    figure.save(output)
    return " ".join(findings)


main = main_of("logistic_bias.py", __doc__, draw)


if __name__ == "__main__":
    sys.exit(main())
