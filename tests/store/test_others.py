"""Other runs and other configurations: who may write a log, and what may be gone on with."""

import errno
import fcntl
import json
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import h5py
import numpy as np
import pytest
from launched import Job, Start

import ist_mpi
from ist_mpi.errors import LockedError
from ist_mpi.store import checkpoint, locks
from ist_mpi.store import log as runlog

LOCKED, MISMATCH = 73, 65


def begin(start: Start, small: Path, pause: float = 0.5) -> Job:
    """A run that takes hundreds of times `pause`, with a checkpoint."""
    arguments = ["run", "small.toml", "--out", "r.h5", "--set", "run.checkpoint_every=0.05"]
    job = start(2, *arguments, hurry=0.0, pause=pause)
    assert job.until(lambda: bool(checkpoint.rounds(small.parent / "r.ckpt")))
    return job


def test_a_second_start(start: Start, small: Path) -> None:
    """Refused while the first runs, not after it was killed; a reader disturbs nobody."""
    first = begin(start, small, pause=2.0)
    with h5py.File(small.parent / "r.h5", "r"):
        for command in (
            ["run", "small.toml", "--out", "r.h5", "--resume"],
            ["resume", "r.h5"],
        ):
            second = start(2, *command)
            assert second.wait() == LOCKED, second.errors
            assert len(second.complaints) == 1
            assert "is writing this log" in second.errors
        assert first.process.poll() is None
        first.signal(signal.SIGKILL, rank=0)
        assert first.wait() != 0
        assert (small.parent / "r.h5.lock").exists()
        third = start(0, "resume", "r.h5")
        assert third.wait() == 0, third.errors
    assert runlog.open_run(small.parent / "r.h5").status == "finished"
    assert not (small.parent / "r.h5.lock").exists()


def test_changed_configuration_and_data(start: Start, small: Path) -> None:
    """Another configuration is refused; other data behind the same path too."""
    stream = np.random.default_rng(1)
    B = stream.standard_normal((5, 23, 23))
    for scale in (1.0, 1.5):
        with h5py.File(small.parent / f"data{scale}.h5", "w") as file:
            file["L"], file["b"] = scale * B.transpose(0, 2, 1) @ B, np.ones((5, 23))
    (small.parent / "data1.0.h5").rename(small.parent / "data.h5")
    text = small.read_text().replace('kind = "synthetic"\nd = 23\nn = 5', 'kind = "arrays"')
    small.write_text(text.replace('"arrays"', '"arrays"\npath = "data.h5"'))
    job = begin(start, small)
    job.signal(signal.SIGTERM, rank=1)
    assert job.wait() == 75, job.errors
    log = small.parent / "r.h5"
    before = log.read_bytes()
    resume = ["run", "small.toml", "--out", "r.h5", "--resume"]
    changed = start(1, *resume, "--set", "method.step_size=2e-3")
    assert changed.wait() == MISMATCH, changed.errors
    assert "method.step_size" in changed.errors
    kept = (small.parent / "data.h5").rename(small.parent / "kept.h5")
    (small.parent / "data1.5.h5").rename(small.parent / "data.h5")
    for command in (resume, ["resume", "r.h5"]):
        changed = start(1, *command)
        assert changed.wait() == MISMATCH, changed.errors
        assert "other data" in changed.errors
    assert log.read_bytes() == before
    kept.rename(small.parent / "data.h5")
    assert start(0, *resume).wait() == 0


def test_a_damaged_newest_checkpoint(start: Start, small: Path) -> None:
    """The one before it is taken, which is said; with none whole, the run starts anew."""
    job = begin(start, small)
    assert job.until(lambda: len(checkpoint.rounds(small.parent / "r.ckpt")) > 1)
    job.signal(signal.SIGKILL)
    job.wait()
    newest, older = checkpoint.rounds(small.parent / "r.ckpt")[:2]
    (small.parent / "r.ckpt" / f"{newest:012d}" / checkpoint.MANIFEST).unlink()
    (small.parent / "r.ckpt" / ".unfinished-999").mkdir()
    resumed = start(0, "resume", "r.h5")
    assert resumed.wait() == 0
    assert "skipping a checkpoint" in resumed.errors
    assert f"going on after round {older}" in resumed.errors
    expected = ist_mpi.run(small)
    assert runlog.open_run(small.parent / "r.h5").x.tobytes() == expected.x.tobytes()
    assert not (small.parent / "r.ckpt").exists()


def test_checkpoints_of_a_replaced_run_are_gone(tmp_path: Path) -> None:
    """Else a later round's would outlive, and be taken for, those of the new run."""
    folder = tmp_path / "r.ckpt" / f"{10**6:012d}"
    folder.mkdir(parents=True)
    config = {
        "problem": {"kind": "synthetic", "d": 4, "n": 2},
        "method": {"name": "ist", "step_size": 1e-3},
        "run": {"rounds": 3},
    }
    ist_mpi.run(config, out=tmp_path / "r.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["r.h5"]


@pytest.mark.parametrize("answer", [errno.ENOLCK, errno.EOPNOTSUPP, 524])
def test_no_locks_there(answer: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the file system has no locks, the existence of a file is one."""

    def refuse(handle: int, operation: int) -> None:
        raise OSError(answer, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    log = tmp_path / "r.h5"
    with locks.locked(log):
        (held,) = tmp_path.iterdir()
        assert set(json.loads(held.read_text())) == {"host", "pid", "slurm_job_id"}
        with pytest.raises(LockedError, match=r"remove .*r\.h5\.locked"), locks.locked(log):
            pass
        held.write_text("")  # by a run that is just about to write its name
        with pytest.raises(LockedError, match="another process"), locks.locked(log):
            pass
    assert list(tmp_path.iterdir()) == []
    with locks.locked(log):
        pass


@pytest.mark.slow
def test_a_lock_changes_hands(tmp_path: Path) -> None:
    """A lock file that its holder removes is not taken for one's own."""
    log = tmp_path / "r.h5"
    handle = locks.path_of(log).open("w")
    fcntl.flock(handle, fcntl.LOCK_EX)
    with pytest.raises(LockedError), locks.locked(log):
        pass
    locks.path_of(log).unlink()
    with locks.locked(log):
        handle.close()
        with pytest.raises(LockedError), locks.locked(log):
            pass


def test_a_forked_process_has_no_part_in_a_lock(tmp_path: Path) -> None:
    """It neither keeps the lock when its parent is gone, nor takes it away when it ends itself."""
    log = tmp_path / "r.h5"
    ready, go_on = os.pipe(), os.pipe()
    parent = os.fork()
    if parent == 0:
        with suppress(EOFError), locks.locked(log):
            if os.fork() == 0:
                os.read(go_on[0], 1)
                raise EOFError  # through `locked`
            os.write(ready[1], b"x")
            os.kill(os.getpid(), signal.SIGSTOP)
        os._exit(1)
    assert os.read(ready[0], 1) == b"x"
    assert locks.look(log).state == "held"
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    assert locks.look(log).state == "left"
    with locks.locked(log):
        os.write(go_on[1], b"x")
        time.sleep(0.2)
        assert locks.look(log).state == "held"
        with pytest.raises(LockedError), locks.locked(log):
            pass
    for end in (*ready, *go_on):
        os.close(end)


@pytest.mark.parametrize("plant", ["a FIFO", "a link", "another name of a file"])
def test_a_planted_lock(tmp_path: Path, plant: str) -> None:
    """It is not waited for, not followed, and what it names is not emptied."""
    log, victim = tmp_path / "r.h5", tmp_path / "victim"
    victim.write_text("dear")
    path = locks.path_of(log)
    if plant == "a FIFO":
        os.mkfifo(path)
    elif plant == "a link":
        path.symlink_to(victim)
    else:
        os.link(victim, path)
    assert locks.look(log).state in ("unknown", "left")
    assert locks.holder(log) is None
    if plant != "a FIFO":  # which no run comes to: see companion_faults
        with pytest.raises(OSError, match=r"r\.h5\.lock"), locks.locked(log):
            pass
    assert victim.read_text() == "dear"


@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
@pytest.mark.parametrize("size", [0, 1, -1])
def test_a_cut_cache_of_kernels_heals(tmp_path: Path, suffix: str, size: int) -> None:
    """A compiled function whose file was cut short is compiled again."""
    from ist_mpi import kernels
    from ist_mpi.kernels import cache, model

    model.all_finite(np.zeros(1))
    whole = next(kernels.FOLDER.path.glob(f"model.all_finite*.{suffix}"), None)
    if whole is None:
        pytest.skip("nothing is cached")
    folder = tmp_path / "kernels_0123"
    folder.mkdir()
    contents = whole.read_bytes()
    (folder / f"whole.{suffix}").write_bytes(contents)
    (folder / f"cut.{suffix}").write_bytes(contents[: size if size >= 0 else len(contents) - 1])
    cache.forget_outdated(folder)
    assert [path.name for path in folder.iterdir()] == [f"whole.{suffix}"]
