"""Whether the parts of a run log fit together: shapes, and the ranges of what counts something.

Looked at once, where a log is read, for whatever reads logs. What the numbers mean is for `verify`.
"""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

DIMENSIONS: Mapping[str, tuple[str, ...]] = {
    "model/x": ("d",),
    "model/x0": ("d",),
    "theory/x_star": ("d",),
    "theory/fixed_point": ("d",),
    "iterates/round": ("models",),
    "iterates/x": ("models", "d"),
    "problem/L": ("n", "d", "d"),
    "problem/b": ("n", "d"),
    "problem/constant": ("n",),
    "permutations/round": ("draws",),
    "permutations/pi": ("draws", "entries"),
    "permutations/offsets": ("draws", "n + 1"),
}
"""What the axes of the arrays are; equal names are equally long."""
WHOLE = ("iterates", "permutations", "problem")
"""Groups that have all of their arrays, or are absent."""
MOST = 2**31 - 2
"""Rounds of a run."""
SETTINGS: Mapping[str, Any] = {
    "problem.kind": str,
    "method.name": str,
    "method.step_size": (int, float),
    "run.rounds": int,
    "run.seed": int,
    "log.every": int,
}
"""Settings that every configuration has once it is resolved, whatever else there is."""
COUNTS = ("run.rounds", "log.every")
_DIGEST = re.compile("[0-9a-f]{64}")


def misfits(
    groups: Mapping[str, Mapping[str, Any]],
    tables: Mapping[str, Mapping[str, Any]],
    digest: str | None,
) -> Iterator[str]:
    """What does not fit, in words; nothing for a log as this program writes them.

    Parameters
    ----------
    groups : mapping
        The arrays, by group and name; those of `WHOLE` may be left out.
    tables : mapping
        The configuration.
    digest : str, optional
        Of the problem's data.
    """
    faults = [*_of_settings(tables), *_of_shapes(groups)]
    if digest is not None and not _DIGEST.fullmatch(digest):
        faults.append("problem_digest is no SHA-256")
    yield from faults
    if not faults:
        yield from _of_ranges(groups, tables)


def _of_settings(tables: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """What the configuration lacks that every reader takes for granted."""
    for name, kind in SETTINGS.items():
        section, _, key = name.partition(".")
        value: Any = tables.get(section, {}).get(key)
        if not isinstance(value, kind) or isinstance(value, bool):
            yield f"its configuration has no {name}"
            continue
        finite = not isinstance(value, float) or math.isfinite(value)
        if not finite or (name in COUNTS and not 1 <= value <= MOST):
            yield f"its configuration has {name} = {value}"


def _of_shapes(groups: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Axes that differ, although they are of the same thing."""
    for group in WHOLE:
        members = {name.partition("/")[2] for name in DIMENSIONS if name.startswith(f"{group}/")}
        there = groups.get(group, {}).keys() & members
        if there and there != members:
            yield f"/{group} lacks {', '.join(sorted(members - there))}"
    long: dict[str, int] = {}
    for name, axes in DIMENSIONS.items():
        group, _, member = name.partition("/")
        array = groups.get(group, {}).get(member)
        if array is None:
            continue
        for axis, extent in zip(axes, np.shape(array), strict=True):
            word = "n" if axis == "n + 1" else axis
            extent -= axis == "n + 1"
            if extent < 1 or long.setdefault(word, extent) != extent:
                yield f"/{name} has the shape {np.shape(array)}, where {_words(long)}"
                break


def _words(long: Mapping[str, int]) -> str:
    return ", ".join(f"{name} = {extent}" for name, extent in long.items())


def _of_ranges(
    groups: Mapping[str, Mapping[str, Any]], tables: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    """Numbers of rounds, coordinates and places that there cannot be."""
    most, drawn = int(tables["run"]["rounds"]), groups.get("permutations", {})
    wanted = [("rounds/round", groups["rounds"]["round"], most)]
    if drawn:
        d, entries = len(groups["model"]["x"]), drawn["pi"].shape[1]
        wanted += [
            ("permutations/round", drawn["round"], most - 1),
            ("permutations/pi", drawn["pi"], d - 1),
            ("permutations/offsets", drawn["offsets"], entries),
        ]
    for name, array, last in wanted:
        if array.size and not (array.min() >= 0 and array.max() <= last):
            yield f"/{name} has {array.min()} to {array.max()}, beyond 0 to {last}"
