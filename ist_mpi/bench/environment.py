"""Where a benchmark was made, and whether its times can be a measure."""

import os
import platform
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ist_mpi.parallel import ranks
from ist_mpi.store import provenance


def environment(comm: Any) -> tuple[dict[str, Any], list[str]]:
    """As seen by rank 0, with the hosts of all ranks; and what to tell the user; collective."""
    census = ranks.census(comm)
    hosts, crowded = Counter(rank.host for rank in census), ranks.crowded(census)
    loads = dict(zip(ranks.hosts(comm), comm.allgather(os.getloadavg()[0]), strict=True))
    busy = [
        f"{host} is busy: a load average of {load:.1f} before {hosts[host]} rank(s) began; times "
        "are too long, and ratios vary"
        for host, load in loads.items()
        if load > hosts[host]
    ]
    found = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": processor(),
        "mpi_library": ranks.mpi_version(),
        "versions": provenance.versions(),
        "ranks": comm.size,
        "hosts": dict(hosts),
        "cores": ranks.cores(census),
        "oversubscribed": bool(crowded),
        "thread_settings": census[0].threads,
        "load_average": loads,
    }
    return found, crowded + busy


def processor() -> str:
    """The processor's name."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
