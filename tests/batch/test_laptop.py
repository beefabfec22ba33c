"""jobs/laptop.sh: a configuration on the cores present, again and again."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import ist_mpi

ROOT = Path(__file__).parents[2]
CONFIG = """
[problem]
kind = "synthetic"
d = 24
n = {n}

[method]
name = "ist"
step_size = 1e-3

[run]
rounds = 60
"""
WRAPPERS = {
    "python": 'case "$*" in *pip*) echo "pip was called" >&2; exit 99 ;; esac\nexec {python} "$@"',
    "ist-mpi": 'exec {python} -m ist_mpi "$@"',
    "mpiexec": 'exec {mpiexec} "$@"',
}

Laptop = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def laptop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Laptop:
    """The script in a checkout where everything is installed, called from another folder."""
    checkout, elsewhere = tmp_path / "check out", tmp_path / "else where"
    elsewhere.mkdir()
    shutil.copytree(ROOT / "jobs", checkout / "jobs")
    for name in ("setup.cfg", "pyproject.toml"):
        shutil.copy(ROOT / name, checkout)
    programs = checkout / ".venv" / "bin"
    programs.mkdir(parents=True)
    places = {
        "python": f"'{sys.executable}'",
        "mpiexec": f"'{Path(sys.executable).with_name('mpiexec')}'",
    }
    for name, text in WRAPPERS.items():
        (programs / name).write_text(f"#!/bin/sh\n{text.format(**places)}\n")
        (programs / name).chmod(0o755)
    stamp = 'echo "mpich,data,plot $(cat setup.cfg pyproject.toml | cksum)" > .venv/ist-installed'
    subprocess.run(["sh", "-c", stamp], cwd=checkout, check=True)
    monkeypatch.chdir(elsewhere)
    Path("small.toml").write_text(CONFIG.format(n=5))

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", str(checkout / "jobs" / "laptop.sh"), *arguments],
            capture_output=True,
            text=True,
            timeout=300,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
        )

    return run


@pytest.mark.slow
def test_all_cores_and_nothing_twice(laptop: Laptop) -> None:
    done = laptop("small.toml")
    assert done.returncode == 0, done.stderr
    assert "final relative gap" in done.stdout
    assert "Installing" not in done.stdout
    first = ist_mpi.open_run("results/small.h5")
    assert first.attributes["ranks"] == min(5, len(os.sched_getaffinity(0)))
    before = Path("results/small.h5").read_bytes()
    again = laptop("small.toml")
    assert again.returncode == 0
    assert "finished already, nothing to do" in again.stderr
    assert Path("results/small.h5").read_bytes() == before
    forced = laptop("small.toml", "--force")
    assert forced.returncode == 0, forced.stderr
    assert Path("results/small.h5").read_bytes() != before  # other times
    assert ist_mpi.open_run("results/small.h5").x.tobytes() == first.x.tobytes()


@pytest.mark.slow
def test_what_was_stopped_goes_on(laptop: Laptop) -> None:
    options = ["--set", "run.rounds=3000", "--out", "some where.h5"]
    stopped = laptop("small.toml", *options, "--set", "run.max_seconds=1e-9", RANKS="2")
    assert stopped.returncode == 75, stopped.stderr
    assert ist_mpi.open_run("some where.h5").status == "stopped"
    done = laptop("small.toml", *options, RANKS="1")
    assert done.returncode == 0, done.stderr
    assert "going on after round" in done.stderr
    run = ist_mpi.open_run("some where.h5")
    assert (run.status, run.attributes["ranks"]) == ("finished", 1)


@pytest.mark.slow
def test_ranks_without_a_worker_are_not_started(laptop: Laptop) -> None:
    Path("two.toml").write_text(CONFIG.format(n=2))
    assert laptop("two.toml", RANKS="4").returncode == 0
    assert ist_mpi.open_run("results/two.h5").attributes["ranks"] == 2


@pytest.mark.slow
def test_wrong_input(laptop: Laptop) -> None:
    Path("wrong.toml").write_text("[problem\n")
    for name in ("missing.toml", "wrong.toml"):
        done = laptop(name)
        assert done.returncode == 2
        assert name in done.stderr
        assert done.stderr.count("ist-mpi: ") == 1
    done = laptop()
    assert done.returncode == 2
    assert "sh jobs/laptop.sh CONFIG.toml" in done.stderr
