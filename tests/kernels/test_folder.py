"""Compiled functions are loaded from where nobody else may write, or made anew."""

import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from launched import CONFIG
from numba import config

import ist_mpi
from ist_mpi.kernels import folder

ROOT = Path(ist_mpi.__file__).parents[1]
NOBODY = 65534
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root has files of others")

SUB = "kernels_0123"
PLANTED: dict[str, Callable[[Path], None]] = {
    "the folder is open to everybody": lambda top: top.chmod(0o777),
    "the folder is open to the group": lambda top: top.chmod(0o770),
    "a folder in it is open to the group": lambda top: (top / SUB).chmod(0o775),
    "a file in it is open to the group": lambda top: (top / SUB / "a.nbi").chmod(0o664),
    "a folder in it is a link": lambda top: (top / SUB).rename(top / "real"),
}
OTHERS: dict[str, Callable[[Path], None]] = {
    "the folder is another's": lambda top: os.chown(top, NOBODY, NOBODY),
    "a folder in it is another's": lambda top: os.chown(top / SUB, NOBODY, NOBODY),
    "a file in it is another's": lambda top: os.chown(top / SUB / "a.nbc", NOBODY, NOBODY),
}


@pytest.fixture
def top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that the environment names, as safe as can be seen from outside."""
    path = tmp_path / "cache"
    (path / SUB).mkdir(parents=True)
    for name in ("a.nbi", "a.nbc"):
        (path / SUB / name).write_bytes(b"")
        (path / SUB / name).chmod(0o644)
    for made in (path, path / SUB):
        made.chmod(0o755)
    monkeypatch.setattr(config, "CACHE_DIR", str(path))
    monkeypatch.setenv(folder.NAMED, str(path))
    return path


def is_refused(top: Path) -> None:
    found = folder.find()
    assert str(top) in found.caution
    assert "\n" not in found.caution
    assert top not in found.path.parents
    assert found.path.parent.stat().st_mode & 0o777 == 0o700
    assert os.environ[folder.NAMED] == config.CACHE_DIR == str(found.path.parent)
    shutil.rmtree(found.path.parent)


@pytest.mark.parametrize("case", PLANTED)
def test_what_others_may_write_is_not_used(top: Path, case: str) -> None:
    PLANTED[case](top)
    if "link" in case:
        # Of the name that numba looks for, which leads where it wants.
        name = folder.Path(folder.njit(cache=True)(folder._any).stats.cache_path)
        shutil.rmtree(name)
        name.symlink_to(top / "real")
    is_refused(top)


@root_only
@pytest.mark.parametrize("case", OTHERS)
def test_what_is_of_others_is_not_used(top: Path, case: str) -> None:
    OTHERS[case](top)
    is_refused(top)


@pytest.mark.parametrize("mode", [0o700, 0o755])
@pytest.mark.parametrize("umask", [0o002, 0o022, 0o077, 0o000])
@pytest.mark.parametrize("new", [True, False])
def test_what_is_ours_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, umask: int, new: bool
) -> None:
    """Again and again, whatever the umask: what numba writes there is not taken for another's."""
    path = tmp_path / "cache"
    if not new:
        path.mkdir()
        path.chmod(mode)
    monkeypatch.setattr(config, "CACHE_DIR", str(path))
    before = os.umask(umask)
    try:
        for _ in range(2):
            found = folder.find()
            assert not found.caution
            assert found.path.parent == path
            (found.path / "a.nbi").write_bytes(b"")
    finally:
        os.umask(before)


def test_a_closed_folder_need_not_be_looked_into(top: Path) -> None:
    (top / SUB).chmod(0o777)
    top.chmod(0o700)
    assert not folder.find().caution


CALL = "import numpy as np; from ist_mpi.kernels import model; model.all_finite(np.zeros(1))"


class Evil:
    """What a pickle does when it is read."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


@pytest.mark.slow
def test_a_planted_function_is_not_executed(tmp_path: Path) -> None:
    """Whoever loads the functions; the plant itself works, as a closed folder shows."""
    cache, marker = tmp_path / "cache", tmp_path / "marker"
    cache.mkdir(mode=0o700)
    environment = {**os.environ, folder.NAMED: str(cache)}

    def load() -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-c", CALL]
        return subprocess.run(words, capture_output=True, text=True, env=environment, timeout=300)

    assert load().returncode == 0
    (index,) = cache.glob("kernels_*/model.all_finite*.nbi")
    with index.open("rb") as file:
        version = pickle.load(file)
    index.write_bytes(pickle.dumps(version) + pickle.dumps(Evil(marker)))
    load()
    assert marker.is_dir()
    marker.rmdir()
    cache.chmod(0o755)
    index.parent.chmod(0o777)
    done = load()
    assert done.returncode == 0, done.stderr
    assert "caution" not in done.stderr  # a warning, from Python
    assert "others may write" in done.stderr
    assert not marker.exists()


@pytest.fixture
def as_nobody() -> Iterator[tuple[Callable[..., subprocess.CompletedProcess[str]], Path]]:
    """A command of a user who may read everything and write into one folder, and that folder."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("only root can be another user, with setpriv")
    home = Path("/nonexistent")
    work = Path("/var/tmp") / f"ist-mpi-test-{os.getpid()}"
    work.mkdir(mode=0o755)
    os.chown(work, NOBODY, NOBODY)
    environment = {name: value for name, value in os.environ.items() if name != folder.NAMED}
    environment |= {"HOME": str(home), "TMPDIR": str(work), "XDG_CACHE_HOME": str(home)}
    environment |= {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        another = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        read = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
        return subprocess.run(
            [*another, *read, sys.executable, *words],
            capture_output=True,
            text=True,
            timeout=300,
            cwd=work,
            env=environment,
        )

    try:
        if run("-c", "import ist_mpi").returncode:
            pytest.skip("another user cannot read the package")
        yield run, work
    finally:
        shutil.rmtree(work)


@pytest.mark.slow
def test_nowhere_to_keep_compiled_functions(as_nobody: Any) -> None:
    """The package read-only and no home: a caution, and a folder that is gone in the end."""
    run, work = as_nobody
    (work / "c.toml").write_text(CONFIG.format(rounds=3))
    done = run("-m", "ist_mpi", "run", "c.toml", "--out", "r.h5")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("caution: compiled functions are not kept") == 1
    assert "Traceback" not in done.stderr
    assert not list(work.glob("ist-mpi-*"))
    done = run("-m", "ist_mpi", "info", "r.h5")
    assert (done.returncode, done.stderr) == (0, "")
    done = run("-m", "ist_mpi", "doctor", "--json")
    assert done.returncode == 0, done.stderr
    assert "compiled functions are not kept" in done.stdout
