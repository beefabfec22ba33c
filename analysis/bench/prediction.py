"""What the cost model of a benchmark looks like, and where it leads.

Shown against what was measured, and followed to 10⁵ ranks with one worker each: once for one model
of d numbers, once for blocks of q numbers a rank. Memory is not modelled, and a block product costs
what it costs with dense matrices that exceed the cache.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks import Row, crowded, median, open_benchmarks, place
from numpy.typing import NDArray

from bench.cost import Model, Network, fit, link_terms, modelled
from ist_mpi.plots.drawing import Figure, Panel, look
from ist_mpi.plots.words import listed, rounded

PREDICTED = (
    "server",
    "server, tree",
    "replicated",
    "serverless",
    "serverless, own draws",
)
LABELS = {
    "server, tree": "server, Scatterv and Gatherv as trees",
    "serverless, own draws": "serverless, every rank draws all blocks",
}
MOST_RANKS = 100_000


def ranks_up_to(most: int) -> NDArray[np.int64]:
    """1, 2, 3, … in equal steps of their logarithm."""
    steps = round(20 * math.log10(min(most, MOST_RANKS))) + 1
    return np.unique(np.round(np.geomspace(1, min(most, MOST_RANKS), steps)).astype(np.int64))


def draw_links(panel: Panel, document: Row, network: Network) -> None:
    """Messages and collectives against their sizes: points measured, lines modelled."""
    rows = [row for row in document["links"] if row["operation"] != "barrier"]
    p = max(
        (row["p"] for row in rows if not crowded(document, row["p"])),
        default=0,
    )
    panel.describe("bytes", "operation_seconds", f"messages, p = {p}", "log", name="links")
    rows = [row for row in rows if row["p"] == p]
    for at, name in enumerate(dict.fromkeys(row["operation"] for row in rows)):
        found = [row for row in rows if row["operation"] == name]
        sizes = [row["bytes"] for row in found]
        times = [row["seconds"]["time"] for row in found]
        bars = [one["low"] for one in times], [one["high"] for one in times]
        medians = [one["median"] for one in times]
        panel.points(name, sizes, medians, bars=bars, label=name, **look(at, marked=True))
        fitted = [network.of(link_terms(row)) for row in found]
        panel.line(name, sizes, fitted, kind="predicted", **look(at))
    panel.legend(fontsize="x-small")


def draw_fit(panel: Panel, document: Row, model: Model) -> float:
    """Every measured round against its model; the median of |modelled / measured − 1|."""
    panel.describe("measured_seconds", "modelled_seconds", "rounds", "log", name="fit")
    rows = [row for row in document["rounds"] if not row["rand"]]
    errors = []
    for p in sorted({row["p"] for row in rows}):
        found = [row for row in rows if row["p"] == p]
        measured = np.array([median(row, "round") for row in found])
        values = np.array([modelled(model, row) for row in found])
        busy = crowded(document, p)
        label = f"p = {p}" + (", more ranks than cores: not fitted" if busy else "")
        style: dict[str, Any] = {"mfc": "none"} if busy else {}
        place_of = (1, 2, 4, 8).index(p) if p in (1, 2, 4, 8) else 4
        panel.points(label, measured, values, label=label, **look(place_of, marked=True), **style)
        if not busy:
            errors += list(np.abs(values / measured - 1))
    ends = np.array([median(row, "round") for row in rows])
    line = [ends.min(), ends.max()]
    panel.line("equal", line, line, kind="exact", color="0.5", linestyle=":", linewidth=1.0)
    panel.legend(fontsize="x-small")
    return float(np.median(errors))


def draw_prediction(panel: Panel, model: Model, d: int | None, q: int) -> dict[str, Any]:
    """T(p) with n = p workers: of d coordinates, or of q for every rank; by exchange."""
    title = f"predicted: d = {d:,}, n = p" if d is not None else f"predicted: d = {q} p, n = p"
    panel.describe("ranks", "round_seconds", title, "log", name="fixed d" if d else "fixed q")
    ranks = ranks_up_to(d or MOST_RANKS)
    found = {}
    for at, exchange in enumerate(PREDICTED):
        times = np.array([model.round(exchange, int(p), int(p), d or q * int(p)) for p in ranks])
        label = LABELS.get(exchange, exchange)
        panel.line(exchange, ranks, times, kind="predicted", label=label, **look(at))
        found[exchange] = times
    compute = [model.compute(int(p), d or q * int(p), int(p)) for p in ranks]
    style: dict[str, Any] = {"color": "0.5", "linestyle": ":", "linewidth": 1.0}
    panel.line("kernel", ranks, compute, kind="predicted", label="kernel alone", **style)
    panel.legend(fontsize="x-small")
    return {"ranks": ranks, **found}


def turning_point(ranks: Any, times: Any) -> str:
    """Where more ranks no longer make a round faster, in words."""
    best = int(np.argmin(times))
    if ranks[best] == ranks[-1]:
        return f"still gains at {ranks[-1]:,} ranks ({rounded(times[-1])} s)"
    return f"is fastest on {rounded(float(ranks[best]))} ranks ({rounded(times[best])} s)"


def overtaken(model: Model, exchange: str, d: int) -> str:
    """From how many ranks on telling blocks and moving the model takes longer than computing."""
    for p in ranks_up_to(d)[1:]:
        compute = model.compute(int(p), d, int(p))
        if model.round(exchange, int(p), int(p), d) > 2 * compute:
            return f"from {p:,} ranks on"
    return "nowhere"


def predict(runs: Sequence[Path], output: Path, d: int, q: int) -> str:
    """Fits and predictions, a row of panels for every benchmark; returns what they show."""
    documents = open_benchmarks(runs)
    figure = Figure(len(documents), 4, (4.6, 4.0))
    words = []
    for document, panels in zip(documents, figure.panels, strict=True):
        model = fit(document)
        o, L, G = model.network
        draw_links(panels[0], document, model.network)
        error = draw_fit(panels[1], document, model)
        fixed_d = draw_prediction(panels[2], model, d, q)
        draw_prediction(panels[3], model, None, q)
        panels[0].axes.set_title(f"{place(document)}\nmessages", fontsize=8)
        ranks = fixed_d.pop("ranks")
        ends = [f"{name} {turning_point(ranks, times)}" for name, times in fixed_d.items()]
        limits = [f"{name} {overtaken(model, name, d)}" for name in PREDICTED]
        words.append(
            f"{place(document)}: o = {rounded(1e6 * o)} µs, L = {rounded(1e6 * L)} µs, "
            f"1/G = {rounded(1e-9 / G) if G > 0 else 'unmeasurably many'} GB/s; half of the "
            f"measured rounds are within {rounded(100 * error)} % of the model. With "
            f"d = {d:,} and one worker a rank, {listed(ends)}. All but the kernel takes more than "
            f"half of a round: {listed(limits)}."
        )
    figure.save(output)
    return "\n".join(words)
