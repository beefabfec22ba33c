"""Asked to stop: after the same round on every rank, with a checkpoint, code 75."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from launched import Job, Start
from same import same_run
from thinned import FULL

import ist_mpi
from ist_mpi.parallel import signals, watchdog
from ist_mpi.store import checkpoint
from ist_mpi.store import log as runlog

SIGNALS = signals.STOPPING
FORWARDED = (*signals.OUTSPOKEN, signal.SIGQUIT)
"""Of these, what mpiexec passes on; the others end it, and it ends its ranks."""
WHOM: list[tuple[int, int | None]] = [(0, None), (2, None), (3, 2)]
CASES = [(number, p, rank) for number in SIGNALS for p, rank in WHOM]
CASES = [case for case in CASES if case[0] in FORWARDED or case[1:] != (2, None)]
if not FULL:
    chosen = [(signal.SIGTERM, 0), (signal.SIGUSR1, 2), (signal.SIGINT, 3), (signal.SIGHUP, 0)]
    CASES = [case for case in CASES if case[:2] in chosen] + [(signal.SIGUSR1, 3, 2)]
STOPPED, INTERRUPTED = 75, 130


def log_of(small: Path) -> Path:
    return small.parent / "r.h5"


def under_way(log: Path) -> bool:
    return bool(checkpoint.rounds(checkpoint.folder_of(log)))


def run(start: Start, p: int, *more: str, **drive: Any) -> Job:
    arguments = ["run", "small.toml", "--out", "r.h5", "--set", "run.checkpoint_every=0.05", *more]
    # More than a minute from the first checkpoint to the end: it comes to an end by the signal.
    return start(p, *arguments, **{"hurry": 0.0, "pause": 0.2, **drive})


def goes_on_to_the_same_end(start: Start, small: Path, p: int = 2) -> None:
    job = start(p, "resume", "r.h5")
    assert job.wait() == 0, job.errors
    same_run(runlog.open_run(log_of(small)), ist_mpi.run(small))


@pytest.mark.parametrize(("number", "p", "rank"), CASES)
def test_in_the_main_loop(start: Start, small: Path, number: int, p: int, rank: int | None) -> None:
    job = run(start, p)
    assert job.until(lambda: under_way(log_of(small)))
    began, allowed = time.monotonic(), job.patience(20.0)
    job.signal(number, rank)
    assert job.wait() == STOPPED, job.errors
    assert time.monotonic() - began < allowed
    stopped = runlog.open_run(log_of(small))
    assert (stopped.status, stopped.stop_reason) == ("stopped", signal.Signals(number).name)
    assert "Traceback" not in job.errors
    goes_on_to_the_same_end(start, small, p=1)


def test_what_was_ignored_at_the_start_stays_so(start: Start, small: Path) -> None:
    """Under nohup a run goes on, also with an MPI library that catches SIGHUP for itself."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        job = run(start, 0)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert job.until(lambda: under_way(log_of(small)))
    job.signal(signal.SIGHUP)
    assert not handles(job.process.pid, signal.SIGHUP)
    job.signal(signal.SIGTERM)
    assert job.wait() == STOPPED, job.errors
    assert runlog.open_run(log_of(small)).stop_reason == "SIGTERM"


@pytest.mark.parametrize("number", signals.STOPPING)
def test_every_signal_is_noted(number: int) -> None:
    """Also again after what a library that is loaded then makes of it."""
    before = {each: signal.getsignal(each) for each in signals.STOPPING}
    try:
        signals.install()
        with signals.kept():
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        assert signals.requested() == number
    finally:
        signals.forget()
        for each, handler in before.items():
            signal.signal(each, handler)


def test_ctrl_c_reaches_everybody_twice(start: Start, small: Path) -> None:
    """The terminal sends it to all, and mpiexec passes its own on: that is one request."""
    job = run(start, 2, same_seconds=60.0)  # mpiexec may take its time
    assert job.until(lambda: under_way(log_of(small)))
    for rank in (0, 1):
        job.signal(signal.SIGINT, rank)
    job.signal(signal.SIGINT)
    assert job.wait() == STOPPED, job.errors


UNTIL_ASKED = (
    "from ist_mpi.parallel import signals\nwhile not signals.requested(): time.sleep(0.01)\n"
)
"""An action that is over when the rank has been asked to stop."""


@pytest.mark.parametrize("p", [0, 3])
def test_twice_aborts(start: Start, small: Path, p: int) -> None:
    """The rank that is asked is busy, knows of the first request, and does not come to heed it."""
    action = UNTIL_ASKED + "open('asked', 'w').close()\ntime.sleep(600)"
    job = run(start, p, where="after", rank=0, action=action, stamp="stamp")
    assert job.until(lambda: (small.parent / "stamp").exists())
    job.signal(signal.SIGINT, rank=0)
    assert job.until(lambda: (small.parent / "asked").exists())
    time.sleep(signals.SAME_SECONDS + 0.1)
    job.signal(signal.SIGINT, rank=0)
    assert job.wait() == INTERRUPTED, job.errors
    assert "Traceback" not in job.errors
    assert job.errors.count("interrupted") == 1
    assert runlog.open_run(log_of(small)).status != "finished"


def test_during_a_checkpoint(start: Start, small: Path) -> None:
    """The first takes until the signal comes, in the middle of it."""
    job = run(start, 2, where="checkpoint", rank=1, action=UNTIL_ASKED, stamp="stamp")
    assert job.until(lambda: (small.parent / "stamp").exists())
    job.signal(signal.SIGTERM, rank=1)
    assert job.wait() == STOPPED, job.errors
    goes_on_to_the_same_end(start, small)


def test_during_a_long_kernel(start: Start, small: Path) -> None:
    """A round of half a second and more in compiled code: the signal waits for its end."""
    big = ["--set", "problem.d=700", "--set", "problem.n=1", "--set", "method.local_steps=3000"]
    job = run(start, 0, *big, "--set", "method.step_size=1e-6", pause=0.0)
    assert job.until(lambda: under_way(log_of(small)))
    time.sleep(0.5)
    job.signal(signal.SIGTERM)
    assert job.wait() == STOPPED, job.errors
    run_ = runlog.open_run(log_of(small))
    assert run_.status == "stopped"
    assert checkpoint.newest(checkpoint.folder_of(log_of(small)), None)[0] is not None


def test_from_the_handlers_on(start: Start, small: Path) -> None:
    """As early as there is a handler: the run starts, finds the note, and stops at round 0."""
    job = Job(0, "-m", "ist_mpi", "run", "small.toml", "--out", "r.h5", folder=small.parent)
    while not handles(job.process.pid, signal.SIGTERM):
        assert job.process.poll() is None
    early = time.monotonic() - job.began
    job.signal(signal.SIGTERM)
    assert job.wait() == STOPPED, job.errors
    assert runlog.open_run(log_of(small)).rounds["round"].tolist() == [0]
    assert checkpoint.rounds(checkpoint.folder_of(log_of(small))) == [0]
    sys.stderr.write(f"handlers in place after {early:.3f} s\n")
    goes_on_to_the_same_end(start, small, p=0)


def handles(pid: int, number: int) -> bool:
    """Whether a process has a handler for a signal, from what Linux tells of it."""
    try:
        with open(f"/proc/{pid}/status") as file:
            masks = dict(line.split(":\t") for line in file if ":\t" in line)
    except FileNotFoundError:
        return False
    caught = int(masks["SigCgt"], 16)
    return bool(caught >> (number - 1) & 1) and os.path.exists(f"/proc/{pid}")


@pytest.mark.parametrize("p", [0, 2])
def test_time_that_a_job_stands_still_is_no_lack_of_progress(
    start: Start, small: Path, p: int
) -> None:
    """SIGSTOP, twice as long as the watchdog waits for progress, as when a job is suspended."""
    job = run(
        start,
        *(p, "--set", "run.watchdog_seconds=1"),
        **{"grace_seconds": 0.5, "setup_factor": 1000.0, "lively": True},
    )
    assert job.until(lambda: under_way(log_of(small)))
    ranks = job.ranks()
    assert len(ranks) == max(p, 1)
    for number in (signal.SIGSTOP, signal.SIGCONT):
        for process in ranks.values():
            process.send_signal(number)
        time.sleep(2.5 if number == signal.SIGSTOP else 0.5)
    job.signal(signal.SIGTERM)
    assert job.wait() == STOPPED, job.errors
    assert "no progress" not in job.errors
    assert "Timeout" not in job.errors


STARTING = """
import sys, time
from ist_mpi.kernels import countdown
from ist_mpi.parallel import watchdog
watchdog.limit(2.0)
watchdog.hand_over()
print("limited", flush=True)
if len(sys.argv) > 1:
    time.sleep(600)
sys.stdin.read()
"""


@pytest.mark.slow
def test_a_start_that_stands_still_is_not_over_its_limit() -> None:
    """But one that does not come to its problem is."""
    command = [sys.executable, "-c", STARTING]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    stopped, waiting = (
        subprocess.Popen([*command, *more], **pipes, text=True) for more in ([], ["waits"])
    )
    with stopped, waiting:
        assert stopped.stdout
        assert stopped.stdout.readline() == "limited\n"
        stopped.send_signal(signal.SIGSTOP)
        assert waiting.wait(60) == 1
        assert waiting.stderr
        assert "Timeout (2 s) of a start" in waiting.stderr.read()
        time.sleep(2.5)
        stopped.send_signal(signal.SIGCONT)
        _, said = stopped.communicate(timeout=60)
        assert (stopped.returncode, said) == (0, "")


def test_a_clock_that_stands_still_with_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    awake, seen = watchdog.Awake(2.0), []
    for pause in (0.5, 2.0, 3600.0, 1.0):
        now[0] += pause
        seen.append(awake.seconds())
    assert seen == [0.5, 2.5, 4.5, 5.5]


def test_max_seconds(start: Start, small: Path) -> None:
    job = run(start, 2, "--set", "run.max_seconds=0.5")
    assert job.wait() == STOPPED, job.errors
    stopped = runlog.open_run(log_of(small))
    assert (stopped.status, stopped.stop_reason) == ("stopped", "max_seconds = 0.5")
    resumed = start(3, "run", "small.toml", "--out", "r.h5", "--resume")
    assert resumed.wait() == 0, resumed.errors
    same_run(runlog.open_run(log_of(small)), ist_mpi.run(small))
