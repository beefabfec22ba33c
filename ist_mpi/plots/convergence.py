"""Draw how runs converge: any column of run logs against rounds, floats or time.

Runs that differ in nothing but the run seed are drawn as one curve, their median, in a band from
the lower to the upper decile. Curves are named by the settings in which they differ. A run that
diverged is drawn as far as it is finite and marked in the legend, as is one that has not finished;
beside others it leaves through the top. The gap of the predicted fixed point is a dashed line, in
the curve's colour where the curves' differ. With --theory, the exact expectation is dotted on top
of each curve NAME.h5; it is read from NAME.csv, which
`ist-mpi theory CONFIG --rounds K --csv NAME.csv` makes.
"""

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ist_mpi.errors import Fault, InputError
from ist_mpi.plots.curves import (
    Curve,
    column,
    companion,
    diverged,
    expectation,
    median,
    open_curves,
    scale_of,
    stacked,
)
from ist_mpi.plots.drawing import (
    COLOURS,
    EXACT,
    LARGEST,
    PREDICTED_LEVEL,
    SMALLEST,
    Figure,
    Panel,
    look,
)
from ist_mpi.plots.legends import darker
from ist_mpi.plots.names import names_of, words_of
from ist_mpi.plots.outcome import GROWN
from ist_mpi.plots.words import listed

LOGGER = logging.getLogger(__name__)
X_AXES = ("round", "floats", "floats_up", "seconds")
Y_AXES = (
    "gap",
    "relative_gap",
    "distance_to_solution",
    "distance_to_fixed_point",
    "gradient_norm_squared",
    "gradient_norm_squared_w",
    "value",
    "submodel_gap",
    "train_loss",
    "train_accuracy",
    "test_loss",
    "test_accuracy",
)
SHARES = ("train_accuracy", "test_accuracy")
"""Of those, what is no more than 1 and nears it."""
SHOWN = ("relative_gap", "gap", "train_loss", "value")
"""What is shown of a run, unless it is said: the first of these that it has."""
PREDICTED = {"gap": "fixed_point_gap", "relative_gap": "fixed_point_relative_gap"}
EXPECTED = {
    "gap": ("expected_gap", "mean_iterate_gap"),
    "relative_gap": ("expected_relative_gap", "mean_iterate_relative_gap"),
}
"""The columns of exact theory, the better one first; it is empty where it was too costly."""
ROOM = 1e3, 0.5
"""Above and below the other curves, as factors, where curves that diverge leave the panel."""
EXACT_NAMES = {"expected": "exact $E f(x^k)$", "mean": "exact $f(E\\,x^k)$"}


def draw_curve(
    panel: Panel,
    curve: Curve,
    x: str,
    y: str,
    name: str,
    place: int,
    colour: Any = None,
) -> None:
    """One run as a line; several seeds as their median in a band of deciles.

    `colour`: of a scale, which then takes the place of a name in the legend.
    """
    values = stacked(curve, y)
    band = None
    if len(values) > 1:
        with np.errstate(invalid="ignore"):  # between infinities
            low, high = np.quantile(values, [0.1, 0.9], axis=0)
        band = (low, high)
    how = look(place) if colour is None else {"color": colour}
    label = name if colour is None else None
    panel.line(name, median(curve, x), np.median(values, axis=0), label=label, band=band, **how)


def draw_predictions(
    panel: Panel, curves: Sequence[Curve], y: str, colours: Sequence[Any] = COLOURS
) -> None:
    """The fixed point's gap, dashed: once if all curves share it, else once for each."""
    if y not in PREDICTED:
        return
    levels = [curve.theory(PREDICTED[y]) for curve in curves]
    defined = [level for level in levels if level > 0]
    name = "predicted $x^\\infty$"
    if defined and np.allclose(defined, defined[0], rtol=1e-6):
        panel.across(name, y=defined[0], label=name, zorder=3, **PREDICTED_LEVEL)
        return
    label: str | None = f"{name}, each curve's"
    for place, level in enumerate(levels):
        if level > 0:
            colour = colours[place % len(colours)]
            panel.across(name, y=level, label=label, color=colour, dashes=(6, 4), linewidth=0.8)
            label = None


def draw_expectation(
    panel: Panel, curve: Curve, x: str, y: str, name: str, label: bool, colour: Any = "black"
) -> None:
    """The exact expectation, dotted on top, as far as the curve goes."""
    if y not in EXPECTED or x == "seconds":
        raise ValueError("--theory goes with --y gap or relative_gap, and not with --x seconds")
    table = expectation(curve)
    chosen = next((key for key in EXPECTED[y] if np.isfinite(table.get(key, np.nan)).any()), "")
    if not chosen:
        path, names = companion(curve.runs[0], ".csv"), listed(EXPECTED[y])
        raise InputError(Fault(str(path), f"no number in {names}", f"what --y {y} is beside"))
    rounds = median(curve, "round")
    rows = table["round"] <= rounds[-1]
    across = np.interp(table["round"], rounds, median(curve, x))
    words = EXACT_NAMES[chosen.partition("_")[0]]
    panel.line(
        *(name, across[rows], table[chosen][rows]),
        kind="exact",
        label=words if label else None,
        zorder=4,
        **{**EXACT, "color": colour},
    )


def expected(curves: Sequence[Curve], place: int, colours: Sequence[Any] = COLOURS) -> Any:
    """The colour of what is expected of a curve: of several, each has a shade of its own."""
    return "black" if len(curves) == 1 else darker(colours[place % len(colours)])


def draw_curves(
    panel: Panel, curves: Sequence[Curve], x: str, y: str, names: Sequence[str], theory: bool
) -> None:
    """Everything: the curves, the exact expectation on top, the fixed point."""
    scale = scale_of(curves)
    colours: Sequence[Any] = COLOURS
    if scale is not None:
        colours = panel.colour_scale(words_of(scale[0]), scale[1])
    for place, (curve, name) in enumerate(zip(curves, names, strict=True)):
        draw_curve(panel, curve, x, y, name, place, colours[place] if scale else None)
    for place, (curve, name) in enumerate(zip(curves, names, strict=True)):
        if theory:
            draw_expectation(
                *(panel, curve, x, y, name),
                label=place == 0,
                colour=expected(curves, place, colours),
            )
    draw_predictions(panel, curves, y, colours)
    keep_in_view(panel, [curve for curve in curves if not leaves(curve, y)], len(curves), y)


def leaves(curve: Curve, y: str) -> bool:
    """Whether a curve goes out of sight of others: it diverged, or is about to."""
    values = stacked(curve, y)
    first, last = values[:, 0], values[:, -1]
    grown = (first > 0.0) & (last > GROWN * first)
    overflowed = ~np.isnan(first) & ~np.isfinite(last)
    return diverged(curve) or bool((grown | overflowed).any())


def keep_in_view(panel: Panel, others: Sequence[Curve], count: int, y: str) -> None:
    """Beside curves that diverge, the axis is for the others and their fixed points."""
    if not 0 < len(others) < count:
        return
    found = np.concatenate([stacked(curve, y).ravel() for curve in others])
    levels = [curve.theory(PREDICTED[y]) for curve in others] if y in PREDICTED else []
    seen = np.array([value for value in (*found, *levels) if SMALLEST <= value <= LARGEST])
    if seen.size:
        panel.axes.set_ylim(bottom=ROOM[1] * seen.min(), top=ROOM[0] * seen.max())


def draw(
    runs: Sequence[Path],
    x: str,
    y: str | None,
    title: str,
    theory: bool,
    output: Path,
    log_x: bool = False,
    beside: bool = True,
    force: bool = False,
) -> str:
    """Draw the runs on one panel; returns what its lines are, in words.

    `y`: a column; None: the first of `SHOWN` that all have. `beside` and `force`: as `saving.save`
    has them.
    """
    curves = open_curves(runs, bulk=False)
    LOGGER.info("drawing")
    where = "plot" if y is None else f"--y {y}"
    if y is None:
        y = next((name for name in SHOWN if all(_has(curve, name) for curve in curves)), SHOWN[0])
    figure = Figure()
    panel = figure.panels[0][0]
    x_scale = ("rounds" if x == "round" else "log") if log_x else "linear"
    panel.describe(x, y, title, x_scale, "linear" if y in SHARES else "log")
    draw_curves(panel, curves, x, y, names_of(curves), theory)
    if not any(row.kind == "measured" and math.isfinite(row.y) for row in figure.rows):
        others = [name for name in Y_AXES if all(_has(curve, name) for curve in curves)]
        kind = "number" if y in SHARES else "number above 0"
        expected = f"what the logs have: {listed(others) or 'nothing'}"
        raise InputError(Fault(where, f"no {kind}", expected))
    panel.label_ends()
    panel.legend()
    tables = [companion(curve.runs[0], ".csv") for curve in curves] if theory else []
    figure.save(output, beside, force, [*runs, *tables])
    return caption(curves, y, theory)


def _has(curve: Curve, y: str) -> bool:
    """Whether all runs of a curve have numbers in a column, not all of them 0."""
    columns = [column(run, y) for run in curve.runs if y in run.rounds]
    numbers = [(np.isfinite(values) & (values != 0.0)).any() for values in columns]
    return len(columns) == len(curve.runs) and all(numbers)


def caption(curves: Sequence[Curve], y: str, theory: bool) -> str:
    """What the lines are."""
    most = max(len(curve.runs) for curve in curves)
    words = "Lines: what was measured."
    if most > 1:
        words = f"Lines: medians of up to {most} runs, in bands from the lower to the upper decile."
    if theory:
        words += " Dotted: exact expectations."
    if y in PREDICTED and any(curve.theory(PREDICTED[y]) > 0 for curve in curves):
        words += " Dashed: x∞, where theory sees the mean iterate go; the variance stays above it."
    return words
