"""Where a benchmark was made: processor, caches, MPI, versions, threads, and how busy it was."""

import os
import platform
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from ist_mpi.parallel import ranks
from ist_mpi.store import provenance


def environment(comm: Any) -> dict[str, Any]:
    """As seen by rank 0, with the hosts of all ranks; collective."""
    census = ranks.census(comm)
    on_host = Counter(rank.host for rank in census)
    cores = ranks.cores(census)
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": processor(),
        "caches": caches(),
        "memory_bytes": psutil.virtual_memory().total,
        "system": f"{platform.system()} {platform.release()}",
        "mpi_library": ranks.mpi_version(),
        "versions": provenance.versions(),
        "ranks": comm.size,
        "hosts": dict(on_host),
        "cores": cores,
        "oversubscribed": any(on_host[host] > cores[host] for host in on_host),
        "threads_per_rank": 1,
        "thread_settings": census[0].threads,
        "load_average": os.getloadavg()[0],
    }


def processor() -> str:
    """The processor's name."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def caches() -> dict[str, str]:
    """Sizes of the first core's caches, by level and kind; empty where the system does not say."""
    found = {}
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            level, kind, size = (
                (folder / name).read_text(encoding="utf-8").strip()
                for name in ("level", "type", "size")
            )
        except OSError:
            continue
        if kind != "Instruction":
            found[f"L{level}"] = size
    return found
