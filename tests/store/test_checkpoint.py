"""The files of a checkpoint: the same state from any number of ranks, and in both versions."""

import hashlib
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from ist_mpi.partition import spans
from ist_mpi.store import checkpoint

N, D, M = 5, 13, 3
Arrays = dict[str, np.ndarray]


def server() -> Arrays:
    """Vectors (d,) that no power of two is lost in; one shorter than there are workers."""
    rng = np.random.default_rng(1)
    return {"x": rng.normal(size=D), "momentum": rng.normal(size=D), "counts": rng.normal(size=2)}


def workers() -> Arrays:
    """Arrays (n, m), with bits that arithmetic would not keep."""
    shift = np.random.default_rng(2).normal(size=(N, M))
    shift[0, 0], shift[1, 1], shift[4, 2] = np.nan, -0.0, 5e-324
    return {"shift": shift, "age": np.arange(N, dtype=float)[:, None]}


def save(folder: Path, k: int, p: int, of_server: Arrays, of_workers: Arrays) -> Path:
    """A checkpoint of p ranks, of which some may have no workers; its folder."""
    edges = spans(N, p)
    folder.parent.mkdir(exist_ok=True)
    checkpoint.begin(folder, k)
    shards = []
    for first, last in pairwise(edges.tolist()):
        if last > first:
            mine = {name: array[first:last] for name, array in of_workers.items()}
            shards.append(checkpoint.write_shard(folder, k, N, first, last, of_server, mine))
    sizes = (
        {name: array.size for name, array in of_server.items()},
        {name: array.shape[1] for name, array in of_workers.items()},
    )
    checkpoint.publish(folder, "a run", k, 1.5, N, sizes, shards, b"the log")
    return folder / f"{k:012d}"


def manifest_of(path: Path) -> dict[str, object]:
    document: dict[str, object] = json.loads(
        (path / checkpoint.MANIFEST).read_text().rpartition("}")[0] + "}"
    )
    return document


def assert_same(found: Arrays, expected: Arrays) -> None:
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].shape == array.shape
        assert found[name].tobytes() == array.tobytes()


@pytest.mark.parametrize("p", [1, 2, 3, 4, 5, 7])
def test_arrays_of_workers_from_any_number_of_ranks(p: int, tmp_path: Path) -> None:
    """Each rank's shard has the rows of its own workers; together they are all, bit for bit."""
    path = save(tmp_path / "run.ckpt", 4, p, server(), workers())
    found = checkpoint.load(path, "a run", 4)
    assert_same(found.server, server())
    assert_same(found.workers, workers())
    assert (found.round, found.seconds, found.log) == (4, 1.5, b"the log")
    assert len(list(path.glob("workers-*.bin"))) == min(p, N)


def test_a_run_goes_on_on_other_numbers_of_ranks(tmp_path: Path) -> None:
    """From 3 ranks to 1, 7, 2 and 4, each of which takes its rows out of what it found."""
    expected = workers()
    found = checkpoint.load(save(tmp_path / "run.ckpt", 0, 3, server(), expected), "a run", 0)
    for k, p in enumerate((1, 7, 2, 4), start=1):
        edges = spans(N, p)
        rows = [found.workers["shift"][a:b] for a, b in pairwise(edges)]
        together = {**found.workers, "shift": np.concatenate(rows)}
        path = save(tmp_path / "run.ckpt", k, p, found.server, together)
        found = checkpoint.load(path, "a run", k)
    assert_same(found.workers, expected)
    assert_same(found.server, server())
    assert checkpoint.rounds(tmp_path / "run.ckpt") == [4, 3]


@pytest.mark.parametrize("p", [1, 3])
def test_without_arrays_of_workers_nothing_has_changed(p: int, tmp_path: Path) -> None:
    """Version 1, made here by hand as it always was, is written so and read so."""
    path = save(tmp_path / "run.ckpt", 2, p, server(), {})
    entries = {"log.h5": {"bytes": 7, "sha256": hashlib.sha256(b"the log").hexdigest()}}
    edges = spans(N, p).tolist()
    for first, last in pairwise(edges):
        contents = b""
        for name in ("counts", "momentum", "x"):
            cuts = spans(server()[name].size, N)
            contents += server()[name][cuts[first] : cuts[last]].tobytes()
        name = f"workers-{first}-{last}.bin"
        assert (path / name).read_bytes() == contents
        digest = hashlib.sha256(contents).hexdigest()
        entries[name] = {"bytes": len(contents), "sha256": digest, "first": first, "last": last}
    document = {
        "format": "ist_mpi.checkpoint",
        "version": 1,
        "run_id": "a run",
        "round": 2,
        "seconds": 1.5,
        "workers": N,
        "arrays": {"x": D, "momentum": D, "counts": 2},
        "files": entries,
    }
    text = json.dumps(document, indent=1, sort_keys=True) + "\n"
    seal = hashlib.sha256(text.encode()).hexdigest() + "\n"
    assert (path / checkpoint.MANIFEST).read_text() == text + seal
    found = checkpoint.load(path, "a run", 2)
    assert_same(found.server, server())
    assert found.workers == {}


def test_arrays_of_workers_are_version_2(tmp_path: Path) -> None:
    """A program that knows version 1 only must not go on without them."""
    path = save(tmp_path / "run.ckpt", 2, 2, {"x": server()["x"]}, workers())
    manifest = manifest_of(path)
    assert manifest["version"] == 2
    assert manifest["arrays"] == {"x": D}
    assert manifest["worker_arrays"] == {"shift": M, "age": 1}


def test_a_name_may_be_of_the_server_and_of_the_workers(tmp_path: Path) -> None:
    both = {"h": np.arange(D, dtype=float)}, {"h": workers()["shift"]}
    found = checkpoint.load(save(tmp_path / "run.ckpt", 1, 2, *both), "a run", 1)
    assert_same(found.server, both[0])
    assert_same(found.workers, both[1])


def test_rows_of_others_are_refused(tmp_path: Path) -> None:
    checkpoint.begin(tmp_path / "run.ckpt", 1)
    with pytest.raises(ValueError, match="2 workers"):
        checkpoint.write_shard(tmp_path / "run.ckpt", 1, N, 0, 2, server(), workers())


def test_a_version_to_come(tmp_path: Path) -> None:
    path = save(tmp_path / "run.ckpt", 1, 1, server(), {})
    manifest = {**manifest_of(path), "version": 3}
    text = json.dumps(manifest, indent=1, sort_keys=True) + "\n"
    seal = hashlib.sha256(text.encode()).hexdigest() + "\n"
    (path / checkpoint.MANIFEST).write_text(text + seal)
    found, complaints = checkpoint.newest(tmp_path / "run.ckpt", None)
    assert found is None
    assert "not a checkpoint of version 1 or 2" in complaints[0]
