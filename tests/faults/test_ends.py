"""How a job ends when one rank fails alone: soon, with one message, with a code."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from thinned import thinned

FAILING = """
import sys
import ist_mpi
from ist_mpi.parallel import ranks
from ist_mpi.methods.ist import IndependentSubnetworkTraining as Method

one_round, world = Method.round, ranks.world()

def failing(self, k):
    if k == 40 and world.rank == {rank}:
        open({stamp!r}, "w").close()
        {action}
    return one_round(self, k)

Method.round = failing
ist_mpi.run(
    {{
        "problem": {{"kind": "synthetic", "d": 40, "n": 6}},
        "method": {{"name": "ist", "step_size": 1e-4}},
        "run": {{"rounds": 10**9, "exchange": "{exchange}"}},
        "log": {{"every": 1000}},
    }},
    out={out!r},
)
"""


Launch = Callable[..., subprocess.CompletedProcess[str]]
SECONDS = 5.0
"""From the failure to the end of the job. As long as the start took is allowed too, on a machine
that is slow or has other work."""


def fails(
    launch: Launch, folder: Path, p: int, rank: int, exchange: str = "server"
) -> subprocess.CompletedProcess[str]:
    """A job, one rank of which raises in the middle; the log is run.h5. It ends soon."""
    script, stamp = folder / "failing.py", folder / "stamp"
    script.write_text(
        FAILING.format(
            rank=rank,
            action='raise RuntimeError("made to fail")',
            exchange=exchange,
            out=str(folder / "run.h5"),
            stamp=str(stamp),
        )
    )
    began = time.time()
    done = launch(p, str(script))
    failed = stamp.stat().st_mtime
    assert time.time() - failed < max(SECONDS, failed - began)
    assert done.returncode != 0
    return done


@pytest.mark.parametrize(
    ("rank", "exchange"), thinned([0, 1, 2], ["server", "replicated", "serverless"], strength=1)
)
def test_one_rank_raises_in_the_middle(
    launch: Launch, tmp_path: Path, rank: int, exchange: str
) -> None:
    done = fails(launch, tmp_path, 3, rank, exchange)
    assert done.stderr.count("made to fail") == 1 + done.stderr.count('raise RuntimeError("made')
    assert done.stderr.count("Traceback") == 1
    assert f"rank {rank} of 3 failed" in done.stderr


def test_the_log_of_a_failed_job_is_readable_and_not_finished(
    launch: Launch, tmp_path: Path
) -> None:
    import ist_mpi

    fails(launch, tmp_path, 2, rank=1)
    run = ist_mpi.open_run(tmp_path / "run.h5")
    assert run.status == "running"
    assert run.rounds["round"].tolist() == [0]


BROKEN = """
import os, sys
from ist_mpi.cli.main import main

if os.environ["PMI_RANK"] == "1":
    {action}
sys.argv = ["ist-mpi", *{arguments!r}]
main()
"""


@pytest.mark.parametrize(
    ("action", "arguments"),
    [
        ("sys.modules['ist_mpi.training.api'] = None", ["run", "missing.toml"]),
        ("import ist_mpi.parallel.ranks as r; r.census = None", ["doctor"]),
    ],
    ids=["run", "doctor"],
)
def test_one_rank_fails_before_the_run(
    launch: Launch, tmp_path: Path, action: str, arguments: list[str]
) -> None:
    script = tmp_path / "broken.py"
    script.write_text(BROKEN.format(action=action, arguments=arguments))
    done = launch(3, str(script))
    assert done.returncode != 0
    assert "rank 1 of 3 failed" in done.stderr
