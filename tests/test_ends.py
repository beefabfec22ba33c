"""How a job ends when one rank fails alone: soon, with one message, with a code."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

FAILING = """
import sys
import ist_mpi
from ist_mpi.exchange import ranks
from ist_mpi.methods.ist import IndependentSubnetworkTraining as Method

one_round, world = Method.round, ranks.world()

def failing(self, k):
    if k == 40 and world.rank == {rank}:
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


@pytest.mark.parametrize("exchange", ["server", "replicated", "serverless"])
@pytest.mark.parametrize("rank", [0, 1, 2])
def test_one_rank_raises_in_the_middle(
    launch: Callable[..., object], tmp_path: Path, rank: int, exchange: str
) -> None:
    script = tmp_path / "failing.py"
    action = 'raise RuntimeError("made to fail")'
    out = str(tmp_path / "run.h5")
    script.write_text(FAILING.format(rank=rank, action=action, exchange=exchange, out=out))
    began = time.monotonic()
    done = launch(3, str(script), timeout=60)
    assert done.returncode != 0
    assert done.stderr.count("made to fail") == 1 + done.stderr.count('raise RuntimeError("made')
    assert done.stderr.count("Traceback") == 1
    assert f"rank {rank} of 3 failed" in done.stderr
    assert time.monotonic() - began < 30  # start-up included


def test_a_failing_rank_ends_the_job_within_five_seconds(
    launch: Callable[..., object], tmp_path: Path
) -> None:
    script = tmp_path / "failing.py"
    stamp = tmp_path / "stamp"
    action = f'open({str(stamp)!r}, "w").close(); raise RuntimeError("made to fail")'
    out = str(tmp_path / "run.h5")
    script.write_text(FAILING.format(rank=1, action=action, exchange="server", out=out))
    done = launch(3, str(script), timeout=60)
    assert done.returncode != 0
    assert time.time() - stamp.stat().st_mtime < 5


def test_the_log_of_a_failed_job_is_readable_and_not_finished(
    launch: Callable[..., object], tmp_path: Path
) -> None:
    import ist_mpi

    script = tmp_path / "failing.py"
    out = tmp_path / "run.h5"
    action = 'raise RuntimeError("made to fail")'
    script.write_text(FAILING.format(rank=1, action=action, exchange="server", out=str(out)))
    assert launch(2, str(script), timeout=60).returncode != 0
    run = ist_mpi.open_run(out)
    assert run.status == "running"
    assert run.rounds["round"].tolist() == [0]


BROKEN = """
import os, sys
from ist_mpi.cli import main

if os.environ["PMI_RANK"] == "1":
    {action}
sys.argv = ["ist-mpi", *{arguments!r}]
main()
"""


@pytest.mark.parametrize(
    ("action", "arguments"),
    [
        ("sys.modules['ist_mpi.api'] = None", ["run", "missing.toml"]),
        ("import ist_mpi.exchange.ranks as r; r.census = None", ["doctor"]),
    ],
    ids=["run", "doctor"],
)
def test_one_rank_fails_before_the_run(
    launch: Callable[..., object], tmp_path: Path, action: str, arguments: list[str]
) -> None:
    script = tmp_path / "broken.py"
    script.write_text(BROKEN.format(action=action, arguments=arguments))
    done = launch(3, str(script), timeout=60)
    assert done.returncode != 0
    assert "rank 1 of 3 failed" in done.stderr
