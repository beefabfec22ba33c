"""Processes that make runs of a sweep one after another: what they mistake, what they outlive."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from held import Held

import ist_mpi
from ist_mpi.batch import points
from ist_mpi.batch.status import Status, statuses_of

pytestmark = pytest.mark.slow

BASE = """
[problem]
kind = "synthetic"
d = 24
n = 5
[method]
name = "{method}"
step_size = 1e-3
[run]
rounds = {rounds}
[log]
every = 1000
"""
METHOD = """
import os, signal, sys
from pathlib import Path
from ist_mpi.methods.ist import IndependentSubnetworkTraining

class Foreign(IndependentSubnetworkTraining):
    def round(self, k):
        {line}
        super().round(k)
"""
FOLDER = Path("results/runs")


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Write a sweep of seeds 0, 1, 2 of IST, or of a method whose rounds begin with a line."""
    monkeypatch.chdir(tmp_path)

    def sweep(line: str = "", rounds: int = 60) -> Path:
        Path("foreign.py").write_text(METHOD.format(line=line))
        method = "foreign.py:Foreign" if line else "ist"
        Path("base.toml").write_text(BASE.format(method=method, rounds=rounds))
        Path("sweep.toml").write_text('base = "base.toml"\n[grid]\nrun.seed = "0:3"\n')
        return Path("sweep.toml")

    return sweep


def found(path: Path) -> list[Status]:
    return list(statuses_of(points.plan(path, FOLDER)).values())


def states(path: Path) -> list[str]:
    return [status.state for status in found(path)]


def make(*words: Any, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ist_mpi", "sweep", "run", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        **more,
    )


def until(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("death", ["os._exit(9)", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_what_a_launcher_says_of_a_death_is_no_answer(write: Any, death: str) -> None:
    path = write(f"if self.tools.seed == 0 and k == 3: {death}")
    done = make(path, "--ranks", 2)
    assert done.returncode == 1, done.stderr
    assert states(path) == ["failed", "finished", "finished"], done.stderr
    assert "exit code 9" in found(path)[0].reason


@pytest.mark.parametrize("words", [[], ["--ranks", 2]])
def test_what_code_of_a_run_prints_or_reads_is_its_own(write: Any, words: list[Any]) -> None:
    """Indices of other points, on standard output and its descriptor; input there is none."""
    line = "os.write(1, b'1\\n2\\n0\\n'); print(0, flush=True)"
    path = write(f"{line}; assert sys.stdin.read() == '' and not os.read(0, 9)")
    done = make(path, *words)
    assert done.returncode == 0, done.stderr
    assert states(path) == ["finished"] * 3


def test_a_process_that_a_dead_one_leaves_behind_keeps_nobody_waiting(write: Any) -> None:
    """It has all descriptors of the worker, for a minute."""
    left = "os.fork() or (__import__('time').sleep(60), os._exit(0))"
    path = write(f"if self.tools.seed == 0 and k == 3: {left}; os.kill(os.getpid(), 9)")
    began = time.monotonic()
    done = make(path, "--jobs", 2)
    assert time.monotonic() - began < 50
    assert done.returncode == 1, done.stderr
    assert states(path) == ["failed", "finished", "finished"], done.stderr
    assert "SIGKILL" in found(path)[0].reason


def test_what_code_of_a_run_leaves_in_its_process_is_not_there_for_the_next(write: Any) -> None:
    """Another folder, numbers in modules, a thread that ends the process after the run."""
    left = "sys.left = seed; __import__('threading').Timer(0.5, os._exit, (7,)).start()"
    line = f"seed = self.tools.seed; assert getattr(sys, 'left', seed) == seed; {left}"
    path = write(f"if k == 0: {line}; seed or os.chdir('/')")
    done = make(path)
    assert states(path)[1:] == ["finished"] * 2, done.stderr


def test_what_a_start_leaves_on_a_line_is_no_part_of_an_answer(write: Any) -> None:
    """Whatever python, or a launcher, wrote there before without ending the line."""
    path, folder = write(), Path("site")
    folder.mkdir()
    (folder / "sitecustomize.py").write_text("import os\nos.write(1, b'7')\n")
    paths = os.pathsep.join(filter(None, [str(folder.resolve()), os.environ.get("PYTHONPATH", "")]))
    done = make(path, env=os.environ | {"PYTHONPATH": paths})
    assert done.returncode == 0, done.stderr
    assert states(path) == ["finished"] * 3


def test_a_sweep_that_changes_meanwhile(write: Any) -> None:
    """The points left are others: each says so, and none is made."""
    change = "k == 3 and Path('sweep.toml').write_text('base = \"base.toml\"\\n[grid]\\n"
    path = write(change + "run.seed = [0, 1, 2]\\nmethod.step_size = [1e-4]\\n')")
    before = points.plan(path, FOLDER)
    done = make(path)
    assert done.returncode == 1
    after = list(statuses_of(before).values())
    assert [status.state for status in after] == ["finished", "failed", "failed"], done.stderr
    assert "submit anew" in after[2].reason
    assert done.stderr.count("submit anew") == 2


@pytest.mark.parametrize("words", [[], ["--ranks", "2"]])
def test_a_worker_that_nobody_asks_any_more_stops(write: Any, words: list[str]) -> None:
    path, held = write(rounds=20000), Held(Path("held"), seeds=(0,), round=1000)
    process = subprocess.Popen(
        [sys.executable, "-m", "ist_mpi", "sweep", "run", str(path), *words],
        env=held.environment,
        stderr=subprocess.DEVNULL,
    )
    until(held.there)
    process.kill()
    process.wait()
    until(lambda: states(path)[0] != "running")
    assert found(path)[0][:2] == ("stopped", "SIGHUP")
    assert states(path)[1:] == ["missing", "missing"]
    assert make(path).returncode == 0
    whole = ist_mpi.run("base.toml")
    made = ist_mpi.open_run(points.plan(path, FOLDER).points[0].log)
    assert made.x.tobytes() == whole.x.tobytes()


def test_a_worker_that_waits_for_a_run_can_be_stopped(write: Any) -> None:
    """Also while whoever started it is there, and does not ask."""
    path = write()
    words = ["sweep", "run", str(path), "--folder", str(FOLDER), "--serve"]
    process = subprocess.Popen(
        [sys.executable, "-m", "ist_mpi", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"0\n")
    process.stdin.flush()
    assert process.stdout.readline().strip() in (b"", b"0")  # its run has ended
    until(lambda: states(path)[0] == "finished")
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0


PROGRAM = """
import ist_mpi
try:
    ist_mpi.sweep("base.toml", {"run.seed": "0:3"}, jobs=2)
except KeyboardInterrupt:
    print("interrupted", ist_mpi.open_sweep("results/runs"))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_program_whose_sweep_is_stopped(write: Any, number: int) -> None:
    """Its runs stop with checkpoints; Ctrl-C is the program's to answer, once they have."""
    write(rounds=20000)
    held = Held(Path("held"), seeds=(0, 1), round=1000)
    Path("program.py").write_text(PROGRAM)
    process = subprocess.Popen(
        [sys.executable, "program.py"], env=held.environment, stdout=subprocess.PIPE, text=True
    )
    until(lambda: held.there(0) and held.there(1))
    os.kill(process.pid, number)
    said, _ = process.communicate(timeout=120)
    until(lambda: "running" not in repr(ist_mpi.open_sweep("results/runs")))
    made = ist_mpi.open_sweep("results/runs")
    assert [run.status for run in made.runs if run is not None] == ["stopped"] * 2
    if number == signal.SIGINT:
        assert said.startswith("interrupted")
        assert "2 stopped" in said
