"""Draw where T local steps lead at n = d, measured and exact.

    python analysis/local_limit.py RUN.h5… -o figure.pdf

At n = d, worker i holds one coordinate j at a time, and T local steps of Perm-1 from w = n x_j make

    x_j⁺ = a_ij x_j + c_ij
    a_ij = (1 − γ n (L_i)_jj)^T,    c_ij = (1 − a_ij) b_ij / (n (L_i)_jj).

Owners are uniform, and those of two coordinates are different, so the means and second moments of
the map are closed forms, hence its fixed point and the limit of E f(x^k). The logs need
`log.problem`, for L and b.
"""

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from command import main_of

from ist_mpi.plots.curves import (
    Curve,
    Float64,
    by_problem,
    mean_and_error,
    open_curves,
    require_rows,
    tail,
)
from ist_mpi.plots.drawing import COLOURS, EXACT, Figure, Panel
from ist_mpi.plots.names import problem_name
from ist_mpi.plots.words import listed, rounded


class Limit(NamedTuple):
    """Where the T-step map leads."""

    fixed_point: Float64
    """x∞, shape (d,)."""
    fixed_point_gap: float
    gap: float
    """E f(x^k) − f* as k → ∞."""
    spread: float
    """E‖x^k − x∞‖² as k → ∞."""


def limit_of(L: Float64, b: Float64, gamma: float, steps: int) -> Limit:
    """The limits of the T-step map of Perm-1 for L (n, n, n) and b (n, n).

    Raises
    ------
    ValueError
        If the map does not contract: E f(x^k) has no limit.
    """
    n = len(L)
    diagonals = np.diagonal(L, axis1=1, axis2=2)
    a = (1.0 - gamma * n * diagonals) ** steps
    c = (1.0 - a) * b / (n * diagonals)

    def pairs(u: Float64, v: Float64) -> Float64:
        """E u_ij v_i'k over different owners i, i' of j, k; on the diagonal, over one owner."""
        if n == 1:
            return u.T @ v
        out = (np.multiply.outer(u.sum(axis=0), v.sum(axis=0)) - u.T @ v) / (n * (n - 1))
        out[np.diag_indices(n)] = np.mean(u * v, axis=0)
        return np.asarray(out)

    factor = pairs(a, a)
    if np.abs(factor).max() >= 1:
        raise ValueError(f"{steps} local steps of size {gamma:g} diverge: no limit to draw")
    mean = c.mean(axis=0) / (1.0 - a.mean(axis=0))
    cross = pairs(a, c) * mean[:, None]
    second = (cross + cross.T + pairs(c, c)) / (1.0 - factor)
    L_mean, b_mean = L.mean(axis=0), b.mean(axis=0)
    solution = np.linalg.solve(L_mean, b_mean)
    away = mean - solution
    spread = second - np.multiply.outer(mean, mean)
    at_mean = 0.5 * float(away @ L_mean @ away)
    gap = at_mean + 0.5 * float(np.sum(L_mean * spread))
    return Limit(mean, at_mean, gap, max(0.0, float(np.trace(spread))))


def limit_of_curve(curve: Curve) -> Limit:
    """The limits of a logged configuration."""
    run, settings = curve.runs[0], curve.settings
    if "L" not in run.problem:
        raise ValueError(f"{run.path}: no quadratics in the log; it takes log.problem = true")
    L, b = run.problem["L"], run.problem["b"]
    method = [settings[f"method.{key}"] for key in ("name", "sketch", "scaling")]
    if len(L) != len(run.x) or method != ["ist", "permutation", "unbiased"]:
        raise ValueError(f"{run.path}: expected IST with the unbiased permutation and n = d")
    return limit_of(L, b, settings["method.step_size"], settings["method.local_steps"])


def distance_words(curves: Sequence[Curve], limits: Sequence[Limit]) -> str:
    """How far the mean of the last models is from the exact fixed point, in words."""
    distances = [
        float(np.linalg.norm(np.mean([run.x for run in curve.runs], axis=0) - limit.fixed_point))
        for curve, limit in zip(curves, limits, strict=True)
    ]
    by_chance = [
        math.sqrt(limit.spread / len(curve.runs))
        for curve, limit in zip(curves, limits, strict=True)
    ]
    sizes = [float(np.linalg.norm(limit.fixed_point)) for limit in limits]
    if max(by_chance) <= 1e-6 * max(sizes):  # nothing is random
        return f"the last models are within {rounded(max(distances))} of the exact fixed points"
    ratios = [distance / chance for distance, chance in zip(distances, by_chance, strict=True)]
    return (
        f"the mean last models are {rounded(min(ratios))} to {rounded(max(ratios))} times as far "
        "from the exact fixed points as chance takes them"
    )


def draw_problem(panel: Panel, curves: Sequence[Curve]) -> str:
    """One panel; returns what it shows."""
    problem = problem_name(curves[0])
    panel.describe("local_steps", "neighbourhood", problem, x_scale="log", y_scale="linear")
    steps = [int(curve.settings["method.local_steps"]) for curve in curves]
    start = [curve.theory("initial_gap") for curve in curves]
    limits = [limit_of_curve(curve) for curve in curves]
    levels = [mean_and_error(tail(curve, "relative_gap")) for curve in curves]
    mean = np.array([float(level) for level, _ in levels])
    bars = 2 * np.nan_to_num(np.array([float(error) for _, error in levels]))
    panel.points(
        *("measured", steps, mean),
        bars=(mean - bars, mean + bars),
        label=f"measured, mean of {len(curves[0].runs)} runs",
        color=COLOURS[0],
        marker="o",
    )
    exact = np.array([limit.gap for limit in limits]) / start
    panel.line(*("limit", steps, exact), kind="exact", label="exact limit of $E f(x^k)$", **EXACT)
    fixed = np.array([limit.fixed_point_gap for limit in limits]) / start
    panel.line(
        *("fixed point", steps, fixed),
        kind="predicted",
        label="exact fixed point $x^\\infty$",
        color=COLOURS[1],
        linestyle=(0, (6, 4)),
    )
    panel.axes.set_xticks(steps, [str(step) for step in steps])
    panel.axes.xaxis.minorticks_off()
    everything = np.concatenate([mean - bars, mean + bars, exact, fixed])
    low, high = float(everything.min()), float(everything.max())
    slack = max(0.08 * (high - low), 0.02 * high)
    panel.axes.set_ylim(low - slack, high + 4 * slack)
    panel.axes.ticklabel_format(axis="y", scilimits=(-3, 3))
    panel.legend(loc="upper left")
    return (
        f"{problem[0].upper()}{problem[1:]}: with {listed([str(step) for step in steps])} local "
        f"steps the relative gap levels off at {listed([rounded(v, 3) for v in mean])} (exact "
        f"limits {listed([rounded(v, 3) for v in exact])}); {distance_words(curves, limits)}."
    )


def draw(runs: Sequence[Path], output: Path) -> str:
    """A panel for every problem; returns what they show."""
    every = open_curves(runs)
    require_rows(every, finished=True)
    problems = by_problem(every)
    figure = Figure(1, len(problems), (4.6, 3.6))
    findings = []
    for panel, curves in zip(figure.panels[0], problems, strict=True):
        ordered = sorted(curves, key=lambda curve: int(curve.settings["method.local_steps"]))
        findings.append(draw_problem(panel, ordered))
    figure.save(output)
    return " ".join(findings)


main = main_of("local_limit.py", __doc__, draw)


if __name__ == "__main__":
    sys.exit(main())
