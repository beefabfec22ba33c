"""Sweeps: which runs there are, how they are made, and what is said of them."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from held import Held

import ist_mpi
from ist_mpi import InputError
from ist_mpi.batch import attempts, cost, points, pool
from ist_mpi.batch.slurm import arrays
from ist_mpi.batch.status import Status, statuses_of
from ist_mpi.cli import main as cli
from ist_mpi.config import load
from ist_mpi.errors import LockedError
from ist_mpi.store import locks

BASE = """
[problem]
kind = "synthetic"
d = 24
n = 5
[method]
name = "ist"
step_size = 1e-3
[run]
rounds = 60
[log]
every = 7
"""
FOLDER = Path("results/runs")


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Write a sweep of the small base in the current folder: ``write(text, name)``."""
    monkeypatch.chdir(tmp_path)
    Path("base.toml").write_text(BASE)

    def sweep(text: str, name: str = "sweep.toml") -> Path:
        Path(name).write_text(f'base = "base.toml"\n{text}')
        return Path(name)

    return sweep


def plan_of(sweep: Path) -> points.Plan:
    return points.plan(sweep, FOLDER)


def command(*words: str) -> tuple[int, str]:
    """Exit code and output of a command in this process; an error is raised.

    The output goes through a real file: the watchdog writes to its descriptor.
    """
    with tempfile.TemporaryFile("w+") as output:
        with redirect_stdout(output), redirect_stderr(output):
            try:
                code = cli.app(list(words), standalone_mode=False)
            except typer.TyperException as error:
                code = 2
                print(error.format_message())
        output.seek(0)
        return code or 0, output.read()


def status(sweep: Path) -> dict[int, dict[str, Any]]:
    """What ``sweep status`` says of each point."""
    document = json.loads(command("sweep", "status", str(sweep), "--json")[1])
    assert sum(document["counts"].values()) == len(document["points"])
    return {point["index"]: point for point in document["points"]}


def states(sweep: Path) -> dict[int, str]:
    return {index: point["state"] for index, point in status(sweep).items()}


def logs() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in FOLDER.glob("*.h5")}


def test_a_run_is_named_by_what_it_is(write: Any) -> None:
    """The name is the run_id that `run --set` writes into its log."""
    found = plan_of(write("[grid]\nmethod.step_size = [1e-3, 2e-3]\nrun.seed = [3, 4]"))
    by_hand = load("base.toml", ["method.step_size=0.002", "run.seed=3"])
    run = ist_mpi.run(by_hand, out="by_hand.h5")
    assert found.points[2].log == FOLDER / f"{run.attributes['run_id']}.h5"
    assert len({point.log for point in found.points}) == 4


def test_the_same_run_twice_is_merged(write: Any) -> None:
    """By equal values, and by settings that change no bit of the result."""
    path = write(
        '[grid]\nmethod.step_size = [1e-3, 2e-3, 0.001]\nrun.exchange = ["server", "auto"]'
    )
    found = plan_of(path)
    assert [point.index for point in found.points] == [0, 2]
    assert found.merged == {1: 0, 3: 2, 4: 0, 5: 0}
    _, output = command("sweep", "plan", str(path))
    assert "points 1,4-5 are the same run as point 0, and left out" in output
    assert "point 3 is the same run as point 2, and left out" in output


def test_two_sweeps_share_runs(write: Any) -> None:
    one = write("[grid]\nmethod.step_size = [1e-3, 2e-3]", "one.toml")
    two = write("[grid]\nmethod.step_size = { from = 2e-3, to = 3e-3, count = 2 }", "two.toml")
    for index in ("0", "1"):
        assert command("sweep", "run", str(one), "--index", index)[0] == 0
    before = logs()
    assert states(two) == {0: "finished", 1: "missing"}
    code, output = command("sweep", "run", str(two), "--index", "0")
    assert code == 0
    assert "finished already, nothing to do" in output
    assert command("sweep", "run", str(two), "--index", "1")[0] == 0
    assert before.items() <= logs().items()
    assert len(logs()) == 3
    assert [path.name for path in FOLDER.iterdir() if path.suffix != ".h5"] == []


def test_a_run_is_that_of_run(write: Any) -> None:
    """The same model and rows as the configuration run by itself."""
    path = write("[grid]\nmethod.step_size = [1e-3]\nrun.seed = [8]")
    command("sweep", "run", str(path), "--index", "0")
    made = ist_mpi.open_run(plan_of(path).points[0].log)
    alone = ist_mpi.run(load("base.toml", ["run.seed=8"]))
    assert made.x.tobytes() == alone.x.tobytes()
    for name in set(made.rounds) - {"seconds"}:
        np.testing.assert_array_equal(made.rounds[name], alone.rounds[name])


def test_wrong_input_runs_nothing(write: Any) -> None:
    path = write("[grid]\nmethod.step_size = [1e-3, -1]")
    for words in (["plan"], ["status"], ["run"], ["submit", "--dry-run"]):
        with pytest.raises(InputError, match=r"point 1 \(method.step_size = -1\)"):
            command("sweep", words[0], str(path), *words[1:])
    with pytest.raises(InputError, match=r"point 1 \(method.step_size = -1\)"):
        command("sweep", "run", str(path), "--index", "1")
    path = write("[grid]\nrun.seed = [0, 1]")
    with pytest.raises(InputError, match=r"--index: got 2; expected .* from 0 to 1"):
        command("sweep", "run", str(path), "--index", "2")
    digest = plan_of(path).sweep.digest
    path = write("[grid]\nrun.seed = [1, 0]")
    with pytest.raises(InputError, match="submit anew"):
        command("sweep", "run", str(path), "--index", "0", "--expect", digest)
    for words in (["run"], ["submit", "--dry-run"]):
        with pytest.raises(InputError, match=r"--folder .* which is no directory"):
            command("sweep", words[0], str(path), *words[1:], "--folder", "base.toml/runs")
    for option in ("--jobs", "--ranks"):
        code, output = command("sweep", "run", str(path), "--index", "0", option, "2")
        assert (code, "--index does not go with" in output) == (2, True)
    assert not FOLDER.exists()


def test_problems_are_looked_at_before_anything_runs(write: Any) -> None:
    Path("data.svm").write_text("1 1:1 2:3\n2 1:0.5\n")
    path = write(
        """
        set.problem.kind = "ridge"
        set.problem.n = 2
        grid.problem.path = ["data.svm", "none.svm"]
        grid.method.sketch = ["permutation", "identity"]
        """
    )
    Path("base.toml").write_text(BASE.replace("d = 24\n", ""))
    with pytest.raises(InputError) as caught:
        command("sweep", "run", str(path))
    assert len(caught.value.faults) == 1
    assert "points 2-3 (the first with problem.path = " in str(caught.value)
    assert "no such file" in str(caught.value)
    assert not FOLDER.exists()


def test_a_diverged_run_is_a_result(write: Any) -> None:
    path = write("[set]\nrun.rounds = 10000\n[grid]\nmethod.step_size = [1.0]")
    assert command("sweep", "run", str(path), "--index", "0")[0] == 1
    before, found = logs(), status(path)[0]
    assert found["state"] == "diverged"
    assert "step size 1" in found["reason"]
    assert command("sweep", "run", str(path), "--missing")[0] == 0
    code, output = command("sweep", "run", str(path))
    assert (code, "already 1 diverged" in output) == (1, True)
    assert logs() == before


@pytest.mark.slow
def test_a_step_size_of_theory(write: Any) -> None:
    """The log has the number and is still that of the question, finished or not."""
    path = write(
        """
        [set]
        run.rounds = 20000
        problem.linear_term = false
        [grid]
        method.step_size = ["theory"]
        """
    )
    point = plan_of(path).points[0]
    stopping = load(point.config, ["run.max_seconds=1e-9"])
    log = point.log
    from ist_mpi.training import api
    from ist_mpi.training import job as jobs

    job, problem = jobs.open_job(ist_mpi_world(), stopping, out=log, going_on="resume")
    assert [run.status for run in api.results(ist_mpi_world(), job, problem)] == ["stopped"]
    assert states(path) == {0: "stopped"}
    with locks.locked(log):  # whoever it is that goes on with it
        assert states(path) == {0: "running"}
    assert command("sweep", "run", str(path), "--index", "0")[0] == 0
    run = ist_mpi.open_run(log)
    assert run.status == "finished"
    assert run.attributes["run_id"] != log.stem
    assert states(path) == {0: "finished"}
    before = logs()
    assert "nothing to do" in command("sweep", "run", str(path), "--index", "0")[1]
    assert logs() == before


def ist_mpi_world() -> Any:
    from ist_mpi.parallel import ranks

    return ranks.world()


@pytest.mark.slow
def test_one_failing_run_does_not_stop_the_others(write: Any) -> None:
    """Then it is named with its settings and its reason, and --missing makes it and no other."""
    path = write(
        "[set]\nrun.rounds = 3000\n[grid]\nrun.seed = '0:3'\nmethod.step_size = [1e-3, 1.0]"
    )
    in_the_way = plan_of(path).points[2].log
    in_the_way.mkdir(parents=True)
    done = _sweep("run", str(path), "--jobs", "2")
    assert done.returncode == 1, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("[")]
    assert len(lines) == 6
    assert sum("a directory" in line for line in lines) == 1
    assert "2 finished, 3 diverged, 1 failed" in done.stderr
    found = status(path)
    assert [found[k]["state"] for k in range(6)] == [
        *("finished", "diverged", "failed", "diverged", "finished", "diverged")
    ]
    assert found[2]["settings"] == {"run.seed": 1, "method.step_size": 1e-3}
    assert "a directory" in found[2]["reason"]
    _, table = command("sweep", "status", str(path))
    row = next(line for line in table.splitlines() if "failed" in line)
    assert row.split()[0] == "2"
    assert "run.seed = 1, method.step_size = 0.001" in row
    assert "a directory" in row
    in_the_way.rmdir()
    before = logs()
    assert states(path)[2] == "failed"  # the reason is remembered
    done = _sweep("run", str(path), "--missing")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("point ") == 1
    after = logs()
    assert before.items() <= after.items()
    assert set(after) - set(before) == {in_the_way.name}
    assert states(path)[2] == "finished"
    assert not list(FOLDER.glob("*.attempt.json"))


DEADLY = """
import os
from ist_mpi.methods.ist import IndependentSubnetworkTraining

class Deadly(IndependentSubnetworkTraining):
    def round(self, k):
        if self.tools.seed == 1:
            os._exit(9)
        if self.tools.seed == 3:
            raise KeyError("three")
        super().round(k)
"""


@pytest.mark.slow
def test_a_run_that_takes_its_process_along_fails_alone(write: Any) -> None:
    Path("deadly.py").write_text(DEADLY)
    path = write('[set]\nmethod.name = "deadly.py:Deadly"\n[grid]\nrun.seed = "0:6"')
    done = _sweep("run", str(path))
    assert done.returncode == 1, done.stderr
    found = status(path)
    bad = {1: "exit code 9", 3: "KeyError: 'three'"}
    assert {k: found[k]["state"] for k in found} == {
        k: "failed" if k in bad else "finished" for k in range(6)
    }
    assert all(bad[k] in found[k]["reason"] for k in bad)
    alone = ist_mpi.run(plan_of(path).points[5].config)
    assert ist_mpi.open_run(found[5]["log"]).x.tobytes() == alone.x.tobytes()


def _sweep(*words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ist_mpi", "sweep", *words],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        **more,
    )


@pytest.mark.slow
def test_runs_on_ranks(write: Any) -> None:
    """Each by an mpiexec of its own; the ranks of one that fails agree, and note it once."""
    path = write("[grid]\nrun.seed = [0, 1]")
    good, bad = plan_of(path).points
    bad.log.mkdir(parents=True)
    done = _sweep("run", str(path), "--ranks", "2")
    assert done.returncode == 1, done.stderr
    run = ist_mpi.open_run(good.log)
    assert run.attributes["ranks"] == 2
    assert run.x.tobytes() == ist_mpi.run("base.toml").x.tobytes()
    found = status(path)[1]
    assert found["state"] == "failed"
    assert found["reason"].startswith(f"--out {bad.log}: got a directory")


def test_under_a_launcher_of_its_own(write: Any, launch: Any) -> None:
    """The runs of a sweep that a launcher started alone do not answer to that launcher."""
    path = write("[grid]\nrun.seed = [0]")
    done = launch(1, "-m", "ist_mpi", "sweep", "run", str(path))
    assert done.returncode == 0, done.stderr
    assert states(path) == {0: "finished"}


def test_no_launcher_there(write: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(InputError, match=r"--ranks 2: got no .*mpiexec"):
        command("sweep", "run", str(write("[grid]\nrun.seed = [0]")), "--ranks", "2")


def test_a_launcher_needs_an_index(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PMI_SIZE", "2")
    with pytest.raises(InputError, match="--index I"):
        command("sweep", "run", str(write("[grid]\nrun.seed = [0]")))


LONG = "[set]\nrun.rounds = 20000\nlog.every = 1000\n[grid]\nrun.seed = '0:3'\n"


def _begin(path: Path, held: Held, *words: str) -> subprocess.Popen[bytes]:
    """Runs that do not end before they are told to, however fast the machine."""
    return subprocess.Popen(
        [sys.executable, "-m", "ist_mpi", "sweep", "run", str(path), *words],
        env=held.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _until(condition: Callable[[], bool], seconds: float = 240.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
def test_a_killed_run_is_not_running(write: Any) -> None:
    """Its lock says so at once; and it can be gone on with."""
    path, held = write(LONG), Held(Path("held"), seeds=range(3), round=1000)
    log = plan_of(path).points[1].log
    process = _begin(path, held, "--index", "1")
    _until(lambda: attempts.path_of(log).exists())
    assert states(path)[1] == "running"  # also before there is a log
    _until(log.exists)
    found = status(path)[1]
    assert found["state"] == "running"
    assert f"process {process.pid} on " in found["reason"]
    with pytest.raises(LockedError, match=str(process.pid)):
        command("sweep", "run", str(path), "--index", "1")
    assert ist_mpi.open_sweep(FOLDER).table()["state"].tolist() == ["running"]
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert ist_mpi.open_sweep(FOLDER).table()["state"].tolist() == ["killed"]
    found = status(path)[1]
    assert found["state"] == "killed"
    assert f"process {process.pid} on " in found["reason"]
    assert command("sweep", "run", str(path), "--index", "1")[0] == 0
    assert states(path) == {0: "missing", 1: "finished", 2: "missing"}


@pytest.mark.slow
def test_stopping_all(write: Any) -> None:
    """SIGTERM: every run writes its checkpoint, none is begun, and the code is 75."""
    path, held = write(LONG), Held(Path("held"), seeds=range(3), round=1000)
    process = _begin(path, held, "--jobs", "2")
    _until(lambda: held.there(0) and held.there(1))
    process.send_signal(signal.SIGTERM)
    assert process.wait(240) == 75
    found = status(path)
    assert [found[k]["state"] for k in range(3)] == ["stopped", "stopped", "missing"]
    assert found[0]["reason"] == "SIGTERM"
    assert 0 < found[0]["round"] < 20000
    reached = found[0]["round"]
    code, output = command("sweep", "run", str(path), "--index", "0")
    assert code == 0
    assert "going on after round" in output
    run = ist_mpi.open_run(found[0]["log"])
    whole = ist_mpi.run(plan_of(path).points[0].config)
    assert run.x.tobytes() == whole.x.tobytes()
    np.testing.assert_array_equal(run.rounds["gap"], whole.rounds["gap"])
    assert reached in run.rounds["round"]


def test_a_process_that_dies_before_its_log(write: Any) -> None:
    """Alone it leaves a note without a reason; the sweep's runner adds what it saw."""
    path = write("[grid]\nrun.seed = [0]")
    point = plan_of(path).points[0]
    point.log.parent.mkdir(parents=True)
    attempts.note(point)
    found = status(path)[0]
    assert found["state"] == "killed"
    assert f"process {os.getpid()} on " in found["reason"]
    with locks.locked(point.log):
        assert states(path) == {0: "running"}
    attempts.fail(point, "x" * 5000 + "the end", 9)
    found = status(path)[0]
    assert found["state"] == "failed"
    assert found["reason"].endswith("the end")
    assert len(found["reason"]) == attempts.LONGEST
    note = attempts.path_of(point.log)
    note.write_bytes(note.read_bytes().replace(b"end", b"END"))
    assert "is damaged" in status(path)[0]["reason"]
    note.write_bytes(b"")
    assert states(path) == {0: "failed"}


def test_notes_are_read_for_good(write: Any) -> None:
    """As version 0.1 wrote them, down to the last byte."""
    path = write("[grid]\nrun.seed = [0, 1]")
    FOLDER.mkdir(parents=True)
    for point, reason, code in zip(plan_of(path).points, ["", "no"], ["null", "2"], strict=True):
        text = (
            f'{{\n "code": {code},\n "format": "ist_mpi.attempt",\n "host": "h",\n "pid": 5,\n '
            f'"reason": "{reason}",\n "run_id": "x",\n "settings": {{}},\n "slurm_job_id": "7",\n '
            '"version": 1,\n "when": "2026-01-01T00:00:00+00:00"\n}\n'
        )
        digest = hashlib.sha256(text.encode()).hexdigest()
        attempts.path_of(point.log).write_text(f"{text}{digest}\n")
    found = status(path)
    assert (found[0]["state"], found[1]["state"]) == ("killed", "failed")
    assert found[0]["reason"] == "process 5 on h, SLURM job 7 ended without saying why"
    assert found[1]["reason"] == "no"


@pytest.mark.slow
def test_a_runner_notes_what_killed_a_run(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that cannot even start, and one that a signal ends."""
    path = write("[grid]\nrun.seed = [0, 1]")
    both = plan_of(path).points
    Path("ist_mpi").mkdir()
    Path("ist_mpi/__main__.py").write_text(
        "import os, sys\n"
        "if sys.stdin.readline() == '0\\n':\n"
        "    sys.exit('there is no MPI here')\n"
        "os.kill(os.getpid(), 9)\n"
    )
    Path("ist_mpi/__init__.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(Path.cwd()))
    Path("results/runs").mkdir(parents=True)
    told: list[Any] = []
    ended = pool.run_points(both, ["x"], 2, 1, lambda *found: told.append(found))
    assert [status.state for status in ended] == ["failed", "failed"]
    assert ended[0].reason == "exit code 1: there is no MPI here"
    assert ended[1].reason == "killed by SIGKILL"
    assert len(told) == 2
    found = status(path)
    assert {point["state"] for point in found.values()} == {"failed"}
    assert [found[k]["reason"] for k in (0, 1)] == [status.reason for status in ended]
    for point in both:
        attempts.path_of(point.log).unlink()
    monkeypatch.setattr(attempts, "note", _full_disk)
    ended = pool.run_points(both, ["x"], 1, 1, lambda *found: None)
    assert [status.state for status in ended] == ["failed", "failed"]
    assert "no MPI here" in ended[0].reason


def _full_disk(*_: Any) -> None:
    raise OSError("no space left")


def test_another_log_in_its_place_is_not_taken_for_it(write: Any) -> None:
    path = write("[grid]\nrun.seed = [0, 1]")
    zero, one = plan_of(path).points
    ist_mpi.run(zero.config, out=zero.log)
    one.log.write_bytes(zero.log.read_bytes())
    found = status(path)
    assert (found[0]["state"], found[1]["state"]) == ("finished", "failed")
    assert "another configuration (run.seed = 0, now 1)" in found[1]["reason"]
    damaged = bytearray(zero.log.read_bytes())
    damaged[3000] ^= 1
    one.log.write_bytes(damaged)
    assert states(path)[1] == "failed"


@pytest.mark.slow
def test_looking_keeps_no_run_out(tmp_path: Path) -> None:
    log, over = tmp_path / "a.h5", threading.Event()

    def look() -> None:
        while not over.is_set():
            locks.holder(log)

    watchers = [threading.Thread(target=look) for _ in range(2)]
    for watcher in watchers:
        watcher.start()
    try:
        for _ in range(300):
            with locks.locked(log):
                pass
    finally:
        over.set()
        for watcher in watchers:
            watcher.join()
    assert locks.holder(log) is None
    assert list(tmp_path.iterdir()) == []


def test_arrays() -> None:
    assert arrays.arrays([3, 5, 7, 8, 9], 1001, 2) == [("3,5,7-9%2", 0, 5)]
    assert arrays.arrays([0, 9, 10, 11, 35], 10) == [("0,9", 0, 2), ("0-1", 10, 2), ("5", 30, 1)]
    assert arrays.arrays([], 10) == []


@pytest.mark.slow
def test_submit_renders_what_is_missing(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the rendered command for its task makes the right run."""
    monkeypatch.setattr("ist_mpi.batch.slurm.arrays.max_array_size", lambda: 4)
    path = write("[grid]\nrun.seed = '0:7'")
    for index in (1, 5):
        command("sweep", "run", str(path), "--index", str(index))
    _, text = command("sweep", "submit", str(path), "--dry-run", "--time", "5", "--jobs", "3")
    assert [line for line in text.splitlines() if "--array" in line] == [
        "#SBATCH --array=0,2-3%3",
        "#SBATCH --array=0,2%3",
    ]
    words = [line.split()[2:] for line in text.splitlines() if line.startswith("set -- ")]
    assert len(words) == 2
    task = ["2" if word == '"$SLURM_ARRAY_TASK_ID"' else word for word in words[1]]
    assert command(*task)[0] == 0
    assert states(path)[6] == "finished"
    with pytest.raises(InputError, match="--nodes"):
        command("sweep", "submit", str(path), "--dry-run", "--nodes", "0")
    for index in (0, 2, 3, 4):
        command("sweep", "run", str(path), "--index", str(index))
    _, text = command("sweep", "submit", str(path), "--dry-run")
    assert "nothing to submit" in text
    assert "#SBATCH" not in text


def test_predicted_costs(write: Any) -> None:
    """Longer runs take longer, in proportion to their rounds; finished ones set the scale."""
    path = write("[set]\nlog.every = 100\n[grid]\nrun.rounds = [1000000, 3000000]")
    plan = plan_of(path)
    facts, statuses = points.check(plan), statuses_of(plan)
    costs, basis = cost.predict(plan, facts, statuses, 1)
    assert "a model" in basis
    short, long = (costs[k].seconds - cost.START for k in (0, 1))
    assert 2.9 < long / short < 3.1
    assert costs[1].disk > 2.5 * costs[0].disk
    assert costs[0].memory > 5 * 24 * 24 * 8
    row = {"round": 1000000, "seconds": 1000.0}
    statuses[0] = Status("finished", "rounds", row, 1)
    costs, basis = cost.predict(plan, facts, statuses, 1)
    assert "1 finished run" in basis
    assert costs[1].seconds == pytest.approx(3000.0, rel=0.02)


def test_plan_writes_nothing(write: Any) -> None:
    path = write("[grid]\nrun.seed = '0:50'")
    code, output = command("sweep", "plan", str(path), "--jobs", "2")
    assert code == 0
    assert "50: 50 missing" in output
    assert "with 2 at a time" in output
    assert "… and 10 more: --all" in output
    assert command("sweep", "plan", str(path), "--all")[1].count("missing") == 51
    assert not FOLDER.exists()
