"""The tasks of SLURM that make runs of a sweep: each makes the one of its number."""

import re
import subprocess
from collections.abc import Iterable
from typing import NamedTuple

from ist_mpi.batch.sweep_file import ranges

DEFAULT_SIZE = 1001
"""SLURM's own MaxArraySize, where nothing else is configured."""


class Tasks(NamedTuple):
    """One array of tasks."""

    text: str
    """As sbatch takes it: ``3,5,7-9%4``."""
    offset: int
    """What is added to a task's number to get the index of its point."""
    size: int


def arrays(indices: Iterable[int], most: int, at_once: int | None = None) -> list[Tasks]:
    """Arrays whose tasks are the points of these indices.

    The numbers of an array's tasks are below `most`, which is SLURM's MaxArraySize; `at_once` of
    them may run at a time, or as many as there is room for.
    """
    found: dict[int, list[int]] = {}
    for index in indices:
        found.setdefault(index // most, []).append(index % most)
    limit = "" if at_once is None else f"%{at_once}"
    return [
        Tasks(ranges(numbers) + limit, block * most, len(numbers))
        for block, numbers in sorted(found.items())
    ]


def max_array_size() -> int:
    """MaxArraySize of the cluster; SLURM's own where nobody can be asked."""
    try:
        done = subprocess.run(
            ["scontrol", "show", "config"], capture_output=True, text=True, check=False, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return DEFAULT_SIZE
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", done.stdout, re.MULTILINE)
    return int(found[1]) if found and int(found[1]) > 1 else DEFAULT_SIZE
