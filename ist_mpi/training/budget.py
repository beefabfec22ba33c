"""What a run needs: memory, disk, messages; refused before it starts where it cannot fit."""

import functools
import shutil
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil

from ist_mpi import registry
from ist_mpi.config import Config
from ist_mpi.errors import Fault
from ist_mpi.exact_theory.cost import DENSE, HESSIANS, Effort
from ist_mpi.exact_theory.krylov import BASIS
from ist_mpi.exact_theory.objective import by_products
from ist_mpi.exact_theory.step import known_of
from ist_mpi.kernels import matrices as kernels
from ist_mpi.methods.ledger import sent
from ist_mpi.problems.source import AS_MATRICES, Facts
from ist_mpi.training.columns import COLUMNS

FLOAT = 8
INTEGER = 4
OTHER_BYTES = 64 << 10
"""Of a log: attributes and HDF5's own structures."""
TIMED_BYTES = 64 << 20
"""Of matrices that are read to learn how fast that goes."""
THEORY_MATRICES: dict[Effort, int] = {"none": 0, "cheap": 11, "dense": 15, "full": 40}
"""Of d × d numbers that a rank has at once for the constants of theory. Measured at d = 600 and
1000, the most of any method: 11 with the workspace of eigenvectors, 15 for θ, 39 for γ_max and the
limits, where each vector of Arnoldi's method is a matrix."""

OWN_MATRICES: dict[Effort, int] = {"none": 0, "cheap": 12, "dense": 50, "full": 50}
"""Of m × m numbers likewise, of a method whose own theory has a state of m numbers."""


class Budget(NamedTuple):
    """What one run needs; bytes, numbers, seconds."""

    memory: int
    """Of the rank with most workers, beyond the program itself."""
    memory_root: int
    """Of rank 0, which also solves for x* and keeps the log's rows."""
    shared: int
    """Of every host, besides: what its ranks have together."""
    theory: int
    """Of every rank, besides, while it computes the constants of theory."""
    log: int
    """The finished log file."""
    floats_down: float
    """Numbers sent to a worker in the whole run, mean over workers."""
    floats_up: float


def estimate(config: Config, facts: Facts, size: int) -> Budget:
    """The budget of a configuration on `size` ranks."""
    method, log, n, d = config.method, config.log, facts.n, facts.d
    rows = config.run.rounds // log.every + 2
    most = min(-(-n // size), n)
    sketch = facts.sketch(method)
    t = sketch.total
    together = facts.homogeneous and size > 1
    distinct = 1 if facts.homogeneous else most
    free = by_products(facts.stored, d)
    data = distinct * FLOAT * d + (0 if together else distinct * kept_bytes(facts))
    making = _share(facts) * distinct + (0 if free else 2 * FLOAT * d * d)
    slabs = 0 if free else (4 if method.scaling == "preconditioned" else 3) * -(-d // size) * d
    buffers = 6 * t + (10 + (BASIS + 10 if free else 0)) * d
    if method.scaling == "preconditioned":
        buffers += 2 * distinct * d
    room = type(method).method_class.room
    buffers += (room.rank + most * room.worker) * d
    memory = data + making + FLOAT * (slabs + buffers)
    bulk = rows * len(COLUMNS) * FLOAT
    bulk += rows * d * FLOAT if log.iterates else 0
    bulk += config.run.rounds * (t + n + 1) * INTEGER if log.permutations else 0
    bulk += n * d * (d + 1) * FLOAT if log.problem else 0
    on_root = (0 if free else 2 * FLOAT * d * d) + 3 * bulk + facts.data_bytes
    up, down = sent(method, sketch, config.run.rounds)
    return Budget(
        memory=memory,
        memory_root=memory + on_root,
        shared=kept_bytes(facts) if together else 0,
        theory=0,
        log=bulk + 4 * d * FLOAT + OTHER_BYTES,
        floats_down=down,
        floats_up=up,
    )


def kept_bytes(facts: Facts) -> int:
    """Bytes of one worker's quadratic, as it is kept, besides b_i."""
    d, stored = facts.d, facts.stored
    if stored.kind == "matrix":
        return stored.itemsize * d * d
    index = INTEGER * stored.entries + FLOAT * (d + 1) if stored.kind == "sparse" else 0
    return stored.itemsize * stored.entries + index


def _share(facts: Facts) -> int:
    """Bytes of one worker's samples on their way to where they are kept."""
    return 0 if facts.stored.kind == "matrix" else kept_bytes(facts)


def with_theory(budget: Budget, effort: Effort, config: Config, facts: Facts, size: int) -> Budget:
    """The budget with the constants of this effort, on `size` ranks."""
    n, d = facts.n, facts.d
    known = known_of(config.method, facts.sketch(config.method))
    quadratic = facts.stored.quadratic
    if not quadratic and registry.load("problems", config.problem.kind).theory:
        # Copies of samples, and Hessians where they fit.
        copies = 3 * -(-n // size) * kept_bytes(facts)
        return budget._replace(theory=copies + (4 * FLOAT * d * d if d <= HESSIANS else 0))
    if known.own is not None and effort != "none" and quadratic and d <= DENSE:
        numbers = OWN_MATRICES[effort] * known.own.size**2 + n * d * d
        return budget._replace(theory=FLOAT * numbers)
    if effort == "none" or d > DENSE or not known.closed or not quadratic:
        return budget._replace(theory=0)
    # Together, a rank has the terms of all its workers at once, and then their sum over all ranks.
    distinct = 1 if facts.homogeneous else -(-n // size)
    terms = 0 if size == 1 else 2 + distinct
    terms += distinct if facts.stored != AS_MATRICES else 0  # L_i in float64, made for this
    matrices = THEORY_MATRICES[effort] + terms + known.matrices
    return budget._replace(theory=FLOAT * matrices * d * d)


def with_copies(budget: Budget) -> Budget:
    """The budget where the ranks of a host share nothing, and each has a copy."""
    each = budget.shared
    memory, root = budget.memory + each, budget.memory_root + each
    return budget._replace(memory=memory, memory_root=root, shared=0)


def memory_faults(budget: Budget, ranks_here: int, root_here: bool) -> list[Fault]:
    """Whether this host's ranks fit into its free memory."""
    needed = ranks_here * (budget.memory + budget.theory) + budget.shared
    needed += budget.memory_root - budget.memory if root_here else 0
    free = psutil.virtual_memory().available
    if needed <= free:
        return []
    got = f"{size_text(needed)} needed by {ranks_here} rank(s) on a host"
    remedy = "use more hosts, a smaller d or n, or a longer log.every"
    if budget.theory:
        got += f", {size_text(ranks_here * budget.theory)} of it for constants of theory"
        remedy = (
            'use fewer ranks on a host, or do not insist: run.theory = "auto", a number for '
            "method.step_size, no --full"
        )
    return [Fault("memory", got, f"at most the {size_text(free)} that are free", remedy)]


def disk_faults(budget: Budget, outs: list[Path]) -> list[Fault]:
    """Whether all logs fit on their disk, and one more: a new version is written beside the old."""
    if not outs:
        return []
    free = shutil.disk_usage(existing_folder(outs[0])).free
    needed = (len(outs) + 1) * budget.log
    if needed <= free:
        return []
    return [
        Fault(
            f"--out {outs[0]}",
            f"{len(outs)} log(s) of {size_text(budget.log)}, and room to replace one",
            f"at most the {size_text(free)} that are free on the disk",
            "a longer log.every, or fewer of log.iterates, log.permutations, log.problem",
        )
    ]


def existing_folder(path: Path) -> Path:
    """The nearest folder above `path` that exists."""
    return next(folder for folder in path.absolute().parents if folder.exists())


def seconds_per_round(config: Config, facts: Facts, size: int) -> float:
    """A rough time of a round: the kernel, timed here on a made-up block, plus the messages."""
    method, n, d = config.method, facts.n, facts.d
    q = facts.sketch(method).largest
    seen = q if type(method).method_class.submodels else d  # of the model, by a worker
    entries = method.local_steps * q * seen
    if facts.stored.kind != "matrix":  # twice the samples' entries on the block, or on all
        entries = method.local_steps * 2 * facts.stored.entries * seen
        entries = entries // d
    gather = 3.0  # reading scattered entries costs about three times reading a row
    message = 5e-6 if size > 1 else 0.0
    distinct = 1 if facts.homogeneous else -(-n // size)
    work = -(-n // size) * float(entries)
    return work * seconds_per_entry(d, distinct) * gather + 20e-6 + 3 * message


def seconds_per_entry(d: int, distinct: int) -> float:
    """The time of an entry of a d × d matrix in products with one after another; measured here.

    As many as there are, up to `TIMED_BYTES` of them: more do not fit into a cache anyway.
    """
    sample = min(d, 1024)
    return _timed(sample, max(1, min(distinct, TIMED_BYTES // (FLOAT * sample**2))))


@functools.cache
def _timed(sample: int, count: int) -> float:
    L, x, out = np.ones((count, sample, sample)), np.ones(sample), np.empty(sample)
    kernels.rows_product(L[0], x, out)
    began = time.perf_counter()
    for matrix in L:
        kernels.rows_product(matrix, x, out)
    return (time.perf_counter() - began) / L.size


def size_text(count: float) -> str:
    """A number of bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if count < 1024 or unit == "TiB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return ""
