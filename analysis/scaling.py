"""Draw what `ist-mpi bench` measured: scaling over ranks, and what rounds are made of.

    python analysis/scaling.py BENCH.json… -o figure.pdf
    python analysis/scaling.py BENCH.json… -o figure.pdf --predict

With --predict a cost model (analysis/cost.py) is fitted to every benchmark, shown against what was
measured, and followed to 10⁵ ranks with one worker each: once for one model of --coordinates
numbers, once for blocks of --block numbers a rank. Memory is not modelled, and a block product
costs what it costs with dense matrices that exceed the cache.
"""

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks import Row, crowded, median, open_benchmarks, place
from command import finish, parser_of
from cost import Model, Network, fit, link_terms, modelled
from drawing import COLOURS, HATCHES, Figure, Panel, listed, look, rounded
from numpy.typing import NDArray

EXCHANGES = ("server", "replicated", "serverless")
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
PARTS = ("kernel", "permutation", "exchange", "rest")
MOST_RANKS = 100_000


def ranks_up_to(most: int) -> NDArray[np.int64]:
    """1, 2, 3, … in equal steps of their logarithm."""
    steps = round(20 * math.log10(min(most, MOST_RANKS))) + 1
    return np.unique(np.round(np.geomspace(1, min(most, MOST_RANKS), steps)).astype(np.int64))


def case_of(row: Row) -> str:
    """A case in a legend."""
    rand = f", Rand-{row['q']}" if row["rand"] else ""
    return f"{row['d']}, {row['n']}{rand}"


def draw_scaling(panel: Panel, rows: Sequence[Row], quantity: str, title: str) -> None:
    """Speedup or efficiency of every case by every exchange, against the ideal."""
    panel.describe("ranks", quantity, title, "log", "log" if quantity == "speedup" else "linear")
    panel.axes.xaxis.set_major_formatter("{x:.0f}")
    panel.axes.xaxis.set_minor_formatter("")
    panel.axes.yaxis.set_major_formatter("{x:g}")
    ranks = sorted({row["p"] for row in rows})
    panel.axes.set_xticks(ranks)
    cases = list(dict.fromkeys((row["d"], row["rand"], row["q"]) for row in rows))
    if title.startswith("weak"):
        cases = cases[:1]
    for at, case in enumerate(cases):
        named = False
        for exchange in EXCHANGES:
            found = [
                row
                for row in rows
                if row["exchange"] in ("alone", exchange)
                and (row["d"], row["rand"], row["q"]) == case
            ]
            if len(found) < 2:
                continue
            spread = [[row["ratios"][quantity][part] for row in found] for part in ("low", "high")]
            style = {**look(at), "linestyle": look(EXCHANGES.index(exchange))["linestyle"]}
            ratios = [row["ratios"][quantity]["median"] for row in found]
            panel.points(
                *(f"{case_of(found[0])}: {exchange}", [row["p"] for row in found], ratios),
                bars=(spread[0], spread[1]),
                label=None if named else case_of(found[0]),
                **{**style, "marker": look(at, marked=True)["marker"]},
            )
            named = True
    for place_of, exchange in enumerate(EXCHANGES):  # the legend has cases, then exchanges
        if any(row["exchange"] == exchange for row in rows):
            style = {"color": "0.3", "linestyle": look(place_of)["linestyle"]}
            panel.axes.plot([], [], label=exchange, **style)
    ideal = [p / ranks[0] for p in ranks] if quantity == "speedup" else [1.0] * len(ranks)
    panel.line("ideal", ranks, ideal, kind="bound", label="ideal", color="0.5", linestyle=":")
    panel.legend(fontsize="x-small")


def draw_split(panel: Panel, rows: Sequence[Row]) -> None:
    """What every round is made of, as shares of the whole; what is negative is noise."""
    panel.describe("case", "share_of_round", "what rounds are made of", y_scale="linear")
    names = [f"{case_of(row)}\np = {row['p']}, {row['exchange']}" for row in rows]
    base = np.zeros(len(rows))
    for at, part in enumerate(PARTS):
        share = np.array([max(0.0, median(row, part)) for row in rows])
        share = share / [sum(max(0.0, median(row, one)) for one in PARTS) for row in rows]
        style = {"color": COLOURS[at], "hatch": HATCHES[at]}
        panel.bars(part, names, share, base, label=part, **style)
        base = base + share
    panel.axes.tick_params(axis="x", labelrotation=90, labelsize=6)
    panel.legend(loc="lower right")


def draw(runs: Sequence[Path], output: Path) -> str:
    """Every benchmark in a row of panels; returns what they show."""
    documents = open_benchmarks(runs)
    figure = Figure(len(documents), 3, (5.0, 4.2))
    words = []
    for document, (left, middle, right) in zip(documents, figure.panels, strict=True):
        strong = [row for row in document["scaling"] if row["kind"] == "strong"]
        weak = [row for row in document["scaling"] if row["kind"] == "weak"]
        if not strong:
            raise ValueError("a benchmark without a case: nothing to draw")
        draw_scaling(left, strong, "speedup", f"strong scaling\n{place(document)}")
        if weak:
            draw_scaling(middle, weak, "efficiency", "weak scaling: the same work on every rank")
        else:
            middle.axes.set_axis_off()
        draw_split(right, document["rounds"])
        words.append(_best(document, strong))
    figure.save(output)
    return " ".join(words)


def _best(document: Row, strong: Sequence[Row]) -> str:
    """The best speedup, in words."""
    most = max(strong, key=lambda row: row["ratios"]["speedup"]["median"])
    ratio = most["ratios"]["speedup"]
    limits = f"quartiles {rounded(ratio['low'])} and {rounded(ratio['high'])}"
    return (
        f"{place(document)}: the largest speedup is {rounded(ratio['median'])} ({limits}), at "
        f"d = {most['d']}, n = {most['n']} on {most['p']} rank(s), {most['exchange']}."
    )


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


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = parser_of(__doc__, "BENCH.json", "what ist-mpi bench --json wrote")
    parser.add_argument("--predict", action="store_true", help="fit the cost model, go to 10^5")
    parser.add_argument(
        "--coordinates", type=int, default=100_000, metavar="D", help="of one model (100000)"
    )
    parser.add_argument("--block", type=int, default=100, metavar="Q", help="of a rank (100)")
    options = parser.parse_args(arguments)

    def made() -> str:
        if options.coordinates < 2 or options.block < 1:
            raise ValueError("--coordinates: at least 2; --block: at least 1")
        if options.predict:
            return predict(options.runs, options.output, options.coordinates, options.block)
        return draw(options.runs, options.output)

    return finish("scaling.py", options.output, made)


if __name__ == "__main__":
    sys.exit(main())
