"""Quadratics f_i(x) = ½ xᵀ L_i x − b_iᵀ x + constant, eq. (12), and a rank's share of them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ist_mpi.errors import Fault, InputError
from ist_mpi.kernels import storage
from ist_mpi.kernels.matrices import Matrices
from ist_mpi.sketches import Blocks

Float64 = NDArray[np.float64]
GATHERED = 2**20
"""Most entries of a block that is copied for several local steps: 8 MiB."""


class Quadratic(NamedTuple):
    """One worker's f_i."""

    L: Float64
    """Symmetric positive semidefinite, shape (d, d)."""
    b: Float64
    """Shape (d,)."""
    constant: float = 0.0
    """f_i(0); the method does not see it, function values do."""


class Share(Protocol):
    """What a worker's owner needs to make the worker's quadratic; can be sent to another rank."""

    def quadratic(self) -> Quadratic:
        """Make it; raises InputError where the data are wrong."""


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


@dataclass(frozen=True)
class LocalQuadratics:
    """The quadratics of one rank's workers, each distinct one once.

    A homogeneous problem has one matrix for all workers: u = 1.
    """

    storage: Matrices
    """L (u, d, d), b (u, d), and which (m,): the quadratic of each worker."""
    constant: Float64
    """Shape (u,)."""
    homogeneous: bool
    """Whether all workers of all ranks have the same quadratic."""

    @property
    def index(self) -> NDArray[np.int64]:
        """Shape (m,): which quadratic each of the rank's workers has."""
        return self.storage.which

    @property
    def b(self) -> Float64:
        """Shape (u, d)."""
        return self.storage.b

    @property
    def diagonals(self) -> Float64:
        """Diag(L_i) of the distinct quadratics, shape (u, d)."""
        diagonals = np.diagonal(self.storage.L, axis1=1, axis2=2)
        return np.ascontiguousarray(diagonals, dtype=np.float64)

    def matrix(self, u: int) -> Float64:
        """L of the rank's distinct quadratic u, shape (d, d); may be the stored array itself."""
        return np.asarray(self.storage.L[u], dtype=np.float64)

    def room(self, q: int, steps: int) -> tuple[Float64, bool]:
        """Scratch for `steps` local steps on blocks of q, and whether to prepare each block.

        A block that is used several times is gathered once, if the copy stays in the cache.
        """
        half = q * (q + 1) // 2
        ready = steps > 1 and half <= GATHERED
        return np.empty(half if ready else 0), ready

    def gradients(self, x: Float64, blocks: Blocks, out: Float64, room: Float64) -> None:
        """out (t,) = the coordinates S_i of ∇f_i(x) for each of this rank's workers.

        `blocks` are this rank's: pi (t,) and offsets (m + 1,).
        """
        storage.gradients(self.storage, blocks.pi, blocks.offsets, x, out, room)


def assemble(shares: Iterable[Share], workers: int, d: int, homogeneous: bool) -> LocalQuadratics:
    """Make the quadratics of a rank's `workers` workers from their shares, in order."""
    distinct = min(workers, 1) if homogeneous else workers
    L = np.empty((distinct, d, d))
    b = np.empty((distinct, d))
    constant = np.empty(distinct)
    for i, share in enumerate(shares):
        if i < distinct:
            L[i], b[i], constant[i] = share.quadratic()
    index = np.zeros(workers, dtype=np.int64) if homogeneous else np.arange(workers)
    return LocalQuadratics(Matrices(L, b, index), constant, homogeneous)


def check_quadratic(L: Float64, b: Float64, where: Callable[[str], str]) -> None:
    """Refuse an L that is not finite, symmetric and positive semidefinite, or a b not finite.

    `where` names an array of this worker: ``where("L")``. Costs a Cholesky factorisation.
    """
    for name, array in (("L", L), ("b", b)):
        if not np.isfinite(array).all():
            bad = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
            raise InputError(Fault(where(name), f"{array[bad]} at {bad}", "finite numbers"))
    scale = float(np.max(np.abs(L), initial=0.0))
    skew = np.abs(L - L.T)
    if skew.max(initial=0.0) > 1e-10 * scale:
        j, k = (int(i) for i in np.unravel_index(skew.argmax(), skew.shape))
        raise InputError(
            Fault(
                where("L"),
                f"L[{j}, {k}] = {L[j, k]:.6g} but L[{k}, {j}] = {L[k, j]:.6g}",
                "a symmetric matrix",
                "use (L + Lᵀ)/2, which gives the same function",
            )
        )
    shifted = L + (1e-10 * scale + np.finfo(float).tiny) * np.eye(len(L))
    try:
        np.linalg.cholesky(shifted)
    except np.linalg.LinAlgError:
        smallest = float(np.linalg.eigvalsh(L)[0])
        raise InputError(
            Fault(where("L"), f"an eigenvalue of {smallest:.6g}", "no negative eigenvalue")
        ) from None
