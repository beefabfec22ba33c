"""Draw how far the sketches are from adding up to the whole: ‖(1/n) Σ C_i − I‖, round by round.

    python analysis/reconstruction.py RUN.h5… -o figure.pdf

The logs need `log.permutations`, those of preconditioned sketches `log.problem` too. The factors
are computed here from the definitions, not taken from the program.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from command import finish, parser_of
from numpy.typing import NDArray

import ist_mpi
from ist_mpi.plots.curves import Float64, settings_of, workers_of
from ist_mpi.plots.drawing import COLOURS, Figure
from ist_mpi.plots.words import listed, rounded
from ist_mpi.store.log import Run


def sums(run: Run) -> Float64:
    """The diagonals of (1/n) Σ C_i (unscaled: of Σ C_i, each piece once), shape (rounds, d)."""
    settings, d = settings_of(run), len(run.x)
    if settings["method.sketch"] == "identity":
        return np.ones((1, d))
    if not run.permutations:
        raise ValueError(
            f"{run.path}: no blocks in the log; it takes log.permutations = true and a round"
        )
    pi, offsets = run.permutations["pi"], run.permutations["offsets"]
    return np.stack(
        [round_sum(run, settings, draw, edges) for draw, edges in zip(pi, offsets, strict=True)]
    )


def round_sum(
    run: Run, settings: dict[str, Any], pi: NDArray[np.int32], offsets: NDArray[np.int32]
) -> Float64:
    """The diagonal of (1/n) Σ C_i in one round, shape (d,)."""
    n, d = len(offsets) - 1, len(run.x)
    holders = np.bincount(pi, minlength=d)
    if settings["method.sketch"] == "rand":
        return np.asarray(holders * (d / settings["method.q"]) / n)
    scaling = settings["method.scaling"]
    if scaling == "unscaled":
        return holders / np.maximum(holders, 1)
    if scaling == "unbiased":
        return holders * (n / np.maximum(holders, 1)) / n
    if "L" not in run.problem:
        raise ValueError(f"{run.path}: no quadratics in the log; it takes log.problem = true")
    diagonals = np.diagonal(run.problem["L"], axis1=1, axis2=2)
    owner = np.repeat(np.arange(n), np.diff(offsets))
    total = np.zeros(d)
    np.add.at(total, pi, np.sqrt(n / holders[pi]) / np.sqrt(diagonals[owner, pi]) / n)
    return total


def sketch_name(run: Run) -> str:
    """A sketch, with the relation of n and d."""
    settings, n, d = settings_of(run), workers_of(run), len(run.x)
    sketch, scaling = settings["method.sketch"], settings["method.scaling"]
    if sketch == "identity":
        return "identity"
    if sketch == "rand":
        return f"Rand-{settings['method.q']}\nn = {n}, d = {d}"
    g = int(settings.get("method.group_size", 1))
    groups = f", g = {g}" if g > 1 else ""
    words = "Perm" if scaling == "unbiased" else f"{scaling}\nPerm"
    return f"{words}\nn = {n}, d = {d}{groups}"


def draw(runs: Sequence[Path], title: str, output: Path) -> str:
    """One column for every log; returns what they show."""
    figure = Figure(1, 1, (7.4, 4.0))
    panel = figure.panels[0][0]
    panel.describe("sketch", "error_norm", title, y_scale="linear")
    names: list[str] = []
    exact, other = [], []
    for place, path in enumerate(runs):
        run = ist_mpi.open_run(path)
        total = sums(run)
        norms = np.abs(total - 1.0).max(axis=1)
        frobenius = np.sqrt(np.mean((total - 1.0) ** 2, axis=1))
        of_mean = float(np.abs(total.mean(axis=0) - 1.0).max())
        names.append(sketch_name(run))
        name = " ".join(names[-1].split())
        for shift, kind, values, colour, marker in (
            (-0.2, "spectral norm, median and range over rounds", norms, COLOURS[0], "o"),
            (0.0, "Frobenius norm / $\\sqrt{d}$, median and range", frobenius, COLOURS[1], "s"),
            (0.2, "spectral norm of the mean over rounds", np.array([of_mean]), COLOURS[2], "^"),
        ):
            panel.points(
                *(f"{name}: {kind}", [place + shift], [np.median(values)]),
                bars=([values.min()], [values.max()]) if len(values) > 1 else None,
                label=kind if place == 0 else None,
                color=colour,
                marker=marker,
            )
        worst = float(norms.max())
        if worst < 1e-12:
            exact.append((name, worst, len(total)))
        else:
            other.append(
                f"{rounded(float(np.median(norms)))} for {name} in the median round "
                f"({rounded(of_mean)} for the mean over {len(total)} rounds)"
            )
    panel.axes.set_xticks(range(len(names)), names, fontsize=8)
    panel.axes.axhline(0.0, color="0.15", linewidth=0.8)
    panel.axes.grid(visible=False, axis="x")
    panel.legend(loc="upper left")
    figure.save(output)
    words = []
    if exact:
        worst = max(value for _, value, _ in exact)
        words.append(
            f"The pieces add up to the whole in every round for {listed([n for n, *_ in exact])}: "
            f"the norm is {'exactly 0' if worst == 0 else f'at most {rounded(worst)}'}."
        )
    if other:
        words.append(f"For others they do not: the norm is {listed(other)}.")
    return " ".join(words)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = parser_of(__doc__)
    parser.add_argument("--title", default="do the pieces add up to the whole?")
    options = parser.parse_args(arguments)
    return finish(
        "reconstruction.py",
        options.output,
        lambda: draw(options.runs, options.title, options.output),
    )


if __name__ == "__main__":
    sys.exit(main())
