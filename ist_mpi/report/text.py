"""How things are written for people: numbers, times, tables of facts; and JSON."""

import json
import math
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table


def console() -> Console:
    """Standard output; where it is no terminal nothing is folded, so that paths stay whole."""
    screen = Console(highlight=False)
    if not screen.is_terminal:
        screen.width = 4096
    return screen


def facts_table() -> Table:
    """A borderless table of names and values."""
    table = Table(show_header=False, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
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


def number(value: Any) -> str:
    """A measured value for people."""
    if isinstance(value, float):
        return "undefined" if math.isnan(value) else f"{value:.6g}"
    return str(value)


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
