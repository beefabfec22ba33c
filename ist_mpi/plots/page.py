"""One page about runs, that needs nothing else: figures, what came out beside what was predicted,
configurations, constants, provenance.
"""

import html
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ist_mpi.plots.convergence import draw_curves
from ist_mpi.plots.curves import Curve, curves_of, names_of
from ist_mpi.plots.drawing import Figure
from ist_mpi.store.log import Run, open_run

TAIL = 5
"""The last fifth of a run is what its limit is compared with."""
LEVEL = 1.1
"""A gap within this factor of a level has reached it."""

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
    runs = [open_run(path, bulk=False) for path in paths]
    curves = curves_of(runs)
    names = names_of(curves)
    head = title or ("One run" if len(runs) == 1 else f"{len(runs)} runs")
    figures = "".join(
        f"<figure>{_picture(curves, names, x)}</figure>"
        for x in ("round", "floats")
        if _has(runs, x)
    )
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
        f"<h2>What came out</h2>{_outcomes(curves, names)}{details}</body></html>\n"
    )


def _has(runs: Iterable[Run], x: str) -> bool:
    return x == "round" or all(np.isfinite(run.rounds["floats_up"]).any() for run in runs)


def _picture(curves: Sequence[Curve], names: Sequence[str], x: str) -> str:
    """The curves as SVG; of functions without x*, the value."""
    known = all(np.isfinite(run.rounds["relative_gap"]).any() for c in curves for run in c.runs)
    figure = Figure()
    panel = figure.panels[0][0]
    panel.describe(x, "relative_gap" if known else "value", y_scale="log" if known else "linear")
    draw_curves(panel, curves, x, "relative_gap" if known else "value", names, theory=False)
    panel.legend()
    return figure.svg()


def _outcomes(curves: Sequence[Curve], names: Sequence[str]) -> str:
    """A row for every curve: how it ended, beside what was predicted."""
    rows = []
    for curve, name in zip(curves, names, strict=True):
        last = [run.last_row() for run in curve.runs]
        ends = [float(np.mean(_tail(run))) for run in curve.runs]
        cells = [
            (_number(float(np.median([row["round"] for row in last]))), "number"),
            (_number(float(np.median([row["relative_gap"] for row in last]))), "number"),
            (_number(float(np.mean(ends))), "number"),
            (_number(curve.theory("limit_relative_gap")), "number"),
            (_number(curve.theory("fixed_point_relative_gap")), "number"),
            (html.escape(verdict(curve.runs[0])), "text"),
        ]
        row = "".join(f"<td class='{kind}'>{text}</td>" for text, kind in cells)
        rows.append(f"<tr><th>{html.escape(_plain(name))}</th>{row}</tr>")
    heads = (
        *("", "rounds", "last relative gap", "its mean, last fifth"),
        *("predicted limit of E f", "predicted x∞", "in words"),
    )
    top = "".join(f"<th>{head}</th>" for head in heads)
    return f"<div class='wide'><table><tr>{top}</tr>{''.join(rows)}</table></div>"


def verdict(run: Run) -> str:
    """What became of a run, as far as its log and its theory tell."""
    if run.status == "failed":
        return run.stop_reason
    if run.status != "finished":
        return f"{run.status} at round {run.last_row()['round']}"
    gaps = _tail(run)
    if not np.isfinite(gaps).any():
        return "finished; without x* there is no gap"
    end, limit = float(np.mean(gaps)), float(run.theory.get("limit_relative_gap", math.nan))
    bias = float(run.theory.get("fixed_point_relative_gap", math.nan))
    if limit > 0 and limit / LEVEL <= end <= limit * LEVEL:
        of_bias = bias >= 0.5 * limit
        why = (
            "because of the method's bias: a smaller step size will not help"
            if of_bias
            else "because of the step size: a smaller one goes further down"
        )
        return f"has levelled off at the predicted limit, {why}"
    if limit > 0 and end < limit:
        return "below the predicted limit of the mean of runs"
    if run.stop_reason == "tolerance":
        return "reached the tolerance"
    return "still on its way" if limit >= 0 and end > limit * LEVEL else "finished"


def _tail(run: Run) -> Any:
    gaps = run.rounds["relative_gap"]
    return gaps[-max(1, len(gaps) // TAIL) :]


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
    if math.isnan(value):
        return ""
    return f"{value:.0f}" if value == round(value) and abs(value) < 1e7 else f"{value:.4g}"
