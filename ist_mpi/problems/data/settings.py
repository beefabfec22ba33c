"""What every problem made of samples is told of them: where they are, and what its columns are."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from scipy import sparse

from ist_mpi.config import Problem, Rule
from ist_mpi.config.types import (
    Count,
    Field,
    Flag,
    OfPython,
    Text,
    field_validator,
    model_validator,
    wrong,
)
from ist_mpi.errors import Fault, InputError
from ist_mpi.problems import digest
from ist_mpi.problems.data.columns import Columns, frame_columns, is_frame, roles
from ist_mpi.problems.data.words import LABEL_KINDS, LABELS, LabelError, array_of, labels_of_values
from ist_mpi.problems.given import canonical, check_masked, real_array

ColumnName = Annotated[
    str | int,
    Field(description="the name of a column, or its number from 0 (−1: the last)"),
]
OF_TABLES = ("header", "target", "worker")
"""Settings that say what is in the columns of a table."""
OF_TESTS = ("header", "target")
"""Of these, what may be of the columns of a table to test on alone."""
WAYS = "exactly one of path and dataset (from Python: or X and y)"


class DataSettings(Problem):
    """Samples: in a file, bundled with scikit-learn, or in memory when called from Python."""

    classes: ClassVar[bool] = False
    """Whether labels are of classes: whatever their size, and names or truth values too."""

    path: Text | None = None
    dataset: (
        Annotated[
            Literal["digits", "diabetes", "breast_cancer"],
            Field(description='"digits", "diabetes" or "breast_cancer"'),
        ]
        | None
    ) = None
    header: Flag | None = None
    target: ColumnName | None = None
    worker: ColumnName | OfPython[np.ndarray] | None = Field(
        default=None,
        description="a column that says which worker has a sample, 0 to n − 1",
        exclude_if=lambda value: isinstance(value, np.ndarray),
    )
    X: OfPython[Any] = Field(default=None, exclude=True, repr=False)
    y: np.ndarray | None = Field(default=None, exclude=True, repr=False)
    columns: OfPython[Any] = Field(default=None, exclude=True, repr=False)
    """Those that X had, where it was a frame: set by the program."""
    digest: str | None = Field(default=None, description="set by the program")
    n: Count
    d: Count | None = None

    @model_validator(mode="before")
    @classmethod
    def _take_frames_apart(cls, data: Any) -> Any:
        """A frame's columns by what they are; what is wrong with them, `broken_rules` says."""
        if isinstance(data, Mapping) and is_frame(data.get("X")):
            with contextlib.suppress(InputError):
                return {**data, **_parts(data, cls.classes)}
        return data

    @field_validator("X", mode="before")
    @classmethod
    def _as_samples(cls, value: Any) -> Any:
        if value is None or is_frame(value):  # one that could not be taken apart
            return value
        if sparse.issparse(value):
            if value.ndim != 2 or value.dtype.kind not in "fiu":
                got = f"{value.dtype} of shape {value.shape}, sparse"
                raise wrong("", got, "a real array of 2 dimension(s)")
            return canonical(value)
        return canonical(real_array(value, 2))

    @field_validator("y", mode="before")
    @classmethod
    def _as_labels(cls, value: Any) -> Any:
        if value is None:
            return None
        if cls.classes:
            check_masked(value)
            with contextlib.suppress(ValueError):  # of ragged lists, which the last line refuses
                value = np.asarray(value)
            if getattr(value, "ndim", 0) == 1 and value.dtype.kind in "bUTO":
                try:
                    return labels_of_values(value)
                except LabelError as error:
                    raise wrong("", str(error), LABELS) from error
            if isinstance(value, np.ndarray) and (value.ndim != 1 or value.dtype.kind not in "fiu"):
                got = f"{value.dtype} of shape {value.shape}"
                raise wrong("", got, f"{array_of(LABEL_KINDS)}, of 1 dimension")
        return real_array(value, 1).astype(np.float64)

    @field_validator("columns", mode="before")
    @classmethod
    def _as_columns(cls, value: Any) -> Any:
        if value is not None and not isinstance(value, Columns):
            raise wrong("", f"{value!r}", "X as a frame, whose columns have names")
        return value

    @field_validator("worker", mode="before")
    @classmethod
    def _as_ids(cls, value: Any) -> Any:
        if value is None or isinstance(value, str | int):
            return value
        return real_array(value, 1)

    @classmethod
    def broken_rules(cls, values: Mapping[str, Any]) -> Iterator[Rule]:
        """See `Section.broken_rules`."""
        X, y, worker, target = (values.get(key) for key in ("X", "y", "worker", "target"))
        of_tests = () if values.get("test") is None else OF_TESTS
        given = [key for key in ("path", "dataset") if values.get(key) is not None]
        in_memory = [key for key, array in (("X", X), ("y", y)) if array is not None]
        if values.get("digest") is not None and X is None:
            yield "digest", "a problem that was in memory", "its X and y themselves, or a path"
            return
        if given and in_memory:
            yield "path", f"{' and '.join(given)}, and {', '.join(in_memory)}", WAYS
        elif len(given) != 1 and not in_memory:
            got = "both path and dataset" if given else "neither path nor dataset"
            yield "path", got, WAYS
        if values.get("dataset") is not None:
            for key in OF_TABLES:
                if values.get(key) is not None and key not in of_tests:
                    yield key, f"{key} with a bundled data set", f"no {key}"
        if values.get("header") is not None and X is not None and not of_tests:
            yield "header", "header with X in memory", "no header"
        yield from _rules_of_memory(values, X, y, worker, target, cls.classes)
        yield from super().broken_rules(values)

    @model_validator(mode="after")
    def _rules(self) -> Self:
        self.keep_rules()
        if self.X is not None and self.y is not None:
            arrays = [self.X, self.y]
            if isinstance(self.worker, np.ndarray):
                arrays.append(self.worker.astype(np.float64))
            # What the log can say about arrays that live in no file.
            object.__setattr__(self, "digest", digest.of_arrays(arrays))
        return self

    @property
    def for_tests(self) -> tuple[str, ...]:
        """Settings that need not be of these samples, but of others to test on."""
        return ()

    def without_arrays(self) -> Self:
        """See `Problem.without_arrays`; the digest stays."""
        arrays = self.arrays()
        return self.model_copy(update=dict.fromkeys(arrays)) if arrays else self

    def arrays(self) -> dict[str, Any]:
        """The arrays that a caller put in, by name."""
        found = {"X": self.X, "y": self.y, "worker": self.worker}
        arrays = {name: array for name, array in found.items() if hasattr(array, "shape")}
        return arrays if self.columns is None else {**arrays, "columns": self.columns}


def _rules_of_memory(
    values: Mapping[str, Any], X: Any, y: Any, worker: Any, target: Any, classes: bool
) -> Iterator[Rule]:
    """Of what is given in memory."""
    if X is None:
        if y is not None:
            yield "X", "y without X", "both X and y"
        if worker is not None and not isinstance(worker, str | int):
            yield "worker", "an array, without X", "a column's name, or X and y in memory too"
        return
    if is_frame(X):
        try:
            values = {**values, **_parts(values, classes)}
        except InputError as error:
            fault = error.faults[0]
            key, comma, column = fault.where.removeprefix("problem.").partition(", ")
            yield key, f"{column}, {fault.got}" if comma else fault.got, fault.expected
            return
        X, y, worker, target = (values.get(key) for key in ("X", "y", "worker", "target"))
    for key, word in (("target", target), ("worker", worker)):
        if isinstance(word, str | int) and (key == "worker" or values.get("test") is None):
            yield key, f"{word!r}, a column of an array", "an array, or X as a frame with columns"
    if y is None:
        if target is None or values.get("test") is not None:
            yield "y", "X without y", "both X and y"
        return
    for key, array in (("y", y), ("worker", worker)):
        if array is None or isinstance(array, str | int) or not hasattr(X, "shape"):
            continue
        if len(array) != X.shape[0]:
            yield key, f"{len(array)} numbers", f"{X.shape[0]}, a number for each row of X"


def _parts(values: Mapping[str, Any], classes: bool) -> dict[str, Any]:
    """What the columns of the frame X are, each under its own setting; raises InputError."""
    target, worker = (values.get(key) for key in ("target", "worker"))
    apart = values.get("y") is not None
    if target is not None and apart:
        if values.get("test") is None:
            got = f"{target!r}, with y given as well"
            raise InputError(Fault("problem.target", got, "one of them"))
        target = None  # it is of the table to test on
    names, columns = frame_columns(values["X"], "problem.X", target if classes else None)
    inside = worker if isinstance(worker, str | int) else None
    of = roles(names, len(names), target, inside, "problem.X", apart)
    found: dict[str, Any] = {"X": np.stack([columns[at] for at in of.features], axis=1)}
    found["columns"] = Columns(names, of)
    if of.target is not None:
        found |= {"y": columns[of.target], "target": None}
    if of.worker is not None:
        found["worker"] = columns[of.worker]
    return found
