"""Logistic regression on a data set split over the workers.

Worker i has the samples A_i (m_i, d) and their classes y_i (m_i,), each −1 or +1:

    f_i(x) = (1/m_i) Σ_r log(1 + exp(−y_r a_rᵀ x)) + (l2/2) ‖x‖²

A submodel's gradient needs the columns A_i[:, S] alone. No Hessian of f_i exceeds
L_i = A_iᵀA_i/(4 m_i) + l2 I, which step sizes are made of.
"""

from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ist_mpi.config.types import BeforeValidator, Field, Flag, Positive, Text, finite
from ist_mpi.problems import digest
from ist_mpi.problems import samples as kept
from ist_mpi.problems.data.dealing import DealtSamples
from ist_mpi.problems.data.held_out import HeldOutSettings, left_of_both, read_parted
from ist_mpi.problems.data.labels import signs
from ist_mpi.problems.data.split import dealt
from ist_mpi.problems.functions import Columns
from ist_mpi.problems.local_logistic import LocalLogistic, local_of
from ist_mpi.problems.source import Stored

Float64 = NDArray[np.float64]

Label = Annotated[
    Annotated[float, Field(allow_inf_nan=False)] | int | bool | Text,
    BeforeValidator(lambda value: finite(value, "a label of the data")),
    Field(description="a label of the data: a number, a name, true or false"),
]


class LogisticSettings(HeldOutSettings):
    """Logistic regression on a data set split over n workers."""

    kind: Literal["logistic"]
    l2: Positive
    split: Annotated[
        Literal["contiguous", "shuffled"], Field(description='"contiguous" or "shuffled"')
    ] = "contiguous"
    standardize: Flag = False
    positive: Label | None = None
    """The label that counts as +1; where there are more than two, all others count as −1."""
    storage: Annotated[
        Literal["auto", "dense", "sparse"],
        Field(description='"auto", "dense" or "sparse"'),
    ] = "auto"
    fixed_point: Annotated[
        Literal["auto", "exact", "sampled", "gaussian"],
        Field(description='"auto", "exact", "sampled" or "gaussian"'),
    ] = "auto"
    """How x∞, where submodels tend to, is found; see `exact_theory.logistic.submodels`."""


class LogisticShare(NamedTuple):
    """One worker's samples."""

    A: Any
    """Shape (m_i, d): ndarray or CSR array of float64."""
    y: Float64
    """±1, shape (m_i,)."""
    l2: float
    kind: Literal["dense", "sparse"]
    """How all workers keep theirs."""

    def digest(self) -> str:
        """Of the samples, as they come."""
        return digest.of_arrays((self.A, self.y))

    def samples(self) -> kept.Samples:
        """Y A/2, whose normal matrix is the bound L_i; see `kernels.logistic`."""
        half = 0.5 * self.y
        A = self.A
        if sparse.issparse(A):
            data = A.data * np.repeat(half, np.diff(A.indptr))
            A = sparse.csr_array((data, A.indices, A.indptr), shape=A.shape)
        else:
            A = half[:, None] * A
        return kept.Samples(A, np.ones(self.y.size), self.l2)


class Tested(NamedTuple):
    """Samples that no worker has, on rank 0."""

    A: Any
    """Shape (m, d)."""
    y: Float64
    """±1, shape (m,)."""
    columns: Columns = {  # noqa: RUF012 - a default of a named tuple, which nobody changes
        "test_accuracy": ("1", "share of held-out samples whose class is told right")
    }

    @property
    def digest(self) -> str:
        """Of these samples."""
        return digest.of_arrays((self.A, self.y))

    def values(self, x: Float64) -> list[float]:
        """A margin of 0 counts half."""
        margins = self.y * (self.A @ x)
        return [float(np.mean(0.5 * np.sign(margins) + 0.5))]


@dataclass(frozen=True)
class LogisticSource(DealtSamples):
    """The whole data set, in memory on rank 0."""

    Settings = LogisticSettings
    dealt: ClassVar[bool] = True
    theory: ClassVar[str] = "ist_mpi.exact_theory.logistic.theory:LogisticTheory"
    replay: ClassVar[str] = "ist_mpi.verify.logistic:instance_of"
    homogeneous: ClassVar[bool] = False

    l2: float
    stored: Stored
    kind: Literal["dense", "sparse"]
    test: Tested | None
    notes: tuple[str, ...]

    @staticmethod
    def open(settings: LogisticSettings) -> "LogisticSource":
        """See `load`."""
        return load(settings)

    @staticmethod
    def tiny(n: int, d: int) -> list["LogisticSource"]:
        """A few samples, kept in every way: what is compiled for them is compiled for all."""
        A = (np.arange(2.0 * n * d) % 5 - 1.0).reshape(2 * n, d)
        y, edges = np.tile([1.0, -1.0], n), 2 * np.arange(n + 1)
        stored = Stored("functions", samples=2, entries=2 * d, total=2 * n * d)
        rest = y, np.arange(2 * n), edges, False, 1.0, stored
        sparsely = sparse.csr_array(A)
        return [
            LogisticSource(A, *rest, "dense", None, ()),
            LogisticSource(sparsely, *rest, "sparse", None, ()),
        ]

    def share(self, worker: int) -> LogisticShare:
        """A copy of one worker's samples."""
        return LogisticShare(*self.samples(worker), self.l2, self.kind)

    @staticmethod
    def local(
        settings: LogisticSettings, shares: list[LogisticShare], first: int, d: int
    ) -> LocalLogistic:
        """See `functions.FunctionSource`."""
        return local_of(shares, first, d)

    def held_out(self) -> Tested | None:
        """The samples to test on."""
        return self.test


def load(problem: LogisticSettings) -> LogisticSource:
    """Read the data, tell the classes apart, and decide who gets which samples.

    Raises
    ------
    InputError
        If the data cannot be read, are too few for n workers, or are of more or less than two
        classes.
    """
    (A, labels, worker, name, *_), test, known = read_parted(problem, rescaled=problem.standardize)
    found = signs(known, problem.positive, name)
    y = found.of(labels, name)
    if problem.test_share is not None:
        left_of_both(y, name)
    order, edges = dealt(y, worker, problem.n, problem.split, problem.seed, name)
    kind, stored = _stored(problem, A, order, edges)
    notes = (found.note,) if found.note else ()
    source = LogisticSource(
        A, y, order, edges, problem.standardize, problem.l2, stored, kind, None, notes
    )
    if test is None:
        return source
    tested = Tested(source.scaled(test.A), found.of(test.y, test.name))
    if unknown := found.unknown(test.y, test.name):
        notes = (*notes, unknown)
    return replace(source, test=tested, notes=notes)


def _stored(
    problem: LogisticSettings, A: Any, order: NDArray[np.int64], edges: NDArray[np.int64]
) -> tuple[Literal["dense", "sparse"], Stored]:
    """How the workers keep their samples, and the numbers that it takes."""
    total, d = A.shape
    m = int(np.diff(edges).max())
    filled = np.full(total, d)
    if not problem.standardize:
        filled = np.diff(A.indptr) if sparse.issparse(A) else np.count_nonzero(A, axis=1)
    wish = problem.storage
    if wish == "auto":
        density = float(filled.sum()) / (total * d)
        sparsely = kept.cheapest("samples", m, d, problem.n, density) == "sparse"
        wish = "sparse" if sparsely else "dense"
    if wish == "dense":
        return "dense", Stored("functions", samples=m, entries=m * d, total=total * d)
    entries = np.add.reduceat(filled[order], edges[:-1])
    most = -(-3 * int(entries.max()) // 2) + d + 1  # an entry takes 12 bytes, a column 8
    return "sparse", Stored("functions", samples=m, entries=most, total=int(entries.sum()))
