"""The disk fails while a file is read: code 74 and one line, from every command."""

import errno
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from commands import call
from launched import CONFIG

import ist_mpi
from ist_mpi.store import files
from ist_mpi.store import log as runlog

COMMANDS = {
    "info": "info r.h5",
    "verify": "verify r.h5",
    "watch": "watch r.h5 --once",
    "resume": "resume r.h5",
    "extend": "extend r.h5 --rounds 20",
    "run --resume": "run c.toml --out r.h5 --resume",
}


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("c.toml").write_text(CONFIG.format(rounds=10))
    ist_mpi.run("c.toml", out="r.h5")
    return tmp_path / "r.h5"


def fail(monkeypatch: pytest.MonkeyPatch, where: str, at: str, number: int) -> None:
    """Let one file fail from its k-th reading on, or when it is opened or looked at."""
    if at in ("open", "stat"):
        real = getattr(os, at)

        def refusing(path: Any, *arguments: Any, **named: Any) -> Any:
            if isinstance(path, str | os.PathLike) and os.fspath(path).endswith(where):
                raise OSError(number, os.strerror(number), os.fspath(path))
            return real(path, *arguments, **named)

        monkeypatch.setattr(os, at, refusing)
        return
    count = [0]

    class Failing(files._Noting):
        def _fails(self) -> bool:
            count[0] += os.readlink(f"/proc/self/fd/{self.fileno()}").endswith(where)
            return count[0] > int(at)

        def readinto(self, buffer: Any) -> int | None:
            if self._fails():
                self.failure = OSError(number, os.strerror(number))
                raise self.failure
            return super().readinto(buffer)

        def readall(self) -> bytes:
            if self._fails():
                self.failure = OSError(number, os.strerror(number))
                raise self.failure
            return super().readall()

    monkeypatch.setattr(files, "_Noting", Failing)


def is_in_order(done: "subprocess.CompletedProcess[str]") -> None:
    said = [text for text in done.stderr.splitlines() if "oversubscribed" not in text]
    assert done.returncode == 74, done.stderr
    assert "Traceback" not in done.stderr
    assert len(said or done.stdout.splitlines()) == 1, done.stderr


@pytest.mark.parametrize("at", ["open", "stat", "0", "1", "2"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_log(log: Path, monkeypatch: pytest.MonkeyPatch, command: str, at: str) -> None:
    before = log.read_bytes()
    with monkeypatch.context() as within:
        fail(within, "r.h5", at, errno.EIO)
        is_in_order(call(*COMMANDS[command].split()))
    assert log.read_bytes() == before


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOMEM])
@pytest.mark.parametrize("at", ["open", "0"])
def test_other_ways_to_fail(
    log: Path, monkeypatch: pytest.MonkeyPatch, number: int, at: str
) -> None:
    fail(monkeypatch, "r.h5", at, number)
    is_in_order(call("info", "r.h5"))


@pytest.mark.parametrize("at", ["open", "0"])
@pytest.mark.parametrize("command", ["run c.toml --out new.h5", "theory c.toml", "submit c.toml"])
def test_a_configuration(log: Path, monkeypatch: pytest.MonkeyPatch, command: str, at: str) -> None:
    fail(monkeypatch, "c.toml", at, errno.EIO)
    is_in_order(call(*command.split()))
    assert not Path("new.h5").exists()


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
def test_what_may_not_be_read_is_wrong_input(
    log: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    fail(monkeypatch, "r.h5", "open", number)
    done = call("info", "r.h5")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_a_parser_does_not_make_it_a_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"1234")
    descriptor = os.open(path, os.O_RDONLY)

    def parse() -> None:
        with files.noting(descriptor, path) as file:
            os.dup2(os.open(tmp_path, os.O_RDONLY), descriptor)  # EISDIR
            try:
                file.read()
            except OSError as error:
                raise ValueError("damaged") from error

    with pytest.raises(ist_mpi.ISTError, match="cannot be read") as caught:
        parse()
    assert isinstance(caught.value, OSError)
    assert caught.value.exit_code == 74


@pytest.mark.parametrize("at", ["0", "1"])
def test_the_child_that_reads_a_file_first(
    log: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    """Of a log without its seal, which another process reads: no process is to be had."""
    log.write_bytes(log.read_bytes()[:-81])
    runlog.open_run(log)

    def none(*_: Any, **__: Any) -> None:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    if at == "0":
        monkeypatch.setattr(subprocess, "run", none)
    else:
        found = subprocess.CompletedProcess([], 0, f"{errno.EIO}\n".encode(), b"")
        monkeypatch.setattr(subprocess, "run", lambda *_, **__: found)
    with pytest.raises(
        ist_mpi.ISTError, match=r"r\.h5 (cannot be read|could not be checked)"
    ) as caught:
        runlog.open_run(log)
    assert caught.value.exit_code == 74


def test_an_error_without_a_name(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it comes from: one line at the top of every command."""

    def broken(*_: Any, **__: Any) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO), "/a\n/b")

    monkeypatch.setattr(runlog, "open_run", broken)
    done = call("info", "r.h5")
    is_in_order(done)
    assert "/a\\n/b: Input/output error" in done.stderr
