"""A curve in a terminal."""

import math
from typing import Any

import numpy as np
import plotille
from numpy.typing import NDArray

AXES = (24, 4)
"""Columns and lines that the axes take."""


def curve(
    rounds: NDArray[Any], gaps: NDArray[Any], end: int, levels: list[float], size: tuple[int, int]
) -> str:
    """Relative gaps against rounds, gaps on a logarithmic axis, as lines of text.

    Parameters
    ----------
    rounds, gaps : arrays (rows,)
        What is not positive, or not finite, is left out.
    end : int
        Where the axis of the rounds ends.
    levels : list of float
        Drawn dotted, all the way across.
    size : (int, int)
        Columns and lines, axes included.

    Returns
    -------
    str
        Empty where nothing can be drawn.
    """
    drawable = np.isfinite(gaps) & (gaps > 0)
    width, height = size[0] - AXES[0], size[1] - AXES[1]
    if width < 10 or height < 3 or drawable.sum() < 2:
        return ""
    x, y = rounds[drawable], np.log10(gaps[drawable])
    places = np.unique(np.linspace(0, len(x) - 1, 2 * width).astype(int))  # two dots a character
    marks = [math.log10(level) for level in levels if level > 0]
    low, high = math.floor(min([*y, *marks])), math.ceil(max([*y, *marks]))
    low, height = _grid(low, max(high, low + 1), height)
    figure = plotille.Figure()
    figure.width, figure.height = width, height
    figure.with_colors, figure.origin = False, False
    figure.x_label, figure.y_label = "round", "relative gap"
    figure.set_x_limits(0, max(end, 1))
    figure.set_y_limits(low, max(high, low + 1))
    figure.x_ticks_fkt = lambda least, _: f"{least:.0f}"
    figure.y_ticks_fkt = _decade
    figure.plot(x[places].tolist(), y[places].tolist())
    across = np.linspace(0, max(end, 1), width // 2).tolist()
    for mark in marks:
        figure.scatter(across, [mark] * len(across))
    return str(figure.show())


def _grid(low: int, high: int, height: int) -> tuple[int, int]:
    """The lowest power of ten and the number of lines, so that each power begins a line.

    Powers have the same number of lines each, or lines the same number of powers.
    """
    powers = high - low
    if powers <= height:
        return low, powers * (height // powers)
    lines = math.ceil(powers / math.ceil(powers / height))
    return high - lines * math.ceil(powers / height), lines


def _decade(least: float, _: float) -> str:
    """The power of ten at the lower end of a line, if there is one."""
    power = round(least)
    return f"1e{power:+03d}" if abs(least - power) < 1e-6 else ""
