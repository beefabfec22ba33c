"""A sweep without a file of its own: a base and a grid, put into files beside the logs."""

import hashlib
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from ist_mpi.batch import points
from ist_mpi.batch.points import Plan
from ist_mpi.config import Config
from ist_mpi.config.reading import anchored
from ist_mpi.errors import Fault, InputError
from ist_mpi.store import files

FORMS = (
    "SECTION.KEY=VALUES, where VALUES are 1,2,3 or A:B (the integers A, …, B-1) or log:A:B:N or "
    "linear:A:B:N (N numbers from A to B)"
)


def parsed(texts: Sequence[str]) -> dict[str, Any]:
    """The axes that ``--grid`` gives, as a sweep file has them; InputError with every fault."""
    axes: dict[str, Any] = {}
    faults = []
    for text in texts:
        key, equals, values = (part.strip() for part in text.partition("="))
        axis = _axis(values) if equals and values else None
        if axis is None or key.count(".") != 1:
            faults.append(Fault(f"--grid {text}", repr(text), FORMS))
        elif key in axes:
            faults.append(Fault(f"--grid {text}", f"{key} twice", "each setting once"))
        else:
            axes[key] = axis
    if faults:
        raise InputError(faults)
    return axes


def _axis(text: str) -> Any:
    """The values of an axis; None if they are none."""
    first, *rest = text.split(":")
    if first in ("log", "linear"):
        try:
            low, high, count = rest
            numbers = {"from": _number(low), "to": _number(high), "count": int(count)}
        except ValueError:
            return None
        return numbers | ({"log": True} if first == "log" else {})
    if len(rest) == 1 and first.isdecimal() and rest[0].isdecimal():
        return text
    return [_value(word.strip()) for word in text.split(",")]


def _number(word: str) -> int | float:
    """An integer where it is written as one, as in a file: a setting may take no other."""
    try:
        return int(word)
    except ValueError:
        return float(word)


def _value(word: str) -> Any:
    """A TOML value, else a plain string."""
    try:
        parsed = tomllib.loads(f"value = {word}")
    except (ValueError, RecursionError):
        return word
    return parsed["value"] if set(parsed) == {"value"} else word


def planned(
    config: Config, grid: Mapping[str, Any], folder: Path, texts: Sequence[str] = ()
) -> Plan:
    """The sweep of a base and a grid, checked; its files in `folder` are named by what they say.

    Parameters
    ----------
    grid : mapping
        By ``section.key``: lists, arrays, ranges, as a sweep file has them; paths are relative to
        the current folder.
    texts : sequence of str
        What ``--grid`` gave, if it did; faults are told by them, not by the files that are gone.

    Raises
    ------
    InputError
        If the base has arrays that only this process has, or the grid is none, or a point has
        faults; no file is left then.
    """
    if config.problem.arrays():
        got, expected = "arrays in memory", "a problem that settings or a file describe"
        raise InputError(Fault("base", got, expected, "save them, and use kind = arrays"))
    if not isinstance(grid, Mapping):
        raise InputError(Fault("grid", type(grid).__name__, "values by section.key"))
    text = config.to_toml()
    base = f"base-{_digest(text)}.toml"
    try:
        axes = {str(key): _plain(str(key), values) for key, values in grid.items()}
        document = tomli_w.dumps({"base": base, "grid": axes})
    except TypeError as error:
        raise InputError(Fault("grid", str(error), "numbers, strings, true or false")) from error
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / points.OF_GRID.format(_digest(document))
    wanted = {folder / base: text, path: document}
    made = [name for name in wanted if not name.exists()]
    try:
        for name in made:
            files.replace(name, wanted[name].encode())
        found = points.plan(path, folder)
        points.check(found)
    except InputError as error:
        for name in made:
            name.unlink(missing_ok=True)
        words = dict.fromkeys(axes) | {text.partition("=")[0].strip(): text for text in texts}
        names = {key: f"--grid {text or key}" for key, text in words.items()}
        raise InputError(
            fault._replace(where=_place(fault.where, names, path, folder / base))
            for fault in error.faults
        ) from None
    return found


def _place(where: str, names: Mapping[str, str], sweep: Path, base: Path) -> str:
    """Where a fault is in what was given: an axis by its name, else the grid, or the base."""
    keys = "|".join(map(re.escape, names)) or "(?!)"
    axis = re.compile(rf"(?<![\w.])(?:grid\.)?({keys})(?:\.\w+)? in {re.escape(str(sweep))}")
    where = axis.sub(lambda found: names[found[1]], where)
    return where.replace(str(sweep), "the grid").replace(str(base), "the base")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(setting: str, values: Any) -> Any:
    """The values of an axis as a sweep file has them."""
    if isinstance(values, np.ndarray):
        return values.tolist()
    if isinstance(values, str | Mapping) or not isinstance(values, Iterable):
        return values
    section, _, key = setting.partition(".")
    plain = [value.item() if isinstance(value, np.generic) else value for value in values]
    return [anchored(section, key, value, Path.cwd()) for value in plain]
