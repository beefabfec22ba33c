"""What is seen of a run: measured, logged, reported, checkpointed; and when it ends."""

import math
import time
from pathlib import Path
from typing import Any, NamedTuple

from ist_mpi.config import Config
from ist_mpi.errors import LogError
from ist_mpi.kernels import model as kernels
from ist_mpi.methods.ledger import Ledger
from ist_mpi.methods.method import Float64, Tools
from ist_mpi.parallel import ranks, signals, watchdog
from ist_mpi.store import checkpoint
from ist_mpi.store.log import Run, RunLog
from ist_mpi.training.checkpoint import save as save_checkpoint
from ist_mpi.training.pace import Pace
from ist_mpi.training.progress import Callback, Look, Progress, Watcher
from ist_mpi.training.setup import Experiment

REPORT_SECONDS = 0.2
CHECKED = 100
"""Every so many rounds the model is looked at, logged or not: it may have ceased to be finite."""
CHECKPOINT_SHARE = 0.002
"""Largest share of the run spent on checkpoints, as much again on the log; the time between them
stretches to keep it."""


class Start(NamedTuple):
    """Where a run goes on that had stopped."""

    round: int
    observed: int
    """The last logged round."""
    seconds: float
    """Wall-clock seconds so far."""
    server: dict[str, Float64]
    """The method's vectors of the server after that round, each (d,)."""
    workers: dict[str, Float64]
    """Of this rank's workers, each (m, d)."""
    log: Run | None
    """What was logged; on rank 0 only."""
    kept: bool = True
    """Whether there is a checkpoint of that round."""


class Record:
    """Watches a run, and on rank 0 decides when it ends.

    Parameters
    ----------
    log : RunLog or None
        On rank 0.
    out : Path or None
        Where the log goes, on every rank; without it there are no checkpoints.
    start : Start or None
        Where the run goes on; None: it begins.
    """

    def __init__(
        self,
        config: Config,
        experiment: Experiment,
        method: Any,
        tools: Tools,
        log: RunLog | None,
        out: Path | None,
        start: Start | None,
        watch: Watcher | None,
        callback: Callback | None,
    ) -> None:
        self.on_root = log is not None
        self.measuring = 0.0  # seconds
        self._config, self._experiment = config, experiment
        self._comm, self._objective = experiment.comm, experiment.objective
        self._method, self._exchange = method, tools.exchange
        self._ledger = Ledger(config.method, tools.sketch, config.run.seed)
        self._log, self._watch, self._callback = log, watch, callback
        self._told_to_stop = False
        self._folder = checkpoint.folder_of(out) if out is not None else None
        one_by_one = config.log.permutations and tools.sketch.random
        self._keeps_draws = self.on_root and one_by_one
        self._first = math.nan  # the gap at x⁰
        self._observed = -1
        self._row: dict[str, float] = {}
        self._status, self._reason = "finished", "rounds"
        self._error: LogError | None = None
        before = 0.0
        if start is not None:
            before, self._observed = start.seconds, start.observed
            if log is not None and start.log is not None:
                log.restore(start.log, start.observed, start.round)
                self._row, self._first = log.last_row(), float(start.log.rounds["gap"][0])
        self._began = time.monotonic() - before
        self._started = time.monotonic()
        self._next_report = self._started
        self._next_checkpoint = self._started + self._checkpoint_every()
        # A finished log stays until its end is a checkpoint, which comes first then.
        self._keeps_finished_log = start is not None and not start.kept and out is not None
        if self._keeps_finished_log:
            self._next_checkpoint = self._started
        self._from = self._k = start.round if start is not None else 0
        self._pace = Pace(self._from, 1 if one_by_one else CHECKED)

    def _checkpoint_every(self) -> float:
        return self._config.run.checkpoint_every or math.inf

    def look(self, k: int) -> None:
        """Measure and log x^k if it is its turn; collective."""
        watchdog.beat()
        if self._keeps_draws and self._log is not None and k > self._from:  # rounds one by one
            drawing = self._exchange.drawing
            self._log.append_draw(k - 1, drawing.pi, drawing.offsets)
        if k % self._config.log.every == 0 and self._observed != k:
            self.observe(k)
        elif k % CHECKED == 0:
            self._exchange.share(self._method.x)

    def observe(self, k: int) -> None:
        """Measure x^k and log it; collective."""
        began = time.monotonic()
        self._exchange.share(self._method.x)
        metrics = self._objective.measure(self._method.x)
        self._observed = k
        self.measuring += time.monotonic() - began
        if self._log is None or metrics is None:
            return
        if k == 0:
            self._first = metrics.gap
        relative = metrics.gap / self._first if self._first > 0 else math.nan
        floats = self._ledger.at(k)
        self._row = {
            "round": k,
            "seconds": time.monotonic() - self._began,
            "relative_gap": relative,
            "floats_up": floats.up,
            "floats_down": floats.down,
            **metrics.row(),
        }
        self._log.append(self._row, self._method.x, self._config.log.iterates)
        if self._callback is not None:
            look = Look(k, self._config.run.rounds, dict(self._row), self._method.x.copy())
            self._told_to_stop = bool(self._callback(look))
        if self._keeps_finished_log:
            return
        try:
            self._log.commit_if_due()
        except LogError as error:  # the other ranks are on their way already
            self._error = error
        if k == 0 and self._folder is not None and self._error is None:
            checkpoint.remove(self._folder)  # of a run that this one replaces

    def interrupted(self, reason: str) -> None:
        """Put the rows so far on disk, where they are more than what is there; on rank 0."""
        if self._log is not None and self._row and not self._keeps_finished_log:
            self._log.commit("stopped", reason)

    def until(self, k: int) -> int:
        """The round to go on to from x^k, after a checkpoint if one is due; k ends; collective.

        Rank 0 decides; a signal on any rank stops the run here, which is round k itself.

        Raises
        ------
        LogError, CheckpointError
            On every rank, if the log, or a checkpoint, could not be written.
        """
        stop, due = k, False
        if self.on_root and self._goes_on(k):
            stop, due = self._until(k)
        asked = ranks.decide(
            self._comm, ranks.Decision(stop, due, signals.requested(), self._error is not None)
        )
        if asked.failed:
            ranks.agree(self._comm, self._error)
        if asked.signal and asked.stop > k:
            self._status, self._reason = "stopped", signals.name(asked.signal)
            asked = asked._replace(stop=k, due=True)
        if asked.due:
            self.save(k)
        self._k = asked.stop
        return asked.stop

    def _until(self, k: int) -> tuple[int, bool]:
        """How far to go on from x^k, and whether a checkpoint is due."""
        config, now = self._config, time.monotonic()
        if self._told_to_stop:
            self._status, self._reason = "stopped", "callback"
            return k, True
        longest = config.run.max_seconds
        # Some rounds each time, else a run of many short jobs could stay where it is for ever.
        if longest is not None and now - self._started >= longest and k > self._from:
            self._status, self._reason = "stopped", f"max_seconds = {longest:g}"
            return k, True
        stop = min(config.run.rounds, _after(k, config.log.every), _after(k, CHECKED))
        due = self._folder is not None and now >= self._next_checkpoint
        return min(stop, k + self._pace.rounds(k)), due

    def _goes_on(self, k: int) -> bool:
        """Whether there is a round after x^k."""
        looked_at = self._observed == k or k % CHECKED == 0
        if looked_at and not kernels.all_finite(self._method.x):
            self._status, self._reason = "failed", self._divergence(k, "model")
            return False
        if self._observed == k and not math.isfinite(self._row.get("value", 0.0)):
            self._status, self._reason = "failed", self._divergence(k, "loss")
            return False
        tolerance = self._config.run.tolerance
        if self._observed == k and tolerance > 0 and self._row["gap"] <= tolerance * self._first:
            self._reason = "tolerance"
            return False
        if self._watch is not None and time.monotonic() >= self._next_report:
            self._report(k)
        return k < self._config.run.rounds

    def _report(self, k: int) -> None:
        now = time.monotonic()
        self._next_report = now + REPORT_SECONDS
        if self._watch is not None:
            run = self._config.run
            self._watch(Progress(run.seed, k, run.rounds, now - self._began, self._row))

    def _divergence(self, k: int, what: str) -> str:
        """What to tell the user whose run blew up: the model, or the loss."""
        limit = self._objective.prediction.mean_step_size_limit
        gamma = self._config.method.gamma
        text = f"diverged: the {what} is not finite after {k} rounds, step size {gamma:g}"
        if math.isnan(limit):
            return f"{text}; try a smaller one"
        steps = " (for one local step)" if self._config.method.local_steps > 1 else ""
        return f"{text}; the mean iterate is stable only below {limit:.4g}{steps}"

    def save(self, k: int) -> None:
        """Write a checkpoint of x^k; collective."""
        if self._folder is None:
            return
        began = time.monotonic()
        held: dict[str, dict[str, Float64]] = {"server": {}, "worker": {}}
        for name, holder, array in self._method.vectors():
            if holder == "server":
                self._exchange.share(array)
            held[holder][name] = array
        log = self._log.image() if self._log is not None else b""
        save_checkpoint(
            self._experiment.team,
            self._folder,
            self._config.run_id(),
            k,
            began - self._began,
            held["server"],
            held["worker"],
            log,
        )
        self._keeps_finished_log = False
        now = time.monotonic()
        pause = max(self._checkpoint_every(), (now - began) / CHECKPOINT_SHARE)
        self._next_checkpoint = now + pause
        with ranks.agreeing(self._comm):
            if self._log is not None:
                self._log.put(log, now)  # the same bytes: an image is most of the work

    def finish(self) -> None:
        """Log the last round and close the log; collective.

        Raises
        ------
        LogError
            On every rank, if the log cannot be written.
        """
        k = self._k
        stopped = ranks.from_root(self._comm, int(self._status == "stopped"))
        if self._observed != k and not stopped:
            self.observe(k)
        with ranks.agreeing(self._comm):
            if self._log is not None:
                self._report(k)
                self._log.note("seconds_measuring", self.measuring)
                self._log.commit(self._status, self._reason)
        if self.on_root and self._folder is not None and not stopped:
            checkpoint.remove(self._folder)


def _after(k: int, step: int) -> int:
    """The first multiple of `step` after k."""
    return (k // step + 1) * step
