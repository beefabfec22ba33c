"""The disk fails: code 74, one line, what was committed intact; with space it goes on."""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import call
from launched import Job, Start
from same import same_run

import ist_mpi
from ist_mpi.config import load
from ist_mpi.store import checkpoint
from ist_mpi.store import log as runlog

FAILED = 74


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte; skipped where none may be mounted."""
    path = tmp_path / "disk"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(path)]
    try:
        done = subprocess.run(mount, capture_output=True, check=False)
    except OSError:
        pytest.skip("no mount")
    if done.returncode:
        pytest.skip("nothing may be mounted here")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=False)


def begin(start: Start, log: Path, p: int = 2) -> Job:
    often = ["--set", "run.checkpoint_every=0.05"]
    # More than a minute from the second checkpoint to the end: time for any fault.
    job = start(p, "run", "small.toml", "--out", str(log), *often, hurry=0.0, pause=0.2)
    assert job.until(lambda: len(checkpoint.rounds(checkpoint.folder_of(log))) > 1)
    return job


def fails_in_order(job: Job, log: Path) -> None:
    assert job.wait() == FAILED, job.errors
    assert len(job.complaints) == 1, job.errors
    assert "Traceback" not in job.errors
    assert "cannot be written" in job.errors
    whole(log)


def whole(log: Path) -> None:
    run = runlog.open_run(log)
    assert run.status == "running"
    kept, complaints = checkpoint.newest(checkpoint.folder_of(log), None)
    assert kept is not None
    assert complaints == []


def nothing_left(log: Path) -> None:
    names = {path.name for path in log.parent.iterdir()}
    assert names <= {"r.h5", "r.ckpt", "filler"}, names
    assert all(path.name.isdecimal() for path in checkpoint.folder_of(log).iterdir())


def goes_on(start: Start, small: Path, log: Path) -> None:
    job = start(3, "resume", str(log))
    assert job.wait() == 0, job.errors
    same_run(runlog.open_run(log), ist_mpi.run(small))


def test_full(start: Start, small: Path, disk: Path) -> None:
    log = disk / "r.h5"
    job = begin(start, log)
    with (disk / "filler").open("wb", buffering=0) as file:
        while job.process.poll() is None:  # what the run sets free is taken too
            try:
                file.write(bytes(4096))
            except OSError:
                time.sleep(0.001)
    fails_in_order(job, log)
    nothing_left(log)
    (disk / "filler").unlink()
    goes_on(start, small, log)


def test_read_only(start: Start, small: Path, disk: Path) -> None:
    log = disk / "r.h5"
    job = begin(start, log)
    # Itself on top of itself: the lock file, open for writing below, is not in the way.
    subprocess.run(["mount", "--bind", str(disk), str(disk)], check=True)
    remount = ["mount", "-o", "remount,bind,ro", str(disk)]
    # Refused in the very moment in which the run has a file open there.
    assert job.until(lambda: subprocess.run(remount, capture_output=True).returncode == 0)
    fails_in_order(job, log)
    assert "Read-only" in job.errors
    subprocess.run(["umount", "-l", str(disk)], check=True)
    goes_on(start, small, log)


@pytest.mark.parametrize("p", [0, 2])
def test_no_larger_files(start: Start, small: Path, p: int) -> None:
    """A limit on the size of files, for those who may not mount: the log outgrows it."""
    log = small.parent / "out" / "r.h5"
    small.write_text(small.read_text().replace("every = 7", "every = 4\niterates = true"))
    log.parent.mkdir()
    ist_mpi.run({**load(small).to_dict(), "run": {"rounds": 100}}, out=log)
    largest = log.stat().st_size
    log.unlink()
    often = ["--set", "run.checkpoint_every=0.05"]
    arguments = ["run", "small.toml", "--out", str(log), *often]
    job = start(p, *arguments, hurry=0.0, pause=0.004, largest_file=largest)
    fails_in_order(job, log)
    nothing_left(log)
    goes_on(start, small, log)


def test_vanished(start: Start, small: Path) -> None:
    log = small.parent / "out" / "r.h5"
    job = begin(start, log)
    shutil.move(log.parent, small.parent / "elsewhere")
    assert job.wait() == FAILED, job.errors
    assert len(job.complaints) == 1, job.errors
    assert not log.parent.exists()
    whole(small.parent / "elsewhere" / "r.h5")
    goes_on(start, small, small.parent / "elsewhere" / "r.h5")


@pytest.mark.slow
def test_too_little_to_share(small: Path) -> None:
    """Of a container: no bus error, but a copy for every rank, and the same bits."""
    settings = ["--set", "problem.heterogeneous=false", "--set", "problem.d=800"]
    settings += ["--set", "run.rounds=3", "--set", "run.theory=false"]
    python = f"{sys.executable} -m ist_mpi run small.toml {' '.join(settings)} --out"
    mpiexec = Path(sys.executable).with_name("mpiexec")
    mount = "mount -t tmpfs -o size=3m none /dev/shm || exit 99"
    words = ["unshare", "-m", "sh", "-c", f"{mount}; {mpiexec} -n 2 {python} r.h5"]
    if shutil.which("unshare") is None:
        pytest.skip("no unshare")
    done = subprocess.run(words, cwd=small.parent, capture_output=True, text=True, timeout=300)
    if done.returncode in (1, 99) and "ist-mpi" not in done.stderr:
        pytest.skip("nothing may be mounted here")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("every rank has a copy") == 1
    call("run", str(small), *settings, "--out", str(small.parent / "alone.h5"))
    same_run(runlog.open_run(small.parent / "r.h5"), runlog.open_run(small.parent / "alone.h5"))
