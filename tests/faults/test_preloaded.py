"""Every file operation of a command fails, is cut short, or is its last: a code, one line, no harm.

A library that is compiled here and preloaded (preloaded/faults.c) lets the k-th operation below a
folder fail. Some of the operations, every one with IST_TESTS=full.
"""

import errno
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from same import same_run
from thinned import FULL

import ist_mpi
from ist_mpi.store import log as runlog

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent / "preloaded"
SHORT, KILL = 1000, 1001
WAYS = {"EIO": errno.EIO, "ENOSPC": errno.ENOSPC, "short": SHORT, "kill": KILL}
POINTS = 3
"""Of each command and way, without IST_TESTS=full."""
CONFIG = """
[problem]
kind = "synthetic"
d = 12
n = 3
[method]
name = "ist"
step_size = 1e-3
[run]
rounds = 8
checkpoint_every = 1e-6
[log]
every = 4
"""
RUN = ["run", "c.toml", "--out", "r.h5"]
TABLE = ["theory", "c.toml", "--rounds", "3", "--csv", "e.csv"]
COMMANDS = {
    "fresh": RUN,
    "forced": [*RUN, "--force"],
    "resumed": ["resume", "r.h5"],
    "info": ["info", "r.h5"],
    "verify": ["verify", "r.h5"],
    "table": TABLE,
    "forced table": [*TABLE, "--force"],
}


class Faulty:
    """Commands in forks of a process that the library is preloaded into."""

    def __init__(self, library: Path) -> None:
        environment = {**os.environ, "LD_PRELOAD": str(library)}
        command = [sys.executable, str(HERE / "drive.py")]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, text=True, env=environment
        )

    def __call__(self, folder: Path, words: list[str], how: int = 0, at: int = -1) -> Any:
        """Its code, what it printed, and how many operations there were that could fail so."""
        order = {"folder": str(folder), "how": how, "at": at, "words": words}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        """The process ends when there is nothing more to do."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulty]:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no compiler")
    library = tmp_path_factory.mktemp("library") / "faults.so"
    words = [compiler, "-shared", "-fPIC", "-o", str(library), str(HERE / "faults.c"), "-ldl"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"the library cannot be compiled: {done.stderr[-200:]}")
    made = Faulty(library)
    yield made
    made.close()


@pytest.fixture(scope="module")
def before(faulty: Faulty, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folders in which the commands begin."""
    folder = tmp_path_factory.mktemp("before")
    paths = {name: folder / name for name in COMMANDS}
    for name, path in paths.items():
        path.mkdir()
        (path / "c.toml").write_text(CONFIG)
        if name not in ("fresh", "table"):
            seed = ["--set", "run.seed=5"] if name == "forced" else []
            assert faulty(path, [*RUN, *seed])["code"] == 0
        if name == "forced table":
            (path / "e.csv").write_text("mine\n")
            (path / "e.csv").chmod(0o600)
    killed = paths["resumed"]
    for at in range(20, 200):
        (killed / "r.h5").unlink(missing_ok=True)
        assert faulty(killed, RUN, KILL, at)["code"] == -9
        kept = killed / "r.ckpt"
        if (killed / "r.h5").exists() and any(p.name.isdecimal() for p in kept.glob("*")):
            return paths
        shutil.rmtree(kept, ignore_errors=True)
    raise AssertionError("no kill leaves a log and a checkpoint")


def harm(faulty: Faulty, begin: Path, folder: Path, name: str, way: str, at: int) -> str:
    """What is wrong after a fault, in words; empty if nothing is."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(begin, folder)
    words = COMMANDS[name]
    done = faulty(folder, words, WAYS[way], at)
    if done["code"] == 0 and done["count"] <= at:
        return ""  # a run commits by the clock: this time it had fewer operations
    said = [line for line in done["err"].splitlines() if not _is_usual(line)]
    expected = {-9} if way == "kill" else {0} if way == "short" else {0, 74}
    if done["code"] not in expected or len(said) > 1 or "Traceback" in done["err"]:
        return f"code {done['code']}: {done['err'][-600:]}"
    if (done["code"] == 74) != bool(said):
        return f"code {done['code']} and {len(said)} lines: {done['err'][-600:]}"
    if name in ("info", "verify"):
        same = (folder / "r.h5").read_bytes() == (begin / "r.h5").read_bytes()
        return "" if same else "the log is another"
    if "table" in name:
        return _harm_of_table(faulty, begin, folder, words, done["code"])
    return _harm_of_run(faulty, begin, folder, name, done["code"])


def _is_usual(line: str) -> bool:
    return any(
        text in line for text in ("caution", "going on after", " rounds/s ", "other versions")
    )


def _harm_of_table(faulty: Faulty, begin: Path, folder: Path, words: list[str], code: int) -> str:
    path, old = folder / "e.csv", begin / "e.csv"
    whole = path.exists() and path.read_text().startswith("round,")
    kept = path.read_bytes() == old.read_bytes() if old.exists() else not path.exists()
    if not (whole or (kept and code != 0)):
        return "neither the old table nor the new one"
    if old.exists() and path.stat().st_mode != old.stat().st_mode:
        return f"its permissions are {path.stat().st_mode:o}"
    path.unlink(missing_ok=True)
    return "" if faulty(folder, words)["code"] == 0 else "it cannot be asked again"


def _harm_of_run(faulty: Faulty, begin: Path, folder: Path, name: str, code: int) -> str:
    log, old = folder / "r.h5", begin / "r.h5"
    # What could not be removed of a run that is over stays: nothing goes on with it.
    over = log.exists() and runlog.open_run(log).status == "finished" and name != "forced"
    if old.exists() and not log.exists():
        return "the old log is gone"
    if code == 0 and runlog.open_run(log).status != "finished":
        return "code 0, but it is not finished"
    again = {"fresh": [*RUN, "--resume"], "resumed": ["resume", "r.h5"]}.get(name, COMMANDS[name])
    done = faulty(folder, again)
    if done["code"] != 0:
        return f"it cannot go on: {done['err']}"
    same_run(runlog.open_run(log), ist_mpi.run(folder / "c.toml"))
    left = {path.name for path in folder.iterdir()} - {"c.toml", "r.h5", "r.h5.lock"}
    return f"left behind: {left}" if left and not over else ""


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", COMMANDS)
def test_every_operation(
    faulty: Faulty, before: dict[str, Path], tmp_path: Path, name: str, way: str
) -> None:
    folder = tmp_path / "work"
    shutil.copytree(before[name], folder)
    count = faulty(folder, COMMANDS[name], WAYS[way])["count"]
    if not count:
        pytest.skip("it does nothing of the kind")
    points = list(range(count))
    if not FULL:
        points = sorted(random.Random(f"{name} {way}").sample(points, min(POINTS, count)))
    wrong = []
    for at in points:
        text = harm(faulty, before[name], folder, name, way, at)
        wrong += [f"{name}, {way} at {at} of {count}: {text}"] if text else []
    assert not wrong, "\n".join(wrong)
