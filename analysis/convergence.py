"""Draw how runs converge: any column of run logs against rounds, floats or time.

    python analysis/convergence.py RUN.h5… --x floats --y relative_gap -o figure.pdf

Runs that differ in nothing but the run seed are drawn as one curve, their median, in a band from
the lower to the upper decile. Curves are named by the settings in which they differ. The gap of
the predicted fixed point is a dashed line, in the curve's colour where the curves' differ.
"""

import argparse
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

import ist_mpi
from ist_mpi.runlog import Run

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

# Okabe and Ito's colours, told apart by colour-blind readers; with the line styles, also in grey.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000"]
STYLES = ["-", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (7, 1, 1, 1, 1, 1))]

X_AXES = {
    "round": "communication round",
    "floats": "floats sent and received per worker",
    "seconds": "wall-clock time [s]",
}
Y_AXES = {
    "gap": "gap  $f(x^k) - f^*$",
    "relative_gap": "relative gap  $(f(x^k) - f^*)\\,/\\,(f(x^0) - f^*)$",
    "distance_to_solution": "distance to the solution  $\\|x^k - x^*\\|$",
    "distance_to_fixed_point": "distance to the fixed point  $\\|x^k - x^\\infty\\|$",
    "gradient_norm_squared": "$\\|\\nabla f(x^k)\\|^2$",
    "gradient_norm_squared_w": "$(x^k - x^*)^\\top \\bar{W} (x^k - x^*)$",
}
PREDICTED = {"gap": "fixed_point_gap", "relative_gap": "fixed_point_relative_gap"}


class Curve(NamedTuple):
    """Runs of one configuration, over their seeds."""

    settings: dict[str, Any]
    runs: list[Run]


def curves_of(runs: Sequence[Run]) -> list[Curve]:
    """Group runs by all settings but the run seed, in order of appearance."""
    curves: dict[str, Curve] = {}
    for run in runs:
        config = tomllib.loads(run.attributes["config"])
        settings = {
            f"{section}.{key}": value
            for section, table in config.items()
            for key, value in table.items()
            if (section, key) not in {("run", "seed"), ("run", "exchange")}
        }
        curves.setdefault(repr(settings), Curve(settings, [])).runs.append(run)
    return sorted(curves.values(), key=lambda curve: curve.settings["method.step_size"])


def names_of(curves: Sequence[Curve]) -> list[str]:
    """What tells each curve from the others: the settings in which they differ."""
    keys = sorted({key for curve in curves for key in curve.settings})
    differing = [
        key for key in keys if len({repr(curve.settings.get(key)) for curve in curves}) > 1
    ]
    words = {"method.step_size": "$\\gamma$"}
    names = []
    for curve in curves:
        parts = [
            f"{words.get(key, key.partition('.')[2])} = {_shown(curve.settings[key])}"
            for key in differing
            if key in curve.settings
        ]
        name = ", ".join(parts) or str(curve.settings["method.name"])
        seeds = len(curve.runs)
        names.append(f"{name} ({seeds} seeds)" if seeds > 1 else name)
    return names


def _shown(value: Any) -> str:
    """A setting as it would be typed: 1e-4, not 0.0001."""
    if not isinstance(value, float):
        return str(value)
    text = f"{value:e}" if 0 < abs(value) < 1e-2 or abs(value) >= 1e5 else f"{value:g}"
    digits, e, exponent = text.partition("e")
    digits = digits.rstrip("0").rstrip(".") if "." in digits else digits
    return f"{digits}e{int(exponent)}" if e else digits


def column(run: Run, name: str) -> NDArray[np.float64]:
    """A column of /rounds as floats; ``floats`` is the sum of both directions."""
    if name == "floats":
        return np.asarray(run.rounds["floats_up"] + run.rounds["floats_down"])
    return np.asarray(run.rounds[name], dtype=np.float64)


def draw_curve(axes: Axes, curve: Curve, x: str, y: str, look: dict[str, Any], name: str) -> None:
    """One run as a line; several seeds as their median in a band of deciles."""
    rows = min(len(run.rounds["round"]) for run in curve.runs)
    across = column(curve.runs[0], x)[:rows]
    values = np.stack([column(run, y)[:rows] for run in curve.runs])
    values = np.where(values > 0, values, np.nan)  # a log axis shows what is positive
    middle = np.median(values, axis=0)
    axes.plot(across, middle, label=name, linewidth=1.4, **look)
    if len(values) > 1:
        low, high = np.quantile(values, [0.1, 0.9], axis=0)
        axes.fill_between(across, low, high, color=look["color"], alpha=0.2, linewidth=0)


def draw_predictions(axes: Axes, curves: Sequence[Curve], y: str) -> None:
    """The fixed point's gap, dashed: once if all curves share it, else once for each."""
    if y not in PREDICTED:
        return
    levels = [float(curve.runs[0].theory[PREDICTED[y]]) for curve in curves]
    defined = [level for level in levels if level > 0]
    if defined and np.allclose(defined, defined[0], rtol=1e-6):
        name = "fixed point $x^\\infty$"
        axes.axhline(defined[0], label=name, zorder=3, color="0.15", dashes=(6, 4), linewidth=1.0)
        return
    for place, level in enumerate(levels):
        if level > 0:
            axes.axhline(level, color=COLOURS[place % len(COLOURS)], dashes=(6, 4), linewidth=0.8)


def figure(runs: Sequence[Run], x: str, y: str, title: str, output: Path) -> None:
    """Draw the runs and write the file; its suffix says the format."""
    plt.rcParams.update({"pdf.fonttype": 42, "ps.fonttype": 42, "font.size": 9})
    curves = curves_of(runs)
    drawing, axes = plt.subplots(figsize=(5.6, 3.8), layout="constrained")
    for place, (curve, name) in enumerate(zip(curves, names_of(curves), strict=True)):
        look = {
            "color": COLOURS[place % len(COLOURS)],
            "linestyle": STYLES[place % len(STYLES)],
        }
        draw_curve(axes, curve, x, y, look, name)
    draw_predictions(axes, curves, y)
    axes.set_yscale("log")
    axes.set_xlabel(X_AXES[x])
    axes.set_ylabel(Y_AXES[y])
    axes.set_title(title, fontsize=10)
    axes.grid(visible=True, which="major", linewidth=0.4, alpha=0.5)
    axes.margins(x=0.01)
    axes.legend(fontsize="small", framealpha=0.9)
    output.parent.mkdir(parents=True, exist_ok=True)
    drawing.savefig(output, dpi=160)
    plt.close(drawing)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0], allow_abbrev=False
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN.h5", help="run logs")
    parser.add_argument("--x", choices=X_AXES, default="round")
    parser.add_argument("--y", choices=Y_AXES, default="relative_gap")
    parser.add_argument("--title", default="")
    parser.add_argument("-o", "--output", type=Path, required=True, help=".pdf, .png or .svg")
    options = parser.parse_args(arguments)
    try:
        runs = [ist_mpi.open_run(path) for path in options.runs]
        figure(runs, options.x, options.y, options.title, options.output)
    except (ist_mpi.ISTError, OSError, ValueError) as error:
        print(f"convergence.py: {error}", file=sys.stderr)
        return 2
    print(f"figure: {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
