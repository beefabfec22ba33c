"""Wrong input never starts a run: one message that says what and where, exit code 2, no file."""

import gzip
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import psutil
import pytest
import tomli_w
from commands import call

import ist_mpi

SECONDS = 300


def job(method: dict[str, Any] | None = None, **problem: Any) -> dict[str, Any]:
    """Three rounds on a problem; a small synthetic one if none is given."""
    return {
        "problem": problem or {"kind": "synthetic", "d": 6, "n": 3},
        "method": {"name": "ist", "step_size": 1e-3, **(method or {})},
        "run": {"rounds": 3},
    }


def written(folder: Path, tables: dict[str, Any]) -> Path:
    """The tables as a file job.toml in `folder`."""
    path = folder / "job.toml"
    path.write_text(tomli_w.dumps(tables), encoding="utf-8")
    return path


def listing(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder, with the contents of files; None for folders."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


# --- ways to start a run -------------------------------------------------------------------------


def refused(source: Any, folder: Path) -> str:
    """What ist_mpi.run says when it refuses; nothing below `folder` may change."""
    before = listing(folder)
    with pytest.raises(ist_mpi.InputError) as caught:
        ist_mpi.run(source, out=folder / "logs" / "run.h5")
    assert listing(folder) == before
    return str(caught.value)


def mpiexec() -> str:
    """The launcher beside this python, else the one on PATH."""
    beside = Path(sys.executable).with_name("mpiexec")
    found = str(beside) if beside.exists() else shutil.which("mpiexec")
    assert found, "these tests need an mpiexec beside python or on PATH"
    return found


def command(
    folder: Path, *arguments: str, ranks: int = 0, limit: int | None = None
) -> subprocess.CompletedProcess[str]:
    """``ist-mpi ARGUMENTS`` in `folder`: alone, or under mpiexec with so many ranks.

    `limit`: the largest address space of the process, bytes.
    """
    environment = {
        **os.environ,
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    }

    def limited() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    launcher = [mpiexec(), "-n", str(ranks)] if ranks else []
    return subprocess.run(
        [*launcher, sys.executable, "-m", "ist_mpi", *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS,
        preexec_fn=limited,
    )  # fmt: skip


def without_crowd(err: str) -> str:
    """What was said but that ranks are more than cores, which depends on the machine."""
    return "".join(line for line in err.splitlines(True) if " is oversubscribed: " not in line)


def assert_one_message(code: int, out: str, err: str) -> None:
    """Exit code 2, and one message and nothing else."""
    err = without_crowd(err)
    assert code == 2, err
    assert out == ""
    assert err.startswith("ist-mpi: ")
    assert err.count("ist-mpi:") == 1
    assert "Traceback" not in err
    lines = err.splitlines()
    listed = re.match(r"ist-mpi: (\d+) problems:$", lines[0])
    assert len(lines) == 1 + int(listed[1] if listed else 0)


def refused_command(folder: Path, *arguments: str, **how: Any) -> str:
    """The one message of a command that is refused; nothing below `folder` may change."""
    before = listing(folder)
    done = command(folder, *arguments, **how)
    assert_one_message(done.returncode, done.stdout, done.stderr)
    assert listing(folder) == before
    return without_crowd(done.stderr)


@pytest.fixture
def main(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """``main(*arguments)`` is `refused_command` within this process, in tmp_path."""
    monkeypatch.chdir(tmp_path)

    def refusal(*arguments: str) -> str:
        before = listing(tmp_path)
        done = call(*arguments)
        assert_one_message(done.returncode, done.stdout, done.stderr)
        assert listing(tmp_path) == before
        return done.stderr

    return refusal


# --- data sets -----------------------------------------------------------------------------------

GOOD = "1 1:0.5 2:1\n-1 1:1 2:-1 3:2\n1 2:3\n-1 3:1.5\n"

BAD_DATA: dict[str, tuple[str | bytes, list[str]]] = {
    "empty": ("", ["empty"]),
    "blank lines": ("\n\n\n", ["0 samples"]),
    "comments only": ("# nothing here\n", ["0 samples"]),
    "cut after a colon": ("1 1:0.5\n1 2:", ["line 2", '"2:"']),
    "cut in an index": ("1 1:0.5\n1 1:1 2", ["line 2", '"2"']),
    "cut and closed": ("1 1:0.5\n1 1:2 2:\n", ["line 2", "2:"]),
    "words": ("It was a dark\nand stormy night.\n", ["line 1", "It", "label"]),
    "csv": ("1,0.5,2\n0,1.5,3\n", ["line 1", "1,0.5,2", ".csv", "problem.target"]),
    "toml": ('[problem]\nkind = "ridge"\n', ["line 1", "[problem]"]),
    "binary": (bytes(range(1, 256)) + b"\n", ["line 1"]),
    "nul byte": (b"1 1:1\n-1 1:2\x00\n", ["line 2"]),
    "labels only": ("1\n-1\n1\n", []),
    "no colon": ("1 1:1\n-1 5 2:3\n", ["line 2", "5"]),
    "no value": ("1 1:1\n-1 1: 2:3\n", ["line 2", "1:"]),
    "value is a word": ("1 1:one\n-1 1:2\n", ["line 1", "1:one"]),
    "value with a tail": ("1 1:1\n1 1:1\n-1 1:1abc\n", ["line 3", "1:1abc"]),
    "index is a word": ("1 first:1\n-1 1:2\n", ["line 1", "first:1"]),
    "index is negative": ("1 1:1\n-1 -1:1\n", ["line 2", "-1:1"]),
    "index is fractional": ("1 1.5:1\n-1 1:2\n", ["line 1", "1.5:1"]),
    "index twice": ("1 1:1 2:1 2:3\n-1 1:2\n", ["line 1", "increase"]),
    "indices fall": ("1 1:1\n-1 2:1 1:3\n", ["line 2", "increase"]),
    "index beyond 64 bits": ("1 99999999999999999999:1\n-1 1:2\n", []),
    "index of thousands of digits": (f"1 1:1\n-1 5:1 {3:05000}:1\n", ["line 2", "index 3"]),
    "huge index": (f"1 1:1\n-1 {9 * 10**3999}:1 3:1\n", ["line 2", "9000", "too large"]),
    "NaN": ("1 1:1\n-1 1:nan\n", ["line 2", "1:nan"]),
    "infinity": ("1 1:1\n-1 1:1\n-1 1:-inf\n", ["line 3", "1:-inf"]),
    "overflow": ("1 1:1\n-1 1:1e999\n", ["line 2", "1:1e999"]),
    "label is a word": ("1 1:1\nyes 1:1\n", ["line 2", "yes", "label"]),
    "label is NaN": ("1 1:1\nnan 1:1\n", ["line 2", "nan", "label"]),
    "label is infinite": ("inf 1:1\n-1 1:1\n", ["line 1", "inf", "label"]),
    "several labels": ("1 1:1\n1,2 1:1\n", ["line 2", "1,2", "label"]),
}


@pytest.mark.parametrize(("contents", "fragments"), BAD_DATA.values(), ids=BAD_DATA.keys())
def test_bad_data_file(contents: str | bytes, fragments: list[str], tmp_path: Path) -> None:
    path = tmp_path / "data.svm"
    path.write_bytes(contents if isinstance(contents, bytes) else contents.encode())
    message = refused(job(kind="ridge", path=path, n=2), tmp_path)
    assert message.startswith(str(path))
    for fragment in fragments:
        assert fragment in message


@pytest.mark.parametrize(
    ("contents", "fragment"),
    [
        (gzip.compress(GOOD.encode() * 50)[:-12], "cannot be read"),
        (gzip.compress(b"1 1:0.5\n1 2:"), "line 2"),
        (gzip.compress(b"1 1:nan\n-1 1:1\n"), "finite"),
        (b"", "empty"),
    ],
    ids=["stream cut", "text cut", "NaN", "empty"],
)
def test_bad_compressed_data_file(contents: bytes, fragment: str, tmp_path: Path) -> None:
    path = tmp_path / "data.svm.gz"
    path.write_bytes(contents)
    message = refused(job(kind="ridge", path=path, n=2), tmp_path)
    assert message.startswith(str(path))
    assert fragment in message


@pytest.mark.parametrize("kind", [{"kind": "ridge", "n": 2}, {"kind": "arrays"}], ids=str)
@pytest.mark.parametrize(
    ("name", "got"),
    [("missing", "no such file"), (".", "directory"), ("n" * 300, "")],
    ids=["missing", "directory", "long name"],
)
def test_data_file_that_cannot_be_opened(
    kind: dict[str, Any], name: str, got: str, tmp_path: Path
) -> None:
    message = refused(job(**kind, path=tmp_path / name), tmp_path)
    assert message.startswith(str(tmp_path / name))
    assert got in message


@pytest.mark.parametrize(
    ("problem", "fragments"),
    [
        ({"path": "data.svm", "n": 5}, ["problem.n", "got 5", "at most 4", "data.svm"]),
        ({"dataset": "digits", "n": 1798}, ["problem.n", "1798", "at most 1797", "digits"]),
        ({"path": "data.svm", "n": 2, "d": 2}, ["data.svm", "line 2", "feature 3", "problem.d"]),
        ({"dataset": "digits", "n": 2, "d": 63}, ["problem.d", "got 63", "64"]),
        ({"dataset": "digits", "n": 2, "d": 65}, ["problem.d", "got 65", "64"]),
        ({"dataset": "digits", "n": 4, "l2": 0.0}, ["L̄", "singular", "l2 > 0"]),
        ({"path": "data.svm", "n": 2, "d": 4, "l2": 0.0}, ["L̄", "singular", "l2 > 0"]),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_data_that_do_not_fit(
    problem: dict[str, Any], fragments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.svm").write_text(GOOD)
    message = refused(job(kind="ridge", **problem), tmp_path)
    for fragment in fragments:
        assert fragment in message


def test_the_good_data_file_is_good(tmp_path: Path) -> None:
    path = tmp_path / "data.svm"
    path.write_text(GOOD)
    assert ist_mpi.run(job(kind="ridge", path=path, n=2)).status == "finished"


# --- arrays --------------------------------------------------------------------------------------

Arrays = dict[str, np.ndarray]


def arrays(**changes: np.ndarray) -> Arrays:
    """L (3, 4, 4) and b (3, 4), symmetric and positive definite, with `changes`."""
    B = np.random.default_rng(0).standard_normal((3, 4, 4))
    L = np.stack([Bi.T @ Bi + np.eye(4) for Bi in B])
    return {"L": (L + L.transpose(0, 2, 1)) / 2, "b": np.ones((3, 4)), **changes}


def altered(name: str, at: tuple[int, ...], value: Any) -> Arrays:
    """Good arrays with one entry, or one part, changed."""
    changed = arrays(x0=np.zeros(4))
    changed[name][at] = value
    return changed


BAD_ARRAYS: dict[str, tuple[Arrays, list[str]]] = {
    "not symmetric": (
        altered("L", (1, 0, 2), 7.5),
        ["L", "worker 1", "L[0, 2] = 7.5", "L[2, 0]", "symmetric"],
    ),
    "hardly unsymmetric": (
        altered("L", (2, 3, 1), arrays()["L"][2, 3, 1] + 1e-6),
        ["L", "worker 2", "symmetric"],
    ),
    "NaN in L": (altered("L", (2, 3, 3), np.nan), ["L", "worker 2", "nan", "(3, 3)", "finite"]),
    "infinity in L": (altered("L", (0, 1, 1), -np.inf), ["L", "worker 0", "-inf", "(1, 1)"]),
    "NaN in b": (altered("b", (2, 1), np.nan), ["b", "worker 2", "nan", "finite"]),
    "infinity in b": (altered("b", (0, 0), np.inf), ["b", "worker 0", "inf", "finite"]),
    "NaN in x0": (altered("x0", (1,), np.nan), ["x0", "finite"]),
    "negative eigenvalue": (
        altered("L", (1,), np.diag([1.0, 2.0, -0.25, 3.0])),
        ["L", "worker 1", "-0.25", "eigenvalue"],
    ),
    "indefinite": (
        altered("L", (1,), np.eye(4) + 2 * np.eye(4)[::-1]),
        ["L", "worker 1", "-1", "eigenvalue"],
    ),
    "L not square": (arrays(L=np.ones((3, 4, 5))), ["L", "(3, 4, 5)", "(n, d, d)"]),
    "b of too few workers": (arrays(b=np.ones((2, 4))), ["b", "(2, 4)", "(3, 4)"]),
    "b of too few coordinates": (arrays(b=np.ones((3, 5))), ["b", "(3, 5)", "(3, 4)"]),
    "x0 too short": (arrays(x0=np.ones(3)), ["x0", "(3,)", "(4,)"]),
    "no workers": (arrays(L=np.ones((0, 4, 4)), b=np.ones((0, 4))), ["L", "(0, 4, 4)"]),
    "no coordinates": (arrays(L=np.ones((3, 0, 0)), b=np.ones((3, 0))), ["L", "(3, 0, 0)"]),
    "one matrix": (arrays(L=np.eye(4)), ["L", "(4, 4)", "3 dimension"]),
    "one vector": (arrays(b=np.ones(4)), ["b", "(4,)", "2 dimension"]),
    "complex": (arrays(L=arrays()["L"] * 1j), ["L", "complex128", "real"]),
    "strings": (arrays(b=np.full((3, 4), b"a")), ["b", "real"]),
    "zero": (arrays(L=np.zeros((3, 4, 4))), ["L̄", "singular"]),
    "singular mean": (
        arrays(L=np.stack([np.diag([1.0, 2.0, 0.0, 1.0])] * 3)),
        ["L̄", "singular"],
    ),
    "nearly singular mean": (
        arrays(L=np.stack([np.ones((4, 4)) + 1e-16 * np.eye(4)] * 3)),
        ["L̄", "singular"],
    ),
}


@pytest.mark.parametrize("where", ["memory", "file"])
@pytest.mark.parametrize(("given", "fragments"), BAD_ARRAYS.values(), ids=BAD_ARRAYS.keys())
def test_bad_arrays(given: Arrays, fragments: list[str], where: str, tmp_path: Path) -> None:
    if where == "memory":
        message = refused(job(kind="arrays", **given), tmp_path)
    else:
        path = tmp_path / "mine.h5"
        with h5py.File(path, "w") as file:
            for name, array in given.items():
                file[name] = array
        message = refused(job(kind="arrays", path=path), tmp_path)
        assert str(path) in message or fragments[0] == "L̄"
    for fragment in fragments:
        assert fragment in message


def _without_b(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["L"] = arrays()["L"]


def _with_group(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["b"] = arrays()["b"]
        file.create_group("L")


def _cut(path: Path) -> None:
    with h5py.File(path, "w") as file:
        for name, array in arrays().items():
            file[name] = array
    path.write_bytes(path.read_bytes()[:-400])


@pytest.mark.parametrize(
    ("make", "fragments"),
    [
        (_without_b, ["/b", "nothing", "2 dimension"]),
        (_with_group, ["/L", "a group", "3 dimension"]),
        (_cut, ["HDF5"]),
        (lambda path: path.write_bytes(b""), ["HDF5"]),
        (lambda path: path.write_text(GOOD), ["HDF5"]),
    ],
    ids=["no b", "L is a group", "cut", "empty", "text"],
)
def test_bad_hdf5_file(make: Callable[[Path], Any], fragments: list[str], tmp_path: Path) -> None:
    path = tmp_path / "mine.h5"
    make(path)
    message = refused(job(kind="arrays", path=path), tmp_path)
    assert message.startswith(str(path))
    for fragment in fragments:
        assert fragment in message


# --- sketches and sizes --------------------------------------------------------------------------

PRECONDITIONED = {"scaling": "preconditioned"}


def test_preconditioned_with_a_zero_diagonal_names_worker_and_coordinate(tmp_path: Path) -> None:
    given = altered("L", (2,), np.diag([1.0, 0.0, 2.0, 3.0]))
    message = refused(job(PRECONDITIONED, kind="arrays", **given), tmp_path)
    assert "preconditioned" in message
    assert re.search(r"coordinate 1\b", message)
    assert re.search(r"worker 2\b", message)


def test_preconditioned_on_a_data_set_with_an_empty_column(tmp_path: Path) -> None:
    problem = {"kind": "ridge", "dataset": "digits", "n": 4, "l2": 0.0}
    message = refused(job(PRECONDITIONED, **problem), tmp_path)
    assert "preconditioned" in message
    assert re.search(r"coordinate 0\b", message)
    assert re.search(r"worker 0\b", message)
    assert "l2 > 0" in message


@pytest.mark.parametrize("name", ["ist", "dcgd"])
def test_q_larger_than_d(name: str, tmp_path: Path) -> None:
    message = refused(job({"name": name, "sketch": "rand", "q": 7}), tmp_path)
    for fragment in ("method.q", "got 7", "d = 6"):
        assert fragment in message
    assert ist_mpi.run(job({"name": name, "sketch": "rand", "q": 6})).status == "finished"


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    free = psutil.virtual_memory()._replace(available=1 << 20)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)


@pytest.mark.usefixtures("little_memory")
def test_too_little_memory(tmp_path: Path) -> None:
    message = refused(job(kind="synthetic", d=400, n=3), tmp_path)
    assert "memory" in message
    assert "1.0 MiB" in message


@pytest.fixture
def little_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1 << 20, 1 << 20, 2048))


@pytest.mark.usefixtures("little_disk")
def test_too_little_disk(tmp_path: Path) -> None:
    message = refused(job(), tmp_path)
    assert str(tmp_path) in message
    assert "2.0 KiB" in message


@pytest.mark.usefixtures("little_disk")
@pytest.mark.parametrize("words", ["run job.toml", "run job.toml --dry-run", "submit job.toml"])
def test_too_little_disk_of_commands(words: str, main: Callable[..., str], tmp_path: Path) -> None:
    written(tmp_path, job())
    message = main(*words.split())
    assert str(Path("results") / "job.h5") in message
    assert "2.0 KiB" in message


@pytest.mark.usefixtures("little_memory", "little_disk")
def test_too_little_of_both(tmp_path: Path) -> None:
    message = refused(job(kind="synthetic", d=400, n=3), tmp_path)
    assert "1.0 MiB" in message
    assert "2.0 KiB" in message


# --- outputs -------------------------------------------------------------------------------------


def refused_out(out: str | Path, **options: Any) -> str:
    """What ist_mpi.run says of an output path that it refuses."""
    with pytest.raises(ist_mpi.InputError) as caught:
        ist_mpi.run(job(), out=out, **options)
    return str(caught.value)


def test_an_existing_output_stays_as_it_is(tmp_path: Path) -> None:
    out = tmp_path / "run.h5"
    out.write_bytes(b"precious")
    message = refused_out(out)
    assert str(out) in message
    assert "exists" in message
    assert "force=True" in message
    assert listing(tmp_path) == {"run.h5": b"precious"}


def test_force_replaces_an_existing_output_only_when_the_run_is_right(tmp_path: Path) -> None:
    out = tmp_path / "run.h5"
    out.write_bytes(b"precious")
    with pytest.raises(ist_mpi.InputError):
        ist_mpi.run(job(kind="ridge", dataset="digits", n=4, l2=0.0), out=out, force=True)
    assert listing(tmp_path) == {"run.h5": b"precious"}
    ist_mpi.run(job(), out=out, force=True)
    assert ist_mpi.open_run(out).status == "finished"


@pytest.mark.parametrize("force", [False, True])
def test_outputs_that_cannot_be(force: bool, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"precious")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    before = listing(tmp_path)
    for name, fragment in (
        ("folder", "a directory"),
        ("file/run.h5", "no directory"),
        ("file/deeper/run.h5", "no directory"),
        ("link", ""),
    ):
        message = refused_out(tmp_path / name, force=force)
        assert str(tmp_path / name) in message
        assert fragment in message
    assert listing(tmp_path) == before


def test_an_output_name_that_is_too_long(tmp_path: Path) -> None:
    out = tmp_path / ("n" * 300 + ".h5")
    assert str(out) in refused_out(out)


def test_an_output_folder_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> None:  # root may write everywhere
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    message = refused_out(tmp_path / "run.h5")
    assert str(tmp_path) in message
    assert "writ" in message


def test_faults_of_configuration_data_and_output_are_listed_together(tmp_path: Path) -> None:
    out = tmp_path / "run.h5"
    out.write_bytes(b"precious")
    with pytest.raises(ist_mpi.InputError) as caught:
        ist_mpi.run(job(kind="ridge", path=tmp_path / "missing.svm", n=2), out=out)
    assert len(caught.value.faults) == 2
    assert "missing.svm" in str(caught.value)
    assert str(out) in str(caught.value)
    assert out.read_bytes() == b"precious"


# --- the command line ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["run.rounds", "run.seed", "run.max_seconds", "method.group_size", "method.local_steps"],
)
@pytest.mark.parametrize("value", ["{}", "[{}]", "{{a = {}}}"])
def test_integers_that_python_does_not_write(
    name: str, value: str, main: Callable[..., str], tmp_path: Path
) -> None:
    """Hexadecimal digits can be read without limit, but only so many decimal ones be written."""
    sketches = ['method.sketch="rand"', "method.q=2", "method.step_size=theory", "method.name=dcgd"]
    written(tmp_path, job())
    number = value.format("0x" + "f" * 6000)
    more = [f"--set={setting}" for setting in (*sketches, f"{name}={number}")]
    message = main("run", "job.toml", *more)
    assert name in message
    assert len(message) < 2000


def test_names_and_values_keep_to_their_line(main: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "job.toml").write_text("")
    message = main("run", "job.toml", "--set", "problem.kind=a\nb\x1b[31m")
    assert "a\\nb\\x1b[31m" in message


def test_faults_without_number(main: Callable[..., str], tmp_path: Path) -> None:
    """The message of a file of nonsense is no longer than a screen."""
    path = written(tmp_path, job())
    path.write_text(path.read_text() + "".join(f"\n[section{at}]" for at in range(500)))
    with pytest.raises(ist_mpi.InputError) as caught:
        ist_mpi.run(path)
    lines = str(caught.value).splitlines()
    assert lines[0] == "500 problems:"
    assert lines[-1] == "  - and 450 more"
    assert len(lines) == 52


@pytest.mark.parametrize("seeds", ["3", "", ":", "3:", ":3", "3:3", "4:3", "a:b", "-1:2", "1:2:3",
                                   "0.5:2"])  # fmt: skip
def test_malformed_seeds(seeds: str, main: Callable[..., str], tmp_path: Path) -> None:
    written(tmp_path, job())
    message = main("run", "job.toml", f"--seeds={seeds}")
    assert "--seeds" in message
    assert repr(seeds) in message
    assert "A:B" in message


def test_seeds_beyond_the_largest(main: Callable[..., str], tmp_path: Path) -> None:
    written(tmp_path, job())
    assert "--seeds" in main("run", "job.toml", f"--seeds={2**63 - 1}:{2**63 + 1}")


def test_one_of_many_outputs_exists(main: Callable[..., str], tmp_path: Path) -> None:
    written(tmp_path, job())
    (tmp_path / "run-seed2.h5").write_bytes(b"precious")
    message = main("run", "job.toml", "--out=run.h5", "--seeds=0:4")
    assert "run-seed2.h5" in message
    assert "run-seed1.h5" not in message


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        (["rum", "job.toml"], ["rum"]),
        (["run"], ["CONFIG.toml"]),
        (["run", "job.toml", "more.toml"], ["more.toml"]),
        (["run", "job.toml", "--fast"], ["--fast"]),
        (["run", "job.toml", "--out"], ["--out"]),
        (["run", "job.toml", "--set"], ["--set"]),
        (["run", "job.toml", "--set", "rounds=3"], ["--set", "rounds=3", "section.key=value"]),
        (["run", "job.toml", "--set", "run.rounds=many"], ["run.rounds", "many"]),
        (["run", "job.toml", "--dry-run", "--set", "run.rounds=0"], ["run.rounds", "got 0"]),
        (["run", "."], ["directory"]),
        (["--fast"], ["--fast"]),
        (["info"], ["RUN.h5"]),
        (["info", "missing.h5"], ["missing.h5", "no such file"]),
        (["info", "job.toml"], ["job.toml", "HDF5"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_wrong_commands(
    arguments: list[str], fragments: list[str], main: Callable[..., str], tmp_path: Path
) -> None:
    written(tmp_path, job())
    message = main(*arguments)
    for fragment in fragments:
        assert fragment in message


def test_command_unknown_command(main: Callable[..., str]) -> None:
    assert "rum" in main("rum", "job.toml")


@pytest.mark.slow
def test_real_command_several_faults(tmp_path: Path) -> None:
    tables = job({"stepsize": 1.0, "step_size": -1.0}, kind="synthetic", d=0, n=True)
    written(tmp_path, tables)
    message = refused_command(tmp_path, "run", "job.toml", "--set", "run.exchange=mail")
    assert message.startswith("ist-mpi: 5 problems:\n")
    for setting in ("problem.d", "problem.n", "method.step_size", "method.stepsize"):
        assert f"{setting} in job.toml" in message
    assert "did you mean step_size?" in message
    assert "run.exchange" in message


def test_command_missing_configuration(main: Callable[..., str]) -> None:
    message = main("run", "nowhere/job.toml")
    assert "nowhere/job.toml" in message
    assert "no such file" in message


def test_command_malformed_configuration(main: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "job.toml").write_text("[run]\nrounds = three\n")
    message = main("run", "job.toml")
    assert "job.toml" in message
    assert "line 2" in message


def test_command_data_cut(main: Callable[..., str], tmp_path: Path) -> None:
    written(tmp_path, job(kind="ridge", path="data.svm", n=2))
    (tmp_path / "data.svm").write_text("1 1:0.5\n1 2:")
    message = main("run", "job.toml", "--dry-run")
    assert str(tmp_path / "data.svm") in message
    assert 'line 2: "2:"' in message


def test_command_zero_diagonal(main: Callable[..., str], tmp_path: Path) -> None:
    tables = job(PRECONDITIONED, kind="ridge", dataset="digits", n=4, l2=0.0)
    written(tmp_path, tables)
    message = main("run", "job.toml")
    assert "coordinate 0 " in message
    assert "worker 0 " in message


def test_command_default_output_exists(main: Callable[..., str], tmp_path: Path) -> None:
    written(tmp_path, job())
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "job.h5").write_bytes(b"precious")
    message = main("run", "job.toml")
    assert str(Path("results") / "job.h5") in message


@pytest.mark.slow
def test_real_command_far_too_large_a_problem(tmp_path: Path) -> None:
    """It must be refused before anything of that size is made: no machine has the 8 EB.

    Its log of 30 GiB fits on some disks and not on others: then that is a second line.
    """
    written(tmp_path, job(kind="synthetic", d=10**9, n=3))
    message = refused_command(tmp_path, "run", "job.toml", limit=8 << 30)
    assert "memory" in message


# --- many ranks ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_ranks_several_faults_of_the_configuration(tmp_path: Path) -> None:
    written(tmp_path, job({"step_size": 0, "stepsize": 1}))
    message = refused_command(tmp_path, "run", "job.toml", ranks=3)
    assert message.startswith("ist-mpi: 2 problems:\n")


@pytest.mark.slow
def test_ranks_existing_output(tmp_path: Path) -> None:
    written(tmp_path, job())
    (tmp_path / "run.h5").write_bytes(b"precious")
    message = refused_command(tmp_path, "run", "job.toml", "--out", "run.h5", ranks=3)
    assert "run.h5" in message


@pytest.mark.slow
def test_ranks_faults_that_different_ranks_find_are_one_message(tmp_path: Path) -> None:
    given = {"L": np.stack([np.eye(4)] * 5), "b": np.ones((5, 4))}
    given["L"][0, 0, 1] = 3.0  # the first rank's
    given["L"][4, 2, 2] = np.nan  # the last rank's
    with h5py.File(tmp_path / "mine.h5", "w") as file:
        for name, array in given.items():
            file[name] = array
    written(tmp_path, job(kind="arrays", path="mine.h5"))
    message = refused_command(tmp_path, "run", "job.toml", ranks=3)
    assert message.startswith("ist-mpi: 2 problems:\n")
    assert "worker 0: got L[0, 1] = 3" in message
    assert "worker 4: got nan" in message


@pytest.mark.slow
def test_ranks_singular_mean(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "mine.h5", "w") as file:
        file["L"] = np.stack([np.diag([0.0, 2.0]), np.diag([0.0, 1.0])])
        file["b"] = np.ones((2, 2))
    written(tmp_path, job(kind="arrays", path="mine.h5"))
    message = refused_command(tmp_path, "run", "job.toml", ranks=3)
    assert "L̄" in message
    assert "singular" in message


# --- a run that diverges -------------------------------------------------------------------------


def limit_of(L: np.ndarray) -> float:
    """2/λ_max(M) with M = n [ρ L̄ + (1 − ρ) D̄], ρ = (q − 1)/(d − 1), for n that divides d."""
    n, d = L.shape[:2]
    rho = (d // n - 1) / (d - 1)
    mean = L.mean(axis=0)
    M = n * (rho * mean + (1 - rho) * np.diag(np.diag(mean)))
    return float(2 / np.linalg.eigvalsh(M)[-1])


def assert_diverged(status: str, reason: str, round_: int, limit: float) -> None:
    """The status, and a reason with the round, the step size 1 and the limit."""
    assert status == "failed"
    assert f"after {round_} rounds" in reason
    assert re.search(r"step size 1(\.0)?\b", reason)
    numbers = [float(text) for text in re.findall(r"\d+\.\d+(?:e[+-]?\d+)?|\d+e[+-]?\d+", reason)]
    assert any(number == pytest.approx(limit, rel=1e-3) for number in numbers)


def test_a_diverging_run_stops_at_once(tmp_path: Path) -> None:
    tables = job({"step_size": 1.0})
    tables["run"]["rounds"] = 5000
    tables["log"] = {"iterates": True, "problem": True}
    result = ist_mpi.run(tables, out=tmp_path / "run.h5")
    finite = np.isfinite(result.iterates["x"]).all(axis=1)
    assert finite[:-1].all()
    assert not finite[-1]
    last = int(result.rounds["round"][-1])
    assert last < 5000
    assert_diverged(result.status, result.stop_reason, last, limit_of(result.problem["L"]))
    logged = ist_mpi.open_run(tmp_path / "run.h5")
    assert (logged.status, logged.stop_reason) == (result.status, result.stop_reason)


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [0, 3])
def test_a_diverging_command_exits_1_and_keeps_its_log(ranks: int, tmp_path: Path) -> None:
    tables = job({"step_size": 1.0})
    tables["run"]["rounds"] = 5000
    tables["log"] = {"every": 7, "problem": True}
    written(tmp_path, tables)
    done = command(tmp_path, "run", "job.toml", ranks=ranks)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert without_crowd(done.stderr).count("ist-mpi:") == 1
    with h5py.File(tmp_path / "results" / "job.h5") as file:
        status, reason = file.attrs["status"], file.attrs["stop_reason"]
        rounds, L = file["rounds/round"][:], file["problem/L"][:]
        assert not np.isfinite(file["model/x"][:]).all()
    assert_diverged(status, reason, rounds[-1], limit_of(L))
    assert reason in done.stderr


@pytest.mark.parametrize("option", ["--out", "--csv"])
def test_force_does_not_replace_what_the_run_is_made_of(
    option: str, main: Callable[..., str], tmp_path: Path
) -> None:
    data = tmp_path / "data.svm"
    data.write_text("".join(f"{i} 1:{i} 2:{i * i}\n" for i in range(1, 7)))
    config = written(tmp_path, job(kind="ridge", path="data.svm", n=2))
    (tmp_path / "link").symlink_to("job.toml")
    words = ["run"] if option == "--out" else ["theory", "--rounds", "3"]
    for target, name in (("job.toml", "configuration"), ("link", "configuration"), (data, "data")):
        message = main(*words, str(config), "--force", option, str(target))
        assert f"the {name} of the run itself" in message


@pytest.mark.parametrize(
    "words",
    [
        ["run", "job.toml", "--out", "."],
        ["run", "job.toml", "--out", "", "--seeds", "0:2"],
        ["run", "job.toml", "--out", "/", "--resume"],
        ["resume", "."],
        ["extend", "/", "--rounds", "9"],
        ["watch", "."],
        ["watch", "/", "--once"],
        ["info", "."],
        ["verify", "."],
    ],
)
def test_a_path_without_a_name_is_a_directory(
    words: list[str], main: Callable[..., str], tmp_path: Path
) -> None:
    written(tmp_path, job())
    assert "got a directory" in main(*words)
