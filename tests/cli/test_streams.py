"""Standard output and error on a full disk, as a batch system's may be."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import ist_mpi
from ist_mpi.store import log as runlog

FULL = Path("/dev/full")
pytestmark = pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full")

TALKING = """
from ist_mpi.cli.report import progress
progress.LINE_SECONDS = 0.0
from ist_mpi.__main__ import main
main()
"""
"""The command, with a line of progress whenever there could be one."""


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


@pytest.mark.slow
@pytest.mark.parametrize(("output", "code"), [("full", 74), ("closed", 1)])
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
