"""One SLURM cluster for all tests here."""

import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cluster import Cluster, obstacle
from submitted import CONFIG, SHORT, Job

import ist_mpi


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    if why := obstacle():
        pytest.skip(f"no SLURM cluster can be started: {why}")
    began, found = time.monotonic(), _started()
    try:
        print(f"SLURM cluster up after {time.monotonic() - began:.1f} s")
        yield found
    finally:
        found.stop()


def _started() -> Cluster:
    """A cluster; another one where a port was taken before its daemon had it."""
    for last in (False, False, True):
        found = Cluster()
        try:
            found.start()
        except BaseException as error:
            print(found.words())
            found.stop()
            if last or not isinstance(error, AssertionError):
                raise
        else:
            break
    return found


@pytest.fixture(scope="session")
def serial() -> Callable[[int], Any]:
    """The result of so many rounds, made in this process."""
    kept: dict[int, Any] = {}

    def of(rounds: int) -> Any:
        if rounds not in kept:
            kept[rounds] = ist_mpi.run(tomllib.loads(CONFIG.format(rounds=rounds)))
        return kept[rounds]

    return of


@pytest.fixture(scope="session")
def long(serial: Callable[[int], Any]) -> int:
    """Rounds that take one process ten seconds now, two ranks about six: time to disturb them."""
    serial(SHORT)  # compiles
    timed = ist_mpi.run(tomllib.loads(CONFIG.format(rounds=SHORT)))
    return int(10 * SHORT / timed.rounds["seconds"][-1])


@pytest.fixture
def job(cluster: Cluster, tmp_path: Path) -> Job:
    return Job(cluster, tmp_path)
