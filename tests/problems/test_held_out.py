"""Labels that are classes, and samples that no worker has."""

import numpy as np
import pytest

from ist_mpi.errors import InputError
from ist_mpi.problems.data.held_out import apart
from ist_mpi.problems.data.labels import classes, numbered, signs


@pytest.mark.parametrize(
    ("labels", "positive", "expected", "said"),
    [
        ([-1, 1, 1], None, [-1, 1, 1], ""),
        ([0, 1, 0], None, [-1, 1, -1], "labels: 0 counts as −1, 1 as +1"),
        ([2, 1, 2], None, [1, -1, 1], "labels: 1 counts as −1, 2 as +1"),
        ([2, 1, 2], 1.0, [-1, 1, -1], "labels: 2 counts as −1, 1 as +1"),
        ([0, 7, 3, 7], 7.0, [-1, 1, -1, 1], "labels: any other counts as −1, 7 as +1"),
    ],
)
def test_two_classes(
    labels: list[float], positive: float | None, expected: list[float], said: str
) -> None:
    y = np.array(labels, dtype=np.float64)
    found = signs(y, positive, "data")
    np.testing.assert_array_equal(found.of(y, "data"), expected)
    assert found.note == said


@pytest.mark.parametrize(
    ("labels", "positive", "said"),
    [
        ([1, 1], None, "all 1; expected labels of two classes"),
        ([0, 1, 2], None, r"3 classes: 0, 1, 2.*positive = LABEL"),
        ([0, 1], 5.0, "5, no label of data; expected 0, 1"),
    ],
)
def test_other_classes(labels: list[float], positive: float | None, said: str) -> None:
    with pytest.raises(InputError, match=said):
        signs(np.array(labels, dtype=np.float64), positive, "data")


def test_labels_of_other_samples() -> None:
    y = np.array([3.0, 0.0, 3.0, 9.0])
    found = classes(y, "data")
    np.testing.assert_array_equal(numbered(y, found, "data"), [1, 0, 1, 2])
    for strange in (-1.0, 4.0, 10.0):
        with pytest.raises(InputError, match="label of sample 1"):
            numbered(np.array([0.0, strange]), found, "test")
    with pytest.raises(InputError, match="label of sample 0"):
        signs(np.array([0.0, 1.0]), None, "data").of(np.array([2.0]), "test")


def test_which_are_held_out() -> None:
    kept, held = apart(100, 0.2, 3, "data")
    assert held.size == 20
    np.testing.assert_array_equal(np.sort(np.concatenate([kept, held])), np.arange(100))
    np.testing.assert_array_equal(held, np.sort(held))
    np.testing.assert_array_equal(apart(100, 0.2, 3, "data")[1], held)
    assert not np.array_equal(apart(100, 0.2, 4, "data")[1], held)
    for share in (1e-3, 1.0 - 1e-3):
        with pytest.raises(InputError, match="test_share"):
            apart(100, share, 3, "data")
