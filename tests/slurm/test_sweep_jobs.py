"""A sweep as an array on a cluster: what fails is named, and made again when it is mended."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from cluster import Cluster, until
from held import Held

import ist_mpi

pytestmark = pytest.mark.timeout(1800)

IST_MPI = [sys.executable, "-m", "ist_mpi"]
BASE = """
[problem]
kind = "ridge"
n = 2
[method]
name = "ist"
step_size = 1e-3
[run]
rounds = 200
theory = false
"""
POINTS = 24
DATA = "1 1:1 2:3 3:1\n-1 1:0.5 3:2\n1 2:1 4:1\n-1 1:2 4:0.25\n"


def _status(cluster: Cluster, folder: Path) -> dict[int, Any]:
    done = cluster.do(*IST_MPI, "sweep", "status", "sweep.toml", "--json", folder=folder)
    return {point["index"]: point for point in json.loads(done.stdout)["points"]}


def _tasks(cluster: Cluster, number: str) -> dict[int, str]:
    """The states of an array's tasks, once all of them are over."""
    deadline = time.monotonic() + 1500
    while cluster.do("squeue", "-ho", "%i", "-j", number, check=False).stdout.strip():
        assert time.monotonic() < deadline, cluster.do("squeue").stdout
        time.sleep(0.5)
    found = {}
    for line in cluster.do("scontrol", "-o", "show", "job", number).stdout.splitlines():
        facts = dict(word.split("=", 1) for word in line.split() if "=" in word)
        found[int(facts["ArrayTaskId"])] = facts["JobState"]
    return found


def test_three_of_twenty_four_fail(cluster: Cluster, tmp_path: Path) -> None:
    """A directory in the way, another run's log in the way, and data that vanish in the queue."""
    (tmp_path / "base.toml").write_text(BASE)
    for name in ("usual.svm", "other.svm"):
        (tmp_path / name).write_text(DATA)
    paths = json.dumps(["usual.svm"] * (POINTS - 1) + ["other.svm"])
    sweep = f'base = "base.toml"\n[[zip]]\nrun.seed = "0:{POINTS}"\nproblem.path = {paths}\n'
    (tmp_path / "sweep.toml").write_text(sweep)
    logs = {k: Path(point["log"]) for k, point in _status(cluster, tmp_path).items()}
    logs = {k: tmp_path / log for k, log in logs.items()}
    logs[7].mkdir(parents=True)
    # Where the tasks look for compiled functions: then they need not all compile them.
    cache = f"{cluster.environment['TMPDIR']}/ist-mpi-root"
    words = ["--set", "problem.path=usual.svm", "--set", "run.seed=99", "--out", str(logs[12])]
    cluster.do(*IST_MPI, "run", "base.toml", *words, folder=tmp_path, NUMBA_CACHE_DIR=cache)
    words = ["--mpi", "pmi2", "--time", "5", "--jobs", "4", "--sbatch=--hold"]
    done = cluster.do(*IST_MPI, "sweep", "submit", "sweep.toml", *words, folder=tmp_path)
    assert done.stdout.strip().endswith(f": {POINTS} runs, tasks 0-{POINTS - 1}%4")
    number = done.stdout.split()[3].rstrip(":")
    (tmp_path / "other.svm").unlink()
    cluster.do("scontrol", "release", number)

    tasks = _tasks(cluster, number)
    outputs = "\n".join(path.read_text() for path in sorted(tmp_path.glob("*.out")))
    assert {k for k, state in tasks.items() if state == "FAILED"} == {7, 12, 23}, outputs
    assert sum(state == "COMPLETED" for state in tasks.values()) == POINTS - 3
    found = _status(cluster, tmp_path)
    failed = {k: point for k, point in found.items() if point["state"] == "failed"}
    assert set(failed) == {7, 12, 23}
    assert {point["state"] for k, point in found.items() if k not in failed} == {"finished"}
    assert "a directory" in failed[7]["reason"]
    assert "another configuration (run.seed = 99, now 12" in failed[12]["reason"]
    assert "other.svm: got no such file" in failed[23]["reason"]
    shown = cluster.do(*IST_MPI, "sweep", "status", "sweep.toml", folder=tmp_path).stdout
    for k in failed:
        assert f"run.seed = {k}," in shown
    assert "failed    3 (with an error): points 7,12,23" in shown

    logs[7].rmdir()
    logs[12].unlink()
    (tmp_path / "other.svm").write_text(DATA)
    text = cluster.do(*IST_MPI, "sweep", "submit", "sweep.toml", "--dry-run", folder=tmp_path)
    assert "#SBATCH --array=7,12,23\n" in text.stdout
    before = {k: logs[k].read_bytes() for k in range(POINTS) if k not in failed}
    done = cluster.do(*IST_MPI, "sweep", "run", "sweep.toml", "--missing", folder=tmp_path)
    made = [line.split()[2] for line in done.stderr.splitlines() if line.startswith("[")]
    assert made == ["7", "12", "23"]
    assert {k: logs[k].read_bytes() for k in before} == before
    assert {point["state"] for point in _status(cluster, tmp_path).values()} == {"finished"}
    _same_as_alone(logs[3], tmp_path, 3, slurm=True)
    _same_as_alone(logs[12], tmp_path, 12, slurm=False)


def _same_as_alone(log: Path, folder: Path, seed: int, slurm: bool) -> None:
    run = ist_mpi.open_run(log)
    assert bool(run.attributes["slurm_job_id"]) == slurm
    table = {"kind": "ridge", "n": 2, "path": str(folder / "usual.svm")}
    alone = ist_mpi.run(
        {
            "problem": table,
            "method": {"name": "ist", "step_size": 1e-3},
            "run": {"rounds": 200, "seed": seed, "theory": False},
        }
    )
    assert run.x.tobytes() == alone.x.tobytes()


def test_by_hand(cluster: Cluster, tmp_path: Path) -> None:
    """sweep.sbatch, on two ranks, by mpiexec: each task takes its line of the sweep."""
    script = Path(ist_mpi.__file__).parent.parent / "jobs" / "slurm" / "sweep.sbatch"
    (tmp_path / "base.toml").write_text(BASE)
    (tmp_path / "usual.svm").write_text(DATA)
    sweep = 'base = "base.toml"\nset.problem.path = "usual.svm"\ngrid.run.seed = [0, 3]\n'
    (tmp_path / "sweep.toml").write_text(sweep)
    words = ["--parsable", "--array=1", "--nodes=2", str(script), "sweep.toml"]
    environment = {"IST_PYTHON": sys.executable, "IST_LAUNCHER": "mpiexec"}
    done = cluster.do("sbatch", *words, folder=tmp_path, **environment)
    assert _tasks(cluster, done.stdout.strip()) == {1: "COMPLETED"}
    found = _status(cluster, tmp_path)
    assert [found[k]["state"] for k in (0, 1)] == ["missing", "finished"]
    run = ist_mpi.open_run(tmp_path / found[1]["log"])
    assert run.attributes["ranks"] == 2
    _same_as_alone(run.path or tmp_path, tmp_path, 3, slurm=True)


def test_a_task_is_queued_again(cluster: Cluster, tmp_path: Path) -> None:
    """Told to stop, it writes its checkpoint, and goes on with it when its turn comes again."""
    (tmp_path / "base.toml").write_text(BASE.replace("200", "20000\ncheckpoint_every = 0.01"))
    (tmp_path / "usual.svm").write_text(DATA)
    sweep = 'base = "base.toml"\nset.problem.path = "usual.svm"\nset.log.every = 5000\n'
    (tmp_path / "sweep.toml").write_text(sweep + "grid.run.seed = [0, 3]\n")
    held = Held(tmp_path / "held", seeds=[3])
    words = ["sweep", "submit", "sweep.toml", "--mpi=pmi2"]
    path = held.environment["PYTHONPATH"]
    done = cluster.do(*IST_MPI, *words, folder=tmp_path, PYTHONPATH=path)
    number = done.stdout.split()[3].rstrip(":")
    log = tmp_path / _status(cluster, tmp_path)[1]["log"]
    until("the task to be told to stop", lambda: held.there(seed=3), 400)
    cluster.do("scancel", "--batch", "--signal=USR1", f"{number}_1")
    assert _tasks(cluster, number) == {0: "COMPLETED", 1: "COMPLETED"}
    outputs = [(tmp_path / f"sweep-{number}_{k}.out").read_text() for k in (0, 1)]
    assert [text.count("queued again") for text in outputs] == [0, 1], outputs
    assert outputs[1].count("going on after round ") == 1
    assert {point["state"] for point in _status(cluster, tmp_path).values()} == {"finished"}
    assert not list(log.parent.glob("*.attempt.json"))
