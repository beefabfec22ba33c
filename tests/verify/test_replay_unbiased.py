"""Verification of methods without bias: each log again, and the means of many."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from unbiased import VARIANTS

import ist_mpi
from ist_mpi.parallel import ranks
from ist_mpi.training import api
from ist_mpi.training import job as jobs
from ist_mpi.verify import verify


def configuration(variant: str, n: int, d: int, rounds: int) -> dict[str, Any]:
    """A small run."""
    return {
        "problem": {"kind": "synthetic", "n": n, "d": d, "seed": 3},
        "method": {"step_size": "default", **VARIANTS[variant]},
        "run": {"rounds": rounds, "theory": False},
        "log": {"every": 3, "permutations": True},
    }


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_honest_logs_pass_and_changed_ones_fail(variant: str, tmp_path: Path) -> None:
    for n, d in ((3, 7), (4, 3)):
        log = tmp_path / f"{n}.h5"
        ist_mpi.run(configuration(variant, n, d, 20), out=log)
        report = verify([log])
        assert not report.failed, report
        found = {row.check: row.verdict for row in report.rows}
        assert found["replay"] == found["floats"] == found["measurements"] == "ok"
    with h5py.File(log, "r+") as file:
        file["model/x"][0] *= 1.0 + 1e-6
    assert verify([log]).failed


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_means_of_many_are_as_expected(variant: str, tmp_path: Path) -> None:
    config = configuration(variant, 2, 4, 24)
    config["log"] = {"every": 6}
    job, problem = jobs.open_job(ranks.world(), config, out=tmp_path / "r.h5", seeds="0:30")
    logs = [Path(str(run.path)) for run in api.results(ranks.world(), job, problem)]
    report = verify(logs)
    assert not report.failed, [row for row in report.rows if row.verdict == "failed"]
    assert {row.verdict for row in report.rows if row.check == "expectations"} == {"ok"}


@pytest.mark.slow
@pytest.mark.parametrize("exponent", [-332, 332])
def test_means_are_judged_at_any_scale(exponent: int, tmp_path: Path) -> None:
    """The squares of ‖x − x*‖², of which a standard error is made, may be out of range."""
    rng = np.random.default_rng(5)
    L = np.ldexp([B @ B.T for B in rng.standard_normal((3, 4, 5))], exponent)
    b = rng.standard_normal((3, 4))
    config = {
        "problem": {"kind": "arrays", "L": L, "b": b, "x0": np.zeros(4)},
        "method": {"name": "diana", "step_size": float(np.ldexp(0.02, -exponent))},
        "run": {"rounds": 12, "theory": False},
        "log": {"every": 6},
    }
    job, problem = jobs.open_job(ranks.world(), config, out=tmp_path / "r.h5", seeds="0:20")
    logs = [Path(str(run.path)) for run in api.results(ranks.world(), job, problem)]
    report = verify(logs)
    assert not report.failed, [row for row in report.rows if row.verdict == "failed"]
