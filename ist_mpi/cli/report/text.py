"""How things are written for people: numbers, times, tables of facts; and JSON."""

import json
import math
import re
from collections.abc import Mapping
from typing import IO, Any, cast

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ist_mpi.errors import printable

WORD = 20
"""Signs of a word that is not folded."""
GAP = 2
"""Blanks between columns."""


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
        super().__init__(show_header=headed, box=None, pad_edge=False, padding=(0, GAP, 0, 0))

    def row(self, *cells: str | Text) -> None:
        """Add a row."""
        texts = (Text(cell) if isinstance(cell, str) else cell for cell in cells)
        self.add_row(*(Text(printable(text.plain), style=text.style) for text in texts))

    def fit(self, width: int) -> list[str]:
        """Give each column room for its longest word; the headings of those that found none.

        Numbers are words: none is broken in two. What is longer than `WORD` is folded; columns are
        left out from the right.
        """
        least, most = self._widths()
        shown = len(least)
        while shown > 1 and sum(least[:shown]) + GAP * (shown - 1) > width:
            shown -= 1
        left = [str(column.header) for column in self.columns[shown:]]
        del self.columns[shown:]
        room = width - sum(least[:shown]) - GAP * (shown - 1)
        wanting = [place for place in range(shown) if least[place] < most[place]]
        while room > 0 and wanting:
            for place in wanting[:room]:
                least[place] += 1
            room -= len(wanting[:room])
            wanting = [place for place in wanting if least[place] < most[place]]
        for column, space in zip(self.columns, least, strict=False):
            column.width, column.overflow = space, "fold"
            if cell_len(str(column.header)) > space:
                column.header = _folded(str(column.header))
        return left

    def fits(self, width: int) -> bool:
        """Whether all columns have room for their longest words."""
        least, _ = self._widths()
        return sum(least) + GAP * (len(least) - 1) <= width

    def _widths(self) -> tuple[list[int], list[int]]:
        """Of every column the longest word, and the longest cell."""
        least, most = [], []
        for column in self.columns:
            cells = [str(cell) for cell in column.cells]
            heading = str(column.header)
            words = [*_folded(heading).split(), *(word for cell in cells for word in cell.split())]
            least.append(max(min(cell_len(word), WORD) for word in words) if words else 0)
            most.append(max(map(cell_len, [heading, *cells])))
        return least, most


def _folded(heading: str) -> str:
    """A heading in lines: ``method.``, ``step_``, ``size``."""
    return re.sub("(?<=[._/])", "\n", heading)


def show_sheet(screen: Console, table: Sheet, more: str) -> None:
    """A table, and what of it has no room; `more`: where all is."""
    left = table.fit(screen.width)
    screen.print(table)
    if left:
        screen.print(f"for want of room without {', '.join(left)}: {more}")


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
