"""Files that were made or damaged to do harm: refused in words, soon, without a crash or a hang."""

import gzip
import os
import random
import socket
import struct
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from cases import configuration

import ist_mpi
from ist_mpi import problems
from ist_mpi.cli import main as cli
from ist_mpi.config import load
from ist_mpi.errors import DamagedError, InputError, ReadError
from ist_mpi.problems.arrays import ArraysSettings
from ist_mpi.problems.ridge import RidgeSettings
from ist_mpi.store import hdf5
from ist_mpi.store import log as runlog
from ist_mpi.store.files import LOG_BYTES, Limit
from ist_mpi.store.hdf5 import child, probe, seal
from ist_mpi.store.run import WANTED

SECONDS = 60.0
"""A refusal takes half of one on an idle machine, two where HDF5 itself does not end: then its one
second of processor time, which is many seconds on a machine that has other work."""
N, D = 2, 3

Make = Callable[[Path], None]


@pytest.fixture(scope="session")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small log with everything that a log can have."""
    config = configuration("merge", "n does not divide d")
    config["run"]["rounds"], config["log"]["every"] = 4, 2
    path = tmp_path_factory.mktemp("honest") / "run.h5"
    ist_mpi.run(config, out=path)
    return path


def open_arrays(path: Path) -> None:
    """What a run does with an `arrays` problem."""
    source = problems.load(ArraysSettings(kind="arrays", path=str(path)))
    for worker in range(source.n):
        source.share(worker).quadratic()


def refusal(opening: Callable[[Path], Any], path: Path) -> InputError:
    """The error of opening `path`, which must come soon and name it."""
    began = time.monotonic()
    with pytest.raises(InputError) as caught:
        opening(path)
    assert time.monotonic() - began < SECONDS
    assert len(caught.value.faults) == 1
    assert caught.value.faults[0].where.startswith(str(path))
    assert "\n" not in str(caught.value)
    return caught.value


def assert_same(found: runlog.Run, expected: runlog.Run) -> None:
    """Two readings of a log agree to the last bit."""
    assert found.attributes == expected.attributes
    for group in ("rounds", "theory", "model", "iterates", "permutations", "problem"):
        ours, theirs = getattr(found, group), getattr(expected, group)
        assert ours.keys() == theirs.keys()
        for name, value in theirs.items():
            np.testing.assert_array_equal(ours[name], value)


# --- crafted arrays ------------------------------------------------------------------------------


def arrays(craft: Callable[[h5py.File, Path], None]) -> Make:
    """A file of good arrays without L, which `craft` puts there."""

    def make(path: Path) -> None:
        with h5py.File(path, "w") as file:
            file["b"] = np.ones((N, D))
            craft(file, path)

    return make


def good_matrices() -> np.ndarray:
    return np.stack([np.eye(D)] * N)


def elsewhere(path: Path) -> Path:
    """Another file with a good L, beside `path`."""
    other = path.with_name("other.h5")
    with h5py.File(other, "w") as file:
        file["L"] = good_matrices()
    return other


def _external_link(file: h5py.File, path: Path) -> None:
    file["L"] = h5py.ExternalLink(elsewhere(path).name, "/L")


def _external_link_to_a_fifo(file: h5py.File, path: Path) -> None:
    os.mkfifo(path.with_name("fifo"))
    file["L"] = h5py.ExternalLink("fifo", "/L")


def _soft_link(file: h5py.File, path: Path) -> None:
    file["hidden"] = good_matrices()
    file["L"] = h5py.SoftLink("/hidden")


def _soft_links_in_a_circle(file: h5py.File, path: Path) -> None:
    file["L"] = h5py.SoftLink("/M")
    file["M"] = h5py.SoftLink("/L")


def _virtual(source: str) -> Callable[[h5py.File, Path], None]:
    def craft(file: h5py.File, path: Path) -> None:
        if source == "fifo":
            os.mkfifo(path.with_name(source))
        elif source != "missing.h5":
            elsewhere(path)
        layout = h5py.VirtualLayout((N, D, D), dtype="f8")
        layout[...] = h5py.VirtualSource(source, "L", shape=(N, D, D))
        file.create_virtual_dataset("L", layout)

    return craft


def _growing_virtual(file: h5py.File, path: Path) -> None:
    """One whose shape depends on another file, which is opened to learn it."""
    os.mkfifo(path.with_name("fifo"))
    layout = h5py.VirtualLayout((N, D, D), dtype="f8", maxshape=(None, D, D))
    source = h5py.VirtualSource("fifo", "L", shape=(N, D, D), maxshape=(None, D, D))
    layout[: h5py.h5s.UNLIMITED] = source[: h5py.h5s.UNLIMITED]
    file.create_virtual_dataset("L", layout)


def _external_storage(file: h5py.File, path: Path) -> None:
    raw = path.with_name("raw")
    raw.write_bytes(good_matrices().tobytes())
    where = [(str(raw), 0, h5py.h5f.UNLIMITED)]
    file.create_dataset("L", shape=(N, D, D), dtype="f8", external=where)


def _of_type(dtype: Any) -> Callable[[h5py.File, Path], None]:
    def craft(file: h5py.File, path: Path) -> None:
        file.create_dataset("L", shape=(N, D, D), dtype=dtype)

    return craft


def _opaque(file: h5py.File, path: Path) -> None:
    space = h5py.h5s.create_simple((N, D, D))
    h5py.h5d.create(file.id, b"L", h5py.h5t.create(h5py.h5t.OPAQUE, 8), space)


def _with(**options: Any) -> Callable[[h5py.File, Path], None]:
    def craft(file: h5py.File, path: Path) -> None:
        file.create_dataset("L", **{"shape": (N, D, D), "dtype": "f8", **options})

    return craft


def _half_written(file: h5py.File, path: Path) -> None:
    found = file.create_dataset("L", shape=(N, D, D), dtype="f8", chunks=(1, D, D))
    found[0] = np.eye(D)


def _bomb(file: h5py.File, path: Path) -> None:
    """A gigabyte of zeros in a megabyte: a chunk of zeros, the same one everywhere."""
    side = 2048
    found = file.create_dataset(
        "L", shape=(32, side, side), dtype="f8", chunks=(1, side, side), compression="gzip"
    )
    zeros = zlib.compress(bytes(8 * side * side), 9)
    for worker in range(32):
        found.id.write_direct_chunk((worker, 0, 0), zeros)


def _bomb_in_a_chunk(file: h5py.File, path: Path) -> None:
    """A chunk of 144 bytes whose deflate stream has no end to speak of: 16 GB."""
    found = file.create_dataset(
        "L", shape=(N, D, D), dtype="f8", chunks=(N, D, D), compression="gzip"
    )
    packer = zlib.compressobj(1)
    million = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    # After a full flush the same compressed bytes may follow again and again.
    again = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    found.id.write_direct_chunk((0, 0, 0), million + again * (16 << 10))


def _chunks_without_end(file: h5py.File, path: Path) -> None:
    """Good chunks, to be indexed by a node of a tree that is its own child: `MADE_BYTES`."""
    file.create_dataset("L", data=good_matrices(), chunks=(1, D, D))


def _own_child(contents: bytearray) -> None:
    node = contents.index(b"TREE\x01")
    contents[node + 5] = 1  # its level: it has nodes below it
    contents[node + 64 : node + 72] = struct.pack("<Q", node)


MADE_BYTES: dict[str, Callable[[bytearray], None]] = {"chunks without end": _own_child}
"""What h5py does not write."""


def _filter(code: int) -> Callable[[h5py.File, Path], None]:
    def craft(file: h5py.File, path: Path) -> None:
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk((N, D, D))
        plist.set_filter(code, h5py.h5z.FLAG_OPTIONAL, (1, 2, 3))
        space = h5py.h5s.create_simple((N, D, D))
        made = h5py.h5d.create(file.id, b"L", h5py.h5t.IEEE_F64LE, space, plist)
        made.write_direct_chunk((0, 0, 0), good_matrices().tobytes())

    return craft


def _circle_of_groups(file: h5py.File, path: Path) -> None:
    group = file.create_group("L")
    group["L"] = group
    group["up"] = file["/"]


def _root(file: h5py.File, path: Path) -> None:
    file["L"] = file["/"]


def _named_type(file: h5py.File, path: Path) -> None:
    file["L"] = np.dtype("f8")


def _pickle(file: h5py.File, path: Path) -> None:
    file["L"] = np.void(b"cos\nsystem\n(S'touch pwned'\ntR.")


def _null(file: h5py.File, path: Path) -> None:
    file["L"] = h5py.Empty("f8")


CRAFTED_ARRAYS: dict[str, tuple[Callable[[h5py.File, Path], None], str]] = {
    "external link": (_external_link, "an external link"),
    "external link to a FIFO": (_external_link_to_a_fifo, "an external link"),
    "soft link": (_soft_link, "a soft link"),
    "dangling soft link": (
        lambda file, path: file.__setitem__("L", h5py.SoftLink("/nowhere")),
        "a soft link",
    ),
    "soft links in a circle": (_soft_links_in_a_circle, "a soft link"),
    "virtual": (_virtual("other.h5"), "a virtual dataset"),
    "virtual, of nothing": (_virtual("missing.h5"), "a virtual dataset"),
    "virtual, of a FIFO": (_virtual("fifo"), "a virtual dataset"),
    "virtual, of a FIFO's shape": (_growing_virtual, "a virtual dataset"),
    "external storage": (_external_storage, "external storage"),
    "object references": (_of_type(h5py.ref_dtype), "references"),
    "region references": (_of_type(h5py.regionref_dtype), "references"),
    "variable length": (_of_type(h5py.vlen_dtype("f8")), "variable-length data"),
    "variable-length text": (_of_type(h5py.string_dtype()), "text"),
    "compound": (_of_type([("x", "f8"), ("y", "f8")]), "compound data"),
    "complex": (_of_type("c16"), "complex128"),
    "enumeration": (_of_type(h5py.enum_dtype({"A": 1, "B": 2})), "an enumeration"),
    "arrays as elements": (_of_type(np.dtype(("f8", (2,)))), "arrays as elements"),
    "opaque": (_opaque, "opaque data"),
    "a pickle": (_pickle, "opaque data"),
    "long double": (_of_type(np.longdouble), "16 bytes"),
    "a group": (lambda file, path: file.create_group("L"), "a group"),
    "a circle of groups": (_circle_of_groups, "a group"),
    "the root itself": (_root, "a group"),
    "a named type": (_named_type, "a named type"),
    "nothing": (lambda file, path: None, "nothing"),
    "another rank": (_with(shape=(N, D)), "shape (2, 3)"),
    "no dataspace": (_null, "an empty dataspace"),
    "never written": (_with(), "not written"),
    "chunks never written": (_with(chunks=(1, D, D)), "0 of 2 chunks"),
    "half written": (_half_written, "1 of 2 chunks"),
    "huge, contiguous": (_with(shape=(1 << 20, 1 << 20, 1 << 20)), "at most"),
    "huge, in chunks": (_with(shape=(1 << 20,) * 3, chunks=(1, 1024, 1024)), "at most"),
    "large, never written": (_with(shape=(4, 10_000, 10_000)), "not written"),
    "large chunk": (_with(shape=(1, 9000, 9000), chunks=(1, 9000, 9000)), "chunks of 648000000"),
    "many chunks": (_with(shape=(200, 200, 200), chunks=(1, 1, 1)), "8000000 chunks"),
    "deflate bomb": (_bomb, "that expand to"),
    "deflate bomb in a chunk": (_bomb_in_a_chunk, ""),
    "chunks without end": (_chunks_without_end, ""),
    "unknown filter": (_filter(41234), "filter 41234"),
    "scale-offset": (_with(dtype="i4", scaleoffset=0, chunks=(N, D, D)), "filter 6"),
}


@pytest.mark.parametrize("name", CRAFTED_ARRAYS)
def test_crafted_arrays(name: str, tmp_path: Path) -> None:
    craft, reason = CRAFTED_ARRAYS[name]
    path = tmp_path / "mine.h5"
    arrays(craft)(path)
    if name in MADE_BYTES:
        contents = bytearray(path.read_bytes())
        MADE_BYTES[name](contents)
        path.write_bytes(contents)
    error = refusal(open_arrays, path)
    # Without a reason a limit ends it: of time (the file is named), or of memory (its array too).
    assert error.faults[0].where in {f"{path}:/L", *([] if reason else [str(path)])}
    assert reason in error.faults[0].got + error.faults[0].expected
    assert error.exit_code == 2
    assert not Path("pwned").exists()


STORED: dict[str, dict[str, Any]] = {
    "contiguous": {},
    "chunks": {"chunks": (1, D, D)},
    "chunks that do not fit": {"chunks": (1, 2, 2)},
    "larger chunks": {"chunks": (4, 4, 4), "maxshape": (None, None, None)},
    "all filters": {"chunks": True, "shuffle": True, "compression": 9, "fletcher32": True},
    "lzf": {"chunks": (1, D, D), "compression": "lzf"},
    "lzf and shuffle": {"chunks": True, "shuffle": True, "compression": "lzf"},
    "other bytes": {"dtype": ">f4"},
    "integers": {"dtype": "u1"},
}


@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize("name", STORED)
def test_good_arrays_are_read_however_they_are_stored(
    name: str, libver: str, tmp_path: Path
) -> None:
    path = tmp_path / "mine.h5"
    with h5py.File(path, "w", libver=libver) as file:
        file["b"] = np.ones((N, D))
        file.create_dataset("L", data=good_matrices(), **STORED[name])
        file["x0"] = np.zeros(D)
        file["more"] = h5py.ExternalLink("elsewhere", "/")  # is not wanted, so not looked at
    open_arrays(path)


def test_arrays_after_a_user_block(tmp_path: Path) -> None:
    path = tmp_path / "mine.h5"
    with h5py.File(path, "w", userblock_size=1024) as file:
        file["b"], file["L"] = np.ones((N, D)), good_matrices()
    open_arrays(path)


def test_arrays_are_read_by_another_process_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.h5"
    arrays(lambda file, path: file.__setitem__("L", good_matrices()))(path)
    calls = []
    monkeypatch.setattr(probe, "fault_of", lambda *arguments: calls.append(arguments))
    source = problems.load(ArraysSettings(kind="arrays", path=str(path)))
    for worker in range(N):
        source.share(worker).quadratic()
    assert len(calls) == 1
    with h5py.File(path, "r+") as file:  # not the file that was checked any more
        file["L"][1] *= 2.0
    source.share(1).quadratic()
    assert len(calls) == 2


# --- crafted logs --------------------------------------------------------------------------------


def _swap(name: str, craft: Callable[[h5py.File], None]) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[name]
        craft(file)

    return change


def _attribute(name: str, value: Any, group: str = "/") -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[group].attrs[name]
        file[group].attrs[name] = value(file) if callable(value) else value

    return change


def _circle_in_rounds(file: h5py.File) -> None:
    del file["rounds"]
    file["rounds"] = file["/"]


def _linked_rounds(file: h5py.File) -> None:
    file.move("rounds", "hidden")
    file["rounds"] = h5py.SoftLink("/hidden")


CRAFTED_LOGS: dict[str, tuple[Callable[[h5py.File], None], str]] = {
    "a column elsewhere": (
        _swap(
            "rounds/gap", lambda file: file.__setitem__("rounds/gap", h5py.ExternalLink("a", "b"))
        ),
        "an external link",
    ),
    "a column of text": (
        _swap("rounds/gap", lambda file: file.__setitem__("rounds/gap", ["a", "b", "c"])),
        "text",
    ),
    "a column of another type": (
        _swap("rounds/gap", lambda file: file.__setitem__("rounds/gap", [1, 2, 3])),
        "int64",
    ),
    "a column of another rank": (
        _swap("rounds/gap", lambda file: file.__setitem__("rounds/gap", np.ones((3, 1)))),
        "(3, 1)",
    ),
    "a column too short": (
        _swap("rounds/gap", lambda file: file.__setitem__("rounds/gap", np.ones(2))),
        "3 rows",
    ),
    "a column more, elsewhere": (
        lambda file: file.__setitem__("rounds/more", h5py.ExternalLink("a", "b")),
        "an external link",
    ),
    "a column more, of text": (
        lambda file: file.__setitem__("rounds/more", ["a", "b", "c"]),
        "text",
    ),
    "a group among the columns": (lambda file: file.create_group("rounds/more"), "a group"),
    "no end of columns": (
        lambda file: [file["rounds"].create_group(f"{i}") for i in range(5000)],
        "at most 4096",
    ),
    "no seconds": (_swap("rounds/seconds", lambda file: None), "nothing"),
    "no rows": (lambda file: file.__delitem__("rounds"), "nothing"),
    "rounds are the root": (_circle_in_rounds, "a group"),
    "rounds are a soft link": (_linked_rounds, "a soft link"),
    "rounds are a dataset": (
        _swap("rounds", lambda file: file.__setitem__("rounds", np.ones(3))),
        "no group",
    ),
    "a vector of theory is a number too": (
        lambda file: file["theory"].attrs.__setitem__("x_star", 1.0),
        "twice",
    ),
    "the seed is text": (_attribute("seed", "5"), "one integer"),
    "the seed is several": (_attribute("seed", [1, 2, 3]), "one integer"),
    "the seed is broken": (_attribute("seed", 1.5), "one integer"),
    "the seed is a reference": (
        _attribute("seed", lambda file: file["rounds"].ref),
        "one integer",
    ),
    "the seed is compound": (
        _attribute("seed", np.array((1, 2), dtype=[("a", "i8"), ("b", "i8")])),
        "one integer",
    ),
    "the seed is empty": (_attribute("seed", h5py.Empty("i8")), "one integer"),
    "the configuration is a list": (_attribute("config", ["a", "b"]), "one text"),
    "the configuration is a number": (_attribute("config", 3), "one text"),
    "the versions are no JSON": (_attribute("versions", "["), "JSON"),
    "the versions are too deep": (_attribute("versions", "[" * 100_000), "JSON"),
    "a constant is several": (_attribute("f_star", [1.0, 2.0], "theory"), "one number or text"),
    "a constant is a reference": (
        _attribute("f_star", lambda file: file["rounds"].ref, "theory"),
        "one number or text",
    ),
    "no end of constants": (
        lambda file: [file["theory"].attrs.__setitem__(f"{i}", i) for i in range(5000)],
        "at most 4096",
    ),
    "another schema": (_attribute("schema_version", 2), "schema version 2"),
}


@pytest.mark.parametrize("name", CRAFTED_LOGS)
def test_crafted_logs(name: str, honest: Path, tmp_path: Path) -> None:
    change, reason = CRAFTED_LOGS[name]
    path = tmp_path / "run.h5"
    path.write_bytes(honest.read_bytes())
    with h5py.File(path, "r+") as file:
        change(file)
    error = refusal(ist_mpi.open_run, path)
    assert reason in str(error)
    assert isinstance(error, DamagedError)
    assert error.exit_code == 65


@pytest.mark.slow
def test_what_hdf5_itself_does_not_come_to_an_end_with(honest: Path, tmp_path: Path) -> None:
    """The size of an object on the heap of texts is such that the next object is the same one."""
    contents = bytearray(honest.read_bytes()[: -seal.LENGTH])
    first = contents.index(b"GCOL") + 16
    contents[first + 8 : first + 16] = struct.pack("<Q", 2**64 - 16)
    path = tmp_path / "run.h5"
    path.write_bytes(contents)
    assert "does not finish" in str(refusal(ist_mpi.open_run, path))


def test_a_sealed_log_is_not_compressed(tmp_path: Path) -> None:
    """Nobody has tried in a bounded process what its chunks unpack to."""

    def fill(file: Any) -> None:
        file.create_dataset("x", data=np.ones(100), compression="gzip")

    wanted = hdf5.Wanted({"x": hdf5.Array(1)})
    path = tmp_path / "sealed.h5"
    path.write_bytes(hdf5.image(fill))
    with hdf5.reading(path, wanted, LOG_BYTES) as file, pytest.raises(InputError, match="deflate"):
        file.array("x")
    path.write_bytes(hdf5.image(fill)[: -seal.LENGTH])
    with hdf5.reading(path, wanted, LOG_BYTES) as file:
        assert file.array("x").tolist() == [1.0] * 100


def test_a_log_is_read_after_other_programs_changed_it(honest: Path, tmp_path: Path) -> None:
    """HDF5 takes the seal away; what it wrote is read as it is."""
    path = tmp_path / "run.h5"
    path.write_bytes(honest.read_bytes())
    with h5py.File(path, "r+") as file:
        file["rounds/gap"][1] = 0.125
        file.attrs["note"] = "changed by hand"
    assert ist_mpi.open_run(path).rounds["gap"][1] == 0.125
    with pytest.raises(DamagedError, match="digest"):
        hdf5.verify(path, LOG_BYTES)


# --- what is no file -----------------------------------------------------------------------------


def _socket(path: Path) -> None:
    before = Path.cwd()
    os.chdir(path.parent)  # a socket's name is short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(before)


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.write(seal.SIGNATURE)
        file.truncate(1 << 40)


NO_FILES: dict[str, tuple[Make, str]] = {
    "missing": (lambda path: None, "no such file"),
    "directory": (lambda path: path.mkdir(), "a directory"),
    "FIFO": (os.mkfifo, "special file"),
    "socket": (_socket, "special file"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "special file"),
    "terminal": (lambda path: path.symlink_to("/dev/tty"), "special file"),
    "symbolic link to itself": (lambda path: path.symlink_to(path.name), ""),
    "dangling symbolic link": (lambda path: path.symlink_to("nowhere"), "no such file"),
    "a terabyte": (_sparse, "at most"),
}


@pytest.mark.parametrize("opening", [ist_mpi.open_run, open_arrays, load], ids=lambda o: o.__name__)
@pytest.mark.parametrize("name", NO_FILES)
def test_what_is_no_file(name: str, opening: Callable[[Path], Any], tmp_path: Path) -> None:
    make, reason = NO_FILES[name]
    path = tmp_path / "thing"
    make(path)
    error = refusal(opening, path)
    assert reason in str(error)
    assert error.exit_code == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("contents", "exit_code"),
    [
        (b"", 65),
        (b"text\n" * 100, 2),
        (random.Random(1).randbytes(5000), 2),
        (seal.SIGNATURE, 65),
        (seal.SIGNATURE + random.Random(2).randbytes(5000), 65),
        (seal.SIGNATURE + b"\x03\x08\x08" + bytes(5000), 65),
        (seal.SIGNATURE + bytes(5000), 65),
        (seal.sealed(b""), 65),
        (seal.sealed(b"text\n" * 100), 65),
        (seal.sealed(seal.SIGNATURE + bytes(500)), 65),
    ],
    ids=range(10),
)
def test_what_is_no_hdf5(contents: bytes, exit_code: int, tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    path.write_bytes(contents)
    assert refusal(ist_mpi.open_run, path).exit_code == exit_code
    assert refusal(open_arrays, path).exit_code == 2


# --- damage --------------------------------------------------------------------------------------


def survives(path: Path, contents: bytes, truth: runlog.Run) -> bool:
    """Whether a damaged log is read, and then with the values it had; else it is refused."""
    path.write_bytes(contents)
    try:
        found = ist_mpi.open_run(path)
    except InputError as error:
        if str(path) not in str(error):
            raise
        return False
    assert_same(found, truth)
    return True


@pytest.fixture
def on_memory(tmp_path: Path) -> Iterator[Path]:
    """A path in memory where there is such a folder: each of thousands of files is written."""
    folder = Path("/dev/shm")
    path = folder / f"ist-mpi-{os.getpid()}.h5" if os.access(folder, os.W_OK) else tmp_path / "d.h5"
    yield path
    path.unlink(missing_ok=True)


@pytest.mark.slow
def test_every_byte_flipped(honest: Path, on_memory: Path) -> None:
    contents = bytearray(honest.read_bytes())
    truth = ist_mpi.open_run(honest)
    survived = []
    for i in range(len(contents)):
        contents[i] ^= 1 << i % 8
        if survives(on_memory, bytes(contents), truth):
            survived.append(i)
        contents[i] ^= 1 << i % 8
    assert not survived
    assert survives(on_memory, bytes(contents), truth)


@pytest.mark.slow
def test_every_truncation(honest: Path, on_memory: Path) -> None:
    contents = honest.read_bytes()
    truth = ist_mpi.open_run(honest)
    lengths = [n for n in range(len(contents)) if survives(on_memory, contents[:n], truth)]
    assert lengths == [len(contents) - seal.LENGTH]  # the whole HDF5 file, without the seal


@pytest.mark.slow
def test_random_damage(honest: Path, on_memory: Path) -> None:
    contents, truth = honest.read_bytes(), ist_mpi.open_run(honest)
    draw = random.Random(5)
    for _ in range(2000):
        damaged = bytearray(contents)
        for _ in range(draw.choice((1, 2, 8, 64))):
            start = draw.randrange(len(damaged))
            length = min(draw.choice((1, 2, 4, 16, 512)), len(damaged) - start)
            damaged[start : start + length] = draw.choice(
                (bytes(length), b"\xff" * length, draw.randbytes(length))
            )
        assert survives(on_memory, bytes(damaged), truth) == (damaged == contents)


@pytest.mark.slow
def test_random_damage_without_a_digest(honest: Path, tmp_path: Path) -> None:
    """The other process alone: a file is refused or read, and its numbers have checksums."""
    contents = honest.read_bytes()[: -seal.LENGTH]
    truth = ist_mpi.open_run(honest)
    draw = random.Random(6)
    refused = 0
    for _ in range(12):
        damaged = bytearray(contents)
        for _ in range(4):
            damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        path = tmp_path / "run.h5"
        path.write_bytes(damaged)
        try:
            found = ist_mpi.open_run(path)
        except DamagedError:
            refused += 1
            continue
        for name, column in truth.rounds.items():
            np.testing.assert_array_equal(found.rounds[name], column)
    assert refused > 6


def test_a_changed_number_has_a_wrong_checksum_for_any_reader(honest: Path, tmp_path: Path) -> None:
    with h5py.File(honest) as file:
        chunk = file["rounds/gap"].id.get_chunk_info(0)
        assert all(file[name].fletcher32 for name in WANTED.arrays if not name.endswith("*"))
        assert all(file["rounds"][name].fletcher32 for name in file["rounds"])
    contents = bytearray(honest.read_bytes())
    contents[chunk.byte_offset] ^= 1
    path = tmp_path / "run.h5"
    path.write_bytes(contents)
    with h5py.File(path) as file, pytest.raises(OSError, match=r"fletcher|checksum|[Ff]ilter"):
        file["rounds/gap"][:]


def test_the_reader_wants_all_that_the_writer_writes(honest: Path) -> None:
    scales = {"coordinate", "other_coordinate", "worker", "entry", "edge"}
    groups = ("rounds", "theory", "model", "iterates", "permutations", "problem")
    with h5py.File(honest) as file:
        written = {f"{group}/{name}" for group in groups for name in set(file[group]) - scales}
        named = {name for name in WANTED.arrays if name != "rounds/*"}
        assert {name for name in written if not name.startswith("rounds/")} <= named <= written
        for group, names in WANTED.attributes.items():
            attributes = set(file[group or "/"].attrs)
            assert attributes <= set(names) or "*" in names


# --- the other process ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "got"),
    [
        ("kill -SEGV $$", "crashes on (signal 11)"),
        ("kill -PROF $$", "does not finish"),
        ("kill -ALRM $$", "does not finish"),
        ("echo something is wrong >&2; exit 3", "something is wrong"),
        ("exit 0", "could not be checked"),
    ],
)
def test_how_the_other_process_ends(
    script: str, got: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, python = tmp_path / "mine.h5", tmp_path / "python"
    arrays(lambda file, path: file.__setitem__("L", good_matrices()))(path)
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    assert got in str(refusal(open_arrays, path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    with pytest.raises(ReadError, match="could not be checked"):
        open_arrays(path)


def test_the_other_process_knows_nothing_of_ranks_and_plugins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK", "HDF5_PLUGIN_PATH"):
        monkeypatch.setenv(name, "1")
    environment = probe._environment()
    assert not {"PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK", "HDF5_PLUGIN_PATH"} & {
        *environment
    }
    assert environment["HDF5_PLUGIN_PRELOAD"] == "::"
    assert child.PROCESSOR_SECONDS < SECONDS


def test_no_plugins_while_a_file_is_open(honest: Path) -> None:
    from h5py import h5pl

    before = [h5pl.get(index) for index in range(h5pl.size())]
    with hdf5.reading(honest, WANTED, LOG_BYTES):
        assert h5pl.size() == 0
    assert [h5pl.get(index) for index in range(h5pl.size())] == before


# --- limits --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_limits_are_named_and_can_be_raised(
    honest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, config = tmp_path / "data.svm", tmp_path / "run.toml"
    data.write_text("1 1:1\n-1 1:2\n")
    config.write_text('[problem]\nkind = "synthetic"\nd = 3\nn = 2\n[method]\nname = "ist"\n')
    with config.open("a") as file:
        file.write("step_size = 0.1\n[run]\nrounds = 1\n")
    mine = tmp_path / "mine.h5"
    arrays(lambda file, path: file.__setitem__("L", good_matrices()))(mine)
    ridge = RidgeSettings(kind="ridge", path=str(data), n=1)
    openings: dict[str, tuple[Path, Callable[[], Any]]] = {
        "LOG": (honest, lambda: ist_mpi.open_run(honest)),
        "LIBSVM": (data, lambda: problems.load(ridge)),
        "TOML": (config, lambda: load(config)),
        "ARRAYS": (mine, lambda: open_arrays(mine)),
    }
    for name, (path, opening) in openings.items():
        variable = f"IST_MPI_MAX_{name}_BYTES"
        opening()
        monkeypatch.setenv(variable, "10")
        with pytest.raises(InputError) as caught:
            opening()
        fault = caught.value.faults[0]
        assert fault.where == str(path)
        assert "at most 10 bytes" in fault.expected
        assert variable in fault.remedy
        monkeypatch.setenv(variable, "1M")
        opening()
        monkeypatch.setenv(variable, "plenty")
        with pytest.raises(InputError, match="plenty"):
            opening()
        monkeypatch.delenv(variable)


@pytest.mark.parametrize(
    ("text", "value"), [("", 7), ("12", 12), ("3k", 3072), ("2M", 2 << 20), ("1G", 1 << 30)]
)
def test_values_of_limits(text: str, value: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IST_MPI_MAX_SOMETHING", text)
    assert Limit("IST_MPI_MAX_SOMETHING", 7).value == value


@pytest.mark.slow
def test_a_data_set_that_expands_without_measure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "data.svm.gz"
    path.write_bytes(gzip.compress(b"1 1:1\n" * (12 << 20)))
    ridge = RidgeSettings(kind="ridge", path=str(path), n=1)
    fault = refusal(lambda _: problems.load(ridge), path).faults[0]
    assert "expand" in fault.got
    assert "IST_MPI_MAX_EXPANSION" in fault.remedy
    monkeypatch.setenv("IST_MPI_MAX_LIBSVM_BYTES", "1M")
    assert "unpacked" in refusal(lambda _: problems.load(ridge), path).faults[0].got


@pytest.mark.parametrize(
    "text",
    [
        "a" + ".a" * 60_000 + " = 1\n",
        "[" + "a." * 60_000 + "a]\n",
        "'a'" + " . 'a'" * 60_000 + " = 1\n",
        "a = " + "[" * 100_000,
        "a = " + "9" * 100_000,
        'a = "' + "\\u0041" * 10_000,
        "\x00",
        "\xff",
    ],
    ids=range(8),
)
def test_configurations_that_do_harm(text: str, tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text(text, encoding="latin-1")
    refusal(load, path)


# --- the command ---------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["info", "verify"])
def test_a_damaged_log_ends_a_command_with_65(
    command: str,
    honest: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "run.h5"
    path.write_bytes(honest.read_bytes()[:-1000])
    monkeypatch.setattr(sys, "argv", ["ist-mpi", command, str(path)])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 65
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"ist-mpi: {path}: ")
    assert printed.err.count("\n") == 1
