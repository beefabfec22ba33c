"""Memory that the ranks of a host share."""

from typing import Any

import numpy as np

from ist_mpi.parallel.mpi import MPI


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
