"""Checkpoints: the state of a run after a round, so that it can go on from there.

A checkpoint is a folder ``RUN.ckpt/<round>/``: one shard from every rank that has workers, the log
as of that round, and a manifest with the size and the SHA-256 of each. It is made under another
name, synced, and renamed, so that a folder with a number for a name is whole, unless the disk has
damaged it, which its digests tell. The state is split by logical worker, never by rank: worker i's
part of a server's vector (d,) is its i-th near-equal span, and of the workers' vectors its own, so
any number of ranks can go on.
"""

import errno
import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ist_mpi.errors import CheckpointError, InputError
from ist_mpi.parallel.team import Team
from ist_mpi.partition import spans
from ist_mpi.store import files

Float64 = NDArray[np.float64]

FORMAT = "ist_mpi.checkpoint"
VERSION, WITH_WORKERS = 1, 2
"""2 where workers have vectors of their own; else what is written is version 1."""
KEPT = 2
"""How many are kept: the newest, and one in case it is damaged."""
LOG, MANIFEST = "log.h5", "manifest.json"
DAMAGED = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    MemoryError,
    RecursionError,
)
"""What `load` raises where a checkpoint is not whole, or is another than this program writes."""
ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG}
"""Errors of reading that say what is there. Any other says nothing about it: the disk, the file
server or the permissions are in the way.
"""
LARGEST_MANIFEST = 1 << 30
"""Bytes: some hundred for each rank."""
_UNFINISHED = ".unfinished-"
_NAME = re.compile("[0-9]{12}")


class Checkpoint(NamedTuple):
    """The state after `round` rounds."""

    round: int
    seconds: float
    """Wall-clock seconds of the run so far."""
    server: dict[str, Float64]
    """The method's vectors of the server, each (d,)."""
    workers: dict[str, Float64]
    """Of the workers, each (n, m)."""
    log: bytes
    """The run log as of that round."""


def folder_of(log: Path) -> Path:
    """Where the checkpoints of a log are: ``RUN.ckpt`` of ``RUN.h5``.

    Any other suffix stays, so that two logs do not share them, and none is its own folder.
    """
    return log.with_suffix(".ckpt") if log.suffix == ".h5" else log.parent / f"{log.name}.ckpt"


def save(
    team: Team,
    folder: Path,
    run_id: str,
    k: int,
    seconds: float,
    server: Mapping[str, Float64],
    workers: Mapping[str, Float64],
    log: bytes,
) -> None:
    """Write the checkpoint of round k and drop the ones before the last two; collective.

    Parameters
    ----------
    folder : Path
        ``RUN.ckpt``, on a file system that all ranks see.
    server : mapping
        The method's vectors (d,) of the server, up to date on every rank.
    workers : mapping
        Those of this rank's workers, a row for each.
    log : bytes
        The log as of this round; used on rank 0 only.

    Raises
    ------
    CheckpointError
        On every rank, if any of them cannot write; the checkpoints before are untouched.
    """
    unfinished = folder / f"{_UNFINISHED}{k}"
    try:
        with team.agreeing(), _writing(folder):
            if team.rank == 0:
                shutil.rmtree(unfinished, ignore_errors=True)
                folder.mkdir(exist_ok=True)  # not its parents: they were there when the run began
                files.sync_folder(folder.parent)
                unfinished.mkdir()
        entry = None
        with team.agreeing(), _writing(folder):
            if team.last > team.first:
                entry = _write_shard(unfinished, team, server, workers)
        entries = team.comm.gather(entry)
        with team.agreeing(), _writing(folder):
            if team.rank == 0:
                written = dict(found for found in entries if found is not None)
                written[LOG] = _write(unfinished / LOG, log)
                widths = {name: workers[name].shape[1] for name in sorted(workers)}
                manifest = {
                    "format": FORMAT,
                    "version": WITH_WORKERS if workers else VERSION,
                    "run_id": run_id,
                    "round": k,
                    "seconds": seconds,
                    "workers": team.n,
                    "arrays": {name: server[name].size for name in sorted(server)},
                    **({"widths": widths} if workers else {}),
                    "files": written,
                }
                files.write_durably(unfinished / MANIFEST, files.sealed(manifest))
                files.sync_folder(unfinished)
                _publish(unfinished, folder, run_id, k)
    except CheckpointError:
        if team.rank == 0:
            shutil.rmtree(unfinished, ignore_errors=True)
        raise


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Turn the OSErrors of the body into CheckpointErrors."""
    try:
        yield
    except OSError as error:
        text = f"the checkpoint in {folder} cannot be written: {error}"
        raise CheckpointError(text) from error


def _edges(size: int, n: int, width: int | None) -> NDArray[np.int64]:
    """Where each worker's part of a flat vector is: its row, or its near-equal span (None)."""
    return spans(size, n) if width is None else np.arange(n + 1) * width


def _write_shard(
    unfinished: Path, team: Team, server: Mapping[str, Float64], workers: Mapping[str, Float64]
) -> tuple[str, dict[str, Any]]:
    """This rank's workers' parts of all vectors: the shard's name and entry in the manifest."""
    parts = []
    for name in sorted(server):
        edges = _edges(server[name].size, team.n, None)
        parts.append(server[name][edges[team.first] : edges[team.last]])
    parts += [workers[name].ravel() for name in sorted(workers)]
    name = f"workers-{team.first}-{team.last}.bin"
    whole = parts[0] if len(parts) == 1 else np.concatenate(parts)
    contents = np.ascontiguousarray(whole, dtype="<f8").data.cast("B")
    entry = _write(unfinished / name, contents)
    return name, {**entry, "first": team.first, "last": team.last}


def _write(path: Path, contents: bytes | memoryview) -> dict[str, Any]:
    files.write_durably(path, contents)
    return {"bytes": len(contents), "sha256": hashlib.sha256(contents).hexdigest()}


def _publish(unfinished: Path, folder: Path, run_id: str, k: int) -> None:
    """Give the finished folder its name, then drop all but it and the last before it.

    A later round's is damaged, else the run would have gone on from there, or another run's.
    """
    final = folder / f"{k:012d}"
    if final.exists() and not _is_whole(final, run_id, k):
        aside = folder / f"{_UNFINISHED}old-{k}"
        shutil.rmtree(aside, ignore_errors=True)
        final.rename(aside)
    if not final.exists():  # else the run has gone on from it, and it may be the only one
        unfinished.rename(final)
    files.sync_folder(folder)
    there = rounds(folder)
    kept = [before for before in there if before <= k][:KEPT]
    for old in set(there) - set(kept):
        shutil.rmtree(folder / f"{old:012d}", ignore_errors=True)
    for leftover in folder.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(leftover, ignore_errors=True)


def rounds(folder: Path) -> list[int]:
    """The rounds of the checkpoints there, newest first, whole or not."""
    try:
        names = [path.name for path in folder.iterdir()]
    except (FileNotFoundError, NotADirectoryError):  # also while a run that ends removes them
        return []
    return sorted((int(name) for name in names if _NAME.fullmatch(name)), reverse=True)


def newest(folder: Path, run_id: str | None) -> tuple[Checkpoint | None, list[str]]:
    """The newest checkpoint that is whole and of this run (None: of any), and what was wrong
    with newer ones.

    Raises
    ------
    CheckpointError
        If one cannot be read now. It may be whole: to go on from an earlier one would lose rounds.
    """
    complaints: list[str] = []
    with _reading(folder):
        found = rounds(folder)
    for k in found:
        path = folder / f"{k:012d}"
        try:
            with _reading(path):
                return load(path, run_id, k), complaints
        except CheckpointError:
            raise
        except DAMAGED as error:
            complaints.append(f"{path}: {error}")
    return None, complaints


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn the OSErrors of the body that say nothing about what is there into CheckpointErrors."""
    try:
        yield
    except (OSError, InputError) as error:
        cause = error if isinstance(error, OSError) else error.__cause__
        if not isinstance(cause, OSError) or cause.errno in ABSENT:
            raise
        text = (
            f"{path} cannot be read: {cause.strerror}; it stays as it is (try again, or remove it "
            "to go on from what is before it)"
        )
        raise CheckpointError(text) from error


def drop_later(folder: Path, k: int) -> None:
    """Drop what is there of rounds after k, once a run goes on from there.

    They are damaged or of another run, and would pass for one of the two that are kept.
    """
    for later in rounds(folder):
        if later > k:
            shutil.rmtree(folder / f"{later:012d}", ignore_errors=True)


def _is_whole(path: Path, run_id: str, k: int) -> bool:
    try:
        load(path, run_id, k)
    except DAMAGED:
        return False
    return True


def load(path: Path, run_id: str | None, k: int) -> Checkpoint:
    """One checkpoint, every byte of it checked.

    Raises
    ------
    OSError, ValueError, …
        One of `DAMAGED`, if anything is missing, damaged, or of another run.
    """
    manifest = files.unsealed(_contents(path / MANIFEST, LARGEST_MANIFEST), MANIFEST)
    if manifest["format"] != FORMAT or manifest["version"] not in (VERSION, WITH_WORKERS):
        raise ValueError(f"not a checkpoint of version {VERSION} or {WITH_WORKERS}")
    if run_id not in (None, manifest["run_id"]):
        raise ValueError(f"of run {manifest['run_id']}, not of {run_id}")
    if manifest["round"] != k:
        raise ValueError(f"of round {manifest['round']}")
    n = int(manifest["workers"])
    server = {name: np.full(size, np.nan) for name, size in manifest["arrays"].items()}
    widths = manifest.get("widths", {})
    workers = {name: np.full((n, width), np.nan) for name, width in widths.items()}
    log, reached = b"", 0
    for name, entry in manifest["files"].items():
        if Path(name).name != name:
            raise ValueError(f"{MANIFEST} names a file elsewhere: {name}")
        contents = _read(path / name, entry)
        if name == LOG:
            log = contents
        else:
            _place(server, workers, n, entry, np.frombuffer(contents, dtype="<f8"))
            reached += entry["last"] - entry["first"]
    if reached != n or not log:
        raise ValueError(f"the parts of {reached} of {n} workers")
    return Checkpoint(k, float(manifest["seconds"]), server, workers, log)


def _read(path: Path, entry: Mapping[str, Any]) -> bytes:
    contents = _contents(path, entry["bytes"])
    if len(contents) != entry["bytes"]:
        raise ValueError(f"{path.name} has {len(contents)} bytes, not {entry['bytes']}")
    if hashlib.sha256(contents).hexdigest() != entry["sha256"]:
        raise ValueError(f"{path.name} is damaged")
    return contents


def _contents(path: Path, most: int) -> bytes:
    """All of a regular file of at most so many bytes."""
    path.stat()  # raises what is in the way as it is
    with files.opened(path, files.ANY_BYTES, "a file of a checkpoint") as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise ValueError(f"{path.name} has {size} bytes, not {most}")
        return file.read(most)


def _place(
    server: Mapping[str, Float64],
    workers: Mapping[str, Float64],
    n: int,
    entry: Mapping[str, Any],
    values: Float64,
) -> None:
    """Put one shard's numbers where its workers' parts are."""
    flat = [(server[name], _edges(server[name].size, n, None)) for name in sorted(server)]
    flat += [
        (workers[name].reshape(-1), _edges(workers[name].size, n, workers[name].shape[1]))
        for name in sorted(workers)
    ]
    at = 0
    for vector, edges in flat:
        part = vector[edges[entry["first"]] : edges[entry["last"]]]
        part[:] = values[at : at + part.size]
        at += part.size


def remove(folder: Path) -> None:
    """Drop all checkpoints of a run that needs them no more."""
    if folder.is_dir() and not os.path.islink(folder):
        shutil.rmtree(folder, ignore_errors=True)
