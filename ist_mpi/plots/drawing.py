"""How a figure looks, and the table of what it shows.

What a `Panel` draws also goes into its figure's table, so that NAME.csv holds exactly what NAME.pdf
and NAME.png show.
"""

import csv
import io
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib import cm, colors, figure, ticker
from matplotlib.backends.backend_agg import FigureCanvasAgg
from numpy.typing import ArrayLike, NDArray

from ist_mpi.plots import legends, saving
from ist_mpi.plots.words import LABELS

# Okabe and Ito's colours, told apart by colour-blind readers; with the line styles, also in grey.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000"]
STYLES = ["-", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (7, 1, 1, 1, 1, 1))]
HATCHES = ["", "///", "...", "xxx", "---"]
MARKERS = ["o", "s", "^", "D", "v", "P", "X"]
SMALLEST, LARGEST = 1e-200, 1e200
"""What a logarithmic axis shows: with values to 1e±308 its margins and ticks would overflow."""
EXACT: dict[str, Any] = {"color": "black", "linestyle": (0, (1, 1.6)), "linewidth": 1.1}
"""The look of what is computed, not measured: drawn on top of what it predicts."""
PREDICTED_LEVEL: dict[str, Any] = {"color": "0.15", "dashes": (6, 4), "linewidth": 1.0}


class Row(NamedTuple):
    """One drawn point, or one line across the panel (x or y is nan)."""

    panel: str
    series: str
    kind: str
    """measured, exact, predicted or bound."""
    x_name: str
    x: float | str
    y_name: str
    y: float
    low: float
    high: float


class Panel:
    """One pair of axes, and the rows of what is drawn on it."""

    def __init__(self, axes: Any, rows: list[Row]) -> None:
        self.axes = axes
        self._rows = rows
        self._title = self._x = self._y = ""
        self._named: list[Any] = []

    def describe(
        self,
        x: str,
        y: str,
        title: str = "",
        x_scale: str = "linear",
        y_scale: str = "log",
        name: str | None = None,
    ) -> None:
        """Say what the axes are, before anything is drawn; `name` is the panel's in the table."""
        self._title, self._x, self._y = title if name is None else name, x, y
        self.axes.set_xlabel(LABELS[x])
        self.axes.set_ylabel(LABELS[y])
        self.axes.set_title(legends.readable(title), fontsize=10)
        if x_scale == "rounds":  # logarithmic, and yet with round 0
            self.axes.set_xscale("symlog", linthresh=1.0, linscale=0.35)
            self.axes.xaxis.set_major_formatter(ticker.FuncFormatter(_plain_number))
        else:
            self.axes.set_xscale(x_scale)
        self.axes.set_yscale(y_scale)
        if y_scale == "log":  # over less than two decades a second tick is labelled too
            self.axes.yaxis.set_minor_formatter(
                ticker.LogFormatterSciNotation(minor_thresholds=(2, 0.5))
            )
        self.axes.grid(visible=True, which="major", linewidth=0.4, alpha=0.5)
        if x_scale != "rounds":
            self.axes.margins(x=0.02)

    def line(
        self,
        series: str,
        x: ArrayLike,
        y: ArrayLike,
        *,
        kind: str = "measured",
        label: str | None = None,
        band: tuple[ArrayLike, ArrayLike] | None = None,
        **look: Any,
    ) -> None:
        """A curve, in a band from band[0] to band[1]."""
        across, values = np.asarray(x, dtype=np.float64), self._drawable(y)
        if self.axes.get_xscale() == "log":
            across = np.where(across > 0, across, math.nan)
        if np.isfinite(values).sum() == 1:  # a line needs two points
            look = {"marker": "o", **look}
        (drawn,) = self.axes.plot(
            across, values, label=legends.shown_name(label), **{"linewidth": 1.4, **look}
        )
        if label and kind == "measured":
            self._named.append(drawn)
        low, high = (np.full(values.shape, math.nan),) * 2
        if band is not None:
            low, high = (self._drawable(edge) for edge in band)
            shade = {"alpha": 0.2, "linewidth": 0}
            self.axes.fill_between(across, low, high, color=look["color"], **shade)
        self._record(series, kind, across, values, low, high)

    def points(
        self,
        series: str,
        x: ArrayLike,
        y: ArrayLike,
        *,
        kind: str = "measured",
        label: str | None = None,
        bars: tuple[ArrayLike, ArrayLike] | None = None,
        **look: Any,
    ) -> None:
        """Markers, with bars that reach from bars[0] to bars[1]."""
        across, values = np.asarray(x), self._drawable(y)
        low, high = (np.full(values.shape, math.nan),) * 2
        errors = None
        if bars is not None:
            low, high = (np.asarray(edge, dtype=np.float64) for edge in bars)
            errors = np.maximum(0.0, [values - low, high - values])
        style = {"linestyle": "none", "capsize": 2.0, "elinewidth": 1.0, "markersize": 5.0, **look}
        self.axes.errorbar(across, values, yerr=errors, label=legends.shown_name(label), **style)
        self._record(series, kind, across, values, low, high)

    def bars(
        self,
        series: str,
        names: Sequence[str],
        heights: ArrayLike,
        base: ArrayLike,
        *,
        label: str | None = None,
        **look: Any,
    ) -> None:
        """Bars from `base` up, one for each name; the table has their heights."""
        tall, low = np.asarray(heights, dtype=np.float64), np.asarray(base, dtype=np.float64)
        style = {"edgecolor": "black", "linewidth": 0.6, **look}
        self.axes.bar(list(names), tall, bottom=low, label=legends.shown_name(label), **style)
        self._record(series, "measured", list(names), tall, low, low + tall)

    def across(
        self,
        series: str,
        *,
        x: float = math.nan,
        y: float = math.nan,
        kind: str = "predicted",
        label: str | None = None,
        **look: Any,
    ) -> None:
        """A line across the panel: upright at x, or level at y."""
        if math.isnan(x):
            self.axes.axhline(y, label=legends.shown_name(label), **look)
        else:
            self.axes.axvline(x, label=legends.shown_name(label), **look)
        self._record(series, kind, [x], [y], [math.nan], [math.nan])

    def colour_scale(self, name: str, values: Sequence[float]) -> list[Any]:
        """A colour for each value, and the bar that says which; for more curves than a legend."""
        low, high = min(values), max(values)
        log = low > 0 and high / low >= 10
        norm = colors.LogNorm(low, high) if log else colors.Normalize(low, high)
        shades = mpl.colormaps["viridis"]
        scale = cm.ScalarMappable(norm, shades)
        self.axes.figure.colorbar(scale, ax=self.axes, label=name)
        return [shades(0.92 * norm(value)) for value in values]

    def label_ends(self) -> None:
        """Name the curves where they end, if that is clear; see `legends.label_ends`."""
        legends.label_ends(self.axes, self._named)

    def legend(self, **where: Any) -> None:
        """Name what is drawn; see `legends.legend`."""
        legends.legend(self.axes, **where)

    def _drawable(self, values: ArrayLike) -> NDArray[np.float64]:
        """A log axis shows what is positive, and no axis shows what is not finite."""
        array = np.asarray(values, dtype=np.float64)
        shown = np.isfinite(array)
        if self.axes.get_yscale() == "log":
            shown &= (array >= SMALLEST) & (array <= LARGEST)
        return np.where(shown, array, math.nan)

    def _record(self, series: str, kind: str, x: Any, y: Any, low: Any, high: Any) -> None:
        for place in range(len(y)):
            at = x[place] if isinstance(x[place], str) else float(x[place])
            self._rows.append(
                Row(
                    *(self._title, series, kind, self._x, at),
                    *(self._y, float(y[place]), float(low[place]), float(high[place])),
                )
            )


class Figure:
    """A grid of panels of `size` inches each, and the table of what is drawn on them."""

    def __init__(
        self, rows: int = 1, columns: int = 1, size: tuple[float, float] = (5.6, 3.8)
    ) -> None:
        mpl.rcParams.update({"pdf.fonttype": 42, "ps.fonttype": 42, "font.size": 9})
        extent = (columns * size[0], rows * size[1])
        # No pyplot: a program's own figures and screens are no concern of these.
        self._figure = figure.Figure(figsize=extent, layout="constrained")
        FigureCanvasAgg(self._figure)
        axes = self._figure.subplots(rows, columns, squeeze=False)
        self.rows: list[Row] = []
        self.panels = [[Panel(one, self.rows) for one in row] for row in axes]

    def title(self, text: str) -> None:
        """A title above all panels."""
        self._figure.suptitle(legends.readable(text), fontsize=10)

    def legend_below(self, panel: Panel, columns: int) -> None:
        """One legend for all panels, with what `panel` names."""
        handles, labels = panel.axes.get_legend_handles_labels()
        self._figure.legend(
            handles, labels, loc="outside lower center", ncols=columns, fontsize="small"
        )

    def save(
        self,
        output: Path,
        beside: bool = True,
        force: bool = False,
        read: Iterable[Path] = (),
    ) -> None:
        """Write `output` and NAME.csv, and NAME.pdf and NAME.png too; see `saving.save`."""
        saving.save(self._figure, self._table(), output, beside, force, read)

    def svg(self) -> str:
        """The picture as an element of a page: letters are paths, and no file or font is needed."""
        drawn = io.BytesIO()
        self._figure.savefig(drawn, format="svg")
        text = drawn.getvalue().decode()
        return text[text.index("<svg") :]

    def _table(self) -> str:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(Row._fields)
        for row in self.rows:
            writer.writerow(["" if _is_nan(value) else value for value in row])
        return text.getvalue()


def look(place: int, marked: bool = False) -> dict[str, Any]:
    """The look of the curve at `place`: colour and line style, or colour and marker."""
    colour = {"color": COLOURS[place % len(COLOURS)]}
    if marked:
        return {**colour, "marker": MARKERS[place % len(MARKERS)]}
    return {**colour, "linestyle": STYLES[place % len(STYLES)]}


def _plain_number(value: float, _: int) -> str:
    return f"{value:g}"


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)
