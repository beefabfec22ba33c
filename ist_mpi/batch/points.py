"""The runs of a sweep: each has a number, its settings, and a log named by what it is.

A log's name is the hash of its resolved configuration, so that a run that two points, or two
sweeps, have in common is made once, and no log takes another's place. With ``step_size = "theory"``
the name is that of the question: the number in its place is known once the problem is laid out,
and is in the log.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ist_mpi import problems
from ist_mpi.batch.sweep_file import Settings, Sweep, described, read_sweep
from ist_mpi.config import Config, Problem
from ist_mpi.errors import Fault, InputError
from ist_mpi.problems.source import Facts, Source
from ist_mpi.training.setup import facts_of

RUNS = Path("results/runs")
"""Where the logs of sweeps are, unless another folder is named."""
OF_GRID = "sweep-{}.toml"
"""The file of a sweep that was given by its base and its grid, beside its logs; by its digest."""


@dataclass(frozen=True)
class Point:
    """One run of a sweep."""

    index: int
    """From 0, in the order of the sweep file."""
    settings: Settings
    """In what it differs from the others, by ``section.key``."""
    config: Config
    log: Path

    @property
    def title(self) -> str:
        """What to call it: ``point 3 (run.seed = 3)``."""
        return f"point {self.index} ({described(self.settings)})"


class Plan(NamedTuple):
    """A sweep with all its runs."""

    sweep: Sweep
    folder: Path
    """Where the logs are."""
    points: list[Point]
    """Each run once, in the order of the sweep file."""
    merged: dict[int, int]
    """Points that are left out, and the earlier point whose run is the same, bit for bit."""


def folder_of(path: Path) -> Path:
    """Where the logs of a sweep file are, unless another folder is named."""
    of_grid = re.fullmatch(OF_GRID.format("[0-9a-f]{16}"), path.name)
    return path.parent if of_grid else RUNS


def plan(path: Path, folder: Path | None = None) -> Plan:
    """All runs of a sweep file; raises InputError with its faults, or else those of its points.

    `folder` is where the logs are; None: `folder_of` the file.
    """
    sweep = read_sweep(path)
    folder = folder_of(path) if folder is None else folder
    first: dict[Path, Point] = {}
    merged = {}
    for index, config in enumerate(sweep.configs()):
        found = _point(sweep, index, config, folder)
        same = first.setdefault(found.log, found)
        if same is not found:
            merged[index] = same.index
    return Plan(sweep, folder, list(first.values()), merged)


def point(path: Path, index: int, folder: Path | None = None, expected: str = "") -> Point:
    """One run of a sweep file; the others are not looked at. `folder` as for `plan`.

    `expected` is the digest that the sweep had when its points were counted, if that is known.
    Raises InputError with every fault of the file, or else of this point.
    """
    sweep = read_sweep(path)
    if expected and expected != sweep.digest:
        got, wanted = f"a sweep of digest {sweep.digest}", f"{expected}, as it was when submitted"
        raise InputError(Fault(str(path), got, wanted, "its points may be others now: submit anew"))
    if not 0 <= index < len(sweep.points):
        most = len(sweep.points) - 1
        raise InputError(Fault("--index", str(index), f"a point of {path}, from 0 to {most}"))
    folder = folder_of(path) if folder is None else folder
    return _point(sweep, index, sweep.of_each([index], sweep.config)[index], folder)


def _point(sweep: Sweep, index: int, config: Config, folder: Path) -> Point:
    return Point(index, sweep.points[index], config, folder / f"{config.run_id()}.h5")


def check(plan: Plan) -> dict[int, Facts]:
    """Open every problem of a sweep, and see that the sketches fit; what is known of each point.

    Raises InputError with every fault of every point.
    """
    configs = {point.index: point.config for point in plan.points}
    opened: dict[Problem, Source | InputError] = {}

    def look(index: int) -> Facts:
        problem = configs[index].problem
        if problem not in opened:
            try:
                opened[problem] = problems.load(problem)
            except InputError as error:  # read once, also where it is wrong
                opened[problem] = error
        source = opened[problem]
        if isinstance(source, InputError):
            raise source
        return facts_of(configs[index], source)

    return plan.sweep.of_each(configs, look)
