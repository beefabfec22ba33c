"""Standard output and error on a full disk, as a batch system's may be."""

import io
import os
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

import pytest

import ist_mpi
from ist_mpi.cli import main
from ist_mpi.parallel import launcher
from ist_mpi.store import log as runlog

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full")

TALKING = """
from ist_mpi.cli.report import progress
progress.LINE_SECONDS = 0.0
from ist_mpi.__main__ import main
main()
"""
"""The command, with a line of progress whenever there could be one."""


@needs_full
@pytest.mark.slow
def test_a_run_goes_on_where_nobody_hears_it(small: Path) -> None:
    """Its progress is lost, not the run; nothing ails the interpreter's end."""
    command = [sys.executable, "-c", TALKING, "run", "small.toml", "--out", "r.h5"]
    with FULL.open("wb") as full:
        done = subprocess.run(
            command, cwd=small.parent, stdout=subprocess.PIPE, stderr=full, timeout=600, check=False
        )
    assert done.returncode == 0
    assert b"finished" in done.stdout
    assert runlog.open_run(small.parent / "r.h5").status == "finished"


@needs_full
@pytest.mark.slow
@pytest.mark.parametrize("command", [["run", "small.toml"], ["doctor", "--json"]])
def test_what_was_asked_for_cannot_be_printed(small: Path, command: list[str]) -> None:
    """Code 74 and one line; the run itself has finished by then."""
    with FULL.open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "ist_mpi", *command],
            cwd=small.parent,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=600,
            check=False,
        )
    assert done.returncode == 74, done.stderr
    last = "ist-mpi: standard output cannot be written: No space left on device"
    said = [line for line in done.stderr.splitlines() if " rounds/s " not in line]
    assert said == [last]  # besides progress, on a slow machine
    if command[0] == "run":
        assert runlog.open_run(small.parent / "results" / "small.h5").status == "finished"


def unread(*words: str) -> tuple[int, str]:
    """Code and words on stderr of a command, within this process, whose output nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    said = io.StringIO()
    with (
        open(writing, "w") as pipe,
        redirect_stdout(pipe),
        redirect_stderr(said),
        mock.patch.object(sys, "argv", ["ist-mpi", *words]),
        pytest.raises(SystemExit) as caught,
    ):
        main.main()
    return int(caught.value.code or 0), said.getvalue()


@pytest.mark.parametrize(
    "command",
    [
        "--version",
        "--help",
        "run --help",
        "run small.toml --dry-run",
        "theory small.toml --json",
        "theory small.toml",
        "info r.h5",
        "verify r.h5",
        "watch r.h5 --once",
        "doctor --json",
        "sweep --help",
        "run small.toml --set run.rounds=3 --out new.h5",
    ],
)
def test_an_end_in_silence_where_nobody_reads(
    small: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Like that of a program that SIGPIPE ends; what was wrong by then is said all the same."""
    monkeypatch.chdir(small.parent)
    monkeypatch.setattr(launcher, "_alone", [False])
    handler = signal.getsignal(signal.SIGTERM)
    ist_mpi.run(small, out="r.h5")
    code, said = unread(*command.split())
    signal.signal(signal.SIGTERM, handler)
    assert (code, [line for line in said.splitlines() if " rounds/s " not in line]) == (141, [])
    assert unread("info", "missing.h5")[0] == 2


@pytest.mark.slow
def test_the_interpreter_has_nothing_left_to_flush(small: Path) -> None:
    """The error comes first, and what was printed before it is let go of."""
    text = "print('much'); raise InputError(Fault('x', 'y', 'z'))"
    script = small.parent / "script.py"
    script.write_text(
        "from ist_mpi.errors import Fault, InputError\nfrom ist_mpi.cli import main\n"
        f"def app(**_):\n    {text}\nmain.app = app\nmain.main()\n"
    )
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, str(script)],
        stdout=writing,
        env={**os.environ, "PYTHONUNBUFFERED": ""},
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (2, "ist-mpi: x: got y; expected z\n")


@pytest.mark.slow
def test_what_an_encoding_does_not_have_is_spelt(small: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ist_mpi", "theory", "small.toml"],
        cwd=small.parent,
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        timeout=120,
        check=True,
    )
    assert b"\\u03b3, the step size" in done.stdout
    assert done.stderr == b""


@needs_full
@pytest.mark.slow
@pytest.mark.parametrize(("output", "code"), [("full", 74), ("closed", 141)])
def test_a_figure_is_drawn_where_nobody_hears_of_it(small: Path, output: str, code: int) -> None:
    ist_mpi.run(small, out=small.parent / "r.h5")
    script = Path(__file__).parents[2] / "analysis" / "convergence.py"
    reading, writing = os.pipe()
    os.close(reading)
    with FULL.open("wb") as full:
        done = subprocess.run(
            [sys.executable, str(script), "r.h5", "-o", "figure.pdf"],
            cwd=small.parent,
            stdout=full if output == "full" else writing,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
            check=False,
        )
    os.close(writing)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert (small.parent / "figure.pdf").exists()
