"""Draw the distance to the fixed point and the lines (1 − γ)^k that it follows where M = I.

    python analysis/fixed_point.py RUN.h5… -o figure.pdf

On the left relative to the start, on the right absolute, with the distance to the solution.
"""

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from command import finish, parser_of

from ist_mpi.plots.curves import Curve, column, open_curves, require_rows, stacked
from ist_mpi.plots.drawing import EXACT, Figure, look
from ist_mpi.plots.names import names_of
from ist_mpi.plots.words import listed, rounded, shown

ROUNDING = 1e-13
"""Distances below this, relative to the start, are rounding errors."""
SAME = 1e-6
"""Factors per round that differ by more are not the same."""


def measured_factor(curve: Curve) -> float:
    """The geometric mean of the factor per round, as far as it is not rounding."""
    distance = np.median(stacked(curve, "distance_to_fixed_point"), axis=0)
    rounds = column(curve.runs[0], "round")[: len(distance)]
    relative = distance / distance[0]
    last = int(np.flatnonzero(relative > ROUNDING)[-1])
    return float(relative[last] ** (1.0 / rounds[last])) if last else 0.0


def oscillates(curve: Curve) -> bool:
    """Whether the distance ever grows, as far as it is not rounding."""
    distance = np.median(stacked(curve, "distance_to_fixed_point"), axis=0)
    return bool((np.diff(distance[distance > ROUNDING * distance[0]]) > 0).any())


def draw(runs: Sequence[Path], title: str, output: Path) -> str:
    """Both panels; returns what they show."""
    curves = open_curves(runs)
    require_rows(curves)
    for curve in curves:
        if not np.isfinite(stacked(curve, "distance_to_fixed_point")).all():
            raise ValueError(f"{curve.runs[0].path}: the fixed point is not known")
        gamma = float(curve.settings["method.step_size"])
        radius = curve.theory("spectral_radius")  # nan, and let pass, where it was not computed
        if abs(radius - abs(1.0 - gamma)) > SAME:
            got = f"a round multiplies the mean's distance by {radius:.6g}, not by |1 − γ|"
            raise ValueError(f"{curve.runs[0].path}: {got}; expected runs where M = I")
    names = names_of(curves)
    figure = Figure(1, 2, (4.6, 3.9))
    left, right = figure.panels[0]
    left.describe("round", "relative_distance_to_fixed_point", title, name="relative")
    right.describe("round", "distance", "absolute", name="absolute")
    words: list[str] = []
    worst = 0.0
    for place, (curve, name) in enumerate(zip(curves, names, strict=True)):
        gamma = float(curve.settings["method.step_size"])
        distance = np.median(stacked(curve, "distance_to_fixed_point"), axis=0)
        rounds = column(curve.runs[0], "round")[: len(distance)]
        line = np.where(rounds == 0, 1.0, abs(1.0 - gamma) ** rounds)
        line = np.where(line > ROUNDING / 10, line, math.nan)
        first = place == 0
        style = look(place, marked=True) | {"markersize": 4.0, "linestyle": "none"}
        style |= {"markevery": (place, max(1, len(rounds) // 24)), "markerfacecolor": "none"}
        for panel, scale in ((left, 1.0 / distance[0]), (right, 1.0)):
            panel.line(
                *(name, rounds, scale * distance), label=f"$\\|x^k - x^\\infty\\|$, {name}", **style
            )
            panel.line(
                *(name, rounds, scale * distance[0] * line),
                kind="exact",
                label="$(1 - \\gamma)^k$" if first else None,
                **EXACT,
            )
        factor = measured_factor(curve)
        worst = max(worst, abs(factor - abs(1.0 - gamma)))
        words.append(f"{rounded(factor, 5)} at γ = {shown(gamma)}")
    to_solution = np.median(stacked(curves[0], "distance_to_solution"), axis=0)
    rounds = column(curves[0].runs[0], "round")[: len(to_solution)]
    grey: dict[str, Any] = {"color": "0.4", "linewidth": 1.4}
    name = f"to the solution, {names[0]}"
    right.line(name, rounds, to_solution, label="$\\|x^k - x^*\\|$", **grey)
    figure.legend_below(right, columns=4)
    figure.save(output)
    last = float(to_solution[-1])
    steadily = "" if any(map(oscillates, curves)) else ", without oscillation"
    return (
        f"Per round the distance to the fixed point is multiplied by {listed(words)}; that is "
        f"|1 − γ| to within {rounded(worst, 1)}{steadily}, down to rounding. The solution is "
        f"{rounded(last, 3)} away in the end."
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = parser_of(__doc__)
    parser.add_argument("--title", default="relative to the start")
    options = parser.parse_args(arguments)
    return finish(
        "fixed_point.py",
        options.output,
        lambda: draw(options.runs, options.title, options.output),
    )


if __name__ == "__main__":
    sys.exit(main())
