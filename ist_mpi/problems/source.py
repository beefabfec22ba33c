"""What a problem is before its data are dealt: its workers' shares, and how they are kept.

Of quadratics, f_i(x) = ½ xᵀ L_i x − b_iᵀ x + constant, eq. (12), and of others.
"""

from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ist_mpi.config import Method
from ist_mpi.problems.samples import Samples
from ist_mpi.sketches import Units, sketch_of

Float64 = NDArray[np.float64]


class Quadratic(NamedTuple):
    """One worker's f_i."""

    L: Float64
    """Symmetric positive semidefinite, shape (d, d)."""
    b: Float64
    """Shape (d,)."""
    constant: float = 0.0
    """f_i(0); the method does not see it, function values do."""


class Accepted(Quadratic):
    """One that is accepted for the precision of its numbers, which the user should know."""

    note: str


class Stored(NamedTuple):
    """How the quadratics are kept, by every rank alike."""

    kind: Literal["matrix", "dense", "sparse", "functions"] = "matrix"
    """L_i, or the samples A_i by columns, all of them or the entries that are not zero; or the
    problem keeps its functions itself, which are no quadratics."""
    precision: Literal["float64", "float32"] = "float64"
    """Of what is kept; sums are made in float64."""
    samples: int = 0
    """m_i of the largest worker, where samples are kept."""
    entries: int = 0
    """Numbers kept of A_i, of the largest worker."""
    total: int = 0
    """Of all workers."""

    @property
    def quadratic(self) -> bool:
        """Whether the functions are quadratics."""
        return self.kind != "functions"

    @property
    def itemsize(self) -> int:
        """Bytes of a number."""
        return 4 if self.precision == "float32" else 8


AS_MATRICES = Stored()
"""In float64."""


class Share(Protocol):
    """What a worker's owner needs to make the worker's quadratic; can be sent to another rank."""

    def quadratic(self, room: Float64 | None = None) -> Quadratic:
        """Make it, rounded to the configured precision; raises InputError where data are wrong.

        `room` is where L (d, d) may be made in place, which saves its copy.

        A share whose quadratic is made by products has a `digest() -> str` of its data besides.
        """


class SamplesShare(Share, Protocol):
    """The share of a problem whose samples can be kept in place of the matrix."""

    def samples(self) -> Samples:
        """The samples, rounded to the configured precision; raises InputError likewise."""


class Source(Protocol):
    """A problem as rank 0 sees it."""

    @property
    def n(self) -> int:
        """Number of workers."""

    @property
    def d(self) -> int:
        """Number of coordinates."""

    @property
    def homogeneous(self) -> bool:
        """Whether all workers have the same quadratic."""

    @property
    def data_bytes(self) -> int:
        """What the source itself takes in memory."""

    @property
    def stored(self) -> Stored:
        """How its quadratics are to be kept."""

    def share(self, worker: int) -> Share:
        """What worker `worker` (0-based) is made of."""

    def start(self) -> Float64:
        """x⁰, shape (d,)."""


class Facts(NamedTuple):
    """What every rank knows of the problem before its data are dealt."""

    n: int
    d: int
    homogeneous: bool
    data_bytes: int
    """What the data set takes on rank 0 until it is dealt."""
    stored: Stored = AS_MATRICES
    units: Units | None = None
    """What coordinates belong to, where a sketch is to deal that out in their place."""

    def sketch(self, method: Method) -> Any:
        """The configured sketch on this problem; see `sketch_of`."""
        return sketch_of(method, self.n, self.d, self.units)
