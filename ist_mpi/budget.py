"""What a run needs: memory, disk, messages; refused before it starts where it cannot fit."""

import shutil
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil

from ist_mpi.config import Config
from ist_mpi.errors import Fault
from ist_mpi.kernels import quadratic as kernels
from ist_mpi.runlog import COLUMNS
from ist_mpi.sketches import block_sizes

FLOAT = 8
INTEGER = 4
OTHER_BYTES = 64 << 10
"""Of a log: attributes and HDF5's own structures."""


class Budget(NamedTuple):
    """What one run needs; bytes, numbers, seconds."""

    memory: int
    """Of the rank with most workers, beyond the program itself."""
    memory_root: int
    """Of rank 0, which also solves for x* and keeps the log's rows."""
    log: int
    """The finished log file."""
    floats_down: float
    """Numbers sent to a worker in the whole run, mean over workers."""
    floats_up: float


def estimate(config: Config, n: int, d: int, homogeneous: bool, size: int) -> Budget:
    """The budget of a configuration on `size` ranks."""
    method, log = config.method, config.log
    rows = config.run.rounds // log.every + 2
    most = min(-(-n // size), n)
    _, t = block_sizes(method, n, d)
    matrices = (1 if homogeneous else most) * d * (d + 1)
    slabs = (3 if method.scaling == "preconditioned" else 2) * -(-d // size) * d
    buffers = 6 * t + 10 * d
    memory = FLOAT * (matrices + slabs + buffers)
    bulk = rows * len(COLUMNS) * FLOAT
    bulk += rows * d * FLOAT if log.iterates else 0
    bulk += config.run.rounds * (t + n + 1) * INTEGER if log.permutations else 0
    bulk += n * d * (d + 1) * FLOAT if log.problem else 0
    on_root = 2 * FLOAT * d * d + 3 * bulk
    down = d if method.name != "ist" else t / n
    up = d if method.name == "gradient_descent" else t / n
    return Budget(
        memory=memory,
        memory_root=memory + on_root,
        log=bulk + 4 * d * FLOAT + OTHER_BYTES,
        floats_down=config.run.rounds * down,
        floats_up=config.run.rounds * up,
    )


def memory_faults(budget: Budget, ranks_here: int, root_here: bool) -> list[Fault]:
    """Whether this host's ranks fit into its free memory."""
    needed = ranks_here * budget.memory
    needed += budget.memory_root - budget.memory if root_here else 0
    free = psutil.virtual_memory().available
    if needed <= free:
        return []
    return [
        Fault(
            "memory",
            f"{size_text(needed)} needed by {ranks_here} rank(s) on a host",
            f"at most the {size_text(free)} that are free",
            "use more hosts, a smaller d or n, or a longer log.every",
        )
    ]


def disk_faults(budget: Budget, out: Path) -> list[Fault]:
    """Whether the log fits on its disk, twice: a new version is written beside the old one."""
    folder = existing_folder(out)
    free = shutil.disk_usage(folder).free
    if 2 * budget.log <= free:
        return []
    return [
        Fault(
            str(out),
            f"a log of {size_text(budget.log)}, which needs twice that while it is replaced",
            f"at most the {size_text(free)} that are free on the disk",
            "a longer log.every, or fewer of log.iterates, log.permutations, log.problem",
        )
    ]


def existing_folder(path: Path) -> Path:
    """The nearest folder above `path` that exists."""
    return next(folder for folder in path.absolute().parents if folder.exists())


def seconds_per_round(config: Config, n: int, d: int, size: int) -> float:
    """A rough time of a round: the kernel, timed here on a made-up block, plus the messages."""
    method = config.method
    q, _ = block_sizes(method, n, d)
    sample = min(d, 1024)
    L, x, out = np.ones((1, sample, sample)), np.ones(sample), np.empty(sample)
    kernels.rows_product(L[0], x, out)
    began = time.perf_counter()
    kernels.rows_product(L[0], x, out)
    per_entry = (time.perf_counter() - began) / sample**2
    entries = d * q if method.name != "ist" else method.local_steps * q * q
    gather = 3.0  # reading scattered entries costs about three times reading a row
    message = 5e-6 if size > 1 else 0.0
    return -(-n // size) * entries * per_entry * gather + 20e-6 + 3 * message


def size_text(count: float) -> str:
    """A number of bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if count < 1024 or unit == "TiB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return ""
