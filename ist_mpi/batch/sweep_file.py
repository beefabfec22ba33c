"""A sweep: a base configuration, and the settings in which its runs differ.

    base = "figure1a.toml"                  relative to this file

    [set]                                   the same in every run
    run.rounds = 300

    [grid]                                  every combination
    method.step_size = { from = 1e-6, to = 1e-4, count = 5, log = true }
    run.seed = "0:3"

    [[zip]]                                 lists that go together: one more axis of the grid
    problem.d = [100, 200]
    problem.n = [5, 10]

Points are counted from 0: the first axis turns slowest, the zips come after the grid. Each is
resolved as ``ist-mpi run base.toml --set section.key=value …`` would be.
"""

import difflib
import hashlib
import itertools
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import tomli_w

from ist_mpi.batch.axes import FORMS, POINTS, Value, is_value, shown, values_of
from ist_mpi.config.model import Config
from ist_mpi.config.reading import load, read_toml
from ist_mpi.errors import Fault, InputError

_TABLES = ("base", "set", "grid", "zip")
_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*")

Settings = dict[str, Value]
"""Values by ``section.key``."""


class Sweep(NamedTuple):
    """A sweep file, read: what its points are, none of them resolved yet."""

    path: Path
    base: Path
    fixed: Settings
    """The same at every point."""
    points: list[Settings]
    """In what the points differ."""
    digest: str
    """16 hexadecimal digits that identify the points and the base, whatever comments say."""

    @property
    def name(self) -> str:
        """What to call it: the file's name without its ending."""
        return self.path.stem

    def config(self, index: int) -> Config:
        """The resolved configuration of a point.

        Raises
        ------
        InputError
            With every fault, located in the base or in this file.
        """
        settings = self.fixed | self.points[index]
        overrides = [f"{key}={toml(value)}" for key, value in settings.items()]
        return load(self.base, overrides, str(self.path))

    def label(self, indices: Iterable[int]) -> str:
        """What to call points, with the settings of the first: ``point 3 (run.seed = 3)``."""
        indices = list(indices)
        words = "point" if len(indices) == 1 else "points"
        which = "the first with " if len(indices) > 1 else ""
        return f"{words} {ranges(indices)} ({which}{described(self.points[indices[0]])})"

    def configs(self) -> list[Config]:
        """The resolved configuration of every point.

        Raises
        ------
        InputError
            With every fault of every point; one that several share is told once.
        """
        found, faulty = [], Alike()
        for index in range(len(self.points)):
            try:
                found.append(self.config(index))
            except InputError as error:
                faulty.add(index, error)
        if wrong := faulty.error(self):
            raise wrong
        return found


class Alike:
    """Collects the faults of points, the same ones of several together."""

    def __init__(self) -> None:
        self._faults: dict[Fault, list[int]] = {}

    def add(self, index: int, error: InputError) -> None:
        """Take note of what is wrong with a point."""
        for fault in error.faults:
            self._faults.setdefault(fault, []).append(index)

    def error(self, sweep: Sweep) -> InputError | None:
        """All of them as one error that names the points; None: there are none."""
        if not self._faults:
            return None
        return InputError(
            fault._replace(where=f"{sweep.label(indices)}: {fault.where}")
            for fault, indices in self._faults.items()
        )


def read_sweep(path: str | Path) -> Sweep:
    """A sweep file and the points that it describes.

    Raises
    ------
    InputError
        With every fault of the file and of the base, as far as it is readable; what single points
        have wrong, `Sweep.configs` tells.
    """
    path = Path(path)
    tables = read_toml(path)
    faults = [
        Fault(f"{key} in {path}", "an unknown name", f"one of {', '.join(_TABLES)}", _near(key))
        for key in tables.keys() - set(_TABLES)
    ]
    base, base_tables = _base(path, tables.get("base"), faults)
    fixed = _fixed(path, tables.get("set", {}), faults)
    axes = [[{key: value} for value in values] for key, values in _grid(path, tables, faults)]
    axes += _zips(path, tables.get("zip", []), faults)
    _check_keys(path, [fixed.keys(), *(axis[0].keys() for axis in axes)], faults)
    if not axes and not faults:
        faults.append(Fault(f"grid in {path}", "nothing", "[grid] or [[zip]]: settings and values"))
    if faults:
        raise InputError(faults)
    count = math.prod(map(len, axes))
    if count > POINTS.value:
        got = f"{count} points ({' x '.join(str(len(axis)) for axis in axes)})"
        remedy = f"if so many runs are meant, set the environment variable {POINTS.variable} higher"
        raise InputError(Fault(str(path), got, f"at most {POINTS.text}", remedy))
    points = [_joined(combination) for combination in itertools.product(*axes)]
    for settings in (fixed, *points):
        _anchor(settings, path.parent)
    identity = json.dumps([base_tables, fixed, points], default=str)
    digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
    return Sweep(path, base, fixed, points, digest)


def toml(value: Value) -> str:
    """A value as TOML writes it."""
    return tomli_w.dumps({"v": value}).removeprefix("v = ").rstrip("\n")


def described(settings: Mapping[str, Value]) -> str:
    """Settings for people: ``method.step_size = 1e-05, run.seed = 2``."""
    return ", ".join(f"{key} = {toml(value)}" for key, value in settings.items())


def ranges(indices: Iterable[int]) -> str:
    """Numbers for people and for SLURM: ``3,5,7-9``."""
    runs: list[list[int]] = []
    for index in sorted(indices):
        if runs and runs[-1][-1] == index - 1:
            runs[-1] = [runs[-1][0], index]
        else:
            runs.append([index])
    return ",".join("-".join(map(str, run)) for run in runs)


def _near(key: str) -> str:
    near = difflib.get_close_matches(key, _TABLES, n=1)
    return f"did you mean {near[0]}?" if near else ""


def _base(path: Path, name: Any, faults: list[Fault]) -> tuple[Path, dict[str, Any]]:
    """The path of the base, and its tables."""
    where = f"base in {path}"
    if not isinstance(name, str) or not name:
        got = "nothing" if name is None else shown(name)
        faults.append(Fault(where, got, "the path of a configuration, a TOML file"))
        return path, {}
    base = path.parent / name
    try:
        return base, read_toml(base)
    except InputError as error:
        faults += [fault._replace(where=f"{where}: {fault.where}") for fault in error.faults]
        return base, {}


def _fixed(path: Path, table: Any, faults: list[Fault]) -> Settings:
    """The settings of [set]."""
    found: Settings = {}
    for key, value in _settings(path, "set", table, faults):
        if is_value(value):
            found[key] = value
        else:
            where, expected = f"set.{key} in {path}", "a number, a string, true or false"
            faults.append(Fault(where, shown(value), expected, "lists and ranges go into [grid]"))
    return found


def _grid(
    path: Path, tables: Mapping[str, Any], faults: list[Fault]
) -> Iterator[tuple[str, list[Value]]]:
    """The axes of [grid], those without a fault."""
    yield from _axes(path, "grid", tables.get("grid", {}), faults)


def _axes(
    path: Path, name: str, table: Any, faults: list[Fault]
) -> Iterator[tuple[str, list[Value]]]:
    """Every setting of a table with its list of values, but for those with a fault."""
    for key, spec in _settings(path, name, table, faults):
        try:
            yield key, values_of(spec, f"{name}.{key}", str(path))
        except InputError as error:
            faults += error.faults


def _zips(path: Path, tables: Any, faults: list[Fault]) -> list[list[Settings]]:
    """An axis for every [[zip]], those without a fault."""
    if not isinstance(tables, list):
        expected = "tables [[zip]] of lists that go together"
        faults.append(Fault(f"zip in {path}", shown(tables), expected))
        return []
    axes = []
    for place, table in enumerate(tables):
        name = f"zip[{place}]"
        columns = dict(_axes(path, name, table, faults))
        lengths = {key: len(values) for key, values in columns.items()}
        if len(set(lengths.values())) > 1:
            got = ", ".join(f"{key} with {count}" for key, count in lengths.items())
            faults.append(Fault(f"{name} in {path}", got, "lists of one length"))
        elif columns:
            rows = zip(*columns.values(), strict=True)
            axes.append([dict(zip(columns, row, strict=True)) for row in rows])
        elif table == {}:
            faults.append(Fault(f"{name} in {path}", "nothing", f"section.key = {FORMS}"))
    return axes


def _settings(path: Path, name: str, table: Any, faults: list[Fault]) -> Iterator[tuple[str, Any]]:
    """Every ``section.key`` of a table with what stands there."""
    expected = f"a table [{name}] of section.key = …"
    if not isinstance(table, Mapping):
        faults.append(Fault(f"{name} in {path}", shown(table), expected))
        return
    for section, inner in table.items():
        words = section.split(".")
        nested = isinstance(inner, Mapping) and len(words) == 1
        for key, spec in inner.items() if nested else [(".".join(words[1:]), inner)]:
            if _NAME.fullmatch(words[0]) and _NAME.fullmatch(key):
                yield f"{words[0]}.{key}", spec
            else:
                where = f"{name}.{section}" + (f".{key}" if nested else "")
                faults.append(Fault(f"{where} in {path}", shown(spec), "section.key = …"))


def _check_keys(path: Path, tables: Iterable[Iterable[str]], faults: list[Fault]) -> None:
    """Every setting is given in one place."""
    seen: set[str] = set()
    for keys in tables:
        for key in keys:
            if key in seen:
                got = "values in two places"
                faults.append(Fault(f"{key} in {path}", got, "one of [set], [grid] and [[zip]]"))
            seen.add(key)


def _joined(parts: Iterable[Settings]) -> Settings:
    joined: Settings = {}
    for part in parts:
        joined |= part
    return joined


def _anchor(settings: Settings, folder: Path) -> None:
    """Make problem.path absolute: in a file it is relative to the file."""
    path = settings.get("problem.path")
    if isinstance(path, str) and path and not path.startswith("~"):
        settings["problem.path"] = str((folder / path).absolute())
