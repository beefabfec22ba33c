"""Samples that no worker has, to test models on: a file of their own, or a share of the data."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from ist_mpi.config import Rule
from ist_mpi.config.types import Field, Seed, Text
from ist_mpi.errors import Fault, InputError
from ist_mpi.problems.data.labels import classes
from ist_mpi.problems.data.reading import Data, read
from ist_mpi.problems.data.settings import OF_TESTS, DataSettings
from ist_mpi.problems.data.words import Labels, plain
from ist_mpi.randomness import Purpose, data_stream

Share = Annotated[
    float,
    Field(gt=0, lt=1, allow_inf_nan=False, description="a number above 0 and below 1"),
]


class HeldOutSettings(DataSettings):
    """Samples, and which of them, or which others, models are tested on."""

    classes: ClassVar[bool] = True

    test: Text | None = None
    """A file with samples of the same columns."""
    test_share: Share | None = None
    """In its place: so many of the samples, drawn from `seed`."""
    seed: Seed = 0

    @property
    def for_tests(self) -> tuple[str, ...]:
        """See `DataSettings.for_tests`."""
        return () if self.test is None else OF_TESTS

    def of_tests(self) -> Self:
        """The samples of `test` in place of those to train on."""
        absent = dict.fromkeys(("X", "y", "columns", "dataset", "d"))
        whose = None if isinstance(self.worker, np.ndarray) else self.worker
        return self.model_copy(update={**absent, "path": self.test, "worker": whose})

    @classmethod
    def broken_rules(cls, values: Mapping[str, Any]) -> Iterator[Rule]:
        """See `Section.broken_rules`."""
        if values.get("test") is not None and values.get("test_share") is not None:
            yield "test", "test and test_share", "either of them"
        yield from super().broken_rules(values)


class Parted(NamedTuple):
    """The workers' samples, and those to test on, if there are any."""

    data: Data
    test: Data | None
    known: Labels
    """The classes that there are, in increasing order."""


def read_parted(problem: HeldOutSettings, rescaled: bool = False) -> Parted:
    """The configured samples of a problem whose labels are classes; see `reading.read`.

    Raises
    ------
    InputError
        Also if the samples to test on have other features, or none would be left; if labels are
        all of one class.
    """
    data = read(problem, rescaled)
    data = data._replace(y=plain(data.y))
    known = classes(data.y, data.name)  # also those of which all samples are held out
    if problem.test is not None:
        test = read(problem.of_tests(), rescaled, data)
        return Parted(data, test._replace(worker=None), known)
    if problem.test_share is None:
        return Parted(data, None, known)
    kept, held = apart(data.y.size, problem.test_share, problem.seed, data.name)
    return Parted(_rows(data, kept), _rows(data, held)._replace(worker=None), known)


def apart(
    samples: int, share: float, seed: int, name: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which samples are the workers', and which are held out, in their order.

    Raises
    ------
    InputError
        If either would have none.
    """
    count = round(share * samples)
    if not 0 < count < samples:
        got = f"{share:g} of the {samples} samples of {name}"
        raise InputError(Fault("problem.test_share", got, "at least one, and one left"))
    drawn = data_stream(seed, Purpose.HELD_OUT).permutation(samples)
    return np.sort(drawn[count:]), np.sort(drawn[:count])


def left_of_both(y: NDArray[Any], name: str) -> None:
    """Refuse what `apart` leaves of the data, if its classes y (m,) are all the same."""
    if (y == y[0]).all():
        got = f"{y.size} samples of {name} left, all of one class"
        remedy = "a smaller share, or another problem.seed"
        raise InputError(Fault("problem.test_share", got, "samples left of two classes", remedy))


def _rows(data: Data, rows: NDArray[np.int64]) -> Data:
    whose = None if data.worker is None else data.worker[rows]
    return data._replace(A=data.A[rows], y=data.y[rows], worker=whose)
