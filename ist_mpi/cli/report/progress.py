"""Where the run of this process stands, while it runs."""

import math
import sys
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from ist_mpi.cli.report.text import duration
from ist_mpi.cli.report.text import rate as shown
from ist_mpi.errors import printable
from ist_mpi.training.progress import Progress as Standing

LINE_SECONDS = 5.0


class ProgressReport:
    """Shows where a run stands: a bar on a terminal, else a line every few seconds (stderr)."""

    def __init__(self, label: str, rounds: int) -> None:
        self._label = printable(label)
        self._next_line = LINE_SECONDS
        self._last_round = 0
        self._bar: Progress | None = None
        self._task = TaskID(0)
        screen = Console(stderr=True)
        if screen.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                TextColumn("{task.completed}/{task.total} rounds"),
                TextColumn("{task.fields[facts]}"),
                TimeRemainingColumn(),
                console=screen,
            )
            self._task = self._bar.add_task(self._label, total=rounds, facts="")

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, standing: Standing) -> None:
        """Take note of where the run stands now."""
        if standing.round < self._last_round:  # the next seed's run
            self._next_line = LINE_SECONDS
        self._last_round = standing.round
        rate = standing.round / standing.seconds if standing.seconds > 0 else math.nan
        facts = f"{shown(rate)} rounds/s  relative gap {standing.row['relative_gap']:.3e}"
        label = f"{self._label} seed {standing.seed}"
        if self._bar is not None:
            self._bar.update(
                self._task,
                description=label,
                completed=standing.round,
                total=standing.rounds,
                facts=facts,
            )
        elif standing.seconds >= self._next_line:
            self._next_line = standing.seconds + LINE_SECONDS
            left = (standing.rounds - standing.round) / rate if rate > 0 else math.nan
            line = f"{label}: round {standing.round}/{standing.rounds}  {facts}"
            print(f"{line}  {duration(left)} left", file=sys.stderr, flush=True)
