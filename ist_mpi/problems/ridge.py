"""Ridge regression on a data set split over the workers (SPEC §1).

Worker i has the samples A_i (m_i, d), y_i (m_i,):

    f_i(x) = (1/2m_i) ‖A_i x − y_i‖² + (l2/2) ‖x‖²

so L_i = A_iᵀA_i/m_i + l2 I, b_i = A_iᵀy_i/m_i, and the constant is ‖y_i‖²/(2m_i).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ist_mpi.config import RidgeProblem
from ist_mpi.errors import Fault, InputError
from ist_mpi.partition import spans
from ist_mpi.problems.quadratic import Quadratic
from ist_mpi.randomness import Purpose, data_stream

Float64 = NDArray[np.float64]


class RidgeShare(NamedTuple):
    """One worker's samples."""

    A: Any
    """Shape (m_i, d): ndarray or CSR array of float64."""
    y: Float64
    l2: float

    def quadratic(self) -> Quadratic:
        """The normal equations of this worker's samples."""
        m, d = self.A.shape
        gram = self.A.T @ self.A
        L = gram.toarray() if sparse.issparse(gram) else gram
        L = L / m
        L[np.diag_indices(d)] += self.l2
        return Quadratic(L, self.A.T @ self.y / m, float(self.y @ self.y) / (2 * m))


@dataclass(frozen=True)
class RidgeSource:
    """The whole data set, in memory on rank 0, with its samples in the order of the split."""

    A: Any
    y: Float64
    order: NDArray[np.int64]
    edges: NDArray[np.int64]
    l2: float
    homogeneous: bool = False

    @property
    def n(self) -> int:
        """Number of workers."""
        return self.edges.size - 1

    @property
    def d(self) -> int:
        """Number of features."""
        return int(self.A.shape[1])

    def share(self, worker: int) -> RidgeShare:
        """A copy of one worker's samples."""
        rows = self.order[self.edges[worker] : self.edges[worker + 1]]
        return RidgeShare(self.A[rows], self.y[rows], self.l2)

    def start(self) -> Float64:
        """x⁰ = 0."""
        return np.zeros(self.d)


def load(problem: RidgeProblem) -> RidgeSource:
    """Read the data set, check it, and decide who gets which samples.

    Raises
    ------
    InputError
        If the data cannot be read, are not finite, or are too few for n workers.
    """
    if problem.dataset is not None:
        A, y = _bundled(problem.dataset)
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
    if problem.standardize:
        A = _standardized(A)
    if problem.split == "contiguous":
        order = np.argsort(y, kind="stable")
    else:
        order = data_stream(problem.seed, Purpose.SHUFFLE).permutation(samples)
    return RidgeSource(A, y, order, spans(samples, problem.n), problem.l2)


def _bundled(name: str) -> tuple[Float64, Float64]:
    """One of the data sets that come with scikit-learn."""
    datasets = _sklearn_datasets()
    bunch = getattr(datasets, f"load_{name}")()
    return np.asarray(bunch.data, dtype=np.float64), np.asarray(bunch.target, dtype=np.float64)


def _sklearn_datasets() -> Any:
    try:
        from sklearn import datasets
    except ImportError as error:
        raise InputError(
            Fault(
                "problem.kind",
                '"ridge" without scikit-learn',
                "an installed scikit-learn, which reads the data sets",
                'python -m pip install "ist_mpi[data]"',
            )
        ) from error
    return datasets


def _standardized(A: Any) -> Float64:
    """Columns shifted and scaled to mean 0 and variance 1; constant columns become 0."""
    dense = A.toarray() if sparse.issparse(A) else A.copy()
    dense -= dense.mean(axis=0)
    deviation = dense.std(axis=0)
    return np.asarray(dense / np.where(deviation > 0, deviation, 1.0))


def read_libsvm(path: Path, features: int | None = None) -> tuple[Any, Float64]:
    """A LIBSVM file: A (m, d) as a CSR array, y (m,).

    Parameters
    ----------
    path : Path
        Plain, ``.gz`` or ``.bz2``.
    features : int, optional
        d, where trailing columns are absent from the file; default: the largest index.

    Raises
    ------
    InputError
        If the file is missing, empty, cut off, not LIBSVM, or holds a number that is not finite.
    """
    where, expected = str(path), 'lines of "label index:value index:value …" (LIBSVM)'
    if not path.is_file():
        got = "a directory or special file" if path.exists() else "no such file"
        raise InputError(Fault(where, got, "a data set in LIBSVM format"))
    datasets = _sklearn_datasets()
    try:
        if path.stat().st_size == 0:
            raise InputError(Fault(where, "an empty file", expected))
        if path.suffix not in (".gz", ".bz2") and not _ends_with_newline(path):
            raise InputError(
                Fault(
                    where,
                    "a last line that does not end: the file seems cut off",
                    "a newline at the end",
                    "fetch it again, or append a newline if it is whole",
                )
            )
        A, y = datasets.load_svmlight_file(where, n_features=features, dtype=np.float64)
    except (ValueError, EOFError, OSError, OverflowError, MemoryError) as error:
        if isinstance(error, InputError):
            raise
        got = first_bad_line(path, features) or f"a file that cannot be read ({error})"
        raise InputError(Fault(where, got, expected)) from error
    if A.shape[0] == 0 or A.shape[1] == 0:
        raise InputError(Fault(where, f"{A.shape[0]} samples, {A.shape[1]} features", expected))
    for name, numbers in (("label", y), ("value", A.data)):
        if not np.isfinite(numbers).all():
            got = first_bad_line(path, features) or f"a {name} that is not finite"
            raise InputError(Fault(where, got, "finite numbers"))
    return sparse.csr_array(A), np.asarray(y, dtype=np.float64)


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1) == b"\n"


def first_bad_line(path: Path, features: int | None) -> str | None:
    """What is wrong with the first line that is not LIBSVM, for the message; None if none is."""
    if path.suffix in (".gz", ".bz2"):
        return None
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            line = raw.partition(b"#")[0].split()
            trouble = _trouble(line, features) if line else None
            if trouble:
                return f"line {number}: {trouble}"
    return None


def _trouble(tokens: list[bytes], features: int | None) -> str | None:
    """What is wrong with one line's words."""
    if not _finite(tokens[0]):
        return f"label {tokens[0][:40]!r} is no finite number"
    last = -1
    for token in tokens[1:]:
        index, colon, value = token.partition(b":")
        if index == b"qid":
            continue
        if not (colon and index.isdigit() and _finite(value)):
            return f"{token[:40]!r} is not index:value with a finite value"
        if int(index) <= last:
            return f"index {int(index)} after {last}: indices must increase"
        last = int(index)
    if features is not None and last > features:
        return f"feature {last}, but problem.d = {features}"
    return None


def _finite(word: bytes) -> bool:
    try:
        return bool(np.isfinite(float(word)))
    except ValueError:
        return False
