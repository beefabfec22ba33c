"""What a run that stopped goes on from, and what it must not, by the command in this process."""

import errno
import io
import json
import os
import shutil
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import pytest
from commands import call
from launched import CONFIG
from same import same_run

import ist_mpi
from ist_mpi.config import load
from ist_mpi.parallel import ranks, signals
from ist_mpi.store import checkpoint, files, locks
from ist_mpi.store import log as runlog
from ist_mpi.training import api
from ist_mpi.training import job as jobs
from ist_mpi.training.record import Record

FINISHED, WRONG, DAMAGED, LOCKED, STOPPED = 0, 2, 65, 73, 75


class Outcome(NamedTuple):
    """How a command ended."""

    code: int
    err: str

    @property
    def message(self) -> str:
        """What it said last, one line."""
        return self.err.splitlines()[-1]


Command = Callable[..., Outcome]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """``command("resume", "r.h5")`` is ``ist-mpi resume r.h5`` in tmp_path; c.toml is there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.toml").write_text(CONFIG.format(rounds=30))

    def ended(*arguments: str) -> Outcome:
        done = call(*arguments)
        return Outcome(done.returncode, done.stderr)

    return ended


def stopped(command: Command, monkeypatch: pytest.MonkeyPatch, name: str = "r.h5") -> None:
    """A run that was stopped in the middle, with a checkpoint."""
    look = Record.look

    def asked(self: Record, k: int) -> None:
        look(self, k)
        if k >= 10:
            within.setattr(signals, "requested", lambda: 15)

    with monkeypatch.context() as within:
        within.setattr(Record, "look", asked)
        assert command("run", "c.toml", "--out", name).code == STOPPED


def damage(path: Path) -> None:
    """Turn a byte in the middle."""
    contents = bytearray(path.read_bytes())
    contents[len(contents) // 2] ^= 0xFF
    path.write_bytes(contents)


def tree(folder: Path) -> dict[str, Any]:
    """Every file below a folder with its contents and time."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


# --- damaged logs --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["resume", "r.h5"],
        ["extend", "r.h5", "--rounds", "60"],
        ["run", "c.toml", "--out", "r.h5", "--resume"],
    ],
    ids=["resume", "extend", "run --resume"],
)
def test_a_damaged_log_without_checkpoint_ends_with_65(
    command: Command, tmp_path: Path, arguments: list[str]
) -> None:
    assert command("run", "c.toml", "--out", "r.h5").code == FINISHED
    damage(tmp_path / "r.h5")
    before = tree(tmp_path)
    ended = command(*arguments)
    assert ended.code == DAMAGED
    assert ended.err.startswith("ist-mpi: r.h5: got a file changed")
    assert ended.err.count("\n") == 1
    assert tree(tmp_path) == before


@pytest.mark.slow
def test_a_damaged_log_with_a_checkpoint_goes_on(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped(command, monkeypatch)
    damage(tmp_path / "r.h5")
    assert command("resume", "r.h5").code == FINISHED
    same_run(runlog.open_run("r.h5"), ist_mpi.run(tmp_path / "c.toml"))


@pytest.mark.parametrize("log", ["damaged", "missing"])
def test_checkpoints_of_another_configuration_are_not_replaced(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: str
) -> None:
    """Where the log cannot say whose they are, they do."""
    stopped(command, monkeypatch)
    if log == "damaged":
        damage(tmp_path / "r.h5")
    else:
        (tmp_path / "r.h5").unlink()
    before = tree(tmp_path)
    resume = ["run", "c.toml", "--out", "r.h5", "--resume"]
    ended = command(*resume, "--set", "method.step_size=2e-3")
    assert ended.code == DAMAGED
    assert "method.step_size = 0.001, now 0.002" in ended.message
    assert tree(tmp_path) == before
    assert command(*resume).code == FINISHED
    same_run(runlog.open_run("r.h5"), ist_mpi.run(tmp_path / "c.toml"))


EDITS: dict[str, Callable[[h5py.File], None]] = {
    "hosts": lambda file: file.attrs.modify("hosts", "nobody"),
    "hosts of numbers": lambda file: file.attrs.modify("hosts", "[1]"),
    "versions": lambda file: file.attrs.modify("versions", "[1, 2]"),
    "status": lambda file: file.attrs.modify("status", "[red]good"),
    "config": lambda file: file.attrs.modify("config", "a = ["),
    "config without tables": lambda file: file.attrs.modify("config", "a = 1"),
    "config of numbers": lambda file: file.attrs.modify(
        "config", "problem = 1\nmethod = 2\nrun = 3"
    ),
    "model": lambda file: changed(file, "model/x", np.ones(1)),
    "start": lambda file: changed(file, "model/x0", np.ones(1)),
    "solution": lambda file: changed(file, "theory/x_star", np.ones(7)),
}
"""What leaves a log that nothing can be made of."""
ROWS: dict[str, Callable[[h5py.File], None]] = {
    "rounds": lambda file: file["rounds/round"].write_direct(np.arange(6) - 3),
    "iterates": lambda file: changed(file, "iterates/x", np.ones((2, 23))),
    "draws": lambda file: changed(file, "permutations/pi", np.ones((2, 23), np.int32)),
}
"""What leaves a log that can be looked at and judged, and not gone on with."""


def changed(file: h5py.File, name: str, array: np.ndarray) -> None:
    """Put another array in the place of one."""
    del file[name]
    file[name] = array


@pytest.mark.slow
@pytest.mark.parametrize("edit", [*EDITS, *ROWS])
def test_a_log_edited_by_hand(command: Command, tmp_path: Path, edit: str) -> None:
    """Such a log has no digest any more; the commands say what is wrong with it."""
    more = ["--set", "log.iterates=true", "--set", "log.permutations=true"]
    assert command("run", "c.toml", "--out", "r.h5", *more).code == FINISHED
    with h5py.File("r.h5", "r+") as file:
        {**EDITS, **ROWS}[edit](file)
    before = tree(tmp_path)
    commands = [["extend", "r.h5", "--rounds", "60"]]
    if edit in EDITS:
        commands += [["info", "r.h5"], ["verify", "r.h5"], ["resume", "r.h5"]]
    for arguments in commands:
        ended = command(*arguments)
        assert ended.code == DAMAGED, (arguments, ended.err)
        assert ended.err.startswith("ist-mpi: r.h5: got a damaged log"), ended.err
        assert ended.err.count("\n") == 1
    assert tree(tmp_path) == before


# --- finished runs -------------------------------------------------------------------------------


def test_a_finished_run_needs_its_problem_no_more(command: Command, tmp_path: Path) -> None:
    """Neither data that are gone nor a folder that cannot be written to matter to it."""
    L = np.stack([np.eye(4), 2.0 * np.eye(4)])
    with h5py.File("data.h5", "w") as file:
        file["L"], file["b"] = L, np.ones((2, 4))
    (tmp_path / "c.toml").write_text(
        '[problem]\nkind = "arrays"\npath = "data.h5"\n'
        '[method]\nname = "ist"\nstep_size = 0.1\n[run]\nrounds = 5\n'
    )
    assert command("run", "c.toml", "--out", "r.h5").code == FINISHED
    (tmp_path / "data.h5").unlink()
    before = tree(tmp_path)
    ended = command("resume", "r.h5")
    assert ended.code == FINISHED
    assert ended.message == "ist-mpi: r.h5: finished already, nothing to do"
    assert tree(tmp_path) == before


def test_a_run_that_finishes_while_another_waits_for_its_log(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other looked at the log before it had the lock; it finds it finished, and leaves it."""
    stopped(command, monkeypatch)
    prepare, seen = api.prepare, []

    def slow(*arguments: Any) -> Any:
        prepared = prepare(*arguments)
        if not seen:
            seen.append("first")
            with monkeypatch.context() as within:
                within.setattr(api, "prepare", prepare)
                job, problem = jobs.reopen(ranks.world(), tmp_path / "r.h5")
                runs = api.results(ranks.world(), job, problem, going_on="resume", tell=print)
                seen.extend(run.status for run in runs)
            seen.append(tree(tmp_path))
        return prepared

    monkeypatch.setattr(api, "prepare", slow)
    assert command("resume", "r.h5").code == FINISHED
    assert seen == ["first", "finished", tree(tmp_path)]


def test_an_extension_interrupted_before_its_first_checkpoint(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The finished log is still all that there is of the run, and stays."""
    assert command("run", "c.toml", "--out", "r.h5").code == FINISHED
    before = tree(tmp_path)

    def interrupt(self: Record, k: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as within:
        within.setattr(Record, "look", interrupt)
        assert command("extend", "r.h5", "--rounds", "60").code == 130
        assert tree(tmp_path) == before
        assert command("run", "c.toml", "--out", "other.h5").code == 130
    assert not (tmp_path / "other.h5").exists()  # it has no rows yet


@pytest.mark.slow
def test_seeds_that_were_stopped_halfway(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first is left alone, the second goes on, the third begins; then all are finished."""
    look, runs = Record.look, []

    def asked(self: Record, k: int) -> None:
        runs.extend([self] if k == 0 else [])
        look(self, k)
        if len(runs) == 2 and k >= 10:
            within.setattr(signals, "requested", lambda: 15)

    seeds = ["run", "c.toml", "--out", "r.h5", "--seeds", "3:6"]
    with monkeypatch.context() as within:
        within.setattr(Record, "look", asked)
        assert command(*seeds).code == STOPPED
    assert sorted(path.name for path in tmp_path.glob("*.h5")) == ["r-seed3.h5", "r-seed4.h5"]
    first = (tmp_path / "r-seed3.h5").read_bytes()
    resumed = command(*seeds, "--resume")
    assert resumed.code == FINISHED, resumed.err
    assert "r-seed3.h5: finished already" in resumed.err
    assert "r-seed4.h5: going on after round" in resumed.err
    assert (tmp_path / "r-seed3.h5").read_bytes() == first
    config = load(tmp_path / "c.toml")
    for seed in (3, 4, 5):
        expected = ist_mpi.run(config.with_values(run={"seed": seed}))
        same_run(runlog.open_run(f"r-seed{seed}.h5"), expected)
    before = tree(tmp_path)
    again = command(*seeds, "--resume")
    assert again.code == FINISHED
    assert again.err.count("finished already, nothing to do") == 3
    assert tree(tmp_path) == before


# --- checkpoints ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_damaged_checkpoint_is_none_of_the_two_that_are_kept(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped(command, monkeypatch)
    folder = tmp_path / "r.ckpt"
    (newest,) = checkpoint.rounds(folder)
    shutil.copytree(folder / f"{newest:012d}", folder / f"{newest + 1:012d}")
    resumed = command("resume", "r.h5")
    assert "skipping a checkpoint" in resumed.err
    stopped(command, monkeypatch, "s.h5")
    later = tmp_path / "s.ckpt" / f"{newest + 1:012d}"
    shutil.copytree(tmp_path / "s.ckpt" / f"{newest:012d}", later)

    def asked(self: Record, k: int) -> None:
        look(self, k)
        if k >= 21:
            monkeypatch.setattr(signals, "requested", lambda: 15)

    look = Record.look
    monkeypatch.setattr(Record, "look", asked)
    assert command("resume", "s.h5").code == STOPPED
    there = checkpoint.rounds(tmp_path / "s.ckpt")
    assert len(there) == 2
    assert there[1] == newest


def test_logs_that_differ_in_their_suffix_share_no_checkpoints() -> None:
    names = ["r.h5", "r.hdf5", "r.ckpt", "r.h5.bak", "r.log"]
    folders = {checkpoint.folder_of(Path(name)) for name in names}
    assert len(folders) == len(names)
    assert not folders & {Path(name) for name in names if name != "r.ckpt"}
    assert checkpoint.folder_of(Path("r.ckpt")) != Path("r.ckpt")


def test_a_manifest_that_is_no_file(command: Command, tmp_path: Path) -> None:
    """Nothing waits for a FIFO."""
    folder = tmp_path / "r.ckpt" / f"{3:012d}"
    folder.mkdir(parents=True)
    os.mkfifo(folder / checkpoint.MANIFEST)
    kept, complaints = checkpoint.newest(tmp_path / "r.ckpt", None)
    assert kept is None
    assert "special file" in complaints[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("call", "where"), [("open", "r.ckpt/"), ("stat", "r.ckpt/"), ("listdir", "r.ckpt")]
)
@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EACCES])
def test_a_checkpoint_that_cannot_be_read_now(
    command: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    where: str,
    number: int,
) -> None:
    """A disk or file server that fails says nothing about what is there: no round is lost."""
    stopped(command, monkeypatch)
    (newest,) = checkpoint.rounds(tmp_path / "r.ckpt")
    before, real = tree(tmp_path), getattr(os, call)

    def failing(path: Any, *arguments: Any, **named: Any) -> Any:
        if isinstance(path, str | os.PathLike) and where in os.fspath(path):
            raise OSError(number, os.strerror(number))
        return real(path, *arguments, **named)

    with monkeypatch.context() as within:
        within.setattr(os, call, failing)
        ended = command("resume", "r.h5")
    assert ended.code == 74
    assert "cannot be read" in ended.message
    assert tree(tmp_path) == before
    resumed = command("resume", "r.h5")
    assert resumed.code == FINISHED
    assert f"going on after round {newest}" in resumed.err
    same_run(runlog.open_run("r.h5"), ist_mpi.run(tmp_path / "c.toml"))


@pytest.mark.parametrize(
    "change",
    [
        {"arrays": {"x": 10**17}},
        {"arrays": []},
        {"workers": 0},
        {"files": {"log.h5": 5}},
        {"round": None},
    ],
)
def test_a_sealed_manifest_of_nonsense(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    """Whatever it says, it is one complaint."""
    stopped(command, monkeypatch)
    (newest,) = checkpoint.rounds(tmp_path / "r.ckpt")
    path = tmp_path / "r.ckpt" / f"{newest:012d}" / checkpoint.MANIFEST
    manifest = json.loads(path.read_bytes()[:-65])
    path.write_bytes(files.sealed({**manifest, **change}))
    kept, complaints = checkpoint.newest(tmp_path / "r.ckpt", None)
    assert kept is None
    assert len(complaints) == 1


@pytest.mark.slow
def test_max_seconds_too_short_for_anything(command: Command, tmp_path: Path) -> None:
    """Each start makes some rounds, so that starting again and again comes to the end."""
    command("run", "c.toml", "--out", "r.h5", "--set", "run.max_seconds=1e-9")
    for _ in range(30):
        if command("resume", "r.h5").code == FINISHED:
            break
    same_run(runlog.open_run("r.h5"), ist_mpi.run(tmp_path / "c.toml"))


@pytest.mark.slow
def test_a_link_to_a_log_is_that_log(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lock and its checkpoints lie beside it, not beside the link, which stays one."""
    (tmp_path / "there").mkdir()
    stopped(command, monkeypatch, "there/r.h5")
    (tmp_path / "latest.h5").symlink_to("there/r.h5")
    with locks.locked(tmp_path / "there/r.h5"):
        assert command("resume", "latest.h5").code == LOCKED
    resumed = command("resume", "latest.h5")
    assert resumed.code == FINISHED
    assert "going on after round" in resumed.err
    assert (tmp_path / "latest.h5").is_symlink()
    same_run(runlog.open_run("there/r.h5"), ist_mpi.run(tmp_path / "c.toml"))
    assert command("extend", "latest.h5", "--rounds", "40").code == FINISHED
    assert command("run", "c.toml", "--out", "latest.h5", "--force").code == FINISHED
    assert sorted(os.listdir(tmp_path)) == ["c.toml", "latest.h5", "there"]
    assert os.listdir(tmp_path / "there") == ["r.h5"]


# --- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["lock link", "lock FIFO", "checkpoints", "long", "not UTF-8"])
def test_what_lies_in_the_way(command: Command, tmp_path: Path, what: str) -> None:
    """Found before the run starts; nothing of it is touched."""
    (tmp_path / "precious").write_text("precious")
    name = "r.h5"
    if what == "lock link":
        locks.path_of(tmp_path / name).symlink_to("precious")
    elif what == "lock FIFO":
        os.mkfifo(locks.path_of(tmp_path / name))
    elif what == "checkpoints":
        (tmp_path / "r.ckpt").write_text("precious")
    elif what == "long":
        name = "r" * 250 + ".h5"
    else:
        name = "caf\udce9.h5"
    before, names = tree(tmp_path), sorted(os.listdir(tmp_path))
    ended = command("run", "c.toml", "--out", name)
    assert ended.code == WRONG, ended.err
    assert ended.err.startswith("ist-mpi: ")
    assert ended.err.count("\n") == 1
    assert (tree(tmp_path), sorted(os.listdir(tmp_path))) == (before, names)


def test_a_lock_is_never_taken_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    locks.path_of(tmp_path / "r.h5").symlink_to("precious")
    with pytest.raises(OSError, match="symbolic"), locks.locked(tmp_path / "r.h5"):
        pass
    assert (tmp_path / "precious").read_text() == "precious"


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_watchdog_where_stderr_is_no_file(tmp_path: Path) -> None:
    """As in a notebook: the thread that watches does not fail."""
    config = tmp_path / "c.toml"
    config.write_text(CONFIG.format(rounds=30))
    with redirect_stderr(io.StringIO()) as nowhere:
        with pytest.raises(OSError, match="fileno"):
            nowhere.fileno()
        assert ist_mpi.run(config, out=tmp_path / "r.h5").status == "finished"
