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
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import tomli_w

from ist_mpi.batch.axes import FORMS, MORE_POINTS, POINTS, Value, is_value, shown, values_of
from ist_mpi.config.model import Config
from ist_mpi.config.reading import OF_DATA, load, read_toml
from ist_mpi.errors import Fault, InputError

_TABLES = ("base", "set", "grid", "zip")
_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*")

Settings = dict[str, Value]
"""Values by ``section.key``."""

T = TypeVar("T")


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

    def config(self, index: int) -> Config:
        """The resolved configuration of a point; InputError locates faults in base or sweep."""
        settings = self.fixed | self.points[index]
        overrides = [f"{key}={toml(value)}" for key, value in settings.items()]
        return load(self.base, overrides, str(self.path), self.path.parent)

    def configs(self) -> list[Config]:
        """The resolved configuration of every point; raises InputError as `of_each`."""
        return list(self.of_each(range(len(self.points)), self.config).values())

    def of_each(self, indices: Iterable[int], make: Callable[[int], T]) -> dict[int, T]:
        """What `make` gives for each of these points.

        Raises InputError with every fault of every point; one that several share is told once.
        """
        found: dict[int, T] = {}
        faults: dict[Fault, list[int]] = {}
        for index in indices:
            try:
                found[index] = make(index)
            except InputError as error:
                for fault in error.faults:
                    faults.setdefault(fault, []).append(index)
        if faults:
            raise InputError(
                fault._replace(where=f"{self._label(wrong)}: {fault.where}")
                for fault, wrong in faults.items()
            )
        return found

    def _label(self, indices: list[int]) -> str:
        """What to call points, with the settings of the first: ``point 3 (run.seed = 3)``."""
        words, which = ("points", "the first with ") if len(indices) > 1 else ("point", "")
        return f"{words} {ranges(indices)} ({which}{described(self.points[indices[0]])})"


def read_sweep(path: str | Path) -> Sweep:
    """A sweep file and the points that it describes.

    Raises InputError with every fault of the file and of the base, as far as it is readable; what
    single points have wrong, `Sweep.configs` tells.
    """
    return _Reading(Path(path)).sweep()


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


class _Reading:
    """A sweep file while it is read, with every fault found so far."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tables = read_toml(path)
        self.faults: list[Fault] = []

    def sweep(self) -> Sweep:
        for key in self.tables.keys() - set(_TABLES):
            near = difflib.get_close_matches(key, _TABLES, n=1)
            remedy = f"did you mean {near[0]}?" if near else ""
            self.wrong(key, "an unknown name", f"one of {', '.join(_TABLES)}", remedy)
        base, base_tables = self.base()
        fixed = self.fixed()
        grid = self.axes("grid", self.tables.get("grid", {}))
        axes = [[{key: value} for value in values] for key, values in grid] + self.zips()
        seen: set[str] = set()
        for key in itertools.chain(fixed, *(axis[0] for axis in axes)):
            if key in seen:
                self.wrong(key, "values in two places", "one of [set], [grid] and [[zip]]")
            seen.add(key)
        if not axes and not self.faults:
            self.wrong("grid", "nothing", "[grid] or [[zip]]: settings and values")
        count = math.prod(map(len, axes))
        if count > POINTS.value and not self.faults:
            got = f"{count} points ({' x '.join(str(len(axis)) for axis in axes)})"
            self.faults.append(Fault(str(self.path), got, f"at most {POINTS.text}", MORE_POINTS))
        if self.faults:
            raise InputError(self.faults)
        points = [
            {key: value for part in parts for key, value in part.items()}
            for parts in itertools.product(*axes)
        ]
        for settings in (fixed, *points):
            _anchor(settings, self.path.parent)
        identity = json.dumps([base_tables, fixed, points], default=str)
        digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
        return Sweep(self.path, base, fixed, points, digest)

    def wrong(self, name: str, got: str, expected: str, remedy: str = "") -> None:
        self.faults.append(Fault(f"{name} in {self.path}", got, expected, remedy))

    def base(self) -> tuple[Path, dict[str, Any]]:
        """The path of the base, and its tables."""
        name = self.tables.get("base")
        if not isinstance(name, str) or not name:
            got = "nothing" if name is None else shown(name)
            self.wrong("base", got, "the path of a configuration, a TOML file")
            return self.path, {}
        base = self.path.parent / name
        try:
            return base, read_toml(base)
        except InputError as error:
            where = f"base in {self.path}"
            self.faults += [f._replace(where=f"{where}: {f.where}") for f in error.faults]
            return base, {}

    def fixed(self) -> Settings:
        """The settings of [set]."""
        found: Settings = {}
        for key, value in self.settings("set", self.tables.get("set", {})):
            if is_value(value):
                found[key] = value
            else:
                remedy = "lists and ranges go into [grid]"
                expected = "a number, a string, true or false"
                self.wrong(f"set.{key}", shown(value), expected, remedy)
        return found

    def axes(self, name: str, table: Any) -> Iterator[tuple[str, list[Value]]]:
        """Every setting of a table with its list of values, but for those with a fault."""
        for key, spec in self.settings(name, table):
            try:
                yield key, values_of(spec, f"{name}.{key}", str(self.path))
            except InputError as error:
                self.faults += error.faults

    def zips(self) -> list[list[Settings]]:
        """An axis for every [[zip]], those without a fault."""
        tables = self.tables.get("zip", [])
        if not isinstance(tables, list):
            self.wrong("zip", shown(tables), "tables [[zip]] of lists that go together")
            return []
        axes = []
        for place, table in enumerate(tables):
            name = f"zip[{place}]"
            columns = dict(self.axes(name, table))
            if len({len(values) for values in columns.values()}) > 1:
                got = ", ".join(f"{key} with {len(values)}" for key, values in columns.items())
                self.wrong(name, got, "lists of one length")
            elif columns:
                rows = zip(*columns.values(), strict=True)
                axes.append([dict(zip(columns, row, strict=True)) for row in rows])
            elif table == {}:
                self.wrong(name, "nothing", f"section.key = {FORMS}")
        return axes

    def settings(self, name: str, table: Any) -> Iterator[tuple[str, Any]]:
        """Every ``section.key`` of a table with what stands there."""
        if not isinstance(table, Mapping):
            self.wrong(name, shown(table), f"a table [{name}] of section.key = …")
            return
        for section, inner in table.items():
            first, _, rest = section.partition(".")
            nested = isinstance(inner, Mapping) and "." not in section
            for key, spec in inner.items() if nested else [(rest, inner)]:
                if _NAME.fullmatch(first) and _NAME.fullmatch(key):
                    yield f"{first}.{key}", spec
                else:
                    where = f"{name}.{section}" + (f".{key}" if nested else "")
                    self.wrong(where, shown(spec), "section.key = …")


def _anchor(settings: Settings, folder: Path) -> None:
    """Make the paths of data absolute: in a file they are relative to the file."""
    for key in OF_DATA:
        path = settings.get(f"problem.{key}")
        if isinstance(path, str) and path and not path.startswith("~"):
            settings[f"problem.{key}"] = str((folder / path).absolute())
