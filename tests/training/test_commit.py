"""A kill before every step of the two commit protocols: old or new, never neither."""

import builtins
import io
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from checkpoints import save, whole

from ist_mpi.store import files

STEPS = (
    "open",
    "write",
    "fsync",
    "rename",
    "replace",
    "unlink",
    "remove",
    "mkdir",
    "rmdir",
    "link",
    "close",
    "ftruncate",
)
DIED, DONE = 9, 0


@contextmanager
def dying_at(step: int) -> Iterator[None]:
    """Die before the step-th call to the system that touches a file."""
    count = [0]
    originals = {name: getattr(os, name) for name in STEPS}

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            if count[0] == step:
                os._exit(DIED)
            count[0] += 1
            return function(*arguments, **named)

        return call

    class Cut(io.FileIO):
        """A file whose writes are steps too, and die in the middle."""

        def write(self, data: Any) -> int:
            if count[0] == step:
                super().write(bytes(data)[: len(data) // 2])
                os._exit(DIED)
            count[0] += 1
            return super().write(data)

    def opened(file: Any, mode: str = "r", *arguments: Any, **named: Any) -> Any:
        if "b" in mode and ("x" in mode or "w" in mode):
            if count[0] == step:
                os._exit(DIED)
            count[0] += 1
            return io.BufferedWriter(Cut(file, mode.replace("b", "")))
        return original_open(file, mode, *arguments, **named)

    original_open = io.open
    for name, function in originals.items():
        setattr(os, name, counted(function))
    io.open = builtins.open = opened  # type: ignore[assignment]  # on purpose
    yield


def at_every_step(action: Callable[[], None], check: Callable[[], None]) -> int:
    """Run an action in forked children that die before step 0, 1, …; the number of steps."""
    step = 0
    while True:
        child = os.fork()
        if child == 0:
            try:
                with dying_at(step):
                    action()
                os._exit(DONE)
            except BaseException:
                os._exit(3)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert code in (DIED, DONE)
        check()
        if code == DONE:
            return step
        step += 1


@pytest.mark.slow
@pytest.mark.parametrize("existing", [[1], [1, 2], [3], [1, 9]])
def test_a_checkpoint(tmp_path: Path, existing: list[int]) -> None:
    """Old or new; a whole one of the same round is kept, a later one of before is damaged."""
    folder, seen = tmp_path / "run.ckpt", set()

    def afresh() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        for k in existing:
            save(folder, k)
        if existing[-1] == 9:
            shard = next((folder / f"{9:012d}").glob("workers*"))
            shard.write_bytes(shard.read_bytes()[:-1])

    def check() -> None:
        seen.add(whole(folder).round)
        save(folder, 4)  # the next one succeeds, and cleans up
        names = sorted(path.name for path in folder.iterdir())
        assert names[-1] == f"{4:012d}"
        assert all(len(name) == 12 for name in names)
        assert len(names) == 2
        afresh()

    afresh()
    steps = at_every_step(lambda: save(folder, 3), check)
    assert steps > 15
    assert seen == {max(k for k in existing if k < 9), 3}


@pytest.mark.slow
@pytest.mark.parametrize("overwrite", [True, False])
def test_a_log(tmp_path: Path, overwrite: bool) -> None:
    """The old bytes or the new ones; nothing lies about after the next commit."""
    path, seen = tmp_path / "run.h5", set()

    def afresh() -> None:
        path.unlink(missing_ok=True)
        if overwrite:
            path.write_bytes(b"old")

    def check() -> None:
        found = path.read_bytes() if path.exists() else b""
        seen.add(found)
        files.remove_leftovers(path)
        files.replace(path, b"next")
        assert path.read_bytes() == b"next"
        assert [entry.name for entry in tmp_path.iterdir()] == ["run.h5"]
        afresh()

    afresh()
    steps = at_every_step(lambda: files.replace(path, b"new" * 1000, overwrite=overwrite), check)
    assert steps > 6
    assert seen == {b"old" if overwrite else b"", b"new" * 1000}
