"""Compiled functions before they are needed: one process a node fills the cache for all ranks.

Numba compiles a function when it is first called, for the types that it is called with. These
depend on how a problem is kept, not on its size: so a tiny problem that is kept like the configured
one stands for it, and the rounds of one rank and of many are made once each, without MPI.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ist_mpi import kernels, registry
from ist_mpi.config import Config
from ist_mpi.errors import Fault, InputError
from ist_mpi.kernels import countdown, model, routes
from ist_mpi.kernels.folder import NAMED
from ist_mpi.parallel.mpi import Solo
from ist_mpi.problems.ridge import RidgeShare
from ist_mpi.problems.source import Facts, Stored
from ist_mpi.training.choice import warm_up
from ist_mpi.training.setup import prepare

Float64 = NDArray[np.float64]

WORKERS = 2
"""Of the tiny problem; each has two blocks' worth of coordinates or, with Rand-q, two."""
SAMPLES = 5


@dataclass
class TinyProblem:
    """Two workers with a few samples each, kept as they are kept in the problem proper."""

    d: int
    homogeneous: bool
    stored: Stored
    n = WORKERS
    data_bytes = 0

    def share(self, worker: int) -> RidgeShare:
        """Samples that span the space, so that there is one solution."""
        A: Any = np.ones((SAMPLES, self.d)) + worker
        A = sparse.csr_array(A) if self.stored.kind == "sparse" else A
        return RidgeShare(A, np.ones(SAMPLES), 1.0, self.stored)

    def start(self) -> Float64:
        """x⁰."""
        return np.ones(self.d)


def check_folder() -> None:
    """Refuse to fill a cache that goes with this process; raises InputError."""
    if kernels.FOLDER.caution:
        expected = "a folder for compiled functions that others cannot write to"
        raise InputError(Fault(NAMED, kernels.FOLDER.caution, expected))


def compile_for(config: Config) -> None:
    """Call every compiled function that a run of this configuration calls, on tiny arrays.

    What is not in the cache yet is compiled, and kept there for whoever comes next.
    """
    d = 2 * WORKERS * config.method.group_size
    homogeneous = not getattr(config.problem, "heterogeneous", True)
    q = {"q": 2} if getattr(config.method, "q", None) is not None else {}
    small = config.with_values(method={"step_size": 1e-9, **q})
    kind = registry.load("problems", config.problem.kind)
    of_kind = getattr(kind, "tiny", None)
    sources: Iterable[Any] = (TinyProblem(d, homogeneous, way) for way in _ways(config, d))
    if of_kind is not None:
        sources = of_kind(WORKERS, d)
    for tiny in sources:
        facts = Facts(tiny.n, d, homogeneous, tiny.data_bytes, tiny.stored)
        experiment = prepare(Solo(), small, facts, tiny, "full")
        resolved = small.model_copy(update={"method": experiment.method})
        method, _ = warm_up(resolved, experiment, "server")
        method.round(1)  # as among other ranks
        if of_kind is not None:
            continue
        # Whole products stand in for d × d matrices where d is large.
        experiment.problem.product(0, np.ones(d))
        experiment.problem.groups_product(0, np.ones(d), small.method.group_size)
    _traffic()
    countdown.cancel()  # compiled as it is loaded


def _ways(config: Config, d: int) -> Iterator[Stored]:
    """How the problem may be kept, as far as the configuration says without its data."""
    precision: Any = getattr(config.problem, "precision", "float64")
    storage = getattr(config.problem, "storage", "matrix")
    if storage != "samples":
        yield Stored(precision=precision)
    if storage != "matrix":
        yield Stored("dense", precision, SAMPLES, SAMPLES * d, WORKERS * SAMPLES * d)
        yield Stored("sparse", precision, SAMPLES, SAMPLES * d, WORKERS * SAMPLES * d)


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
