"""Draw measured gaps with their exact expectation on top, and the limits at close range.

    python analysis/expectation.py RUN.h5… -o figure.pdf

Beside each log NAME.h5 lies NAME.csv, which `ist-mpi theory CONFIG --rounds K --csv NAME.csv` made.
It has the exact E f(x^k), or where that was too costly f(E x^k), which is dotted; the first rounds
of E f(x^k) may then be in NAME-full.csv and are drawn as crosses (`--full`, and few rounds).
Several seeds of one configuration are drawn as their mean. On the left the gaps. On the right,
where there are several seeds of all and exact expectations of f(x^k): their quotient, with two
standard errors; else the gaps in units of the fixed point's, with the exact limits of E f(x^k)
(from the log, else from NAME.json, made by `ist-mpi theory CONFIG --full --json`).
"""

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from command import finish, parser_of

from ist_mpi.plots.convergence import draw_expectation, draw_predictions, expected
from ist_mpi.plots.curves import (
    Curve,
    Float64,
    column,
    companion,
    expectation,
    mean_and_error,
    open_curves,
    read_expectation,
    require_rows,
    stacked,
    tail,
)
from ist_mpi.plots.drawing import COLOURS, SMALLEST, Figure, Panel, look
from ist_mpi.plots.names import names_of
from ist_mpi.plots.words import listed, rounded, shown

SETTLED = 1.01
"""A curve has settled where the mean iterate's gap is below this times the fixed point's."""


def draw_means(panel: Panel, curves: Sequence[Curve], names: Sequence[str]) -> None:
    """The mean of each curve's runs in a band of two standard errors, theory on top."""
    for place, (curve, name) in enumerate(zip(curves, names, strict=True)):
        mean, error = mean_and_error(stacked(curve, "relative_gap"))
        rounds = column(curve.runs[0], "round")[: len(mean)]
        band = (mean - 2 * error, mean + 2 * error) if len(curve.runs) > 1 else None
        panel.line(name, rounds, mean, label=name, band=band, **look(place))
    for place, (curve, name) in enumerate(zip(curves, names, strict=True)):
        colour = expected(curves, place)
        draw_expectation(panel, curve, "round", "relative_gap", name, place == 0, colour)
    first = True
    for place, (curve, name) in enumerate(zip(curves, names, strict=True)):
        path = companion(curve.runs[0], "-full.csv")
        if path.is_file():
            table = read_expectation(path)
            panel.points(
                *(name, table["round"], table["expected_relative_gap"]),
                kind="exact",
                label="exact $E f(x^k)$" if first else None,
                color=expected(curves, place),
                marker="+",
                markersize=5.0,
                zorder=5,
            )
            first = False
    draw_predictions(panel, curves, "relative_gap")


def exact_limit(curve: Curve) -> float:
    """The exact relative gap of E f(x^k) as k → ∞; nan where nobody computed it."""
    limit = curve.theory("limit_relative_gap")
    path = companion(curve.runs[0], ".json")
    if math.isnan(limit) and path.is_file():
        limit = json.loads(path.read_text(encoding="utf-8")).get("limit_relative_gap")
    return math.nan if limit is None else float(limit)


def draw_limits(panel: Panel, curves: Sequence[Curve], names: Sequence[str]) -> str:
    """Where the curves level off, in units of the fixed point's gap; returns it in words."""
    title = "where they level off (higher is cut)"
    panel.describe("round", "gap_over_fixed_point", title, x_scale="log")
    unit = curves[0].theory("fixed_point_relative_gap")
    tops, words, named = [1.0], [], False
    for place, (curve, name) in enumerate(zip(curves, names, strict=True)):
        own = curve.theory("fixed_point_relative_gap")
        mean, _ = mean_and_error(stacked(curve, "relative_gap"))
        rounds = column(curve.runs[0], "round")[: len(mean)]
        panel.line(name, rounds, mean / own, **{**look(place), "linewidth": 1.0})
        limit = exact_limit(curve)
        if math.isfinite(limit):
            first = None if named else "exact limit of $E f(x^k)$"
            named = True
            style: dict[str, Any] = {
                "color": COLOURS[place % len(COLOURS)],
                "marker": "<",
                "zorder": 5,
            }
            style |= {"markeredgecolor": "black", "markersize": 7.0, "clip_on": False}
            panel.points(name, [rounds[-1]], [limit / own], kind="exact", label=first, **style)
            tops.append(limit / own)
        settled = expectation(curve)["mean_iterate_relative_gap"]
        if settled[int(0.8 * (len(settled) - 1))] <= SETTLED * own:
            end = float(tail(curve, "relative_gap", 0.2).mean())
            tops.append(end / own)
            level = rounded(end, 3)
            exact = f" (exact limit {rounded(limit, 3)})" if math.isfinite(limit) else ""
            words.append(f"{level} at γ = {shown(curve.settings['method.step_size'])}{exact}")
    panel.across("fixed point", y=1.0, color="0.15", dashes=(6, 4), linewidth=1.0)
    panel.axes.set_yscale("linear")
    panel.axes.set_ylim(0.97, 1.0 + 1.25 * max(0.2, max(tops) - 1.0))
    panel.axes.set_xlim(left=1.0)
    if named:
        panel.legend(loc="upper left")
    return (
        f"The relative gap of the fixed point is {rounded(unit, 3)}. Over the last fifth of the "
        f"rounds the measured relative gap is on average {listed(words)}." + variance_words(curves)
    )


def variance_words(curves: Sequence[Curve]) -> str:
    """How far the measured curves are above f(E x^k), in words: the variance's share."""
    above: list[str] = []
    off: list[float] = []
    for curve in curves:
        mean, _ = mean_and_error(stacked(curve, "relative_gap"))
        table = expectation(curve)
        rounds = column(curve.runs[0], "round")[: len(mean)]
        exact = np.interp(rounds, table["round"], table["mean_iterate_relative_gap"])
        path = companion(curve.runs[0], "-full.csv")
        if path.is_file():
            table = read_expectation(path)
            expected = np.interp(rounds, table["round"], table["expected_relative_gap"])
            off.append(float(np.abs(mean / expected - 1)[rounds <= table["round"][-1]].max()))
        step = shown(curve.settings["method.step_size"])
        above.append(f"{rounded(float((mean / exact).max()), 3)} at γ = {step}")
    return (
        " The measured gaps exceed that of E x^k by what the variance adds: their quotient is at "
        f"most {listed(above)}."
    ) + (
        f" From the exact E f(x^k), where it was computed, they differ by at most "
        f"{rounded(100 * max(off))} %."
        if off
        else ""
    )


def draw_quotients(panel: Panel, curves: Sequence[Curve], names: Sequence[str]) -> str:
    """Mean of runs over exact expectation, two standard errors; returns the agreement in words."""
    panel.describe("round", "measured_over_exact", "measured over exact", y_scale="linear")
    inside = rows = 0
    worst = furthest = 0.0
    for place, (curve, name) in enumerate(zip(curves, names, strict=True)):
        mean, error = mean_and_error(stacked(curve, "relative_gap"))
        rounds = column(curve.runs[0], "round")[: len(mean)]
        table = expectation(curve)
        exact = np.interp(rounds, table["round"], table["expected_relative_gap"])
        quotient, width = mean / exact, 2 * error / exact
        band = (quotient - width, quotient + width)
        panel.line(name, rounds, quotient, band=band, **{**look(place), "linewidth": 1.0})
        later = rounds > 0
        z = np.abs(mean - exact)[later] / error[later]
        inside, rows = inside + int(np.sum(z <= 2)), rows + len(z)
        worst = max(worst, float(z.max()))
        furthest = max(furthest, float(np.abs(quotient - 1).max()))
    panel.across("exact", y=1.0, kind="exact", color="black", linewidth=0.9)
    return (
        f"The mean of {len(curves[0].runs)} runs differs from the exact expectation of f by at "
        f"most {rounded(100 * furthest)} %; {rounded(100 * inside / rows)} % of the "
        f"{rows} means lie within two of their standard errors, the furthest at "
        f"{rounded(worst)}."
    )


def _is_positive(values: Float64) -> bool:
    """Whether all is known and can be divided by."""
    return bool((np.isfinite(values) & (values >= SMALLEST)).all())


def draw(runs: Sequence[Path], title: str, output: Path) -> str:
    """Both panels; returns what they show."""
    curves = open_curves(runs)
    require_rows(curves)
    names = names_of(curves)
    figure = Figure(1, 2, (4.6, 4.0))
    left, right = figure.panels[0]
    left.describe("round", "relative_gap", title, x_scale="rounds")
    draw_means(left, curves, names)
    figure.legend_below(left, columns=4)
    quotients = all(
        len(curve.runs) > 1
        and _is_positive(expectation(curve).get("expected_relative_gap", np.array([np.nan])))
        for curve in curves
    )
    if not quotients and not all(curve.theory("fixed_point_relative_gap") > 0 for curve in curves):
        raise ValueError("a fixed point that is the solution, or unknown: no level to draw")
    finding = (draw_quotients if quotients else draw_limits)(right, curves, names)
    figure.save(output)
    return finding


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = parser_of(__doc__)
    parser.add_argument("--title", default="relative gap")
    options = parser.parse_args(arguments)
    return finish(
        "expectation.py",
        options.output,
        lambda: draw(options.runs, options.title, options.output),
    )


if __name__ == "__main__":
    sys.exit(main())
