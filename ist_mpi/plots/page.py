"""One page about runs, that needs nothing else: figures, what came out beside what was predicted,
configurations, constants, provenance.
"""

import html
import json
import logging
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ist_mpi.plots.convergence import SHOWN, draw_curves
from ist_mpi.plots.curves import Curve, open_curves, over
from ist_mpi.plots.drawing import Figure
from ist_mpi.plots.names import names_of
from ist_mpi.plots.outcome import tail, verdicts

LOGGER = logging.getLogger(__name__)
STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; padding: 1.5rem; max-width: 68rem; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
figure { margin: 0; background: #fff; border: 1px solid var(--line); border-radius: 6px; }
figure svg { display: block; width: 100%; height: auto; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr));
  gap: 1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
tr > th:first-child { white-space: nowrap; }
th, td { padding: .25rem .9rem .25rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); }
td.number { text-align: right; white-space: nowrap; }
td.text { overflow-wrap: anywhere; }
pre { background: var(--soft); padding: .75rem; border-radius: 6px; overflow-x: auto; }
summary { cursor: pointer; font-weight: 600; margin: .75rem 0; }
.quiet { opacity: .7; }
"""


def page(paths: Sequence[Path], title: str = "") -> str:
    """The page about these logs, HTML with all that it shows in it.

    Raises
    ------
    InputError
        If one of them is no log.
    """
    curves = open_curves(paths, bulk=False)
    LOGGER.info("drawing")
    names = names_of(curves)
    count = sum(len(curve.runs) for curve in curves)
    head = title or ("One run" if count == 1 else f"{count} runs")
    figures = "".join(_figures(curves, names))
    details = "".join(
        _details(curve, name, len(curves) == 1) for curve, name in zip(curves, names, strict=True)
    )
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{html.escape(head)}</title><style>{STYLE}</style></head><body>"
        f"<h1>{html.escape(head)}</h1>"
        "<p class='quiet'>Independent subnetwork training: measured beside what exact theory "
        f"predicts.</p><h2>Convergence</h2><div class='figures'>{figures}</div>"
        f"<h2>What came out</h2>{outcomes(curves, names)}{details}</body></html>\n"
    )


def _figures(curves: Sequence[Curve], names: Sequence[str]) -> Iterator[str]:
    """Pictures against rounds and floats, of each of `SHOWN` that is a curve's first."""
    for y in SHOWN:
        one = [pair for pair in zip(curves, names, strict=True) if _shown(pair[0]) == y]
        for x in ("round", "floats"):
            if one and (x == "round" or all(_has(curve, "floats_up") for curve, _ in one)):
                yield f"<figure>{_picture([c for c, _ in one], [n for _, n in one], x, y)}</figure>"


def _has(curve: Curve, name: str) -> bool:
    """Whether all runs of a curve have numbers in a column."""
    columns = [run.rounds.get(name) for run in curve.runs]
    return all(values is not None and np.isfinite(values).any() for values in columns)


def _shown(curve: Curve) -> str | None:
    return next((y for y in SHOWN if _has(curve, y)), None)


def _picture(curves: Sequence[Curve], names: Sequence[str], x: str, y: str) -> str:
    """The curves as SVG."""
    figure = Figure()
    panel = figure.panels[0][0]
    panel.describe(x, y, y_scale="log" if "gap" in y else "linear")
    draw_curves(panel, curves, x, y, names, theory=False)
    panel.label_ends()
    panel.legend()
    return figure.svg()


def outcomes(curves: Sequence[Curve], names: Sequence[str]) -> str:
    """A row for every curve: how it ended, beside what was predicted.

    The numbers are of the runs that are over, where there are any.
    """
    rows = []
    for curve, name in zip(curves, names, strict=True):
        runs = over(curve) or curve.runs
        last = [run.last_row() for run in runs]
        ends = [float(np.mean(tail(run))) for run in runs]
        cells = [
            (_number(float(np.median([row["round"] for row in last]))), "number"),
            (_number(float(np.median([row["relative_gap"] for row in last]))), "number"),
            (_number(float(np.mean(ends))), "number"),
            (_number(curve.theory("limit_relative_gap")), "number"),
            (_number(curve.theory("fixed_point_relative_gap")), "number"),
            ("<br>".join(map(html.escape, verdicts(curve.runs))), "text"),
        ]
        row = "".join(f"<td class='{kind}'>{text}</td>" for text, kind in cells)
        rows.append(f"<tr><th>{html.escape(_plain(name))}</th>{row}</tr>")
    heads = (
        *("", "rounds", "last relative gap", "its mean, last fifth"),
        *("predicted limit of E f", "predicted x∞", "in words"),
    )
    top = "".join(f"<th>{head}</th>" for head in heads)
    return f"<div class='wide'><table><tr>{top}</tr>{''.join(rows)}</table></div>"


def _details(curve: Curve, name: str, opened: bool) -> str:
    """Configuration, constants and provenance of a curve, by its first run."""
    run = curve.runs[0]
    constants = {
        key: value
        for key, value in run.theory.items()
        if isinstance(value, int | float) and not math.isnan(value)
    }
    why = json.loads(str(run.theory.get("not_computed_because", "{}")))
    rows = "".join(
        f"<tr><th>{html.escape(key)}</th><td class='number'>{_number(float(value))}</td></tr>"
        for key, value in constants.items()
    )
    rows += "".join(
        f"<tr><th>{html.escape(key)}</th><td class='text'>{html.escape(str(reason))}</td></tr>"
        for key, reason in why.items()
    )
    told = {
        "log": run.path,
        "run id": run.attributes["run_id"],
        "created": run.attributes["created"],
        "ranks": run.attributes["ranks"],
        "hosts": ", ".join(sorted(set(json.loads(run.attributes["hosts"])))),
        "MPI library": run.attributes["mpi_library"],
        "versions": ", ".join(f"{k} {v}" for k, v in run.attributes["versions"].items() if v),
        "seeds": ", ".join(str(one.attributes["seed"]) for one in curve.runs),
    }
    facts = "".join(
        f"<tr><th>{key}</th><td class='text'>{html.escape(str(value))}</td></tr>"
        for key, value in told.items()
    )
    return (
        f"<details{' open' if opened else ''}><summary>{html.escape(_plain(name))}</summary>"
        f"<h2>Configuration</h2><pre>{html.escape(run.attributes['config'])}</pre>"
        f"<h2>Exact theory</h2><div class='wide'><table>{rows}</table></div>"
        f"<h2>Provenance</h2><table>{facts}</table></details>"
    )


def _plain(name: str) -> str:
    """The name of a curve without the signs that matplotlib reads."""
    return name.replace("$\\gamma$", "γ").replace("\\$", "$")


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "" if math.isnan(value) else str(value)
    return f"{value:.0f}" if value == round(value) and abs(value) < 1e7 else f"{value:.4g}"
