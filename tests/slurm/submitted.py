"""The run that the tests submit, and a job that makes it."""

import sys
import time
from pathlib import Path

from cluster import Cluster
from held import Held

import ist_mpi

CONFIG = """
[problem]
kind = "synthetic"
d = 163
n = 5
[method]
name = "ist"
step_size = 1e-5
local_steps = 500
[run]
rounds = {rounds}
checkpoint_every = 0.2
[log]
every = 10
"""
# Rounds of a millisecond: many short ones would take for ever where the ranks, which wait busily,
# have to share the cores with others.

SHORT = 300
PATIENCE = 400
"""Seconds in which a job that may begin has begun."""

GOING_ON = "going on after round "

SCRIPT = Path(ist_mpi.__file__).parent.parent / "jobs" / "slurm" / "run.sbatch"


class Job:
    """A job in a folder of its own, submitted by hand or by ``ist-mpi submit``."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster, self.folder = cluster, folder
        self.log = folder / "run.h5"
        self.held = Held(folder / "held", kept=True, times=0)
        self.number = ""

    def holds(self, times: int = 1, task: str = "") -> None:
        """So many starts of what is submitted next stay, with a checkpoint, until told to stop."""
        self.held = Held(self.folder / "holding", kept=True, times=times, task=task)

    def by_hand(self, rounds: int, nodes: int, ranks: int, **environment: str) -> None:
        """sbatch … run.sbatch small.toml --out run.h5"""
        (self.folder / "small.toml").write_text(CONFIG.format(rounds=rounds))
        settings = {"IST_PYTHON": sys.executable, "SLURM_WAIT": "5", **environment}
        settings["PYTHONPATH"] = self.held.environment["PYTHONPATH"]
        words = ["--parsable", f"--nodes={nodes}", f"--ntasks-per-node={ranks}", str(SCRIPT)]
        done = self.cluster.do(
            "sbatch", *words, "small.toml", "--out", "run.h5", folder=self.folder, **settings
        )
        self.number = done.stdout.strip()

    def over(self) -> dict[str, str]:
        """What SLURM says of it once it is over."""
        return self.cluster.wait(self.number)

    @property
    def output(self) -> str:
        """What it has printed."""
        path = self.folder / f"ist-mpi-{self.number}.out"
        return path.read_text(errors="replace") if path.exists() else ""

    def checkpoint(self) -> int:
        """The round of its newest checkpoint; −1 before there is one."""
        rounds = [path.name for path in self.log.with_suffix(".ckpt").glob("*") if path.is_dir()]
        return max((int(name) for name in rounds if name.isdecimal()), default=-1)

    def until_held(self, restarts: int = 0) -> None:
        """Wait until it stays, after so many restarts."""
        deadline = time.monotonic() + PATIENCE
        while not self.held.there(time=restarts):
            assert time.monotonic() < deadline, f"it does not begin\n{self.output}"
            time.sleep(0.05)

    def until_under_way(self, restarts: int = 0) -> None:
        """Wait until it makes rounds, after so many restarts, and has kept some of them."""
        deadline = time.monotonic() + PATIENCE
        while self.checkpoint() < 0 or self.output.count(GOING_ON) < restarts:
            assert time.monotonic() < deadline, f"it does not begin\n{self.output}"
            state = self.cluster.show(self.number)["JobState"]
            assert state != "COMPLETED", f"it was too fast\n{self.output}"
            time.sleep(0.05)
        time.sleep(0.5)

    def until_resumed(self, times: int) -> int:
        """Wait until it has gone on so many times; the round after which it did last."""
        deadline = time.monotonic() + PATIENCE
        while self.output.count(GOING_ON) < times:
            assert time.monotonic() < deadline, self.output
            time.sleep(0.1)
        return int(self.output.rpartition(GOING_ON)[2].split()[0])
