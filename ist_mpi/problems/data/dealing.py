"""Samples in memory on rank 0, and each worker's part of them."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ist_mpi.problems.data.reading import row_of

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class DealtSamples:
    """A whole data set, with its samples in the order of the split."""

    A: Any
    """Shape (m, d): ndarray or CSR array of float64."""
    y: Float64
    """Shape (m,)."""
    order: NDArray[np.int64]
    """Shape (m,): the samples in the workers' order."""
    edges: NDArray[np.int64]
    """Shape (n + 1,): worker i has order[edges[i]:edges[i + 1]]."""
    standardize: bool

    @property
    def n(self) -> int:
        """Number of workers."""
        return self.edges.size - 1

    @property
    def d(self) -> int:
        """Number of features."""
        return int(self.A.shape[1])

    @property
    def data_bytes(self) -> int:
        """Of the samples, and of one worker's copy of them."""
        stored = self.A.data.nbytes + (self.A.indices.nbytes if sparse.issparse(self.A) else 0)
        dense = self.standardize and sparse.issparse(self.A)
        most = int(np.diff(self.edges).max())
        copies = most * self.d * 8 if dense else stored * most // self.A.shape[0]
        return int(stored + copies)

    def samples(self, worker: int) -> tuple[Any, Float64]:
        """A copy of one worker's A_i (m_i, d) and y_i (m_i,)."""
        rows = self.order[self.edges[worker] : self.edges[worker + 1]]
        return self.scaled(self.A[rows]), self.y[rows]

    def scaled(self, A: Any) -> Any:
        """Other samples as the workers have theirs: standardised, if that is asked for."""
        if not self.standardize:
            return A
        mean, deviation = self.moments
        return ((A.toarray() if sparse.issparse(A) else A) - mean) / deviation

    @cached_property
    def moments(self) -> tuple[Float64, Float64]:
        """Mean and standard deviation of the columns, each (d,); a constant column's is 1."""
        A = self.A
        mean, least, most = (row_of(of(axis=0)) for of in (A.mean, A.min, A.max))
        if sparse.issparse(A):
            # Entries that are not stored are 0: each contributes mean².
            stored = A.copy()
            stored.data = (stored.data - mean[stored.indices]) ** 2
            absent = A.shape[0] - np.bincount(A.indices, minlength=self.d)
            variance = (row_of(stored.sum(axis=0)) + absent * mean**2) / A.shape[0]
        else:
            variance = np.var(A, axis=0)
        constant = least == most
        return np.where(constant, least, mean), np.where(constant, 1.0, np.sqrt(variance))

    def start(self) -> Float64:
        """x⁰ = 0."""
        return np.zeros(self.d)
