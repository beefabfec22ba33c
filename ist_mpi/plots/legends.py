"""Names of curves: in a legend, on the panel or beside it, or where the curves end."""

import math
import re
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colors, mathtext

from ist_mpi.plots.words import plain_text

LEGEND_WIDTH, LEGEND_LINES, LEGEND_COLUMN = 46, 14, 40
"""Characters of a line in a legend, lines of one on a panel, and lines of a column beside it."""
ENDS, END_LABEL = 6, 30
"""Curves that are named at their ends at most, and characters of such a name."""
RIGHT, APART = 0.9, 0.06
"""Where those end, from left to right, at least, and how far from each other, as shares of axes."""


def label_ends(axes: Any, curves: Sequence[Any]) -> None:
    """Name the curves where they end, if they do so on the right and apart from each other.

    Call it when all is drawn and the axes are as they will be; the legend is for the rest.
    """
    axes.autoscale_view()  # which matplotlib puts off until it draws
    to_axes = axes.transData + axes.transAxes.inverted()
    ends, heights = [], []
    for curve in curves:
        points = curve.get_xydata()
        known = points[np.isfinite(points).all(axis=1)]
        end = known[-1] if len(known) else np.full(2, math.nan)
        ends.append(to_axes.transform(end))
        heights.append(end[1])
    labels = [str(curve.get_label()) for curve in curves]
    if not 2 <= len(ends) <= ENDS or max(map(len, labels)) > END_LABEL:
        return
    across, up = np.transpose(ends)
    apart = np.diff(np.sort(up))
    if not (across.min() >= RIGHT and (apart >= APART).all() and 0 <= up.min() <= up.max() <= 1):
        return
    for curve, label, height in zip(curves, labels, heights, strict=True):
        axes.annotate(
            *(label, (1.0, height)),
            xycoords=axes.get_yaxis_transform(),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize="small",
            color=darker(curve.get_color()),
            annotation_clip=False,
        )
        curve.set_label("_at its end")


def legend(axes: Any, **where: Any) -> None:
    """Name what is drawn; where that is more than fits on the panel, beside it."""
    handles, labels = axes.get_legend_handles_labels()
    if not labels:
        return
    names = [_folded(label) for label in labels]
    lines = sum(name.count("\n") + 1 for name in names)
    if lines > LEGEND_LINES:
        where = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0), "ncols": _columns(lines)}
    legend = axes.legend(handles, names, **{"fontsize": "small", "framealpha": 0.9, **where})
    if lines > LEGEND_LINES:
        figure = axes.figure
        width, height = figure.get_size_inches()
        extent = legend.get_window_extent(figure.canvas.get_renderer())
        across, down = extent.width / figure.dpi, extent.height / figure.dpi
        figure.set_size_inches(width + across, max(height, down + 0.8))
    else:
        legend.set_in_layout(False)  # it lies on the panel, and takes no room from it


def darker(colour: Any) -> Any:
    """For what is predicted of a curve of that colour."""
    return tuple(0.65 * part for part in colors.to_rgb(colour))


def readable(text: str) -> str:
    """A text with its formulas, or as it is where those are none."""
    try:
        mathtext.MathTextParser("path").parse(text)
    except ValueError:
        return plain_text(text)
    return text


def shown_name(label: str | None) -> str | None:
    """A name that a legend shows: it leaves out those that begin with an underscore."""
    if not label:
        return label
    return readable(f" {label}" if label.startswith("_") else label)


def _folded(label: str) -> str:
    """A label in lines that fit on a panel; formulas and settings stay whole."""
    whole = re.sub(r"(?<!\\)\$.*?(?<!\\)\$", lambda found: found[0].replace(" ", "\xa0"), label)
    whole = whole.replace(" = ", "\xa0=\xa0")
    lines = textwrap.wrap(whole, LEGEND_WIDTH, break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines).replace("\xa0", " ")


def _columns(lines: int) -> int:
    return math.ceil(lines / LEGEND_COLUMN)
