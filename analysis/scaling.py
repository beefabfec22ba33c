"""Draw what `ist-mpi bench` measured: scaling over ranks, and what rounds are made of.

    python analysis/scaling.py BENCH.json… -o figure.pdf
    python analysis/scaling.py BENCH.json… -o figure.pdf --predict

With --predict a cost model (analysis/bench/cost.py) is fitted to every benchmark, to which
analysis/bench/links.py has added messages of many sizes; it is shown against what was measured, and
followed to 10⁵ ranks with one worker each: once for one model of --coordinates numbers, once for
blocks of --block numbers a rank.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from bench.prediction import predict
from benchmarks import Row, median, open_benchmarks, place
from command import finish, parser_of

from ist_mpi.plots.drawing import COLOURS, HATCHES, Figure, Panel, look
from ist_mpi.plots.words import rounded

EXCHANGES = ("server", "replicated", "serverless")
PARTS = ("kernel", "raw", "rest")
LABELS = {"raw": "raw collectives"}


def case_of(row: Row) -> str:
    """A case in a legend."""
    rand = f", Rand-{row['q']}" if row["rand"] else ""
    return f"{row['d']}, {row['n']}{rand}"


def draw_scaling(panel: Panel, rows: Sequence[Row], title: str) -> None:
    """The speedup of every case by every exchange, against the ideal."""
    panel.describe("ranks", "speedup", title, "log", "log")
    panel.axes.xaxis.set_major_formatter("{x:.0f}")
    panel.axes.xaxis.set_minor_formatter("")
    panel.axes.yaxis.set_major_formatter("{x:g}")
    ranks = sorted({row["p"] for row in rows})
    panel.axes.set_xticks(ranks)
    cases = list(dict.fromkeys(map(case_of, rows)))
    for at, case in enumerate(cases):
        named = False
        for exchange in EXCHANGES:
            found = [
                row
                for row in rows
                if row["exchange"] in ("alone", exchange) and case_of(row) == case
            ]
            if len(found) < 2:
                continue
            spread = [[row["ratios"]["speedup"][part] for row in found] for part in ("low", "high")]
            style = {**look(at), "linestyle": look(EXCHANGES.index(exchange))["linestyle"]}
            ratios = [row["ratios"]["speedup"]["median"] for row in found]
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
    panel.line("ideal", ranks, ranks, kind="bound", label="ideal", color="0.5", linestyle=":")
    panel.legend(fontsize="x-small")


def draw_split(panel: Panel, rows: Sequence[Row]) -> None:
    """What every round is made of, as shares of the whole: kernels, raw collectives, the rest."""
    panel.describe("case", "share_of_round", "what rounds are made of", y_scale="linear")
    names = [f"{case_of(row)}\np = {row['p']}, {row['exchange']}" for row in rows]
    base = np.zeros(len(rows))
    for at, part in enumerate(PARTS):
        share = 1.0 - base
        if part != "rest":
            times = [median(row, part) if part in row["seconds"] else 0.0 for row in rows]
            whole = [median(row, "round") for row in rows]
            share = np.minimum(share, np.divide(times, whole))
        style = {"color": COLOURS[at], "hatch": HATCHES[at]}
        panel.bars(part, names, share, base, label=LABELS.get(part, part), **style)
        base = base + share
    panel.axes.tick_params(axis="x", labelrotation=90, labelsize=6)
    panel.legend(loc="lower right")


def draw(runs: Sequence[Path], output: Path) -> str:
    """Every benchmark in a row of panels; returns what they show."""
    documents = open_benchmarks(runs)
    figure = Figure(len(documents), 2, (5.0, 4.2))
    words = []
    for document, (left, right) in zip(documents, figure.panels, strict=True):
        rows = [row for row in document["rounds"] if "speedup" in row["ratios"]]
        if not rows:
            raise ValueError("no case was measured on one rank: no speedup to draw")
        draw_scaling(left, rows, f"speedup\n{place(document)}")
        draw_split(right, document["rounds"])
        words.append(_best(document, rows))
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
