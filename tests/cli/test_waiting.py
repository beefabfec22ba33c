"""What the commands say while they are at work, and how they may be completed."""

import io
import logging
import os
import pty
import re
import select
import shutil
import sys
import time
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import pytest
from commands import call
from rich.console import Console
from typer.main import get_command

import ist_mpi
from ist_mpi.batch.points import plan
from ist_mpi.cli.main import COMMANDS, app
from ist_mpi.cli.report import progress
from ist_mpi.cli.report.progress import ProgressReport, Waiting
from ist_mpi.exact_theory.stages import stages, tell
from ist_mpi.store import hdf5
from ist_mpi.training.progress import Progress

SMALL = """
[problem]
kind = "synthetic"
n = 3
d = 7
[method]
name = "ist"
step_size = 1e-3
[run]
rounds = 200
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text(SMALL)
    return tmp_path


def on_a_terminal(text: io.StringIO) -> Console:
    return Console(file=text, force_terminal=True, width=80, legacy_windows=False)


def test_what_theory_has_found_stays_to_be_seen(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Above what it is at; and what a command prints meanwhile goes where it always goes."""
    monkeypatch.setattr(progress, "SHOWN_AFTER", 0.0)
    heard = io.StringIO()
    with Waiting(on_a_terminal(heard)):
        at = stages(["one thing", "another"])
        next(at)
        tell({"theta": 2.5, "contraction": None})
        next(at)
        print("for a pipe")
        time.sleep(0.4)
    last = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", " ", heard.getvalue())
    assert re.search(r"theta = 2.5\s.*theory, 2 of 2: another", last, re.DOTALL)
    assert "contraction" not in last
    assert "for a pipe" not in last
    assert capfd.readouterr().out == "for a pipe\n"


class Heard(logging.Handler):
    """What a program's own handler gets."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


@pytest.mark.parametrize("name", ["", "ist_mpi", "ist_mpi.any"])
@pytest.mark.parametrize("level", [logging.DEBUG, logging.WARNING])
def test_what_a_program_hears_of_the_package_does_not_change(name: str, level: int) -> None:
    """With bars shown, one in the other and ended in any order, and after them."""
    logger, source = logging.getLogger(name), logging.getLogger("ist_mpi.any.where")
    before, heard = logger.level, Heard()
    logger.addHandler(heard)
    logger.setLevel(level)
    try:
        first, second = Waiting(Console(file=io.StringIO())), Waiting(Console(file=io.StringIO()))
        said = []
        for change in (first.start, second.start, first.stop, second.stop, str):
            change()
            for at in (logging.DEBUG, logging.INFO, logging.WARNING):
                said.append(f"{len(said)} of level {at}")
                source.log(at, said[-1])
        wanted = [text for text in said if int(text.split()[-1]) >= level]
        assert heard.texts == wanted
    finally:
        logger.removeHandler(heard)
        logger.setLevel(before)


def test_a_terminal_shows_what_is_being_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SHOWN_AFTER", 0.0)
    heard = io.StringIO()
    with Waiting(on_a_terminal(heard)):
        logging.getLogger("ist_mpi.any.where").info("weighing %s", "[b]\x1b[31m")
        time.sleep(0.4)
        logging.getLogger(progress.COMPILING).info("compiling")
        time.sleep(0.4)
        logging.getLogger(progress.COMPILING).info("")
        time.sleep(0.4)
    found = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", " ", heard.getvalue())
    words = re.findall(r"weighing|compiling", found)
    assert re.search("^(weighing )+(compiling )+(weighing )+$", " ".join(words) + " ")
    assert "weighing [b]\\x1b[31m … 0 s" in found


READERS = {
    "plot": ("runs", "-o", "p.svg"),
    "report": ("runs",),
    "info": ("runs/0.h5",),
    "verify": ("runs/0.h5", "--no-replay"),
    "sweep table": ("runs",),
    "sweep status": ("sweep.toml", "--folder", "runs"),
}


@pytest.mark.slow
@pytest.mark.parametrize("command", READERS)
def test_logs_are_read_while_something_is_shown(
    config: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """There may be a thousand; and what is done is said."""
    for seed in range(2):
        ist_mpi.run(config / "small.toml", seed=seed, out=config / "runs" / f"{seed}.h5")
    sweep = Path("sweep.toml")
    sweep.write_text('base = "small.toml"\n[grid]\n"run.seed" = [0, 1]\n')
    (first, *_) = plan(sweep, Path("runs")).points
    shutil.copy("runs/0.h5", first.log)
    shown, read, heard = [False], [], Heard()
    start, stop, reading = Waiting.start, Waiting.stop, hdf5.reading

    def change(waiting: Waiting, to: bool) -> None:
        shown[0] = to
        (start if to else stop)(waiting)

    def spy(*words: Any, **how: Any) -> Any:
        read.append(shown[0])
        return reading(*words, **how)

    monkeypatch.setattr(Waiting, "start", lambda one: change(one, True))
    monkeypatch.setattr(Waiting, "stop", lambda one: change(one, False))
    monkeypatch.setattr(hdf5, "reading", spy)
    note = Waiting.note
    monkeypatch.setattr(
        Waiting, "note", lambda one, record: (heard.handle(record), note(one, record))[1]
    )
    done = call(*command.split(), *READERS[command])
    assert done.returncode == 0, done.stderr
    assert read
    assert all(read)
    if command in ("plot", "report"):
        assert {"reading 3 logs", "drawing"} <= set(heard.texts)


def test_elsewhere_a_line_for_what_takes_long(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.5)
    with Waiting(Console(file=io.StringIO())):
        logging.getLogger("ist_mpi.quick").info("quick")
        logging.getLogger("ist_mpi.slow").info("slow")
        time.sleep(1.5)
    assert capsys.readouterr().err == "ist-mpi: slow …\n"


def test_nothing_is_heard_before_and_after() -> None:
    logger = logging.getLogger("ist_mpi")
    before = (list(logger.handlers), logger.level)
    with redirect_stderr(io.StringIO()), ProgressReport("one") as show:
        assert len(logger.handlers) == len(before[0]) + 1
        show(Progress(seed=0, round=1, rounds=2, seconds=1.0, row={}))
        assert (logger.handlers, logger.level) == before
    assert (logger.handlers, logger.level) == before


@pytest.mark.slow
def test_the_first_word_on_a_terminal_comes_soon(config: Path) -> None:
    """With nothing compiled yet: most of the time goes into that."""
    cache = config / "cache"
    cache.mkdir(mode=0o700)
    first, again, words = heard(["-m", "ist_mpi", "run", "small.toml"], str(cache))
    assert "compiling" in words
    assert first < 8 * LATE
    assert again < 8 * LATE


LATE = 2.0
"""Seconds of silence, at most; eight times that on a machine with other things to do."""


def heard(arguments: list[str], cache: str) -> tuple[float, float, str]:
    """Seconds to the first word, the longest silence after it, and all that was said."""
    child, terminal = pty.fork()
    if child == 0:
        os.environ |= {"NUMBA_CACHE_DIR": cache, "TERM": "xterm", "COLUMNS": "100"}
        os.execv(sys.executable, [sys.executable, *arguments])
    last = time.monotonic()
    silences, text = [], b""
    while True:
        assert select.select([terminal], [], [], 120)[0], "nothing for two minutes"
        try:
            part = os.read(terminal, 65536)
        except OSError:
            break
        if not part:
            break
        text += part
        if re.search(rb"\w\w", re.sub(rb"\x1b\[[0-9;?]*[a-zA-Z]", b"", part)):
            now = time.monotonic()
            silences.append(now - last)
            last = now
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    return silences[0], max(silences[1:]), text.decode()


def test_a_dry_run_minds_no_log(config: Path) -> None:
    (config / "results").mkdir()
    (config / "results" / "small.h5").write_text("a log")
    done = call("run", "small.toml", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "small.h5" in done.stdout
    assert "exists: with --force only" in " ".join(done.stdout.split())
    assert (config / "results" / "small.h5").read_text() == "a log"
    refused = call("run", "small.toml")
    assert refused.returncode == 2
    assert "a file that exists" in refused.stderr


def test_what_has_stopped_says_how_to_go_on(config: Path) -> None:
    wide = ["--set", "run.rounds=100000000", "--set", "run.max_seconds=0.05"]
    done = call("run", "small.toml", "--out", "a b.h5", *wide, "--set", "log.every=1000")
    assert done.returncode == 75, done.stderr
    assert "ist-mpi resume 'a b.h5'" in " ".join(done.stdout.split())


NAMES = [
    *("", *(command.__name__ for command in COMMANDS)),
    *("sweep", *(f"sweep {name}" for name in ("plan", "status", "table", "run", "submit"))),
]
"""Of all commands, by their words."""


@pytest.mark.parametrize("name", NAMES)
def test_help_cuts_no_sentence_and_shows_arguments_as_they_are_typed(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = call(*name.split(), "--help").stdout.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert not [line for line in lines if re.search(r"[a-z:,]\.\.\.$", line)]
    assert not [line for line in lines if re.search(r"[{}]|^  \S+ <[^|]*>", line)]


@pytest.mark.parametrize("name", NAMES)
def test_completion_cuts_no_sentence(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line a word: fish offers whatever a line begins with."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("_IST_MPI_COMPLETE", "complete_fish")
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
    for begun in ("", "--"):
        monkeypatch.setenv("_TYPER_COMPLETE_ARGS", f"ist-mpi {name} {begun}")
        lines = list(filter(None, call().stdout.splitlines()))
        assert all(re.fullmatch(r"[\w-]+(\t.*[^.,]\.?)?", line) for line in lines), lines
        assert lines or not begun


def test_help_of_sweeps_cuts_no_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = call("sweep", "--help").stdout.splitlines()
    assert (
        len([line for line in lines if re.match(r"  (plan|status|table|run|submit) ", line)]) == 5
    )
    assert not [line for line in lines if re.search(r"[a-z:,]\.\.\.$", line)]


def test_arguments_are_named_as_what_they_are() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]  # a group's
    named = {
        name: [p.metavar for p in command.params if p.param_type_name == "argument"]
        for name, command in commands.items()
    }
    assert named["run"] == ["CONFIG.toml"]
    assert named["resume"] == named["info"] == ["RUN.h5"]
    assert named["verify"] == named["plot"] == ["RUN.h5…"]


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands(shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words = {"COMP_WORDS": "ist-mpi the", "COMP_CWORD": "1", "_TYPER_COMPLETE_ARGS": "ist-mpi the"}
    words["_TYPER_COMPLETE_FISH_ACTION"] = "get-args"
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("_IST_MPI_COMPLETE", f"complete_{shell}")
    for name, value in words.items():
        monkeypatch.setenv(name, value)
    done = call()
    assert "theory" in done.stdout
    assert "report" not in done.stdout
