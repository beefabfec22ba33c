"""Into the queue, or not: ist-mpi submit, and ranks that do not know each other."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cluster import Cluster
from same import same_run
from submitted import CONFIG, SHORT, Job

import ist_mpi
from ist_mpi.batch import slurm

pytestmark = pytest.mark.timeout(1200)

IST_MPI = [sys.executable, "-m", "ist_mpi"]


def test_submitted(job: Job, cluster: Cluster, serial: Callable[[int], Any]) -> None:
    (job.folder / "a b.toml").write_text(CONFIG.format(rounds=7))
    words = ["--nodes", "2", "--time", "10", "--mpi", "pmi2", "--out", "run.h5"]
    words += ["--set", f"run.rounds={SHORT}", "--sbatch=--comment=two words"]
    done = cluster.do(*IST_MPI, "submit", "a b.toml", *words, folder=job.folder)
    assert done.stdout.startswith("Submitted batch job ")
    job.number = done.stdout.split()[-1]
    over = job.over()
    assert over["JobState"] == "COMPLETED", job.output
    assert (over["NumNodes"], over["TimeLimit"]) == ("2", "00:10:00")
    run = ist_mpi.open_run(job.log)
    assert run.attributes["ranks"] == 2
    same_run(run, serial(SHORT))
    again = cluster.do(*IST_MPI, "submit", "a b.toml", *words, folder=job.folder)
    assert "finished already" in again.stderr
    assert "Submitted" not in again.stdout


def test_what_is_wrong_never_queues(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(CONFIG.format(rounds=7))
    before = cluster.do("sbatch", "--parsable", "--output=/dev/null", "--wrap=true").stdout.strip()
    for words, problem in [
        (["--set", "problem.d=-3", "--nodes", "0"], ["problem.d", "--nodes"]),
        (["--out", "/dev/null/run.h5"], ["--out"]),
        (["--partition", "nowhere"], ["sbatch refused", "nowhere"]),
    ]:
        done = cluster.do(*IST_MPI, "submit", "small.toml", *words, folder=tmp_path, check=False)
        assert done.returncode == 2
        assert all(name in done.stderr for name in problem), done.stderr
    after = cluster.do("sbatch", "--parsable", "--output=/dev/null", "--wrap=true").stdout.strip()
    assert int(after) == int(before) + 1
    assert [path.name for path in tmp_path.iterdir()] == ["small.toml"]


def test_singletons_are_refused(job: Job) -> None:
    """srun without a protocol, and with one that this MPI does not speak."""
    job.by_hand(SHORT, 2, 1, IST_MPI="none")
    over = job.over()
    assert (over["JobState"], over["ExitCode"]) == ("FAILED", "2:0"), job.output
    assert job.output.count("the launcher started 2 ranks, but each of them is alone") == 1
    assert "--mpi=pmi2" in job.output
    assert not job.log.exists()


def test_one_process_in_a_job_is_no_singleton(cluster: Cluster, tmp_path: Path) -> None:
    """Of a job of four ranks: the batch script itself, one under mpiexec, one that salloc runs."""
    (tmp_path / "small.toml").write_text(CONFIG.format(rounds=7))
    mpiexec = Path(sys.executable).with_name("mpiexec")
    run = " ".join([*IST_MPI, "run", "small.toml", "--out"])
    lines = [
        "#!/bin/sh",
        f"{run} batch.h5",
        f"{mpiexec} -n 1 {run} mpiexec.h5",
        f"srun --ntasks=1 --nodes=1 {run} srun.h5",
    ]
    (tmp_path / "job").write_text("\n".join([*lines, ""]))
    shape = ["--nodes=2", "--ntasks-per-node=2"]
    done = cluster.do("sbatch", "--parsable", *shape, "job", folder=tmp_path)
    cluster.wait(done.stdout.strip())
    cluster.do("salloc", *shape, *run.split(), "salloc.h5", folder=tmp_path)
    for name in ("batch", "mpiexec", "srun", "salloc"):
        assert ist_mpi.open_run(tmp_path / f"{name}.h5").status == "finished"


def test_one_task_of_an_array_is_queued_again(cluster: Cluster, long: int, tmp_path: Path) -> None:
    """Its last task has the number of the whole array."""
    config = tmp_path / "small.toml"
    config.write_text(CONFIG.format(rounds=long))
    request = slurm.Request(array="0-1%1", ntasks_per_node=2, mpi="pmi2")
    command = ["run", "small.toml", "--set", "run.checkpoint_every=0.2"]
    text = slurm.render(request, [*command, "--resume", "--out", slurm.TASK])
    (tmp_path / "array.sbatch").write_text(text)
    last = Job(cluster, tmp_path)
    last.holds(task="1")
    path = last.held.environment["PYTHONPATH"]
    done = cluster.do("sbatch", "--parsable", "array.sbatch", folder=tmp_path, PYTHONPATH=path)
    number = done.stdout.strip()
    last.number = f"{number}_1"
    last.until_held()
    cluster.do("scancel", "--batch", "--signal=USR1", last.number)
    states = [cluster.wait(f"{number}_{task}")["JobState"] for task in (0, 1)]
    outputs = [(tmp_path / f"ist-mpi-{number}_{task}.out").read_text() for task in (0, 1)]
    assert states == ["COMPLETED"] * 2, "\n".join(outputs)
    assert [text.count("queued again") for text in outputs] == [0, 1]
    assert [text.count("rank(s) on") for text in outputs] == [1, 2]
