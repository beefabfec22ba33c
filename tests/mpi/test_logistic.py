"""Logistic regression: the same bits on any number of ranks."""

from typing import Any

import logistic_truth as truth
import pytest
from mpi4py import MPI
from same import same_run

import ist_mpi
from ist_mpi.errors import InputError

pytestmark = [pytest.mark.mpi, pytest.mark.timeout(300)]

WORLD = MPI.COMM_WORLD
CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "exact": ({"fixed_point": "exact"}, {"name": "ist"}),
    "sampled": ({"fixed_point": "sampled"}, {"name": "ist", "scaling": "unscaled"}),
    "gaussian": ({"fixed_point": "gaussian", "storage": "sparse"}, {"name": "ist"}),
    "preconditioned": ({}, {"name": "ist", "scaling": "preconditioned", "step_size": 0.1}),
    "shared block": ({"storage": "sparse"}, {"name": "shared_block", "momentum": "nesterov"}),
    "anchored": ({"test_share": 0.2}, {"name": "anchored"}),
    "stale": ({"standardize": True}, {"name": "stale"}),
    "scaffnew": ({"storage": "sparse"}, {"name": "scaffnew"}),
}


@pytest.mark.parametrize(
    ("case", "shape"), [(case, (5, 8)) for case in CASES] + [("exact", (3, 3)), ("stale", (3, 3))]
)
def test_the_same_bits(case: str, shape: tuple[int, int]) -> None:
    _, settings = truth.made(*shape)
    more, method = CASES[case]
    if "test_share" in more:
        settings = {**settings, "worker": None, "split": "shuffled"}
    config = {
        "problem": settings | more,
        "method": {"step_size": "default", **method},
        "run": {"rounds": 8, "theory": True},
        "log": {"iterates": True},
    }
    expected = ist_mpi.run(config, MPI.COMM_SELF) if WORLD.rank == 0 else None
    light = WORLD.bcast(expected.without_bulk() if expected is not None else None)
    found = ist_mpi.run(config, WORLD)
    same_run(found, light, groups=("model", "theory"))
    assert found.attributes["problem_digest"] == light.attributes["problem_digest"]
    if expected is not None:
        same_run(found, expected, groups=("iterates",))


def test_a_fault_is_every_ranks() -> None:
    _, settings = truth.made(4, 6)
    method = {"name": "ist", "scaling": "preconditioned", "step_size": "default"}
    config = {"problem": settings, "method": method, "run": {"rounds": 2}}
    with pytest.raises(InputError, match=r"method\.step_size"):
        ist_mpi.run(config, WORLD)
