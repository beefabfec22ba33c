"""Checkpoints that the disk has damaged, and others that are not what they should be."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from cases import configuration
from checkpoints import One, save, state, whole

from ist_mpi.parallel.team import Team
from ist_mpi.store import checkpoint
from ist_mpi.store import log as runlog
from ist_mpi.training import checkpoint as collective
from ist_mpi.training import record
from ist_mpi.training import resume as continuation
from ist_mpi.training.record import Record


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Checkpoints of rounds 1 and 2, the second with arrays of the workers."""
    for k in (1, 2):
        save(tmp_path / "run.ckpt", k)
    return tmp_path / "run.ckpt"


def files_of(folder: Path) -> list[Path]:
    found = sorted((folder / f"{2:012d}").iterdir())
    assert len(found) == 3
    return found


def falls_back(folder: Path) -> None:
    found, complaints = checkpoint.newest(folder, "a run")
    assert found is not None
    assert found.round == 1
    assert found.server["x"].tobytes() == state(1)["x"].tobytes()
    assert len(complaints) == 1
    assert str(folder / f"{2:012d}") in complaints[0]


@pytest.mark.slow
def test_every_byte(folder: Path) -> None:
    """Every byte of every file with one bit turned, and with all."""
    count = 0
    for path in files_of(folder):
        contents = path.read_bytes()
        for at in range(len(contents)):
            for flip in (1 << at % 8, 0xFF):
                damaged = bytearray(contents)
                damaged[at] ^= flip
                path.write_bytes(damaged)
                falls_back(folder)
                count += 1
        path.write_bytes(contents)
    assert count > 1000
    assert whole(folder).round == 2


@pytest.mark.slow
def test_every_truncation(folder: Path) -> None:
    for path in files_of(folder):
        contents = path.read_bytes()
        for size in range(len(contents)):
            path.write_bytes(contents[:size])
            falls_back(folder)
        path.write_bytes(contents + b"\0")
        falls_back(folder)
        path.write_bytes(contents)
    assert whole(folder).round == 2


def test_a_missing_file(folder: Path) -> None:
    for path in files_of(folder):
        aside = path.rename(folder.parent / "aside")
        falls_back(folder)
        path.mkdir()
        falls_back(folder)
        path.rmdir()
        aside.rename(path)
    assert whole(folder).round == 2


def test_both_damaged_is_none(folder: Path) -> None:
    for k in (1, 2):
        (folder / f"{k:012d}" / checkpoint.MANIFEST).unlink()
    found, complaints = checkpoint.newest(folder, "a run")
    assert found is None
    assert len(complaints) == 2


def test_an_unfinished_folder_is_no_checkpoint(folder: Path) -> None:
    shutil.copytree(folder / f"{2:012d}", folder / ".unfinished-7")
    for name in ("²", "7", "x", "0000000000007"):
        (folder / name).mkdir()
    assert whole(folder).round == 2


def test_parts_of_others(folder: Path) -> None:
    """A shard of another run, a manifest of another round, a checkpoint of another run."""
    other = folder.parent / "other.ckpt"
    collective.save(
        Team.of(One(), 3, 7),
        other,
        "another run",
        2,
        1.0,
        {name: array + 1 for name, array in state(2).items()},
        {},
        b"the log after 2 rounds",
    )
    (shard,) = (path for path in files_of(folder) if path.name.startswith("workers"))
    kept = shard.read_bytes()
    shutil.copy(other / f"{2:012d}" / shard.name, shard)
    falls_back(folder)
    shard.write_bytes(kept)
    manifest = folder / f"{2:012d}" / checkpoint.MANIFEST
    kept = manifest.read_bytes()
    shutil.copy(folder / f"{1:012d}" / checkpoint.MANIFEST, manifest)
    falls_back(folder)
    manifest.write_bytes(kept)
    shutil.rmtree(folder / f"{2:012d}")
    shutil.copytree(other / f"{2:012d}", folder / f"{2:012d}")
    falls_back(folder)


def test_a_manifest_that_was_edited(folder: Path) -> None:
    """Sealed, so that nobody changes a number by hand."""
    manifest = folder / f"{2:012d}" / checkpoint.MANIFEST
    text, seal = manifest.read_text().rstrip("\n").rsplit("\n", 1)
    table = json.loads(text)
    table["seconds"] += 1
    manifest.write_text(json.dumps(table, indent=1, sort_keys=True) + "\n" + seal + "\n")
    falls_back(folder)


@pytest.mark.slow
def test_other_versions_are_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run goes on under other versions, and says that bits are not promised."""
    import ist_mpi
    from ist_mpi.training import api
    from ist_mpi.training import job as jobs

    log = tmp_path / "run.h5"
    monkeypatch.setattr(record, "CHECKPOINT_SHARE", 1e9)
    config = configuration("merge", "n does not divide d", checkpoint_every=1e-9)

    def stop(self: Record, k: int) -> None:
        if k >= 10:
            raise KeyboardInterrupt
        original(self, k)

    original = Record.look
    with monkeypatch.context() as within:
        within.setattr(Record, "look", stop)
        with pytest.raises(KeyboardInterrupt):
            ist_mpi.run(config, out=log)
    told: list[str] = []
    comm = api.ranks.world()
    with monkeypatch.context() as within:
        now = {**continuation.versions(), "numpy": "1.0"}
        within.setattr(continuation, "versions", lambda: now)
        job, problem = jobs.open_job(comm, config, out=log, going_on="resume")
        (result,) = api.results(comm, job, problem, going_on="resume", tell=told.append)
    assert any("other versions" in text and "numpy" in text for text in told)
    assert any("going on after round" in text for text in told)
    expected = ist_mpi.run(config)
    assert result.x.tobytes() == expected.x.tobytes()
    assert runlog.open_run(log).status == "finished"
    np.testing.assert_array_equal(result.rounds["gap"], expected.rounds["gap"])
