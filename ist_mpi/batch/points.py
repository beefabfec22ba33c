"""The runs of a sweep: each has a number, its settings, and a log named by what it is.

A log's name is the hash of its resolved configuration, so that a run that two points, or two
sweeps, have in common is made once, and no log takes another's place. With ``step_size = "theory"``
the name is that of the question: the number in its place is known once the problem is laid out,
and is in the log.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ist_mpi import problems
from ist_mpi.batch.sweep_file import Settings, Sweep, described, read_sweep
from ist_mpi.config import Config, Problem
from ist_mpi.errors import Fault, InputError
from ist_mpi.problems.source import Facts, Source
from ist_mpi.training.setup import facts_of


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
    points: list[Point]
    """Each run once, in the order of the sweep file."""
    merged: dict[int, int]
    """Points that are left out, and the earlier point whose run is the same, bit for bit."""


def plan(path: Path, folder: Path) -> Plan:
    """All runs of a sweep file; raises InputError with its faults, or else those of its points."""
    sweep = read_sweep(path)
    first: dict[Path, Point] = {}
    merged = {}
    for index, config in enumerate(sweep.configs()):
        found = _point(sweep, index, config, folder)
        same = first.setdefault(found.log, found)
        if same is not found:
            merged[index] = same.index
    return Plan(sweep, list(first.values()), merged)


def point(path: Path, index: int, folder: Path, expected: str = "") -> Point:
    """One run of a sweep file; the others are not looked at.

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
