"""What a run needs is at least what it takes."""

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mpi4py import MPI
from unbiased import VARIANTS

from ist_mpi.exact_theory.krylov import BASIS
from ist_mpi.training import job as jobs
from ist_mpi.training.setup import method_of, prepare

N, D = 24, 20000
NUMBERS = {"step_size": 1e-3, "mu": 0.1, "probability": 0.3}
"""So that no theory is needed."""


def configuration(folder: Path, method: dict[str, Any]) -> dict[str, Any]:
    """Samples with few entries, so that vectors are most of what there is."""
    path = folder / "data.svm"
    path.write_text("".join(f"1 {1 + k}:1 {D - k}:2\n" for k in range(2 * N)))
    return {
        "problem": {"kind": "ridge", "path": str(path), "n": N, "l2": 0.1},
        "method": method,
        "run": {"rounds": 12, "theory": False},
    }


def with_numbers(settings: dict[str, Any]) -> dict[str, Any]:
    """In place of words."""
    found = {"step_size": NUMBERS["step_size"], **settings}
    if "momentum" in settings:
        found["mu"] = NUMBERS["mu"]
    if settings["name"] == "scaffnew":
        found["probability"] = NUMBERS["probability"]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("variant", [name for name in VARIANTS if "tight" not in name])
def test_vectors_of_server_and_workers_are_in_the_budget(variant: str, tmp_path: Path) -> None:
    config = configuration(tmp_path, with_numbers(VARIANTS[variant]))
    job, problem = jobs.open_job(MPI.COMM_SELF, config)
    experiment = prepare(MPI.COMM_SELF, job.config, job.facts, problem, job.effort)
    settled = job.config.model_copy(update={"method": experiment.method})
    for _ in range(2):  # the first time compiles
        tracemalloc.start()
        method, tools = method_of(settled, experiment, "server")
        method.rounds(0, 12)
        taken = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        tools.exchange.close()
    of_set_up = 8 * (BASIS + 10) * D
    assert taken <= job.budget.memory - of_set_up
    carried = sum(vector.array.nbytes for vector in method.vectors())
    room = type(method).room
    assert carried <= 8 * D * (1 + room.rank + N * room.worker)
    without = jobs.open_job(
        MPI.COMM_SELF, configuration(tmp_path, {"name": "dcgd", "step_size": 1.0})
    )
    if experiment.sketch.total == without[0].facts.d:
        assert job.budget.memory - without[0].budget.memory == 8 * D * (room.rank + N * room.worker)


def test_more_ranks_have_fewer_workers_each(tmp_path: Path) -> None:
    from ist_mpi.training.budget import estimate

    job, _ = jobs.open_job(MPI.COMM_SELF, configuration(tmp_path, with_numbers({"name": "stale"})))
    needs = [estimate(job.config, job.facts, size).memory for size in (1, 2, 4)]
    assert np.diff(needs)[0] < -8 * D * 2 * (N // 2) + 8 * D
    assert np.diff(needs)[1] < -8 * D * 2 * (N // 4) + 8 * D
