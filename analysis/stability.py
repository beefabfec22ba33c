"""Draw how fast the exact second moment shrinks or grows over step sizes, beside single runs.

    python analysis/stability.py RUN.h5… -o figure.pdf

A panel for every method: the exact factor of E‖x^k − x*‖² a round, from the theory in the logs, and
the factor of the gap a round in every run, over the step size as a multiple of γ_max.
"""

import math
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from bias_removed import short_name
from command import main_of

from ist_mpi.plots.curves import Curve, open_curves
from ist_mpi.plots.drawing import COLOURS, EXACT, Figure, Panel, listed
from ist_mpi.store.log import Run

SEEN = (0.0, 1.6)
"""Of the factors."""


def factor(run: Run) -> float:
    """The mean factor of the gap a round, up to where it is rounding or no number any more."""
    gap, rounds = run.rounds["relative_gap"], run.rounds["round"]
    good = np.isfinite(gap) & (gap > 1e-24) & (gap < 1e200)
    last = int(np.flatnonzero(good)[-1])
    if last == 0:
        return math.nan
    return float(gap[last] ** (1.0 / rounds[last]))


def draw_method(panel: Panel, name: str, curves: Sequence[Curve]) -> str:
    """One panel; returns what it shows."""
    panel.describe("step_over_limit", "factor", name, y_scale="linear")
    limit = curves[0].theory("stable_step_size_limit")
    steps = np.array([curve.settings["method.step_size"] / limit for curve in curves])
    exact = np.array([curve.theory("rate") for curve in curves])
    panel.line(name, steps, exact, kind="exact", label="exact second moment", **EXACT)
    largest = {"all": 0.0, "some": 0.0}
    for place, curve in enumerate(curves):
        found = np.array([factor(run) for run in curve.runs])
        panel.points(
            name,
            np.full(len(found), steps[place]),
            found,
            label="single runs" if place == 0 else None,
            color=COLOURS[0],
            marker="o",
            markersize=3.0,
            alpha=0.6,
        )
        for who, shrink in (("all", np.all), ("some", np.any)):
            if shrink(found < 1):
                largest[who] = max(largest[who], steps[place])
    panel.across("γ_max", x=1.0, kind="exact", color="0.4", linewidth=0.8)
    panel.across("1", y=1.0, kind="exact", color="0.4", linewidth=0.8)
    panel.axes.set_ylim(max(SEEN[0], 0.95 * np.nanmin(exact) - 0.1), min(SEEN[1], 1.3))
    return f"{name} {largest['all']:.3g} ({largest['some']:.3g})"


def draw(runs: Sequence[Path], output: Path) -> str:
    """A panel for every method; returns what they show."""
    methods: dict[str, list[Curve]] = defaultdict(list)
    for curve in open_curves(runs):
        if not math.isfinite(curve.theory("rate")):
            raise ValueError(f"{curve.runs[0].path}: expected the rate of the second moment")
        methods[short_name(curve)].append(curve)
    columns = min(3, len(methods))
    figure = Figure(-(-len(methods) // columns), columns, (3.6, 2.9))
    panels = [panel for row in figure.panels for panel in row]
    found = [
        draw_method(panel, name, curves)
        for panel, (name, curves) in zip(panels, methods.items(), strict=False)
    ]
    for panel in panels[len(methods) :]:
        panel.axes.set_axis_off()
    panels[0].legend(loc="upper left")
    figure.save(output)
    return (
        "γ_max is the limit of the second moment: beyond it E‖x^k − x*‖² grows, by ever rarer runs "
        "that grow ever more, while a single run may well converge. Of the step sizes tried, the "
        "largest at which all runs shrink (and at which one does), as multiples of γ_max: "
        f"{listed(found)}."
    )


main = main_of("stability.py", __doc__, draw)


if __name__ == "__main__":
    sys.exit(main())
