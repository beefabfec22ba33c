"""How things are written for people: numbers, times, tables of facts; and JSON."""

import json
import math
import re
from collections.abc import Mapping
from typing import IO, Any, cast

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ist_mpi.errors import printable


class _Unpadded:
    """A text stream that takes no blanks at the ends of lines; rich pads tables with them."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        self._stream.write(re.sub(r" +(?=\n)", "", text))
        return len(text)


def console() -> Console:
    """Standard output; where it is no terminal nothing is folded or padded: for other programs."""
    screen = Console(highlight=False, markup=False, emoji=False)
    if not screen.is_terminal:
        screen.width = 4096
        screen.file = cast("IO[str]", _Unpadded(screen.file))
    return screen


class Sheet(Table):
    """A borderless table that shows names as they are: no markup, no control characters."""

    def __init__(self, *, headed: bool = True) -> None:
        super().__init__(show_header=headed, box=None, pad_edge=False, padding=(0, 2, 0, 0))

    def row(self, *cells: str | Text) -> None:
        """Add a row."""
        texts = (Text(cell) if isinstance(cell, str) else cell for cell in cells)
        self.add_row(*(Text(printable(text.plain), style=text.style) for text in texts))


def facts_table() -> Sheet:
    """A table of names and values."""
    table = Sheet(headed=False)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold", min_width=10)  # what a narrow terminal leaves no room for
    return table


def duration(seconds: float) -> str:
    """Seconds for people."""
    if math.isnan(seconds):
        return "?"
    if seconds < 100:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def number(value: Any, digits: int = 6) -> str:
    """A measured value for people."""
    if isinstance(value, float):
        return "undefined" if math.isnan(value) else f"{value:.{digits}g}"
    return str(value)


def rate(value: float) -> str:
    """Something per second for people, to three digits and without an exponent."""
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def to_json(document: Mapping[str, Any]) -> str:
    """JSON with null for what is undefined."""
    return json.dumps(_without_nan(document), indent=2)


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
