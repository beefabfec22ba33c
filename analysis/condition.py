"""Draw the share of random instances where W̄ ⪰ 0, so that condition (14) can hold.

    python analysis/condition.py FOLDER/*/*.h5 -o figure.pdf

Every log is one instance, in a folder named after its ensemble: gaussian, correlated, scaled-S
(scales spread over S decades), remark1-T (2 × 2 matrices with c = T √(ab)). n and q are in
the logs. An instance counts where the log's theory has a θ. Bars are 95 % intervals (Wilson's).
"""

import math
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from command import main_of

import ist_mpi
from ist_mpi.plots.curves import settings_of, workers_of
from ist_mpi.plots.drawing import EXACT, Figure, Panel, look
from ist_mpi.plots.words import listed, rounded

ENSEMBLES = ("gaussian", "correlated", "scaled", "remark1")
REMARK_SPREAD = 2.0
"""The standard deviation of ln(a/b) in the ensemble of Remark 1."""


class Cell(NamedTuple):
    """Instances that are alike."""

    ensemble: str
    parameter: float
    """S or T; nan where the ensemble has none."""
    n: int
    q: int
    d: int


Counts = Mapping[Cell, Sequence[bool]]


def read(paths: Sequence[Path]) -> Counts:
    """Whether there is a θ, for every instance of every cell."""
    cells: dict[Cell, list[bool]] = defaultdict(list)
    for path in paths:
        run = ist_mpi.open_run(path)
        ensemble, _, parameter = path.parent.name.partition("-")
        settings = settings_of(run)
        if settings["method.sketch"] != "rand" or "theta" not in run.theory:
            raise ValueError(f"{path}: expected a Rand-q run with the constants of theory")
        if ensemble not in ENSEMBLES:
            raise ValueError(f"{path}: expected a log in a folder named after {listed(ENSEMBLES)}")
        value = _parameter(path, parameter)
        cell = Cell(ensemble, value, workers_of(run), int(settings["method.q"]), len(run.x))
        cells[cell].append(math.isfinite(float(run.theory["theta"])))
    return cells


def _parameter(path: Path, text: str) -> float:
    try:
        return float(text) if text else math.nan
    except ValueError as error:
        raise ValueError(f"{path}: expected a folder named as scaled-0.5, not {text}") from error


def share(found: Sequence[bool]) -> tuple[float, float, float]:
    """The share and Wilson's 95 % interval."""
    n, p, z = len(found), sum(found) / len(found), 1.96
    middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + (z / (2 * n)) ** 2)
    scale = 1 + z * z / n
    return p, (middle - half) / scale, (middle + half) / scale


def draw_shares(
    panel: Panel,
    cells: Counts,
    series: Mapping[str, Callable[[Cell], bool]],
    x_of: Callable[[Cell], float],
) -> None:
    """A curve for each series of cells, side by side where they share an x."""
    for place, (name, belongs) in enumerate(series.items()):
        chosen = sorted((cell for cell in cells if belongs(cell)), key=x_of)
        if not chosen:
            continue
        shares = np.array([share(cells[cell]) for cell in chosen])
        style = look(place, marked=True) | {"linestyle": look(place)["linestyle"]}
        style |= {"linewidth": 1.1}
        panel.points(
            *(name, [x_of(cell) for cell in chosen], shares[:, 0]),
            bars=(shares[:, 1], shares[:, 2]),
            label=name,
            **style,
        )
    panel.axes.set_ylim(-0.04, 1.04)
    if series:
        panel.legend(loc="best")


def remark_share(correlation: float) -> float:
    """P(W̄ ⪰ 0) for Remark 1: c ≤ 2ab/(a + b), that is T ≤ 1 / cosh(½ ln(a/b))."""
    if correlation <= 0:
        return 1.0
    return math.erf(2 * math.acosh(1 / correlation) / (REMARK_SPREAD * math.sqrt(2)))


def draw(runs: Sequence[Path], output: Path) -> str:
    """Four panels; returns what they show."""
    cells = read(runs)
    d = size_of(cells)
    figure = Figure(2, 2, (4.5, 3.3))
    (against_n, against_q), (against_spread, remark) = figure.panels

    def in_ensemble(name: str) -> Callable[[Cell], bool]:
        return lambda cell: cell.ensemble == name and (name != "scaled" or cell.parameter == 1)

    def at(n: int | None, q: int | None) -> Counts:
        return {
            cell: found
            for cell, found in cells.items()
            if n in (None, cell.n) and q in (None, cell.q)
        }

    ensembles = {
        "Gaussian": in_ensemble("gaussian"),
        "correlated": in_ensemble("correlated"),
        "badly scaled (1 decade)": in_ensemble("scaled"),
    }
    against_n.describe("n", "share", f"ensembles, d = {d}, q = 1", "log", "linear")
    draw_shares(against_n, at(None, 1), ensembles, lambda cell: cell.n)
    counts = sorted({cell.n for cell in cells})
    against_n.axes.set_xticks(counts, [str(n) for n in counts])
    against_n.axes.xaxis.minorticks_off()
    against_q.describe("q", "share", f"ensembles, d = {d}, n = 1", y_scale="linear")
    draw_shares(against_q, at(1, None), ensembles, lambda cell: cell.q)
    against_spread.describe("spread", "share", f"badly scaled, d = {d}, n = 1", y_scale="linear")
    sizes = sorted({cell.q for cell in cells if cell.ensemble == "scaled" and cell.parameter != 1})

    def scaled(q: int) -> Callable[[Cell], bool]:
        return lambda cell: cell.ensemble == "scaled" and cell.q == q

    draw_shares(
        *(against_spread, at(1, None), {f"q = {q}": scaled(q) for q in sizes}),
        lambda cell: cell.parameter,
    )
    remark.describe("correlation", "share", "Remark 1, d = 2, q = 1", y_scale="linear")
    draw_shares(
        *(remark, at(1, 1), {"measured": lambda cell: cell.ensemble == "remark1"}),
        lambda cell: cell.parameter,
    )
    across = np.linspace(0.0, 1.0, 101)
    exact = [remark_share(float(t)) for t in across]
    remark.line("exact", across, exact, kind="exact", label="exact", **EXACT)
    remark.legend(loc="lower left")
    figure.save(output)
    return finding(cells)


def size_of(cells: Counts) -> int:
    """d of the ensembles but Remark 1's."""
    return max((cell.d for cell in cells if cell.ensemble != "remark1"), default=2)


def finding(cells: Counts) -> str:
    """What the shares show, in words."""

    def of(ensemble: str, n: int, q: int) -> str:
        found = [
            one
            for cell, values in cells.items()
            if (cell.ensemble, cell.n, cell.q) == (ensemble, n, q)
            and (ensemble != "scaled" or cell.parameter == 1.0)
            for one in values
        ]
        return f"{100 * share(found)[0]:.0f} %" if found else "unknown"

    deviations = [
        share(values)[0] - remark_share(cell.parameter)
        for cell, values in cells.items()
        if cell.ensemble == "remark1"
    ]
    many, d = max(cell.n for cell in cells), size_of(cells)

    def all_of(n: int, q: int) -> str:
        return listed([of(name, n, q) for name in ("gaussian", "correlated", "scaled")])

    words = (
        "W̄ ⪰ 0 holds for these shares of the Gaussian, the correlated and the badly scaled "
        f"instances: {all_of(1, 1)} at n = 1 and q = 1, {all_of(many, 1)} at n = {many} and q = 1, "
    )
    sizes = sorted({cell.q for cell in cells if cell.n == 1 and 1 < cell.q < d})
    words += "".join(f"{all_of(1, q)} at n = 1 and q = {q}, " for q in sizes[-1:])
    words += f"{all_of(1, d)} at q = d = {d}, which is gradient descent."
    if deviations:
        worst = max(deviations, key=abs)
        words += (
            " For Remark 1 the measured shares differ from the exact ones by at most "
            f"{rounded(abs(worst))}."
        )
    return words


main = main_of("condition.py", __doc__, draw)


if __name__ == "__main__":
    sys.exit(main())
