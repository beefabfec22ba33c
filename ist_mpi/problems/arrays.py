"""The user's own quadratics: L (n, d, d), b (n, d) and optionally x0 (d,).

From HDF5, each worker's matrix is read by the rank that owns the worker and by no other; an .npz is
read by rank 0, and what is in memory is there.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from ist_mpi.config import Problem, Rule
from ist_mpi.config.types import (
    Field,
    Precision,
    Seed,
    Text,
    ValidationInfo,
    field_validator,
    model_validator,
)
from ist_mpi.errors import Fault, InputError
from ist_mpi.problems.checking import checked
from ist_mpi.problems.data import numpy_files
from ist_mpi.problems.given import real_array
from ist_mpi.problems.source import Quadratic, Stored
from ist_mpi.store import files, forms, hdf5
from ist_mpi.store.files import ARRAYS_BYTES

Float64 = NDArray[np.float64]


WANTED = hdf5.Wanted(
    arrays={
        "L": hdf5.Array(3, "fiu"),
        "b": hdf5.Array(2, "fiu"),
        "x0": hdf5.Array(1, "fiu", required=False, vector=True),
    }
)


AXES = {name: array.ndim for name, array in WANTED.arrays.items()}


class ArraysSettings(Problem):
    """The user's own quadratics: a file (HDF5, .npz), or arrays in memory, called from Python."""

    kind: Literal["arrays"]
    path: Text | None = None
    L: np.ndarray | None = Field(default=None, exclude=True, repr=False)
    b: np.ndarray | None = Field(default=None, exclude=True, repr=False)
    x0: np.ndarray | None = Field(default=None, exclude=True, repr=False)
    digest: str | None = Field(default=None, description="set by the program")
    precision: Precision = "float64"
    seed: Seed = 0

    @field_validator("L", "b", "x0", mode="before")
    @classmethod
    def _as_array(cls, value: Any, info: ValidationInfo) -> Any:
        if value is None:
            return None
        ndim = AXES[str(info.field_name)]
        array = real_array(value, ndim)
        return _kept(array)

    @classmethod
    def broken_rules(cls, values: Mapping[str, Any]) -> Iterator[Rule]:
        """See `Section.broken_rules`."""
        arrays = [key for key in ("L", "b", "x0") if values.get(key) is not None]
        if values.get("digest") is not None:
            yield "digest", "a problem that was in memory", "its L and b themselves, or a path"
        elif values.get("path") is not None and arrays:
            yield "path", f"path and {', '.join(arrays)}", "either path, or L and b (and x0)"
        elif values.get("path") is None and not {"L", "b"} <= set(arrays):
            yield "path", "neither path nor (L, b)", "either path, or both L and b"

    @model_validator(mode="after")
    def _rules(self) -> Self:
        self.keep_rules()
        if self.L is not None and self.b is not None:
            digest = hashlib.sha256()
            for array in (self.L, self.b, self.x0):
                if array is not None:
                    numbers = array.astype(np.float64).tobytes()
                    digest.update(repr(array.shape).encode() + numbers)
            # What the log can say about arrays that live in no file.
            object.__setattr__(self, "digest", digest.hexdigest())
        return self

    def without_arrays(self) -> Self:
        """See `Problem.without_arrays`; the digest stays."""
        return self.model_copy(update={"L": None, "b": None, "x0": None})

    def arrays(self) -> dict[str, Any]:
        """The arrays that a caller put in, by name."""
        held = {"L": self.L, "b": self.b, "x0": self.x0}
        return {name: array for name, array in held.items() if array is not None}


class FileShare(NamedTuple):
    """Where a worker's quadratic lies."""

    path: str
    worker: int
    checked: hdf5.Stamp
    """The file that rank 0 has checked for all."""
    precision: str = "float64"

    def quadratic(self, room: Float64 | None = None) -> Quadratic:
        """Read this worker's L_i and b_i, and check them."""
        with hdf5.reading(self.path, WANTED, ARRAYS_BYTES, checked=self.checked) as file:
            L = file.array("L", self.worker)
            b = file.array("b", self.worker, np.float64)
        return checked(
            L if L.dtype == np.float32 else L.astype(np.float64),
            b,
            self.precision,
            lambda name: f"{self.path}:/{name}, worker {self.worker}",
        )


class MemoryShare(NamedTuple):
    """A worker's quadratic itself."""

    L: NDArray[Any]
    b: Float64
    worker: int
    precision: str = "float64"
    of: str = "problem."
    """What the arrays are of, for messages."""

    def quadratic(self, room: Float64 | None = None) -> Quadratic:
        """Check it."""
        return checked(
            self.L, self.b, self.precision, lambda name: f"{self.of}{name}, worker {self.worker}"
        )


class Arrays(NamedTuple):
    """What an .npz has."""

    L: NDArray[Any]
    b: Float64
    x0: Float64 | None


@dataclass(frozen=True)
class ArraysSource:
    """Shapes checked; the matrices stay in their file, or in the caller's arrays."""

    Settings = ArraysSettings

    @staticmethod
    def open(settings: ArraysSettings) -> "ArraysSource":
        """See `load`."""
        return load(settings)

    problem: ArraysSettings
    n: int
    d: int
    x0: Float64 | None
    checked: hdf5.Stamp | None = None
    """Of the HDF5 file, where there is one."""
    arrays: Arrays | None = None
    """What was read of another file."""
    homogeneous: bool = False

    @property
    def data_bytes(self) -> int:
        """Of what was read; what is in memory is the caller's."""
        return 0 if self.arrays is None else self.arrays.L.nbytes + self.arrays.b.nbytes

    def share(self, worker: int) -> FileShare | MemoryShare:
        """Where a worker's quadratic is, or the quadratic itself."""
        precision = self.problem.precision
        if self.checked is not None:
            return FileShare(str(self.problem.path), worker, self.checked, precision)
        if self.arrays is not None:
            of = f"{self.problem.path}: "
            return MemoryShare(self.arrays.L[worker], self.arrays.b[worker], worker, precision, of)
        L, b = np.asarray(self.problem.L), np.asarray(self.problem.b)
        return MemoryShare(L[worker], b[worker], worker, precision)

    @property
    def stored(self) -> Stored:
        """As matrices."""
        return Stored(precision=self.problem.precision)

    def start(self) -> Float64:
        """x⁰: as given, else zero."""
        return np.zeros(self.d) if self.x0 is None else self.x0.copy()


def _kept(array: NDArray[Any]) -> NDArray[Any]:
    """As it is kept: L of float32 stays so until it is checked, its rounding errors are larger."""
    single = array.ndim == AXES["L"] and array.dtype == np.float32
    return np.ascontiguousarray(array, dtype=np.float32 if single else np.float64)


def load(problem: ArraysSettings) -> ArraysSource:
    """Check the shapes and x0; raises InputError."""
    stamp, arrays = None, None
    if problem.L is not None and problem.b is not None:
        where, shapes, x0 = "problem", (problem.L.shape, problem.b.shape), problem.x0
    else:
        where = str(problem.path)
        arrays = _of_archive(Path(where))
        if arrays is not None:
            shapes, x0 = (arrays.L.shape, arrays.b.shape), arrays.x0
        else:
            with hdf5.reading(where, WANTED, ARRAYS_BYTES) as file:
                shapes = file.shape("L"), file.shape("b")
                x0 = file.array("x0", dtype=np.float64).ravel() if "x0" in file else None
                stamp = file.stamp
    faults = list(_misfits(where, *shapes))
    n, d = shapes[0][:2]
    if x0 is not None and not faults and x0.shape != (d,):
        faults.append(Fault(f"{where}: x0", f"shape {x0.shape}", f"shape ({d},), as L has"))
    if x0 is not None and not np.isfinite(x0).all():
        faults.append(Fault(f"{where}: x0", "infinity or NaN", "finite numbers"))
    if faults:
        raise InputError(faults)
    return ArraysSource(problem, n, d, x0, stamp, arrays)


EXPECTED = "an HDF5 file or an .npz with L (n, d, d) and b (n, d)"


def _of_archive(path: Path) -> Arrays | None:
    """The arrays of an .npz, in memory; None of what HDF5 has to say something about."""
    with files.opened(path, ARRAYS_BYTES, EXPECTED) as file:
        form = forms.form_of_file(file)
        if form in ("hdf5", "text"):
            return None
        if form != "zip":
            raise forms.refusal(path, form, EXPECTED)
        with numpy_files.archive(file, path, ARRAYS_BYTES, EXPECTED) as archive:
            found = {
                name: _kept(archive.array(name, AXES[name], EXPECTED))
                for name, array in WANTED.arrays.items()
                if array.required or name in archive
            }
            return Arrays(found["L"], found["b"], found.get("x0"))


def _misfits(where: str, L: tuple[int, ...], b: tuple[int, ...]) -> Iterator[Fault]:
    """What is wrong with the shapes; axes in reverse, as MATLAB writes them, are told as such."""
    n, d = L[:2]
    reverse = L[0] == L[1] != L[2] and b in (L[1:], L[:0:-1])
    if reverse:
        d, n = L[1:]
        remedy = "the axes are in reverse, as MATLAB writes n × d × d: save permute(L, [2 3 1])"
        other = "in Python, L.transpose(2, 1, 0)"
        yield Fault(f"{where}: L", f"shape {L}", f"shape {(n, d, d)}", f"{remedy}; {other}")
    elif (n, d, d) != L or n < 1 or d < 1:
        yield Fault(f"{where}: L", f"shape {L}", "shape (n, d, d), n, d ≥ 1")
    if b != (n, d):
        remedy = ""
        if b == (d, n):
            remedy = "the axes are in reverse, as MATLAB writes n × d: save b.'; in Python, b.T"
        yield Fault(f"{where}: b", f"shape {b}", f"shape ({n}, {d}), as L has", remedy)
