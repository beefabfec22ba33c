"""Logs and checkpoints that version 0.1.0 has written, see fixtures/README.md."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w

import ist_mpi

Launch = Callable[..., subprocess.CompletedProcess[str]]

ROOT = Path(__file__).parents[2]
LOGS = ("run-v1.h5", "stopped-v1.h5")
CLOSE = 1e-12
"""Another CPU may add up in another order."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the logs and the checkpoints."""
    return Path(shutil.copytree(ROOT / "tests" / "fixtures", tmp_path / "fixtures"))


def command(launch: Launch, *words: str, p: int = 0) -> str:
    """What a command that does well prints."""
    done = launch(p, "-m", "ist_mpi", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def same(path: Path, expected: Any) -> None:
    """A log has the same rounds, model, and predictions, to rounding."""
    found = ist_mpi.open_run(path)
    assert found.status == expected.status == "finished"
    assert found.rounds.keys() == expected.rounds.keys()
    for name in found.rounds.keys() - {"seconds"}:
        ours, theirs = found.rounds[name], expected.rounds[name]
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=CLOSE, err_msg=name)
    for group, name in (("model", "x"), ("theory", "x_star"), ("theory", "fixed_point")):
        ours, theirs = getattr(found, group)[name], getattr(expected, group)[name]
        np.testing.assert_allclose(ours, theirs, rtol=CLOSE, atol=CLOSE, err_msg=name)


def anew(log: Path, rounds: int) -> Any:
    """The same configuration in one go."""
    config = ist_mpi.open_run(log).config
    config["run"]["rounds"] = rounds
    return ist_mpi.run(config)


def test_they_name_no_place_and_are_small(folder: Path) -> None:
    for name in LOGS:
        config = tomli_w.dumps(ist_mpi.open_run(folder / name).config)
        assert "/" not in str(config)
    assert all(path.stat().st_size < 100_000 for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(("name", "status"), [(LOGS[0], "finished"), (LOGS[1], "stopped")])
def test_info_and_verify(launch: Launch, folder: Path, name: str, status: str) -> None:
    log = str(folder / name)
    assert f"{status} (" in command(launch, "info", log)
    command(launch, "verify", log)


@pytest.mark.parametrize("p", [0, 2])
def test_resume(launch: Launch, folder: Path, p: int) -> None:
    log = folder / "stopped-v1.h5"
    assert ist_mpi.open_run(log).rounds["round"][-1] > 0
    done = launch(p, "-m", "ist_mpi", "resume", str(log))
    assert done.returncode == 0, done.stderr
    assert "going on after round" in done.stderr
    same(log, anew(log, 60_000))


def test_extend(launch: Launch, folder: Path) -> None:
    log = folder / "run-v1.h5"
    command(launch, "extend", str(log), "--rounds", "70")
    same(log, anew(log, 70))


def test_it_is_what_is_run_today(folder: Path) -> None:
    same(folder / "run-v1.h5", ist_mpi.run(folder / "fixture.toml"))


@pytest.mark.slow
def test_drawn(folder: Path) -> None:
    figure = folder / "figure.pdf"
    logs = [str(folder / name) for name in LOGS]
    script = str(ROOT / "analysis" / "convergence.py")
    done = subprocess.run(
        [sys.executable, script, *logs, "-o", str(figure)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert figure.stat().st_size > 1000
