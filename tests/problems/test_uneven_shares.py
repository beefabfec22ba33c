"""Workers with different numbers of samples on 1, 2, 3 and 5 ranks, by the command line.

`mpi/test_uneven_shares.py` has many more configurations, on as many ranks as it is started with.
"""

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import ist_mpi

Launch = Callable[..., subprocess.CompletedProcess[str]]

CONFIG = """
[problem]
kind = "ridge"
dataset = "{dataset}"
n = 7
l2 = 0.1
storage = "{storage}"
standardize = true
precision = "{precision}"
[method]
name = "ist"
step_size = 0.01
{method}
[run]
rounds = {rounds}
theory = {theory}
[log]
problem = true
"""
PRECONDITIONED = 'scaling = "preconditioned"'
SETTINGS = {
    "preconditioned": ("breast_cancer", "samples", "float64", PRECONDITIONED, "true"),
    "float32": ("diabetes", "samples", "float32", PRECONDITIONED, "true"),
    "unscaled": ("breast_cancer", "samples", "float64", 'scaling = "unscaled"', "false"),
    "matrix": ("diabetes", "matrix", "float64", PRECONDITIONED, "true"),
}


def write(folder: Path, name: str, rounds: int) -> Path:
    dataset, storage, precision, method, theory = SETTINGS[name]
    path = folder / "uneven.toml"
    path.write_text(
        CONFIG.format(
            dataset=dataset,
            storage=storage,
            precision=precision,
            method=method,
            theory=theory,
            rounds=rounds,
        )
    )
    return path


def same(path: Path, expected: Path) -> None:
    """Two logs are the same, bit by bit, but for the seconds."""
    ours, theirs = ist_mpi.open_run(path), ist_mpi.open_run(expected)
    assert ours.status == theirs.status
    for group in ("model", "rounds", "theory", "problem"):
        mine, other = getattr(ours, group), getattr(theirs, group)
        assert mine.keys() == other.keys()
        for key in mine.keys() - {"seconds"}:
            assert np.asarray(mine[key]).tobytes() == np.asarray(other[key]).tobytes(), key


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", SETTINGS)
def test_any_number_of_ranks(launch: Launch, tmp_path: Path, name: str) -> None:
    config = write(tmp_path, name, rounds=8)
    for p in (1, 2, 3, 5):
        log = tmp_path / f"{p}.h5"
        done = launch(p, "-m", "ist_mpi", "run", str(config), "--out", str(log))
        assert done.returncode == 0, done.stderr
        assert ist_mpi.open_run(log).attributes["ranks"] == p
        same(log, tmp_path / "1.h5")


@pytest.mark.timeout(600)
def test_stopped_on_one_rank_resumed_on_two(launch: Launch, tmp_path: Path) -> None:
    config = write(tmp_path, "preconditioned", rounds=3000)
    whole, log = tmp_path / "whole.h5", tmp_path / "parts.h5"
    run = ("-m", "ist_mpi", "run", str(config), "--out")
    assert launch(0, *run, str(whole)).returncode == 0
    stopped = launch(0, *run, str(log), "--set", "run.max_seconds=1e-9")
    assert stopped.returncode == 75, stopped.stderr
    assert ist_mpi.open_run(log).status == "stopped"
    done = launch(2, *run, str(log), "--resume", "--set", "run.max_seconds=600")
    assert done.returncode == 0, done.stderr
    assert ist_mpi.open_run(log).attributes["ranks"] == 2
    same(log, whole)
