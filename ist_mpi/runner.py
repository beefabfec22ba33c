"""The main loop: rounds, measurements, and when to stop."""

import json
import math
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from ist_mpi import provenance
from ist_mpi.choice import choose_exchange
from ist_mpi.config import Config
from ist_mpi.constants import as_attributes
from ist_mpi.exchange import ranks, workers
from ist_mpi.experiment import Experiment, method_of
from ist_mpi.kernels import model as kernels
from ist_mpi.methods import Method
from ist_mpi.methods.bench import Bench
from ist_mpi.pace import Pace
from ist_mpi.progress import Progress, Watcher
from ist_mpi.runlog import Result, RunLog
from ist_mpi.sketches import Blocks

REPORT_SECONDS = 0.2
CHECKED = 100
"""Every so many rounds the model is looked at, logged or not: it may have ceased to be finite."""


def execute(
    config: Config,
    experiment: Experiment,
    out: Path | None = None,
    force: bool = False,
    watch: Watcher | None = None,
) -> Result:
    """Run a configuration on its experiment; collective.

    Parameters
    ----------
    out : Path, optional
        Where the log goes; default: nowhere.
    force : bool
        Whether a file already there may be replaced.
    watch : callable, optional

    Returns
    -------
    Result
        On every rank; iterates, permutations and problem on rank 0 only.

    Raises
    ------
    LogError
        On rank 0, if the log cannot be written.
    """
    with threadpool_limits(limits=1), np.errstate(over="ignore", invalid="ignore"):
        exchange = choose_exchange(config, experiment)
        method, bench = method_of(config, experiment, exchange)
        log = _open_log(config, experiment, bench.exchange.name, out, force)
        record = Record(config, experiment, method, bench, log, watch)
        try:
            _train(method, bench, record)
        except KeyboardInterrupt:
            if log is not None:
                log.commit("stopped", "interrupted")
            raise
        return _shared_result(experiment.comm, log)


def _train(method: Method, bench: Bench, record: "Record") -> None:
    """The loop that everything else serves: rounds 0, 1, 2, … until rank 0 says stop."""
    k = 0
    while True:
        record.look(k)
        last = record.next_stop(k)
        if last == k:
            break
        method.rounds(k, last)
        record.keep_draw(k, bench.sketch.blocks(k))
        k = last
    bench.exchange.close()
    record.finish(k)


class Record:
    """Watches a run: measures, logs, reports, and on rank 0 decides when it ends."""

    def __init__(
        self,
        config: Config,
        experiment: Experiment,
        method: Method,
        bench: Bench,
        log: RunLog | None,
        watch: Watcher | None,
    ) -> None:
        self.on_root = log is not None
        self.measuring = 0.0  # seconds
        self._comm = experiment.comm
        self._config, self._objective = config, experiment.objective
        self._method, self._exchange = method, bench.exchange
        self._log, self._watch = log, watch
        self._keeps_draws = self.on_root and config.log.permutations and bench.sketch.random
        self._first = math.nan  # the gap at x⁰
        self._observed = -1
        self._row: dict[str, float] = {}
        self._status, self._reason = "finished", "rounds"
        self._began = time.monotonic()
        self._next_report = self._began
        one_by_one = config.log.permutations and experiment.method.sketch != "identity"
        self._pace = Pace(1 if one_by_one else CHECKED)

    def look(self, k: int) -> None:
        """Measure and log x^k if it is its turn; collective."""
        if k % self._config.log.every == 0:
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
        self._row = {
            "round": k,
            "seconds": time.monotonic() - self._began,
            "relative_gap": relative,
            "floats_up": k * self._method.floats_up,
            "floats_down": k * self._method.floats_down,
            **metrics._asdict(),
        }
        self._log.append(self._row, self._method.x, self._config.log.iterates)
        self._log.commit_if_due()

    def next_stop(self, k: int) -> int:
        """Where the rounds from k on stop; k: the run ends here. Rank 0 decides; collective."""
        stop = k
        if self.on_root and self._goes_on(k):
            config = self._config
            stop = min(config.run.rounds, _after(k, config.log.every), _after(k, CHECKED))
            stop = min(stop, k + self._pace.rounds(k))
        return ranks.from_root(self._comm, stop)

    def _goes_on(self, k: int) -> bool:
        """Whether there is a round after x^k."""
        looked_at = self._observed == k or k % CHECKED == 0
        if looked_at and not kernels.all_finite(self._method.x):
            self._status, self._reason = "failed", self._divergence(k)
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

    def _divergence(self, k: int) -> str:
        """What to tell the user whose run blew up."""
        limit = self._objective.prediction.mean_step_size_limit
        gamma = self._config.method.gamma
        text = f"diverged: the model is not finite after {k} rounds, step size {gamma:g}"
        if math.isnan(limit):
            return f"{text}; try a smaller one"
        steps = " (for one local step)" if self._config.method.local_steps > 1 else ""
        return f"{text}; the mean iterate is stable only below {limit:.4g}{steps}"

    def keep_draw(self, k: int, blocks: Blocks) -> None:
        """Log the blocks of round k, if that is asked for: then rounds are made one by one."""
        if self._keeps_draws and self._log is not None:
            self._log.append_draw(k, blocks)

    def finish(self, k: int) -> None:
        """Log the last round and close the log; collective."""
        if self._observed != k:
            self.observe(k)
        if self._log is not None:
            self._report(k)
            self._log.note("seconds_measuring", self.measuring)
            self._log.commit(self._status, self._reason)


def _after(k: int, step: int) -> int:
    """The first multiple of `step` after k."""
    return (k // step + 1) * step


def _open_log(
    config: Config, experiment: Experiment, exchange: str, out: Path | None, force: bool
) -> RunLog | None:
    """The log, on rank 0; collective."""
    comm, x0 = experiment.comm, experiment.x0
    hosts = ranks.hosts(comm)
    prediction = experiment.objective.prediction
    at_start = experiment.objective.measure(x0)
    at_fixed_point = None
    if prediction.fixed_point is not None:
        at_fixed_point = experiment.objective.measure(prediction.fixed_point)
    problem = _whole_problem(experiment) if config.log.problem else {}
    if at_start is None:
        return None
    theory = {
        "f_star": prediction.f_star,
        "initial_gap": at_start.gap,
        **as_attributes(experiment.constants),
        "mean_step_size_limit": prediction.mean_step_size_limit,
        "fixed_point_gap": at_fixed_point.gap if at_fixed_point else math.nan,
    }
    arrays: dict[str, dict[str, Any]] = {
        "theory": {"x_star": prediction.x_star},
        "model": {"x0": x0},
    }
    if prediction.fixed_point is not None:
        arrays["theory"]["fixed_point"] = prediction.fixed_point
    if problem:
        arrays["problem"] = problem
    attributes = {
        "config": config.to_toml(),
        "run_id": config.run_id(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": config.run.seed,
        "exchange": exchange,
        "storage": experiment.problem.kind,
        **provenance.attributes(json.dumps(hosts), len(hosts), ranks.mpi_version()),
    }
    return RunLog(out, attributes, arrays, theory, force)


def _whole_problem(experiment: Experiment) -> dict[str, Any]:
    """L, b and the constants of all workers, on rank 0 (else empty); collective."""
    comm, where, local = experiment.comm, experiment.where, experiment.problem
    d = experiment.d

    def of(worker: int) -> int:
        return int(local.index[worker - where.first])

    L = workers.workers_array(comm, where, lambda worker: local.matrix(of(worker)), (d, d))
    b = workers.workers_array(comm, where, lambda worker: local.b[of(worker)], (d,))
    constant = workers.all_workers(comm, local.constant[local.index])
    return {} if L is None else {"L": L, "b": b, "constant": constant}


def _shared_result(comm: Any, log: RunLog | None) -> Result:
    """The result on every rank, its bulk on rank 0 only; collective."""
    result = log.result() if log is not None else None
    light = result.without_bulk() if result is not None else None
    shared = comm.bcast(light)
    return result if result is not None else shared
