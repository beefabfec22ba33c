"""Which combinations are tested: all of them with IST_TESTS=full, else enough of them."""

import os
from collections.abc import Sequence
from itertools import combinations, product
from typing import Any

FULL = os.environ.get("IST_TESTS") == "full"
"""Whether all combinations, kills and campaigns were asked for."""


def thinned(*axes: Sequence[Any], strength: int = 2) -> list[tuple[Any, ...]]:
    """Rows in which any `strength` values of different axes meet (2: all pairs); the same always.

    Each row is the one that brings most new meetings, of which there are few enough to count.
    """
    rows = list(product(*axes))
    if FULL:
        return rows
    places = list(combinations(range(len(axes)), min(strength, len(axes))))

    def meetings(row: tuple[Any, ...]) -> set[tuple[tuple[int, ...], tuple[Any, ...]]]:
        return {(place, tuple(row[axis] for axis in place)) for place in places}

    wanted = set().union(*map(meetings, rows))
    chosen = []
    while wanted:
        best = max(rows, key=lambda row: len(meetings(row) & wanted))
        wanted -= meetings(best)
        chosen.append(best)
    return sorted(chosen, key=rows.index)


def in_turn(first: Sequence[Any], others: Sequence[Any], each: int) -> list[tuple[Any, Any]]:
    """Rows in which every one of `first` meets so many of `others`, neighbours different ones."""
    if FULL:
        return list(product(first, others))
    return [
        (one, others[(place + step) % len(others)])
        for place, one in enumerate(first)
        for step in range(each)
    ]
