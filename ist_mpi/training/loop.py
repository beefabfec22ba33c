"""The main loop: rounds, until rank 0 says stop."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from ist_mpi.config import Config
from ist_mpi.errors import CheckpointError, LogError
from ist_mpi.methods.method import restore
from ist_mpi.parallel.watchdog import SETUP_FACTOR, Watchdog
from ist_mpi.store.log import Result, RunLog
from ist_mpi.threads import one_thread
from ist_mpi.training.choice import choose_exchange
from ist_mpi.training.opening import open_log
from ist_mpi.training.progress import Callback, Watcher
from ist_mpi.training.record import Record, Start
from ist_mpi.training.setup import Experiment, method_of


def execute(
    config: Config,
    experiment: Experiment,
    out: Path | None = None,
    force: bool = False,
    watch: Watcher | None = None,
    start: Start | None = None,
    callback: Callback | None = None,
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
    callback : callable, optional
        Sees every logged round on rank 0, and may stop the run.

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
    with one_thread(), np.errstate(over="ignore", invalid="ignore"):
        with Watchdog(config.run.watchdog_seconds * SETUP_FACTOR, who):
            exchange = choose_exchange(config, experiment)
            method, tools = method_of(config, experiment, exchange)
            if start is not None:
                restore(method, start.server, start.workers)
            log = open_log(config, experiment, tools.exchange.name, out, force)
        with Watchdog(config.run.watchdog_seconds, who):
            record = Record(config, experiment, method, tools, log, out, start, watch, callback)
            first = start.round if start is not None else 0
            try:
                for k in iterates(method, first, record.until):
                    record.look(k)
                tools.exchange.close()
                record.finish()
            except (LogError, CheckpointError):  # on every rank: they leave MPI in order
                tools.exchange.close()
                raise
            except KeyboardInterrupt:
                record.interrupted("interrupted")
                raise
            except Exception as error:  # of a method, a sketch or a problem of one's own
                with suppress(Exception):  # that error is the one to tell
                    record.interrupted(f"{type(error).__name__}: {error}")
                raise
            return _shared_result(comm, log)


def iterates(method: Any, k: int, until: Callable[[int], int]) -> Iterator[int]:
    """The loop that everything else serves: yield k each time the method is at an x^k to look at.

    ``until(k)``, asked when the caller wants to go on, is the round to go on to; k itself ends the
    loop. Collective, as `until` and the rounds are.
    """
    while True:
        yield k
        last = until(k)
        if last == k:
            return
        method.rounds(k, last)
        k = last


def _shared_result(comm: Any, log: RunLog | None) -> Result:
    """The result on every rank, its bulk on rank 0 only; collective."""
    result = log.result() if log is not None else None
    light = result.without_bulk() if result is not None else None
    shared = comm.bcast(light)
    return result if result is not None else shared
