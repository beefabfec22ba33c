"""Jobs on a cluster: the same bits as alone, stopped and queued again, ended in every way."""

import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from cluster import Cluster, until
from same import same_run
from submitted import SHORT, Job

import ist_mpi

Serial = Callable[[int], Any]

pytestmark = pytest.mark.timeout(1200)

LAUNCHERS = {
    "srun": {"IST_LAUNCHER": "srun", "IST_MPI": "pmi2"},
    "mpiexec": {"IST_LAUNCHER": "mpiexec"},
}


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_two_nodes_are_one_world(job: Job, serial: Serial, launcher: str) -> None:
    job.by_hand(SHORT, 2, 2, **LAUNCHERS[launcher])
    over = job.over()
    assert over["JobState"] == "COMPLETED", job.output
    assert over["NumNodes"] == "2"
    run = ist_mpi.open_run(job.log)
    same_run(run, serial(SHORT))
    assert run.attributes["ranks"] == 4
    assert run.attributes["slurm_job_id"] == job.number
    # All four nodes are this machine: more ranks than cores, unless it is a large one.
    crowded = len(os.sched_getaffinity(0)) < 4
    assert job.output.count("is oversubscribed: 4 ranks") == int(crowded), job.output


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_preempted_twice(
    job: Job, serial: Serial, long: int, cluster: Cluster, launcher: str
) -> None:
    """Told to stop by a signal; then its nodes are taken away, with a time of grace."""
    job.holds(times=2)
    job.by_hand(long, 2, 1, **LAUNCHERS[launcher])
    job.until_held()
    cluster.do("scancel", "--batch", "--signal=USR1", job.number)
    first = job.until_resumed(times=1)
    job.until_held(restarts=1)
    urgent = ["--parsable", "--partition=urgent", "--nodes=4", "--exclusive", "--output=/dev/null"]
    other = cluster.do("sbatch", *urgent, "--wrap=true").stdout.strip()
    second = job.until_resumed(times=2)
    assert cluster.wait(other)["JobState"] == "COMPLETED"
    over = job.over()
    assert (over["JobState"], over["Restarts"]) == ("COMPLETED", "2"), job.output
    assert 0 < first <= second < long
    assert job.output.count("queued again") == 2
    same_run(ist_mpi.open_run(job.log), serial(long))
    assert not job.log.with_suffix(".ckpt").exists()


def test_cancelled_stays_cancelled(job: Job, serial: Serial, long: int, cluster: Cluster) -> None:
    job.holds()
    job.by_hand(long, 2, 1, **LAUNCHERS["srun"])
    job.until_held()
    cluster.do("scancel", job.number)
    over = job.over()
    assert over["JobState"] == "CANCELLED"
    time.sleep(8)  # longer than a job that is queued again has to wait
    until("the end of the job's processes", lambda: cluster.queue() == [], 120)
    over = cluster.show(job.number)
    assert (over["JobState"], over["Restarts"]) == ("CANCELLED", "0")
    run = ist_mpi.open_run(job.log)
    assert (run.status, run.stop_reason) == ("stopped", "SIGTERM")
    job.by_hand(long, 1, 1, **LAUNCHERS["srun"])  # on other resources
    assert job.over()["JobState"] == "COMPLETED", job.output
    assert "going on after round" in job.output
    same_run(ist_mpi.open_run(job.log), serial(long))


def test_a_node_fails(job: Job, serial: Serial, long: int, cluster: Cluster) -> None:
    """SLURM queues the job again by itself."""
    job.holds()
    job.by_hand(long, 2, 1, **LAUNCHERS["srun"])
    job.until_held()
    cluster.do("scontrol", "update", "nodename=node2", "state=down", "reason=test")
    assert job.until_resumed(times=1) < long
    over = job.over()
    assert (over["JobState"], over["Restarts"]) == ("COMPLETED", "1"), job.output
    assert "NODE FAILURE" in job.output
    same_run(ist_mpi.open_run(job.log), serial(long))


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_rank_is_killed(
    job: Job, serial: Serial, long: int, cluster: Cluster, launcher: str
) -> None:
    job.by_hand(long, 2, 1, **LAUNCHERS[launcher])
    job.until_under_way()
    ranks = [each for each in cluster.processes("-m ist_mpi run") if "python" in each.name()]
    assert len(ranks) == 2
    ranks[-1].send_signal(signal.SIGKILL)
    over = job.over()
    assert (over["JobState"], over["Restarts"]) == ("FAILED", "0"), job.output
    run = ist_mpi.open_run(job.log)
    assert run.status == "running"  # nobody was left to say otherwise
    told = cluster.do(sys.executable, "-m", "ist_mpi", "info", str(job.log)).stdout
    assert "running, or killed" in told
    job.by_hand(long, 1, 1, **LAUNCHERS[launcher])
    assert job.over()["JobState"] == "COMPLETED", job.output
    assert "going on after round" in job.output
    same_run(ist_mpi.open_run(job.log), serial(long))
