"""What this process is at, while it is: preparing, compiling, rounds of a run (stderr)."""

import logging
import math
import sys
import threading
import time
from contextlib import nullcontext
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.spinner import Spinner
from rich.text import Text

from ist_mpi.cli.report.text import duration
from ist_mpi.cli.report.text import rate as shown
from ist_mpi.errors import printable
from ist_mpi.training.progress import Progress as Standing

LINE_SECONDS = 5.0
SHOWN_AFTER = 1.0
"""Seconds of waiting that need no explanation."""
PACKAGE = "ist_mpi"
COMPILING = "ist_mpi.kernels.compiling"
"""What it says is inside of what is being done."""
FOUND = "ist_mpi.exact_theory.stages.found"
"""What it says stays to be seen until everything is known."""


class _Hearing(logging.Handler):
    """Lets every `Waiting` hear the package's messages, and nobody else hear more than before."""

    def __init__(self) -> None:
        super().__init__()
        self._logger = logging.getLogger(PACKAGE)
        self._heard_by: list[Waiting] = []
        self._level, self._least, self._propagate = logging.NOTSET, logging.NOTSET, True
        self._others: list[logging.Handler] = []

    def add(self, waiting: "Waiting") -> None:
        """Let one hear from now on."""
        with self.lock or nullcontext():
            if not self._heard_by:
                logger = self._logger
                self._level, self._least = logger.level, logger.getEffectiveLevel()
                self._others, self._propagate = logger.handlers, logger.propagate
                logger.handlers, logger.propagate = [self], False
                logger.setLevel(min(logging.INFO, self._least))
            self._heard_by = [*self._heard_by, waiting]

    def remove(self, waiting: "Waiting") -> None:
        """Let it hear no more; after the last, the logger is as it was."""
        with self.lock or nullcontext():
            self._heard_by = [other for other in self._heard_by if other is not waiting]
            if not self._heard_by:
                new = [handler for handler in self._logger.handlers if handler is not self]
                self._logger.handlers = self._others + new
                self._logger.propagate = self._propagate
                self._logger.setLevel(self._level)

    def emit(self, record: logging.LogRecord) -> None:
        """Tell those that wait; and those that would have heard it without them."""
        for waiting in self._heard_by:
            waiting.note(record)
        if record.levelno < self._least:
            return
        for handler in self._others:
            if record.levelno >= handler.level:
                handler.handle(record)
        if self._propagate and self._logger.parent is not None:
            self._logger.parent.callHandlers(record)


_HEARING = _Hearing()


class Waiting:
    """Shows the package's last message until what it announces is done.

    On a terminal a line that is gone afterwards, with the seconds so far; else a line for whatever
    takes five seconds.
    """

    def __init__(self, screen: Console) -> None:
        self._text, self._began = "starting", time.monotonic()
        self._since = self._began
        self._inside = ""
        self._found: list[str] = []
        self._spinner = Spinner("dots" if screen.encoding.startswith("utf") else "line")
        self._over = threading.Event()
        self._live: Live | None = None
        self._lines = threading.Thread(target=self._say_lines, daemon=True)
        if screen.is_terminal and not screen.is_dumb_terminal:
            self._live = Live(
                console=screen, get_renderable=self._view, transient=True, redirect_stdout=False
            )

    def note(self, record: logging.LogRecord) -> None:
        """Take note of what is being done now."""
        if record.levelno < logging.INFO:
            return
        text = printable(record.getMessage())
        if record.name == COMPILING:
            self._inside = text
        elif record.name == FOUND:
            self._found.append(text)
        elif text != self._text:
            self._text, self._since = text, time.monotonic()

    def start(self) -> None:
        """Listen, and show."""
        _HEARING.add(self)
        if self._live is not None:
            self._live.start()
        else:
            self._lines.start()

    def stop(self) -> None:
        """Show and hear no more; may be called again."""
        if self._over.is_set():
            return
        self._over.set()
        _HEARING.remove(self)
        if self._live is not None:
            self._live.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _view(self) -> RenderableType:
        now = time.monotonic()
        if now - self._began < SHOWN_AFTER:
            return Text("", end="")
        words, seconds = self._inside or self._text, now - self._since
        self._spinner.update(text=Text(f"{words} … {duration(round(seconds))}"))
        return Group(*map(Text, self._found), self._spinner)

    def _say_lines(self) -> None:
        said = 0.0
        while not self._over.wait(0.2):
            text, since = self._inside or self._text, self._since
            if since != said and time.monotonic() - since >= LINE_SECONDS:
                said = since
                print(f"ist-mpi: {text} …", file=sys.stderr, flush=True)


class ProgressReport:
    """Shows where a run stands: a bar on a terminal, else a line every few seconds (stderr).

    Until the first round it shows what is waited for.
    """

    def __init__(self, label: str) -> None:
        self._label = printable(label)
        self._next_line = LINE_SECONDS
        self._last_round = 0
        self._bar: Progress | None = None
        self._task = TaskID(0)
        screen = Console(stderr=True)
        self._waiting = Waiting(screen)
        if screen.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                TextColumn("{task.completed}/{task.total} rounds"),
                TextColumn("{task.fields[facts]}"),
                TimeRemainingColumn(),
                console=screen,
            )
            self._task = self._bar.add_task(self._label, total=None, facts="")

    def __enter__(self) -> Self:
        self._waiting.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._waiting.stop()
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, standing: Standing) -> None:
        """Take note of where the run stands now."""
        self._waiting.stop()
        if standing.round < self._last_round:  # the next seed's run
            self._next_line = LINE_SECONDS
        self._last_round = standing.round
        rate = standing.round / standing.seconds if standing.seconds > 0 else math.nan
        facts = f"{shown(rate)} rounds/s"
        if "relative_gap" in standing.row:
            facts += f"  relative gap {standing.row['relative_gap']:.3e}"
        label = f"{self._label} seed {standing.seed}"
        if self._bar is not None:
            self._bar.start()
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
