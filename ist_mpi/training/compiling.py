"""Compiled functions before they are needed: one process a node fills the cache for all ranks.

Numba compiles a function when it is first called, for the types that it is called with. These
depend on how a problem is kept, not on its size: so a tiny problem that is kept like the configured
one stands for it, and the rounds of one rank and of many are made once each, without MPI.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ist_mpi.config import Config
from ist_mpi.kernels import model, routes
from ist_mpi.parallel.mpi import Solo
from ist_mpi.problems.quadratic import Facts, Stored
from ist_mpi.problems.ridge import RidgeShare
from ist_mpi.training.setup import Experiment, method_of, prepare

Float64 = NDArray[np.float64]

WORKERS = 2
"""Of the tiny problem; each has two blocks' worth of coordinates or, with Rand-q, two."""
SAMPLES = 5


class TinyProblem:
    """Two workers with a few samples each, kept as they are kept in the problem proper."""

    n = WORKERS
    data_bytes = 0

    def __init__(self, d: int, homogeneous: bool, stored: Stored) -> None:
        self.d, self.homogeneous, self.stored = d, homogeneous, stored

    def share(self, worker: int) -> RidgeShare:
        """Samples that span the space, so that there is one solution."""
        A: Any = np.ones((SAMPLES, self.d)) + worker
        A = sparse.csr_array(A) if self.stored.kind == "sparse" else A
        return RidgeShare(A, np.ones(SAMPLES), 1.0, self.stored)

    def start(self) -> Float64:
        """x⁰."""
        return np.ones(self.d)


def compile_for(config: Config) -> None:
    """Call every compiled function that a run of this configuration calls, on tiny arrays.

    What is not in the cache yet is compiled, and kept there for whoever comes next.
    """
    for stored in _ways(config):
        tiny = _tiny_problem(config, stored)
        small = _small(config)
        facts = Facts(tiny.n, tiny.d, tiny.homogeneous, tiny.data_bytes, stored)
        experiment = prepare(Solo(), small, facts, tiny, "full")
        _rounds(small, experiment)
        _products(experiment)
    _traffic()


def _ways(config: Config) -> Iterator[Stored]:
    """How the problem may be kept, as far as the configuration says without its data."""
    problem = config.problem
    precision: Any = getattr(problem, "precision", "float64")
    storage = getattr(problem, "storage", "matrix")
    if storage != "samples":
        yield Stored(precision=precision)
    if storage != "matrix":
        d = _coordinates(config)
        yield Stored("dense", precision, SAMPLES, SAMPLES * d, WORKERS * SAMPLES * d)
        yield Stored("sparse", precision, SAMPLES, SAMPLES * d, WORKERS * SAMPLES * d)


def _coordinates(config: Config) -> int:
    return 2 * WORKERS * config.method.group_size


def _tiny_problem(config: Config, stored: Stored) -> TinyProblem:
    heterogeneous = getattr(config.problem, "heterogeneous", True)
    return TinyProblem(_coordinates(config), not heterogeneous, stored)


def _small(config: Config) -> Config:
    """The configuration with what depends on the size of the problem cut down."""
    method: dict[str, Any] = {"step_size": 1e-9}
    if getattr(config.method, "q", None) is not None:
        method["q"] = 2
    return config.with_values(method=method)


def _rounds(config: Config, experiment: Experiment) -> None:
    """Rounds as a single rank makes them, and one as it makes them among others."""
    method, _ = method_of(config, experiment, "server")
    method.rounds(0, 2)
    method.round(2)
    model.all_finite(method.x)
    experiment.objective.measure(method.x)


def _products(experiment: Experiment) -> None:
    """Whole products, which stand in for d × d matrices where d is large."""
    x = np.ones(experiment.d)
    experiment.problem.product(0, x)
    experiment.problem.groups_product(0, x, experiment.method.group_size)


def _traffic() -> None:
    """What the exchanges of several ranks do to their pieces."""
    x, pi = np.zeros(2), np.arange(2, dtype=np.int32)
    model.take(x, pi, np.empty(2))
    model.place(x, pi, np.zeros(2))
    model.add(x, pi, np.zeros(2))
    edges = np.array([0, 2], dtype=np.int32)
    routes.find(
        routes.Route(0, *(np.zeros(2, dtype=np.int32) for _ in range(8))), pi, edges, pi, edges
    )
