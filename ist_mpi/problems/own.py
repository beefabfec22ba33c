"""A problem of one's own: derive from `QuadraticProblem`, and say what every worker's f_i is."""

from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from ist_mpi.config import Problem
from ist_mpi.errors import Fault, InputError
from ist_mpi.problems.arrays import MemoryShare
from ist_mpi.problems.given import unmasked
from ist_mpi.problems.source import AS_MATRICES, Stored

Float64 = NDArray[np.float64]


Made = TypeVar("Made")


def sized(made: Made) -> Made:
    """The problem itself; raises InputError if it has not set its n and d."""
    sizes = getattr(made, "n", None), getattr(made, "d", None)
    if not all(isinstance(size, int) and size >= 1 for size in sizes):
        got = f"n, d = {sizes[0]}, {sizes[1]}"
        where = f"{type(made).__name__}.__init__"
        raise InputError(Fault(where, got, "integers of at least 1"))
    return made


class QuadraticProblem:
    """f_i(x) = ½ xᵀ L_i x − b_iᵀ x of n workers, made on rank 0 and dealt to the workers' ranks.

    Attributes
    ----------
    n, d : int
        Workers and coordinates; set by `__init__`.

    Its settings are a class attribute, derived from `ist_mpi.config.Problem`.
    """

    Settings: ClassVar[type[Problem]] = Problem
    homogeneous: ClassVar[bool] = False
    data_bytes: ClassVar[int] = 0
    stored: ClassVar[Stored] = AS_MATRICES

    n: int
    d: int

    def __init__(self, settings: Any) -> None:
        self.settings = settings

    @classmethod
    def open(cls, settings: Any) -> "QuadraticProblem":
        """The problem, on rank 0; raises InputError if it is not what it says of itself."""
        made = sized(cls(settings))
        if made.homogeneous and made.n > 1:
            first, last = (made.share(worker).quadratic() for worker in (0, made.n - 1))
            if not all(np.array_equal(first[i], last[i]) for i in range(2)):
                got = f"workers 0 and {made.n - 1} with different quadratics"
                raise InputError(Fault(f"{cls.__name__}.homogeneous", got, "the same of all"))
        return made

    def quadratic(self, worker: int) -> tuple[Any, Any]:
        """L_i (d, d), symmetric positive semidefinite, and b_i (d,), of worker 0 … n − 1."""
        raise NotImplementedError

    def start(self) -> Float64:
        """x⁰, shape (d,); here 0."""
        return np.zeros(self.d)

    def share(self, worker: int) -> MemoryShare:
        """What the worker's rank checks and keeps."""
        where = f"{type(self).__name__}.quadratic, worker {worker}"
        L, b = (np.array(unmasked(part, where)) for part in self.quadratic(worker))
        L, b = L if L.dtype == np.float32 else L.astype(np.float64), b.astype(np.float64)
        if L.shape != (self.d, self.d) or b.shape != (self.d,):
            expected = f"L ({self.d}, {self.d}) and b ({self.d},)"
            raise InputError(Fault(where, f"shapes {L.shape} and {b.shape}", expected))
        return MemoryShare(L, b, worker)
