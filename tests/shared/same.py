"""Two runs that have to be one."""

from collections.abc import Iterable
from typing import Any

import numpy as np


def same_run(
    found: Any, expected: Any, groups: Iterable[str] = ("model", "iterates", "permutations")
) -> None:
    """Every bit that a run is for: status, all rows but their times, and what the groups hold."""
    assert found.status == expected.status
    assert found.rounds.keys() == expected.rounds.keys()
    same_arrays(found.rounds, expected.rounds, but={"seconds"})
    assert found.rounds["seconds"].shape == expected.rounds["seconds"].shape
    assert (np.diff(found.rounds["seconds"]) >= 0).all()
    for group in groups:
        same_arrays(getattr(found, group), getattr(expected, group))


def same_arrays(found: Any, expected: Any, but: Iterable[str] = ()) -> None:
    """The same names, shapes and bits."""
    assert found.keys() == expected.keys()
    for name in expected.keys() - set(but):
        ours, theirs = np.asarray(expected[name]), np.asarray(found[name])
        assert ours.shape == theirs.shape, name
        assert ours.tobytes() == theirs.tobytes(), name
