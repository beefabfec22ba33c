"""What all tests share: a failure on one rank ends the job, and a run of no tests is a failure."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from launched import CONFIG, DRIVE, Job, Start

PASSED = {"count": 0}

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # A shell that starts the tests in the background has them ignore Ctrl-C, and they pass that on
    # to every process they start and interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples every time, and no clock: how long one takes says nothing of what is tested.
settings.register_profile(
    "steady", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("steady")


def _world() -> Any:
    """COMM_WORLD under a launcher, else None: the serial tests do not start MPI for this."""
    if not any(name in os.environ for name in ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE")):
        return None
    from mpi4py import MPI

    return MPI.COMM_WORLD


STARTING = {"launch", "start", "others", "cluster"}
"""Fixtures that start processes."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What starts a process is slow, whoever forgets to say so."""
    for item in items:
        if STARTING & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    world = _world()
    if world is not None and world.rank > 0:
        reporter = config.pluginmanager.getplugin("terminalreporter")
        config.pluginmanager.unregister(reporter)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    PASSED["count"] += report.when == "call" and report.passed
    world = _world()
    if report.failed and world is not None and world.size > 1:
        # The other ranks may wait for this one in a collective, for ever.
        text = f"\nrank {world.rank} of {world.size}: {report.nodeid}\n{report.longreprtext}\n"
        sys.stderr.write(text)
        sys.stderr.flush()
        world.Abort(1)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if hasattr(session.config, "workerinput"):
        return  # of xdist, whose tests the main process counts
    if exitstatus == 0 and PASSED["count"] == 0 and not session.config.option.collectonly:
        sys.stderr.write("no test passed: under mpiexec, tests/mpi needs --with-mpi\n")
        session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED


@pytest.fixture
def launch() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command line on p ranks: ``launch(3, "-m", "ist_mpi", "doctor")``, p = 0: no launcher.

    The mpiexec beside this python is used; five minutes without an end are a failure: most commands
    take seconds, but the first ones compile, and the machine may be slow or have other work.
    """

    def run(p: int, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        mpiexec = Path(sys.executable).with_name("mpiexec")
        launcher = [str(mpiexec), "-n", str(p)] if p else []
        return subprocess.run(
            [*launcher, sys.executable, *arguments],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    return run


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
