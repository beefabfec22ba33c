"""What the tests of faults share: jobs whose processes are all gone after the test."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from launched import DRIVE, Job

CONFIG = """
[problem]
kind = "synthetic"
d = 23
n = 5
[method]
name = "ist"
step_size = 1e-3
[run]
rounds = {rounds}
[log]
every = 7
"""

Start = Callable[..., Job]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start ist-mpi by drive.py: ``start(3, "run", "c.toml", hurry=0.1)``."""
    jobs: list[Job] = []

    def begin(p: int, *arguments: str, **drive: Any) -> Job:
        jobs.append(Job(p, DRIVE, *arguments, folder=tmp_path, **drive))
        return jobs[-1]

    yield begin
    for job in jobs:
        job.end()


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A configuration of 400 rounds."""
    path = tmp_path / "small.toml"
    path.write_text(CONFIG.format(rounds=400))
    return path
