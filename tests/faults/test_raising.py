"""One rank raises, exits, is gone, or hangs: the job ends soon, says why once, and is not done."""

import time
from pathlib import Path

import pytest
from launched import Job, Start
from thinned import FULL

from ist_mpi.store import log as runlog

RAISE = 'raise RuntimeError("made to fail")'
LEAVE = "sys.exit(0)"
VANISH = "os._exit(0)"
SLEEP = "time.sleep(3600)"
STUCK = "stuck()"
STOP = "os.kill(os.getpid(), 19)"

ENDING = [
    ("start", RAISE, 1),
    ("loaded", RAISE, 2),
    ("set-up", RAISE, 1),
    ("before", LEAVE, 2),
    ("inside", RAISE, 1),
    ("after", VANISH, 0),
    ("inside", VANISH, 2),
    ("checkpoint", RAISE, 2),
    ("publish", VANISH, 0),
    ("finish", LEAVE, 1),
    ("commit", RAISE, 0),
    ("set-up", VANISH, 2),
    ("loaded", VANISH, 1),
    ("start", LEAVE, 1),
]
HANGING = [
    ("inside", SLEEP, 1),
    ("checkpoint", SLEEP, 2),
    ("inside", STUCK, 0),
    ("before", STOP, 1),
    ("set-up", SLEEP, 2),
    ("start", SLEEP, 1),
    ("start", VANISH, 1),
]
if FULL:
    places = ("loaded", "reading", "set-up", "opening", "before", "inside", "after")
    places += ("checkpoint", "publish", "commit", "finish")
    root_only = ("reading", "publish", "commit")
    everywhere = [
        (place, rank) for place in places for rank in ((0,) if place in root_only else (0, 1, 2))
    ]
    ENDING = [
        (place, action, rank) for place, rank in everywhere for action in (RAISE, LEAVE, VANISH)
    ]
    HANGING = [
        *((place, action, rank) for place, rank in everywhere for action in (SLEEP, STUCK)),
        *HANGING,
    ]
SECONDS = 10.0
"""From the fault to the end of everything; much less on an idle machine. As long as the start took
is allowed too, on a machine that is slow or has other work."""


def not_finished(log: Path) -> bool:
    """Whether a log's absence or status says that the run has not finished."""
    return not log.exists() or runlog.open_run(log).status != "finished"


def struck(
    start: Start, small: Path, place: str, action: str, rank: int, *more: str, **drive: float
) -> tuple[Job, int, float, float]:
    """The job with the fault, its code, seconds from the fault to the end, and those allowed."""
    stamp = small.parent / "stamp"
    arguments = ["run", "small.toml", "--out", "r.h5", "--set", "run.rounds=60", *more]
    arguments += ["--set", "run.checkpoint_every=0.2"]
    fault = {"where": place, "action": action, "rank": rank, "stamp": str(stamp)}
    # which loads MPI; and a run long enough for checkpoints, however fast the machine
    hurry = {} if place == "start" else {"hurry": 0.0, "pause": 0.05}
    began = time.time()
    job = start(3, *arguments, **hurry, **fault, **drive)
    code = job.wait()
    assert stamp.exists(), f"the fault did not strike\n{job.errors}"
    at = float(stamp.read_text())
    return job, code, time.time() - at, max(SECONDS, at - began)


@pytest.mark.parametrize(("place", "action", "rank"), ENDING)
def test_the_job_ends(start: Start, small: Path, place: str, action: str, rank: int) -> None:
    job, code, seconds, allowed = struck(start, small, place, action, rank)
    assert seconds < allowed
    log = small.parent / "r.h5"
    if place == "finish":  # the log is complete
        assert code != 0 or runlog.open_run(log).status == "finished"
    else:  # of who just vanishes with code 0, mpiexec may say nothing
        assert code != 0 or action == VANISH
        assert not_finished(log)
    if action == RAISE:
        assert job.errors.count("Traceback") == 1, job.errors
        assert job.errors.count("RuntimeError: made to fail") == 1
        if place not in ("start", "loaded"):  # before MPI has numbered the ranks
            assert f"rank {rank} of 3 failed" in job.errors


@pytest.mark.parametrize(("place", "action", "rank"), HANGING)
def test_a_hang_ends(start: Start, small: Path, place: str, action: str, rank: int) -> None:
    """Within the watchdog's seconds, and with the stacks of all ranks that still run."""
    patience = ["--set", "run.watchdog_seconds=2"]
    if place == "start":  # alone under the limit of a start
        drive: dict[str, float] = {"start_seconds": 15}
    else:
        drive = {"setup_factor": 3.0, "lively": True}
    job, code, seconds, allowed = struck(start, small, place, action, rank, *patience, **drive)
    assert code != 0
    assert not_finished(small.parent / "r.h5") or place == "finish"
    assert seconds < allowed + 15
    stacks = job.errors.count("no progress for") + job.errors.count("Timeout (")
    expected = {STOP: 2, VANISH: 1}.get(action, 3)
    if place == "start":  # each alone: the first to end ends the others
        expected = 1
    assert stacks >= expected, job.errors
    if action == SLEEP and place != "start":
        assert SLEEP in job.errors or "strike" in job.errors
