"""Ridge regression on a data set split over the workers.

Worker i has the samples A_i (m_i, d), y_i (m_i,):

    f_i(x) = (1/2m_i) ‖A_i x − y_i‖² + (l2/2) ‖x‖²

so L_i = A_iᵀA_i/m_i + l2 I, b_i = A_iᵀy_i/m_i, and the constant is ‖y_i‖²/(2m_i). Workers keep L_i
or A_i, whichever is cheaper; with precision = "float32" what they keep is rounded, and all else
follows from that.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ist_mpi.config.types import Field, Flag, NotNegative, Precision, Seed
from ist_mpi.problems import digest
from ist_mpi.problems import samples as kept
from ist_mpi.problems.data.dealing import DealtSamples
from ist_mpi.problems.data.reading import read
from ist_mpi.problems.data.settings import DataSettings
from ist_mpi.problems.data.split import dealt
from ist_mpi.problems.quadratic import rounded
from ist_mpi.problems.samples import Samples
from ist_mpi.problems.source import AS_MATRICES, Quadratic, Stored

Float64 = NDArray[np.float64]


class RidgeSettings(DataSettings):
    """Ridge regression on a data set split over n workers."""

    kind: Literal["ridge"]
    l2: NotNegative = 1e-3
    split: Annotated[
        Literal["contiguous", "shuffled"], Field(description='"contiguous" or "shuffled"')
    ] = "contiguous"
    standardize: Flag = False
    storage: Annotated[
        Literal["auto", "matrix", "samples"],
        Field(description='"auto", "matrix" or "samples"'),
    ] = "auto"
    precision: Precision = "float64"
    seed: Seed = 0


class RidgeShare(NamedTuple):
    """One worker's samples."""

    A: Any
    """Shape (m_i, d): ndarray or CSR array of float64."""
    y: Float64
    l2: float
    stored: Stored = AS_MATRICES

    def samples(self) -> Samples:
        """The samples, rounded if they are what is kept."""
        A = self.A
        if self.stored.kind != "matrix" and self.stored.precision == "float32":
            if sparse.issparse(A):
                data = kept.rounded(A.data, self.stored.precision, "the data set")
                A = sparse.csr_array((data, A.indices, A.indptr), shape=A.shape)
            else:
                A = kept.rounded(A, self.stored.precision, "the data set")
        return Samples(A, self.y, self.l2)

    def digest(self) -> str:
        """Of the samples, as they come."""
        return digest.of_arrays((self.A, self.y))

    def quadratic(self, room: Float64 | None = None) -> Quadratic:
        """The normal equations of this worker's samples, rounded if they are what is kept."""
        A = self.samples().A.astype(np.float64)
        m, d = A.shape
        gram = A.T @ A
        L = gram.toarray() if sparse.issparse(gram) else gram
        L = L / m
        L[np.diag_indices(d)] += self.l2
        found = Quadratic(L, A.T @ self.y / m, float(self.y @ self.y) / (2 * m))
        return rounded(found, self.stored.precision) if self.stored.kind == "matrix" else found


@dataclass(frozen=True)
class RidgeSource(DealtSamples):
    """The whole data set, in memory on rank 0, with its samples in the order of the split."""

    Settings = RidgeSettings

    @staticmethod
    def open(settings: RidgeSettings) -> "RidgeSource":
        """See `load`."""
        return load(settings)

    l2: float
    stored: Stored = AS_MATRICES
    homogeneous: bool = False

    def share(self, worker: int) -> RidgeShare:
        """A copy of one worker's samples."""
        return RidgeShare(*self.samples(worker), self.l2, self.stored)


def load(problem: RidgeSettings) -> RidgeSource:
    """Read the data set, check it, and decide who gets which samples.

    Raises
    ------
    InputError
        If the data cannot be read, are not finite, or are too few for n workers.
    """
    A, y, worker, name, *_ = read(problem, rescaled=problem.standardize)
    order, edges = dealt(y, worker, problem.n, problem.split, problem.seed, name)
    stored = _stored(problem, A, order, edges)
    return RidgeSource(A, y, order, edges, problem.standardize, problem.l2, stored)


def _stored(
    problem: RidgeSettings, A: Any, order: NDArray[np.int64], edges: NDArray[np.int64]
) -> Stored:
    """How the workers keep their problems."""
    total, d = A.shape
    m = int(np.diff(edges).max())
    filled = np.full(total, d)  # entries of each sample
    if not problem.standardize:
        filled = np.diff(A.indptr) if sparse.issparse(A) else np.count_nonzero(A, axis=1)
    entries = np.add.reduceat(filled[order], edges[:-1])
    density = float(filled.sum()) / (total * d)
    wish = problem.storage
    kind = kept.cheapest(wish, m, d, problem.n, density)
    precision = problem.precision
    if kind == "matrix":
        return Stored(precision=precision)
    if kind == "dense":
        return Stored("dense", precision, m, m * d, total * d)
    return Stored("sparse", precision, m, int(entries.max()), int(entries.sum()))
