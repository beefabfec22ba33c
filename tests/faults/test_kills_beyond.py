"""SIGKILL on two ranks, resumed on three, beyond quadratics: the bits of one rank in the end."""

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from launched import Start
from same import same_run

import ist_mpi
from ist_mpi.config import load
from ist_mpi.store import checkpoint
from ist_mpi.store import log as runlog
from ist_mpi.verify import verify

DATA = {"path": "data.npz", "n": 5, "test_share": 0.2, "split": "shuffled"}
CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "logistic": ({"l2": 0.1, "standardize": True}, {"local_steps": 3, "step_size": 0.01}),
    "network": ({"hidden": [7, 6], "batch": 4}, {"local_steps": 3, "step_size": 0.05}),
}


@pytest.mark.parametrize("kind", CASES)
def test_killed_and_resumed(
    start: Start, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(2)
    X = rng.standard_normal((90, 6))
    np.savez("data.npz", X=X, y=np.where(X @ rng.standard_normal(6) > 0, 1, -1))
    problem, method = CASES[kind]
    config = {
        "problem": {"kind": kind, **DATA, **problem},
        "method": {"name": "ist", **method},
        "run": {"rounds": 40, "checkpoint_every": 0.03},
        "log": {"every": 3, "iterates": True, "permutations": True},
    }
    (tmp_path / "c.toml").write_text(load(config).to_toml())
    expected, log = ist_mpi.run(config), tmp_path / "r.h5"
    arguments = ["run", "c.toml", "--out", "r.h5", "--resume"]
    job = start(2, *arguments, hurry=0.0, pause=0.02)
    job.until(lambda: max(checkpoint.rounds(checkpoint.folder_of(log)), default=-1) > 5)
    for rank in job.ranks().values():
        rank.send_signal(signal.SIGKILL)
    assert job.wait() != 0
    assert runlog.open_run(log).status == "running"
    job = start(3, *arguments, hurry=0.0)
    assert job.wait() == 0, job.errors
    same_run(runlog.open_run(log), expected)
    report = verify([log])
    assert not report.failed
    assert {row.check: row.verdict for row in report.rows}["replay"] == "ok"
