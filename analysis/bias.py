"""Draw the mean of many independent runs against the predicted fixed point x∞.

    python analysis/bias.py RUN.h5… -o figure.pdf

A column of panels for every configuration: the last models' mean coordinate by coordinate, its
deviation from x∞ with two standard errors, and how the error of the mean shrinks with the number
of runs. Where NAME.csv (`ist-mpi theory CONFIG --rounds K --csv NAME.csv`) lies beside the logs,
its exact line is drawn.
"""

import math
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from command import main_of

from ist_mpi.plots.curves import (
    Curve,
    Float64,
    companion,
    expectation,
    mean_and_error,
    open_curves,
    require_rows,
)
from ist_mpi.plots.drawing import COLOURS, EXACT, Figure, Panel
from ist_mpi.plots.names import method_name, problem_name
from ist_mpi.plots.words import rounded


def last_models(curve: Curve) -> Float64:
    """The last model of every run, shape (runs, d)."""
    if len(curve.runs) < 2:
        raise ValueError(f"{curve.runs[0].path}: one run; expected several seeds of it")
    models = np.stack([run.x for run in curve.runs])
    if (models.std(axis=0) == 0).any():
        raise ValueError(f"{curve.runs[0].path}: coordinates that chance does not change")
    return models


def draw_coordinates(panel: Panel, deviations: Panel, curve: Curve) -> str:
    """Every coordinate's mean against prediction and solution; returns the agreement in words."""
    name = f"{method_name(curve)}, {problem_name(curve)}"
    panel.describe(
        "coordinate",
        "coordinate_value",
        f"{method_name(curve)}\n{problem_name(curve)}",
        y_scale="linear",
        name=name,
    )
    x_inf, x_star = curve.runs[0].theory["fixed_point"], curve.runs[0].theory["x_star"]
    models = last_models(curve)
    mean, error = mean_and_error(models)
    coordinates = np.arange(len(mean))
    panel.points(
        *("solution", coordinates, x_star),
        kind="predicted",
        label="solution $x^*$",
        color="0.55",
        marker="x",
    )
    panel.points(
        *("fixed point", coordinates, x_inf),
        kind="predicted",
        label="fixed point $x^\\infty$",
        color=COLOURS[1],
        marker="_",
        markersize=11.0,
        markeredgewidth=1.6,
    )
    panel.points(
        *("mean of runs", coordinates, mean),
        bars=(mean - 2 * error, mean + 2 * error),
        label=f"mean of {len(models)} runs",
        color=COLOURS[0],
        marker="o",
        markersize=3.0,
    )
    panel.axes.xaxis.get_major_locator().set_params(integer=True)
    deviations.describe("coordinate", "deviation", y_scale="linear", name=name)
    deviations.points(
        *("mean of runs", coordinates, mean - x_inf),
        bars=(mean - x_inf - 2 * error, mean - x_inf + 2 * error),
        color=COLOURS[0],
        marker="o",
        markersize=3.0,
    )
    deviations.across("fixed point", y=0.0, color=COLOURS[1], linewidth=1.6, zorder=1)
    deviations.axes.xaxis.get_major_locator().set_params(integer=True)
    z = (mean - x_inf) / error
    from_solution = np.abs(mean - x_star) / error
    return (
        f"{name}: over {len(models)} runs, {int(np.sum(np.abs(z) <= 2))} of {len(z)} bars of two "
        f"standard errors cover the fixed point (root mean square of the {len(z)} deviations "
        f"{rounded(math.sqrt(float(np.mean(z**2))))} standard errors, of those from the solution "
        f"{rounded(math.sqrt(float(np.mean(from_solution**2))))})"
    )


def grouped_error(models: Float64, target: Float64, size: int) -> tuple[float, float]:
    """Root mean square of ‖mean of `size` runs − target‖ over disjoint groups, standard error."""
    groups = len(models) // size
    means = models[: groups * size].reshape(groups, size, -1).mean(axis=1)
    squares = np.sum((means - target) ** 2, axis=1)
    typical = math.sqrt(float(squares.mean()))
    if groups < 2:
        return typical, math.nan
    return typical, float(squares.std(ddof=1) / math.sqrt(groups)) / (2 * typical)


def draw_shrinking(panel: Panel, curve: Curve) -> str:
    """The error of the mean of R runs against R; returns the slope in words."""
    name = f"{method_name(curve)}, {problem_name(curve)}"
    panel.describe("runs", "mean_error", x_scale="log", name=name)
    models, x_inf = last_models(curve), curve.runs[0].theory["fixed_point"]
    sizes = [2**k for k in range(int(math.log2(len(models) / 2)) + 1)]  # at least two groups
    errors = np.array([grouped_error(models, x_inf, size) for size in sizes])
    several = np.isfinite(errors[:, 1])
    spread = np.where(several, errors[:, 1], 0.0)
    panel.points(
        *("mean of runs", sizes, errors[:, 0]),
        bars=(errors[:, 0] - 2 * spread, errors[:, 0] + 2 * spread),
        label="measured (root mean square over groups)",
        color=COLOURS[0],
        marker="o",
    )
    first = math.sqrt(float(np.mean(np.sum((models - x_inf) ** 2, axis=1))))
    label = "$1/\\sqrt{\\mathrm{runs}}$"
    if companion(curve.runs[0], ".csv").is_file():
        squared = expectation(curve)["expected_distance_to_fixed_point_squared"]
        rounds = expectation(curve)["round"]
        last = float(np.interp(curve.runs[0].rounds["round"][-1], rounds, squared))
        if math.isfinite(last):
            first = math.sqrt(last)
            label = "exact: $\\sqrt{E\\|x^k - x^\\infty\\|^2/\\mathrm{runs}}$"
    line = first / np.sqrt(sizes)
    panel.line("exact", sizes, line, kind="exact", label=label, **EXACT)
    panel.legend(loc="best")
    slope = np.polyfit(np.log(sizes[:-2]), np.log(errors[:-2, 0]), 1)[0] if len(sizes) > 3 else None
    return "" if slope is None else f"; the error falls as runs to the power {slope:.2f}"


def draw(runs: Sequence[Path], output: Path) -> str:
    """A column of panels for every configuration; returns what they show."""
    curves = open_curves(runs)
    require_rows(curves, finished=True)
    for curve in curves:
        if "fixed_point" not in curve.runs[0].theory:
            raise ValueError(f"{curve.runs[0].path}: the fixed point is not known")
    figure = Figure(3, len(curves), (5.0, 2.8))
    findings = []
    for column, curve in enumerate(curves):
        covered = draw_coordinates(figure.panels[0][column], figure.panels[1][column], curve)
        findings.append(covered + draw_shrinking(figure.panels[2][column], curve) + ".")
    figure.legend_below(figure.panels[0][0], columns=3)
    figure.save(output)
    return " ".join(findings)


main = main_of("bias.py", __doc__, draw)


if __name__ == "__main__":
    sys.exit(main())
