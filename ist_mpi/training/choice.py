"""Which exchange a run uses: as configured, or whichever is fastest here; and the warm-up."""

import logging
import time
from typing import Any

from ist_mpi.config import Config
from ist_mpi.kernels import model as kernels
from ist_mpi.methods.method import Tools
from ist_mpi.parallel import ranks
from ist_mpi.parallel.connect import KINDS
from ist_mpi.training.setup import Experiment, method_of, serverless

LOGGER = logging.getLogger(__name__)
SAMPLE_SECONDS = 0.05
"""About how long each exchange is tried."""
SAMPLE_ROUNDS = 200
"""At most."""


def choose_exchange(config: Config, experiment: Experiment) -> str:
    """The name of the exchange to use, the same on every rank; collective.

    Everything that the main loop calls is compiled on the way, by rounds whose results are thrown
    away.
    """
    LOGGER.info("trying a round")
    names: list[str] = [config.run.exchange]
    if names == ["auto"]:
        names = list(KINDS)
        if not serverless(experiment.method, experiment.sketch):
            names.remove("serverless")
    if experiment.comm.size == 1:
        names = names[:1]
    times = [_time(config, experiment, name, tried=len(names) > 1) for name in names]
    best = min(range(len(names)), key=times.__getitem__)
    return names[ranks.from_root(experiment.comm, best)]


def _time(config: Config, experiment: Experiment, name: str, tried: bool) -> float:
    """Seconds a round, on this rank."""
    method, tools = warm_up(config, experiment, name)
    k, seconds = 1, 0.0
    while tried and k < SAMPLE_ROUNDS:
        began = time.perf_counter()
        method.rounds(k, 2 * k)
        experiment.comm.Barrier()
        seconds = (time.perf_counter() - began) / k
        k *= 2
        if ranks.from_root(experiment.comm, int(seconds * k > SAMPLE_SECONDS)):
            break
    tools.exchange.close()
    return seconds


def warm_up(config: Config, experiment: Experiment, exchange: str) -> tuple[Any, Tools]:
    """A method after one round, everything that the main loop calls compiled; collective."""
    method, tools = method_of(config, experiment, exchange)
    method.rounds(0, 1)
    tools.exchange.share(method.x)
    kernels.all_finite(method.x)
    experiment.objective.measure(method.x)
    return method, tools
