"""SIGKILL at random moments, and another number of ranks afterwards: the same bits in the end."""

import random
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from launched import Start
from same import same_run
from thinned import FULL
from unbiased import VARIANTS

import ist_mpi
from ist_mpi.config import load
from ist_mpi.store import checkpoint
from ist_mpi.store import log as runlog

LOG = {"every": 4}
EVERYTHING = {"every": 3, "iterates": True, "permutations": True}
CASES: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "merge, server": ({}, {"exchange": "server"}, LOG),
    "merge, serverless": ({}, {"exchange": "serverless"}, LOG),
    "preconditioned, replicated": (
        {"scaling": "preconditioned"},
        {"exchange": "replicated"},
        LOG,
    ),
    "dcgd, rand": ({"name": "dcgd", "sketch": "rand", "q": 4}, {"exchange": "server"}, LOG),
    "3 local steps, everything logged": ({"local_steps": 3}, {"exchange": "server"}, EVERYTHING),
}
UNBIASED = VARIANTS if FULL else {"marina_p": VARIANTS["marina_p"]}
"""Without the bias; that one has vectors of workers and of the server, and coins."""
CASES |= {name: (settings, {"exchange": "server"}, LOG) for name, settings in UNBIASED.items()}
KILLS = 40 if FULL else 4
"""Of each case."""
SEED = 20


def configuration(case: str, path: Path) -> dict[str, Any]:
    """A case of 300 rounds, also written to a file."""
    method, run, log = CASES[case]
    config: dict[str, Any] = {
        "problem": {"kind": "synthetic", "d": 23, "n": 5, "seed": 3},
        "method": {"name": "ist", "step_size": 1e-3, **method},
        "run": {"rounds": 300, "checkpoint_every": 0.03, **run},
        "log": log,
    }
    path.write_text(load(config).to_toml())
    return config


class Reader:
    """Opens the log again and again, as an onlooker does."""

    def __init__(self, log: Path) -> None:
        self.log, self.opened, self.rows = log, 0, 0

    def look(self) -> None:
        """The log opens, if it is there, and is never shorter than what a checkpoint has."""
        if self.log.exists():
            run = runlog.open_run(self.log)
            assert len(run.rounds["round"]) == run.attributes["committed"] >= 1
            assert (np.diff(run.rounds["round"]) > 0).all()
            self.opened += 1

    def until(self, when: float) -> None:
        """Look until then."""
        while time.monotonic() < when:
            self.look()
            time.sleep(0.005)


def newest_round(log: Path) -> int:
    return max(checkpoint.rounds(checkpoint.folder_of(log)), default=-1)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("case", CASES)
def test_killed_again_and_again(start: Start, tmp_path: Path, case: str) -> None:
    config = configuration(case, tmp_path / "c.toml")
    expected = ist_mpi.run(config)
    dice = random.Random(f"{SEED} {case}")
    kills, log = 0, tmp_path / "r.h5"
    reader = Reader(log)
    while True:
        p = dice.choice([1, 2, 3])
        before = newest_round(log)
        arguments = ["run", "c.toml", "--out", "r.h5", "--resume"]
        job = start(p, *arguments, hurry=0.0, pause=0.01)

        def under_way(old: int = before) -> bool:
            reader.look()
            return newest_round(log) > old

        if kills < KILLS:
            if dice.random() < 0.25:  # anywhere in the start
                reader.until(time.monotonic() + dice.uniform(0.0, 2.0))
            else:
                job.until(under_way)  # or over: what was left of it took no time
            reader.until(time.monotonic() + dice.uniform(0.0, 0.15))
            if job.process.poll() is None:
                kill(job, dice)
                kills += 1
                job.wait()
                reader.look()
                continue
        code = job.wait()
        assert code == 0, job.errors
        same_run(runlog.open_run(log), expected)
        if kills >= KILLS:
            break
        log.unlink()  # finished before all kills: once more
    print(f"{case}: {kills} kills, the log opened {reader.opened} times")
    assert reader.opened > 20
    assert sorted(path.name for path in tmp_path.glob("r.*")) == ["r.h5"]
    assert not list(tmp_path.glob(".ist-mpi*"))


def kill(job: Any, dice: random.Random) -> None:
    """One rank, all ranks, or mpiexec."""
    ranks = job.ranks()
    which = dice.choice(["one", "all", "mpiexec"])
    if which == "mpiexec" or not ranks:
        job.signal(signal.SIGKILL)
        return
    for rank in [dice.choice(sorted(ranks))] if which == "one" else sorted(ranks):
        try:
            ranks[rank].send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue  # it went with the first
