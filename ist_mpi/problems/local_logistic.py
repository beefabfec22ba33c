"""The logistic functions of one rank's workers."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ist_mpi.kernels import logistic as kernels
from ist_mpi.kernels.samples import DenseSamples
from ist_mpi.problems import samples as kept
from ist_mpi.problems.functions import Columns, LocalFunctions
from ist_mpi.problems.quadratic import LocalQuadratics
from ist_mpi.sketches.blocks import Blocks

Float64 = NDArray[np.float64]


class LogisticSteps(NamedTuple):
    """What a rank's workers do with their submodels, and room to do it; see `rounds.Steps`."""

    gamma: float
    local_steps: int
    merging: bool
    disjoint: bool
    product: Float64


class LocalLogistic(LocalFunctions):
    """f_i by their samples; the same as `LocalFunctions`, by kernels.

    Parameters
    ----------
    bounds : LocalQuadratics
        The quadratics with the matrices L_i that no Hessian exceeds; their samples are Y A/2.
    first : int
        The rank's first worker.
    """

    columns: Columns = {  # noqa: RUF012 - nobody changes it
        "train_accuracy": ("1", "share of samples whose class is told right, mean over workers")
    }

    def __init__(self, bounds: LocalQuadratics, d: int, first: int) -> None:
        super().__init__(d, first, first + bounds.index.size)
        storage: Any = bounds.storage
        self.bounds, self.digests, self.storage = bounds, bounds.digests, storage
        self._room = np.empty(2 * int(storage.samples.max(initial=0)))

    @property
    def diagonals(self) -> Float64:
        """Diag(L_i), shape (m, d)."""
        return self.bounds.diagonals

    def half_samples(self, worker: int) -> Any:
        """H_i = Y_i A_i/2, shape (m_i, d), in an array of its own: ndarray, or CSR."""
        u, held = worker - self.first, self.storage
        m = int(held.samples[u])
        if isinstance(held, DenseSamples):
            return np.array(held.columns[u, :, :m].T, order="C")
        lo, hi = held.starts[u, 0], held.starts[u, -1]
        indices = held.rows[lo:hi], held.starts[u] - lo
        return sparse.csr_array(sparse.csc_array((held.values[lo:hi], *indices), shape=(m, self.d)))

    def entries(self, worker: int) -> int:
        """Numbers kept of A_i."""
        u, held = worker - self.first, self.storage
        if isinstance(held, DenseSamples):
            return int(held.samples[u]) * self.d
        return int(held.starts[u, -1] - held.starts[u, 0])

    def curved(self, worker: int, x: Float64) -> Callable[[Float64], Float64]:
        """p ↦ ∇²f_i(x) p."""
        H, l2 = self.half_samples(worker), self.storage.l2
        e = np.exp(-np.abs(2.0 * (H @ x)))
        bent = 4.0 * e / (1.0 + e) ** 2 / H.shape[0]
        return lambda p: np.asarray(H.T @ (bent * (H @ p)) + l2 * p)

    def value(self, worker: int, x: Float64) -> float:
        """See `LocalFunctions`."""
        return self._measured(worker, x)[0]

    def measurements(self, worker: int, x: Float64) -> Sequence[float]:
        """The accuracy."""
        return [self._measured(worker, x)[1]]

    def _measured(self, worker: int, x: Float64) -> tuple[float, float]:
        at = np.array(x)  # one that may be written to, as kernels take it
        loss, right = kernels.measured(self.storage, worker - self.first, at, self._room)
        return float(loss), float(right)

    def gradient(self, worker: int, x: Float64) -> Float64:
        """See `LocalFunctions`."""
        out, every = np.empty(self.d), self.storage.every
        kernels.gradient_on(self.storage, worker - self.first, every, x, out, self._room)
        return out

    def gradients(self, x: Float64, S: Blocks) -> Float64:
        """See `LocalQuadratics.gradients`."""
        return self.gradients_apart(x[None], S)

    def gradients_apart(self, X: Float64, S: Blocks) -> Float64:
        """See `LocalQuadratics.gradients_apart`."""
        out = np.empty(S.pi.size)
        kernels.gradients(self.storage, S.pi, S.offsets, X, out, self._room)
        return out

    def whole_gradients(self, x: Float64) -> Float64:
        """See `LocalQuadratics.whole_gradients`."""
        out = np.empty((self.index.size, self.d))
        kernels.whole_gradients(self.storage, np.atleast_2d(x), out, self._room)
        return out

    def changes(self, h: Float64, u: Float64, S: Blocks) -> Float64:
        """See `LocalQuadratics.changes`."""
        out = np.empty(S.pi.size)
        kernels.changes(self.storage, S.pi, S.offsets, h, u, out, self._room)
        return out

    def steps(
        self, sketch: Any, most: int, gamma: float, count: int, merging: bool, disjoint: bool
    ) -> Any:
        """See `LocalQuadratics.steps`."""
        return LogisticSteps(gamma, count, merging, disjoint, np.empty(sketch.largest))

    def submodels(self, S: Blocks, x: Float64, steps: Any) -> Float64:
        """See `LocalFunctions.submodels`."""
        out = np.empty(x.size)
        kernels.work(self.storage, S.pi, S.offsets, S.C, S.A, steps, x, out, self._room)
        return out


def local_of(shares: list[Any], first: int, d: int) -> LocalLogistic:
    """Of the shares of a rank's workers, which are let go of on the way."""
    digests = tuple(share.digest() for share in shares)
    kind = shares[0].kind if shares else "dense"
    parts = [share.samples() for share in shares]
    shares.clear()
    packed: Any = kept.pack(parts, kind, "float64", d, np.arange(len(parts)))
    bounds = LocalQuadratics(packed, np.zeros(len(parts)), False, digests)
    return LocalLogistic(bounds, d, first)
