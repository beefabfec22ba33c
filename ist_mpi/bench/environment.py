"""Where a benchmark was made: processor, MPI, versions, threads, and how busy it was."""

import os
import platform
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ist_mpi.parallel import ranks
from ist_mpi.store import provenance


def environment(comm: Any) -> dict[str, Any]:
    """As seen by rank 0, with the hosts of all ranks; collective."""
    census = ranks.census(comm)
    on_host = Counter(rank.host for rank in census)
    cores = ranks.cores(census)
    loads = comm.allgather(os.getloadavg()[0])
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": processor(),
        "mpi_library": ranks.mpi_version(),
        "versions": provenance.versions(),
        "ranks": comm.size,
        "hosts": dict(on_host),
        "cores": cores,
        "oversubscribed": any(on_host[host] > cores[host] for host in on_host),
        "thread_settings": census[0].threads,
        "load_average": dict(zip(ranks.hosts(comm), loads, strict=True)),
    }


def cautions(environment: dict[str, Any]) -> list[str]:
    """Why times of this environment may be no measure."""
    hosts = environment["hosts"]
    found = [
        f"{host} is busy: a load average of {load:.1f} before {hosts[host]} rank(s) began; times "
        "are too long, and ratios vary"
        for host, load in environment["load_average"].items()
        if load > hosts[host]
    ]
    if environment["oversubscribed"]:
        found.append(
            "more ranks than cores: they take turns, and no time of several ranks is a measure"
        )
    return found


def processor() -> str:
    """The processor's name."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
