"""The tasks of SLURM that make runs of a sweep: each makes the one of its number."""

from collections.abc import Iterable
from typing import NamedTuple

from ist_mpi.batch.sweep_file import ranges


class Tasks(NamedTuple):
    """One array of tasks."""

    text: str
    """As sbatch takes it: ``3,5,7-9%4``."""
    offset: int
    """What is added to a task's number to get the index of its point."""
    size: int


def arrays(indices: Iterable[int], most: int, at_once: int | None = None) -> list[Tasks]:
    """Arrays whose tasks are these points.

    Parameters
    ----------
    indices : iterable of int
        Of points.
    most : int
        SLURM's MaxArraySize: the numbers of an array's tasks are below it.
    at_once : int, optional
        How many tasks of an array may run at a time; default: as many as there is room for.
    """
    found: dict[int, list[int]] = {}
    for index in indices:
        found.setdefault(index // most, []).append(index % most)
    limit = "" if at_once is None else f"%{at_once}"
    return [
        Tasks(ranges(numbers) + limit, block * most, len(numbers))
        for block, numbers in sorted(found.items())
    ]
