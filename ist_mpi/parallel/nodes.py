"""Memory that the ranks of a host share."""

import os
import platform
from typing import Any

import numpy as np

from ist_mpi.parallel.mpi import MPI

PLACE = "/dev/shm"
"""Where an MPI library puts what the ranks of a host share: of a fixed size, and what is written
beyond it is the end of the process. Containers have 64 MiB.
"""
PLENTY = 64 << 20
"""Bytes with less than which there is something to say: 2900 × 2900 numbers."""
SLACK = 4 << 20
"""Bytes that stay free, for what the library itself keeps there."""


def _room_here() -> int:
    """Bytes that this host's ranks can share."""
    try:
        found = os.statvfs(PLACE)
    except OSError:  # another system, or a container without
        return 0
    return found.f_bavail * found.f_frsize


def rooms(comm: Any) -> dict[str, int]:
    """Bytes that the ranks of each host can share, the same on every rank; collective."""
    found: dict[str, int] = {}
    for host, room in comm.allgather((platform.node(), _room_here())):
        found[host] = min(room, found.get(host, room))
    return found


def lacking(comm: Any, size: int) -> dict[str, int]:
    """The hosts whose ranks cannot share so many bytes, and how many they can; collective."""
    return {host: room for host, room in rooms(comm).items() if room < size + SLACK}


class SharedArray:
    """One array a host, which all of the host's ranks see.

    Attributes
    ----------
    array : ndarray
        Zeros at first.
    leads : bool
        Whether this rank is the one of its host that fills the array.
    """

    def __init__(self, comm: Any, shape: tuple[int, ...], dtype: str) -> None:
        self._node = comm.Split_type(MPI.COMM_TYPE_SHARED)
        self.leads: bool = self._node.rank == 0
        size = np.dtype(dtype).itemsize
        count = int(np.prod(shape, dtype=np.int64))
        mine = count * size if self.leads else 0
        self._window = MPI.Win.Allocate_shared(mine, size, comm=self._node)
        self._window.Fence()
        memory, _ = self._window.Shared_query(0)
        self.array = np.ndarray(shape, dtype=dtype, buffer=memory)

    def from_leader(self, value: Any) -> Any:
        """The leader's value on every rank of its host, who now sees the array as it left it."""
        self._window.Fence()
        return self._node.bcast(value)

    def free(self) -> None:
        """Give the memory back; nobody may look at the array any more. Collective."""
        self._window.Free()
        self._node.Free()
