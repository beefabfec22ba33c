"""`ist_mpi.open_sweep` and `ist_mpi.sweep`: many runs, and the table that they end in."""

import math
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from ist_mpi.batch import points, pool, status, table
from ist_mpi.batch.grid import planned
from ist_mpi.batch.points import Point
from ist_mpi.batch.status import Status
from ist_mpi.cli.messages import waiting
from ist_mpi.config import load
from ist_mpi.errors import Fault, InputError
from ist_mpi.library.arguments import between, flag, integer, path_of
from ist_mpi.library.asking import configuration
from ist_mpi.library.result import Result, open_run, optional
from ist_mpi.library.words import python_words
from ist_mpi.parallel import launcher, signals


class Sweep:
    """The runs of a sweep file, or of a folder of logs, as they are when this is asked.

    Attributes
    ----------
    path : Path
    folder : Path
        Where the logs are.
    """

    def __init__(self, path: Path, folder: Path | None) -> None:
        of_file = points.folder_of(path) if folder is None else folder
        self.path, self.folder = path, path if path.is_dir() else of_file
        self._members = table.members(path, folder)

    def __len__(self) -> int:
        return len(self._members)

    def __repr__(self) -> str:
        """One line: how many runs are in which state."""
        states = [member.state for member in self._members]
        words = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
        return f"<Sweep {str(self.path)!r}: {len(self)} runs, {words}>"

    @property
    def runs(self) -> list[Result | None]:
        """Every run, in the order of the sweep; None where there is no log."""
        return [open_run(one.log) if one.whole else None for one in self._members]

    def table(self, to: float = 1e-6) -> Any:
        """A row for every run, a pandas DataFrame.

        Parameters
        ----------
        to : float
            The relative gap of the columns ``rounds_to`` and ``floats_to``.

        Returns
        -------
        DataFrame
            The settings in which runs differ; ``state``, ``round``, ``relative_gap``,
            ``predicted_limit``, ``rounds_to``, ``floats_to``, ``log``.

        Raises
        ------
        InputError
            If `to` is no number above 0, a log is damaged, or pandas is not installed.
        """
        found = table.rows(self._members, between("to", to, math.inf))
        return optional("pandas", "data").DataFrame(found)


def open_sweep(path: str | Path, folder: str | Path | None = None) -> Sweep:
    """See `ist_mpi.open_sweep`."""
    with python_words():
        place = None if folder is None else path_of("folder", folder)
        return Sweep(path_of("path", path), place)


def sweep(
    base: Any,
    grid: Mapping[str, Any],
    *,
    jobs: int = 1,
    folder: str | Path = points.RUNS,
    progress: bool | None = None,
) -> Sweep:
    """See `ist_mpi.sweep`."""
    jobs, folder = integer("jobs", jobs, 1), path_of("folder", folder)
    shown = sys.stderr.isatty() if progress is None else flag("progress", progress)
    if (launcher.launched_size() or 1) > 1:
        raise InputError(Fault("sweep", "several ranks", "one process, which starts the runs"))
    with python_words():
        found = planned(load(configuration(base, {})), grid, folder)
    indices = set(status.to_be_made(status.statuses_of(found)))
    wanted = [point for point in found.points if point.index in indices]

    def tell(point: Point, ended: Status, count: str) -> None:
        if shown:
            print(f"{count} {point.title}: {ended.state} {ended.reason}", file=sys.stderr)

    with signals.interrupt_deferred(), waiting() if shown else nullcontext():
        pool.run_points(wanted, pool.command(found), jobs, 1, tell)
    return open_sweep(found.sweep.path, folder)
