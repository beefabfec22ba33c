"""Draw how much of the test samples networks tell right, against the floats that training sends.

    python analysis/network_accuracy.py RUN.h5… -o figure.pdf

A panel for every problem: the median of the seeds in the band from the least to the most. A table
of the medians after 5, 15 and 60 transfers of a whole model, counted both ways.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from command import main_of

from ist_mpi.plots.curves import Curve, column, open_curves, require_kind, stacked
from ist_mpi.plots.drawing import Figure, Panel, look
from ist_mpi.plots.words import plain_text, shown

TRANSFERS = (5, 15, 60)
ORDER = ("SGD", "local SGD", "IST", "shared block")


def name_of(settings: dict[str, Any]) -> str:
    """A method, with IST's scales of training and of evaluation."""
    method, steps = settings["method.name"], settings["method.local_steps"]
    if method == "gradient_descent":
        return "SGD"
    if method == "shared_block":
        return "shared block"
    if settings["method.sketch"] == "identity":
        return f"local SGD, T = {steps}"
    n = settings["problem.n"]
    usual = {float(n): "n", 1.0: "1", 1.0 / n: "1/n"}
    scales = [settings[f"problem.{which}_scale"] for which in ("logit", "evaluation")]
    s, s_ev = (usual.get(scale, shown(scale)) for scale in scales)
    return f"IST, T = {steps}, s = {s}, s_ev = {s_ev}"


def place_of(curve: Curve) -> tuple[int, str]:
    """Baselines first."""
    name = name_of(curve.settings)
    return [name.startswith(word) for word in ORDER].index(True), name


def problem_of(settings: dict[str, Any]) -> str:
    """The workers, and how they came by their samples."""
    words = {"shuffled": "samples at random", "contiguous": "samples sorted by label"}
    hidden = " and ".join(map(str, settings["problem.hidden"]))
    return f"{hidden} neurons, n = {settings['problem.n']}, {words[settings['problem.split']]}"


def draw_problem(panel: Panel, title: str, curves: Sequence[Curve], names: Sequence[str]) -> None:
    """One panel; every method in its look."""
    panel.describe("floats", "test_accuracy", title, x_scale="log", y_scale="linear")
    for curve in curves:
        name = name_of(curve.settings)
        values = stacked(curve, "test_accuracy")
        band = values.min(axis=0), values.max(axis=0)
        across = stacked(curve, "floats").mean(axis=0)
        middle, style = np.median(values, axis=0), look(names.index(name))
        panel.line(name, across, middle, label=plain_text(name), band=band, **style)
    panel.axes.set_ylim(0.4, 1.0)


def row_of(curve: Curve) -> str:
    """A method in the table: the last logged round that has sent no more."""
    d = len(curve.runs[0].x)
    cells = []
    for transfers in TRANSFERS:
        after = []
        for run in curve.runs:
            sent = column(run, "floats")
            at = int(np.searchsorted(sent, 2 * transfers * d * (1 + 1e-12), side="right")) - 1
            after.append(run.rounds["test_accuracy"][at])
        cells.append(f"{np.median(after):.3f}")
    step = shown(float(curve.settings["method.step_size"]))
    return f"| {name_of(curve.settings)} | {step} | {' | '.join(cells)} |"


def draw(runs: Sequence[Path], output: Path) -> str:
    """A panel for every problem; returns the tables."""
    curves = open_curves(runs)
    require_kind(curves, "network")
    if not all("test_accuracy" in run.rounds for curve in curves for run in curve.runs):
        raise ValueError("logs without test_accuracy; expected problem.test or test_share")
    curves = sorted(curves, key=place_of)
    names = list(dict.fromkeys(name_of(curve.settings) for curve in curves))
    problems: dict[str, list[Curve]] = {}
    for curve in curves:
        problems.setdefault(problem_of(curve.settings), []).append(curve)
    columns = 2 if len(problems) > 1 else 1
    figure = Figure(-(-len(problems) // columns), columns, (5.0, 3.4))
    panels = [panel for row in figure.panels for panel in row]
    tables = []
    for panel, title in zip(panels, sorted(problems), strict=False):
        draw_problem(panel, title, problems[title], names)
        head = " | ".join(map(str, TRANSFERS))
        lines = [f"| {title} | step | {head} |", "|---|---|" + "---|" * len(TRANSFERS)]
        tables.append("\n".join([*lines, *map(row_of, problems[title])]))
    for panel in panels[len(problems) :]:
        panel.axes.set_axis_off()
    figure.legend_below(panels[0], 3)
    figure.save(output)
    seeds = max(len(curve.runs) for curve in curves)
    return (
        f"Test accuracy, the median of {seeds} seeds, once a worker has sent and received so many "
        f"times a whole model both ways.\n\n" + "\n\n".join(tables)
    )


main = main_of("network_accuracy.py", __doc__, draw)


if __name__ == "__main__":
    sys.exit(main())
