"""The main loop: rounds, until rank 0 says stop."""

from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from ist_mpi.config import Config
from ist_mpi.errors import CheckpointError, LogError
from ist_mpi.methods import Method
from ist_mpi.methods.bench import Bench
from ist_mpi.parallel.watchdog import SETUP_FACTOR, Watchdog
from ist_mpi.store.log import Result, RunLog
from ist_mpi.training.choice import choose_exchange
from ist_mpi.training.opening import open_log
from ist_mpi.training.progress import Watcher
from ist_mpi.training.record import Record, Start
from ist_mpi.training.setup import Experiment, method_of


def execute(
    config: Config,
    experiment: Experiment,
    out: Path | None = None,
    force: bool = False,
    watch: Watcher | None = None,
    start: Start | None = None,
) -> Result:
    """Run a configuration on its experiment; collective.

    Parameters
    ----------
    out : Path, optional
        Where the log goes; default: nowhere.
    force : bool
        Whether a file already there may be replaced.
    watch : callable, optional
    start : Start, optional
        Where to go on; default: at round 0.

    Returns
    -------
    Result
        On every rank; iterates, permutations and problem on rank 0 only.

    Raises
    ------
    LogError, CheckpointError
        On every rank, if the log or a checkpoint cannot be written.
    """
    comm = experiment.comm
    who = f"rank {comm.rank} of {comm.size}"
    with threadpool_limits(limits=1), np.errstate(over="ignore", invalid="ignore"):
        with Watchdog(config.run.watchdog_seconds * SETUP_FACTOR, who):
            exchange = choose_exchange(config, experiment)
            method, bench = method_of(config, experiment, exchange)
            if start is not None:
                for name, array in method.state().items():
                    array[:] = start.state[name]
            log = open_log(config, experiment, bench.exchange.name, out, force)
        with Watchdog(config.run.watchdog_seconds, who):
            record = Record(config, experiment, method, bench, log, out, start, watch)
            try:
                _train(method, bench, record, start.round if start is not None else 0)
            except (LogError, CheckpointError):  # on every rank: they leave MPI in order
                bench.exchange.close()
                raise
            except KeyboardInterrupt:
                record.interrupted()
                raise
            return _shared_result(comm, log)


def _train(method: Method, bench: Bench, record: Record, k: int) -> None:
    """The loop that everything else serves: rounds k, k + 1, … until rank 0 says stop."""
    while True:
        record.look(k)
        last, save = record.next_stop(k)
        if save:
            record.save(k)
        if last == k:
            break
        method.rounds(k, last)
        record.keep_draw(k, bench.sketch.blocks(k))
        k = last
    bench.exchange.close()
    record.finish(k)


def _shared_result(comm: Any, log: RunLog | None) -> Result:
    """The result on every rank, its bulk on rank 0 only; collective."""
    result = log.result() if log is not None else None
    light = result.without_bulk() if result is not None else None
    shared = comm.bcast(light)
    return result if result is not None else shared
