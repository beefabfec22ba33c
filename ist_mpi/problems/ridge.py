"""Ridge regression on a data set split over the workers.

Worker i has the samples A_i (m_i, d), y_i (m_i,):

    f_i(x) = (1/2m_i) ‖A_i x − y_i‖² + (l2/2) ‖x‖²

so L_i = A_iᵀA_i/m_i + l2 I, b_i = A_iᵀy_i/m_i, and the constant is ‖y_i‖²/(2m_i). Workers keep L_i
or A_i, whichever is cheaper; with precision = "float32" what they keep is rounded, and all else
follows from that.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ist_mpi.config import Problem, Rule
from ist_mpi.config.types import (
    Count,
    Field,
    Flag,
    NotNegative,
    Precision,
    Seed,
    Text,
    model_validator,
)
from ist_mpi.errors import Fault, InputError
from ist_mpi.partition import spans
from ist_mpi.problems import digest
from ist_mpi.problems import samples as kept
from ist_mpi.problems.bundled import bundled
from ist_mpi.problems.libsvm import read_libsvm
from ist_mpi.problems.quadratic import AS_MATRICES, Quadratic, Stored, rounded
from ist_mpi.problems.samples import Samples
from ist_mpi.randomness import Purpose, data_stream

Float64 = NDArray[np.float64]


class RidgeSettings(Problem):
    """Ridge regression on a data set split over n workers."""

    kind: Literal["ridge"]
    path: Text | None = None
    dataset: (
        Annotated[
            Literal["digits", "diabetes", "breast_cancer"],
            Field(description='"digits", "diabetes" or "breast_cancer"'),
        ]
        | None
    ) = None
    n: Count
    d: Count | None = None
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

    @classmethod
    def broken_rules(cls, values: Mapping[str, Any]) -> Iterator[Rule]:
        """See `Section.broken_rules`."""
        given = [key for key in ("path", "dataset") if values.get(key) is not None]
        if len(given) != 1:
            got = "both path and dataset" if given else "neither path nor dataset"
            yield "path", got, "exactly one of path and dataset"

    @model_validator(mode="after")
    def _rules(self) -> Self:
        self.keep_rules()
        return self


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
class RidgeSource:
    """The whole data set, in memory on rank 0, with its samples in the order of the split."""

    Settings = RidgeSettings

    @staticmethod
    def open(settings: RidgeSettings) -> "RidgeSource":
        """See `load`."""
        return load(settings)

    A: Any
    y: Float64
    order: NDArray[np.int64]
    edges: NDArray[np.int64]
    l2: float
    standardize: bool
    stored: Stored = AS_MATRICES
    homogeneous: bool = False

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
        copies = -(-self.A.shape[0] // self.n) * self.d * 8 if dense else stored // self.n
        return int(stored + copies)

    def share(self, worker: int) -> RidgeShare:
        """A copy of one worker's samples."""
        rows = self.order[self.edges[worker] : self.edges[worker + 1]]
        A = self.A[rows]
        if self.standardize:
            mean, deviation = self.moments
            A = ((A.toarray() if sparse.issparse(A) else A) - mean) / deviation
        return RidgeShare(A, self.y[rows], self.l2, self.stored)

    @cached_property
    def moments(self) -> tuple[Float64, Float64]:
        """Mean and standard deviation of the columns, each (d,); a constant column's is 1."""
        A = self.A
        mean, least, most = (_row(of(axis=0)) for of in (A.mean, A.min, A.max))
        if sparse.issparse(A):
            # Entries that are not stored are 0: each contributes mean².
            stored = A.copy()
            stored.data = (stored.data - mean[stored.indices]) ** 2
            absent = A.shape[0] - np.bincount(A.indices, minlength=self.d)
            variance = (_row(stored.sum(axis=0)) + absent * mean**2) / A.shape[0]
        else:
            variance = np.var(A, axis=0)
        constant = least == most
        return np.where(constant, least, mean), np.where(constant, 1.0, np.sqrt(variance))

    def start(self) -> Float64:
        """x⁰ = 0."""
        return np.zeros(self.d)


def _row(values: Any) -> Float64:
    """A reduction over the rows as (d,), whatever kind of array it came as."""
    return np.ravel(values.toarray() if sparse.issparse(values) else values)


def load(problem: RidgeSettings) -> RidgeSource:
    """Read the data set, check it, and decide who gets which samples.

    Raises
    ------
    InputError
        If the data cannot be read, are not finite, or are too few for n workers.
    """
    if problem.dataset is not None:
        A, y = bundled(problem.dataset)
        name: str = problem.dataset
    else:
        A, y = read_libsvm(Path(str(problem.path)), problem.d)
        name = str(problem.path)
    samples, features = A.shape
    if problem.d not in (None, features):
        raise InputError(
            Fault("problem.d", str(problem.d), f"{features}, the features of {name}", "or no d")
        )
    if problem.n > samples:
        raise InputError(
            Fault("problem.n", f"{problem.n} workers", f"at most {samples}, the samples of {name}")
        )
    _check_scale(name, A, problem.standardize)
    if problem.split == "contiguous":
        order = np.argsort(y, kind="stable")
    else:
        order = data_stream(problem.seed, Purpose.SHUFFLE).permutation(samples)
    edges = spans(samples, problem.n)
    stored = _stored(problem, A, order, edges)
    return RidgeSource(A, y, order, edges, problem.l2, problem.standardize, stored)


SQUARES = (1e-140, 1e140)
"""Between these are numbers whose squares can be added up."""


def _check_scale(name: str, A: Any, each_column: bool) -> None:
    """Refuse samples whose squares vanish or overflow; of each column, where it is rescaled."""
    largest = np.maximum(_row(A.max(axis=0)), -_row(A.min(axis=0)))
    sizes = largest[largest > 0.0] if each_column else largest.max(initial=0.0, keepdims=True)
    least, most = SQUARES
    wrong = sizes[(sizes > most) | ((sizes < least) & (sizes > 0.0))]
    if wrong.size:
        got = f"samples up to {wrong[0]:.3g}, whose squares leave the range of float64"
        if each_column:
            got = f"a column of {got}"
        remedy = "choose units in which they are nearer to 1"
        raise InputError(Fault(name, got, f"numbers between {least:g} and {most:g}", remedy))


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
