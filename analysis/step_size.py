"""Draw, against the step size, the rounds to the neighbourhood and the neighbourhood's size.

    python analysis/step_size.py RUN.h5… -o figure.pdf

The neighbourhood is reached in the first logged round with at most twice the exact limit of
E f(x^k) − f*; its size is the mean gap over the last half of the rounds. The exact rounds come
from NAME.csv beside NAME.h5 (`ist-mpi theory CONFIG --rounds K --csv NAME.csv`), where it is there;
the exact limits from the logs.
"""

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from command import main_of

from ist_mpi.plots.curves import (
    Curve,
    Float64,
    column,
    companion,
    diverged,
    expectation,
    open_curves,
    require_rows,
    stacked,
    tail,
)
from ist_mpi.plots.drawing import COLOURS, PREDICTED_LEVEL, Figure, Panel
from ist_mpi.plots.names import problem_name
from ist_mpi.plots.words import rounded

FACTOR = 2.0
"""The neighbourhood ends at this times its limit."""


class Reach(NamedTuple):
    """What one step size led to."""

    step_size: float
    rounds: Float64
    """Of every run; nan where it did not get there."""
    exact_rounds: float
    level: float
    level_error: float
    exact_level: float
    diverged: bool


def first_below(rounds: Float64, values: Float64, level: float) -> float:
    """The first round with a value of at most `level`; nan if there is none."""
    places = np.flatnonzero(values <= level)
    return float(rounds[places[0]]) if places.size else math.nan


def reach(curve: Curve) -> Reach:
    """Measure one step size and look its theory up."""
    gamma, limit = float(curve.settings["method.step_size"]), curve.theory("limit_relative_gap")
    if diverged(curve) or not math.isfinite(limit):
        nothing = np.full(len(curve.runs), math.nan)
        return Reach(gamma, nothing, math.nan, math.nan, math.nan, math.nan, True)
    gaps = stacked(curve, "relative_gap")
    rounds = column(curve.runs[0], "round")[: gaps.shape[1]]
    require_rows([curve], finished=True)
    exact_rounds = math.nan
    if companion(curve.runs[0], ".csv").is_file():
        table = expectation(curve)
        exact_rounds = first_below(table["round"], table["expected_relative_gap"], FACTOR * limit)
    ends = tail(curve, "relative_gap")
    error = float(ends.std(ddof=1) / math.sqrt(len(ends))) if len(ends) > 1 else 0.0
    return Reach(
        gamma,
        np.array([first_below(rounds, row, FACTOR * limit) for row in gaps]),
        exact_rounds,
        *(float(ends.mean()), error, limit),
        diverged=False,
    )


def draw_limits(panel: Panel, curve: Curve, named: bool) -> None:
    """The step sizes that theory knows."""
    for name, label, colour, style in (
        ("step_size_limit", "$1/\\theta$", "0.4", ":"),
        ("stable_step_size_limit", "$\\gamma_{\\mathrm{max}}$", "0.15", "-."),
    ):
        limit = curve.theory(name)
        if math.isfinite(limit):
            look: dict[str, Any] = {"color": colour, "linestyle": style, "linewidth": 1.0}
            panel.across(name, x=limit, label=label if named else None, **look)


def draw(runs: Sequence[Path], output: Path) -> str:
    """Both panels; returns what they show."""
    curves = open_curves(runs)
    reached = [reach(curve) for curve in curves]
    converged = [one for one in reached if not one.diverged]
    walls = [one for one in reached if one.diverged]
    if len(converged) < 2:
        raise ValueError(f"{len(converged)} step sizes at which runs converge; expected several")
    if not all(one.exact_level > 0 for one in converged):
        raise ValueError("limits of 0: the runs converge to the solution, there is no size to draw")
    if not any(np.isfinite(np.median(one.rounds)) for one in converged):
        raise ValueError("no run came to its neighbourhood: nothing to draw; run more rounds")
    figure = Figure(1, 2, (4.6, 3.7))
    left, right = figure.panels[0]
    left.describe("step_size", "rounds_needed", problem_name(curves[0]), "log", name="rounds")
    right.describe("step_size", "neighbourhood", "size of the neighbourhood", "log", name="size")
    steps = [one.step_size for one in converged]
    exact: dict[str, Any] = {"color": "black", "linewidth": 1.1, "linestyle": (0, (1, 1.6))}
    measured: dict[str, Any] = {"color": COLOURS[0], "marker": "o"}

    rounds = np.array([np.quantile(one.rounds, [0.1, 0.5, 0.9]) for one in converged]).T
    label = f"measured, median of {len(converged[0].rounds)} runs"
    left.points("measured", steps, rounds[1], bars=(rounds[0], rounds[2]), label=label, **measured)
    exact_rounds = np.array([one.exact_rounds for one in converged])
    if np.isfinite(exact_rounds).any():
        label = "exact, for $E f(x^k)$"
        left.line("exact", steps, exact_rounds, kind="exact", label=label, **exact)
    levels = np.array([one.level for one in converged])
    bars = 2 * np.array([one.level_error for one in converged])
    limits = np.array([one.exact_level for one in converged])
    label = "measured ± 2 standard errors"
    right.points(
        "measured", steps, levels, bars=(levels - bars, levels + bars), label=label, **measured
    )
    right.line("exact", steps, limits, kind="exact", label="exact limit of $E f(x^k)$", **exact)
    for one in walls:
        wall: dict[str, Any] = {"color": COLOURS[1], "linewidth": 1.4, "linestyle": (0, (5, 1))}
        for panel in (left, right):
            panel.across("diverged", x=one.step_size, kind="measured", label="diverged", **wall)
    level = curves[0].theory("fixed_point_relative_gap")
    right.across("fixed point", y=level, label="fixed point $x^\\infty$", **PREDICTED_LEVEL)
    for panel in (left, right):
        draw_limits(panel, curves[0], named=panel is left)
        panel.legend(loc="best")
    figure.save(output)

    best = int(np.nanargmin(rounds[1]))
    words = (
        f"From γ = {rounded(steps[0])} to {rounded(steps[-1])} the rounds to the neighbourhood "
        f"fall from {rounds[1][0]:.0f} to {rounds[1][best]:.0f} at γ = {rounded(steps[best])}"
        f"{_in_words(exact_rounds[[0, best]])}, and its size grows "
        f"from {rounded(levels[0], 3)} to {rounded(levels[-1], 3)} (exact {rounded(limits[0], 3)} "
        f"and {rounded(limits[-1], 3)}); the measured sizes differ from the exact ones by at most "
        f"{rounded(100 * float(np.abs(levels / limits - 1).max()))} %."
    )
    if walls:
        words += (
            f" Above the stability limit {rounded(curves[0].theory('stable_step_size_limit'), 3)},"
            f" at γ = {rounded(walls[0].step_size, 3)}, the runs diverge."
        )
    return words


def _in_words(exact: Float64) -> str:
    """The exact rounds beside the measured ones, where they are known."""
    return f" (exact {exact[0]:.0f} and {exact[1]:.0f})" if np.isfinite(exact).all() else ""


main = main_of("step_size.py", __doc__, draw)


if __name__ == "__main__":
    sys.exit(main())
