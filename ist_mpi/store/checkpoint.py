"""Checkpoints: the state of a run after a round, so that it can go on from there.

A checkpoint is a folder ``RUN.ckpt/<round>/``: one shard from every rank that has workers, the log
as of that round, and a manifest with the size and the SHA-256 of each. It is made under another
name, synced, and renamed, so that a folder with a number for a name is whole, unless the disk has
damaged it, which its digests tell.

The state is split by logical worker, never by rank, so any number of ranks can go on: of a vector
of the server (d,) worker i has the i-th near-equal span, of an array of the workers (n, m) the
i-th row. A shard holds the parts of its workers of the vectors of the server, then their rows of
the arrays of the workers, each in the order of their names.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ist_mpi.errors import CheckpointError, InputError, ISTError
from ist_mpi.partition import spans
from ist_mpi.store import files

Float64 = NDArray[np.float64]

FORMAT = "ist_mpi.checkpoint"
VERSIONS = (1, 2)
"""Version 2 has arrays of the workers; what has none is version 1."""
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
    """Its arrays of the workers, each (n, m)."""
    log: bytes
    """The run log as of that round."""


def folder_of(log: Path) -> Path:
    """Where the checkpoints of a log are: ``RUN.ckpt`` of ``RUN.h5``.

    Any other suffix stays, so that two logs do not share them, and none is its own folder.
    """
    return log.with_suffix(".ckpt") if log.suffix == ".h5" else log.parent / f"{log.name}.ckpt"


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn the OSErrors of the body into CheckpointErrors."""
    try:
        yield
    except OSError as error:
        text = f"the checkpoint in {folder} cannot be written: {error}"
        raise CheckpointError(text) from error


def begin(folder: Path, k: int) -> None:
    """Make the folder in which the checkpoint of round k is written until it is `publish`ed."""
    abandon(folder, k)
    folder.mkdir(exist_ok=True)  # not its parents: they were there when the run began
    files.sync_folder(folder.parent)
    _unfinished(folder, k).mkdir()


def abandon(folder: Path, k: int) -> None:
    """Drop what was written of a checkpoint that is not to be."""
    shutil.rmtree(_unfinished(folder, k), ignore_errors=True)


def _unfinished(folder: Path, k: int) -> Path:
    return folder / f"{_UNFINISHED}{k}"


def write_shard(
    folder: Path,
    k: int,
    n: int,
    first: int,
    last: int,
    server: Mapping[str, Float64],
    workers: Mapping[str, Float64],
) -> tuple[str, dict[str, Any]]:
    """Write the parts of the workers first, …, last - 1 of n: its name and entry in the manifest.

    The vectors of the server (d,) are whole, the arrays are these workers', (last - first, m).
    """
    parts = [server[name][_span(server[name].size, n, first, last)] for name in sorted(server)]
    for name in sorted(workers):
        if workers[name].shape[:1] != (last - first,):
            raise ValueError(f"{name}: {workers[name].shape} for {last - first} workers")
        parts.append(workers[name].ravel())
    name = f"workers-{first}-{last}.bin"
    whole = parts[0] if len(parts) == 1 else np.concatenate(parts)
    contents = np.ascontiguousarray(whole, dtype="<f8").data.cast("B")
    entry = _write(_unfinished(folder, k) / name, contents)
    return name, {**entry, "first": first, "last": last}


def _span(size: int, n: int, first: int, last: int) -> slice:
    """What the workers first, …, last - 1 of n have of a vector of the server."""
    edges = spans(size, n)
    return slice(int(edges[first]), int(edges[last]))


def _write(path: Path, contents: bytes | memoryview) -> dict[str, Any]:
    files.write_durably(path, contents)
    return {"bytes": len(contents), "sha256": hashlib.sha256(contents).hexdigest()}


def publish(
    folder: Path,
    run_id: str,
    k: int,
    seconds: float,
    n: int,
    sizes: tuple[Mapping[str, int], Mapping[str, int]],
    shards: Iterable[tuple[str, dict[str, Any]]],
    log: bytes,
) -> None:
    """Write the log and the manifest, give the folder its name, drop all but the last two.

    Parameters
    ----------
    sizes : pair of mappings
        d of every vector of the server, and m of every array of the workers.
    shards : iterable
        What `write_shard` returned for all workers.
    """
    unfinished = _unfinished(folder, k)
    written = dict(shards)
    written[LOG] = _write(unfinished / LOG, log)
    server, workers = sizes
    manifest = {
        "format": FORMAT,
        "version": VERSIONS[0],
        "run_id": run_id,
        "round": k,
        "seconds": seconds,
        "workers": n,
        "arrays": dict(server),
        "files": written,
    }
    if workers:
        manifest |= {"version": VERSIONS[1], "worker_arrays": dict(workers)}
    files.write_durably(unfinished / MANIFEST, files.sealed(manifest))
    files.sync_folder(unfinished)
    _publish(unfinished, folder, run_id, k)


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
        # Permissions too say nothing about what is there.
        cause = error.__cause__ if isinstance(error, ISTError) else error
        if not isinstance(cause, OSError) or cause.errno in files.ABSENT:
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
    if manifest["format"] != FORMAT or manifest["version"] not in VERSIONS:
        raise ValueError(f"not a checkpoint of version {' or '.join(map(str, VERSIONS))}")
    if run_id not in (None, manifest["run_id"]):
        raise ValueError(f"of run {manifest['run_id']}, not of {run_id}")
    if manifest["round"] != k:
        raise ValueError(f"of round {manifest['round']}")
    n = int(manifest["workers"])
    server = {name: np.full(size, np.nan) for name, size in manifest["arrays"].items()}
    sizes = manifest.get("worker_arrays", {})
    workers = {name: np.full((n, size), np.nan) for name, size in sizes.items()}
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
    first, last = entry["first"], entry["last"]
    places = [server[name][_span(server[name].size, n, first, last)] for name in sorted(server)]
    places += [workers[name][first:last] for name in sorted(workers)]
    if sum(place.size for place in places) != values.size:
        raise ValueError(f"{values.size} numbers of the workers {first} to {last}")
    at = 0
    for place in places:
        place[...] = values[at : at + place.size].reshape(place.shape)
        at += place.size


def remove(folder: Path) -> None:
    """Drop all checkpoints of a run that needs them no more."""
    if folder.is_dir() and not os.path.islink(folder):
        shutil.rmtree(folder, ignore_errors=True)
