"""Whether two versions of the package come to the same bits.

    python tests/golden/compare.py OLD NEW [--only PATTERN] [--jobs 2]

OLD and NEW are folders of checkouts, or commits, which are checked out for as long as it takes.
Both run the configurations of `table.py` on 1, 2 and 3 ranks, print their theory, and refuse wrong
input; what they log, print and complain of is compared by digests. Every difference is a line, and
with any the exit code is 1. Use it before and after a change that should change no result.

PATTERN chooses by name, as a shell does: ``--only '*preconditioned*'``. Only what is public of the
package is used, so that its modules may have moved.
"""

import argparse
import fnmatch
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import table
import tomli_w

HERE = Path(__file__).resolve().parent
RANKS = (1, 2, 3)
SECONDS = 900
"""Of one process, at most."""
Found = dict[str, str]
"""What is compared, by its name."""


class Side(NamedTuple):
    """One of the two versions."""

    checkout: Path
    folder: Path
    """Its own, for logs and compiled code."""

    @property
    def environment(self) -> dict[str, str]:
        """Of its processes: one thread each, as the results are then the same anywhere."""
        threads = ("OMP", "OPENBLAS", "MKL", "NUMBA")
        return {
            **os.environ,
            "PYTHONPATH": str(self.checkout),
            "NUMBA_CACHE_DIR": str(self.folder / "numba"),
            "PYTHONDONTWRITEBYTECODE": "1",
            **{f"{name}_NUM_THREADS": "1" for name in threads},
        }

    def python(self, *arguments: str, p: int = 1) -> "subprocess.CompletedProcess[str]":
        """Run python on p ranks, in this side's folder."""
        mpiexec = Path(sys.executable).with_name("mpiexec")
        return subprocess.run(
            [*([str(mpiexec), "-n", str(p)] if p > 1 else []), sys.executable, *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def without_paths(self, text: str) -> str:
        """The text without what differs between the sides anyway."""
        for path in (self.folder, self.checkout):
            text = text.replace(str(path), f"<{path.name if path == self.folder else 'checkout'}>")
        return text.replace(f"<{self.folder.name}>", "<here>")


@contextmanager
def checkout(what: str, folder: Path) -> Iterator[Path]:
    """The checkout of a commit, or the folder that is one."""
    if Path(what, "ist_mpi").is_dir():
        yield Path(what).resolve()
        return
    git = ["git", "-C", str(HERE)]
    made = folder / "checkout"
    subprocess.run([*git, "worktree", "add", "-q", "--detach", str(made), what], check=True)
    try:
        yield made
    finally:
        subprocess.run([*git, "worktree", "remove", "--force", str(made)], check=True)


def runs(side: Side, listed: Path, p: int) -> Found:
    """All configurations on p ranks."""
    out, log = side.folder / f"{p}.jsonl", side.folder / f"{p}.h5"
    done = side.python(str(HERE / "drive.py"), str(listed), str(log), str(out), p=p)
    if done.returncode or Path(done.stdout.split("\n")[0]) != side.checkout:
        sys.stderr.write(done.stdout + done.stderr)
        raise SystemExit(f"{side.checkout}: p = {p}: exit code {done.returncode}")
    lines = map(json.loads, out.read_text(encoding="utf-8").splitlines())
    return {
        f"{name}, p = {p}: {key}": value
        for name, digests in lines
        for key, value in digests.items()
    }


def theory(side: Side, name: str, config: Path) -> Found:
    """What the command prints, canonically."""
    done = side.python("-m", "ist_mpi", "theory", str(config), "--json")
    text = side.without_paths(done.stderr)
    if done.returncode == 0:
        text += json.dumps(json.loads(done.stdout), sort_keys=True)
    return {f"theory of {name}": f"{done.returncode}: {text}"}


def refusal(side: Side, name: str, words: list[str]) -> Found:
    """How it is refused."""
    done = side.python("-m", "ist_mpi", *words)
    return {f"wrong input: {name}": f"{done.returncode}: {side.without_paths(done.stderr)}"}


Task = Callable[[Side], Found]


def stages(folder: Path, only: str) -> Iterator[tuple[int, list[Task]]]:
    """What is to be done on either side, and with how many processes at a time."""
    table.write(folder)
    every = table.configurations(folder)
    chosen = {name: every[name] for name in fnmatch.filter(every, only)}
    listed = folder / "configurations.json"
    listed.write_text(json.dumps(chosen), encoding="utf-8")
    if chosen:
        for p in RANKS:
            yield p, [partial(runs, listed=listed, p=p)]
    alone: list[Task] = []

    def written(name: str, contents: table.Config | str) -> Path:
        path = folder / f"{name.replace('/', ' by ')}.toml"
        text = contents if isinstance(contents, str) else tomli_w.dumps(contents)
        path.write_text(text, encoding="utf-8")
        return path

    for name in fnmatch.filter(table.THEORY, only):
        path = written(name, every[name])
        alone.append(partial(theory, name=name, config=path))
    for name, (words, contents) in table.wrong(folder).items():
        if not fnmatch.fnmatch(name, only):
            continue
        path = written(f"wrong, {name}", "" if contents is None else contents)
        line = [word.replace("{}", str(path)) for word in words]
        alone.append(partial(refusal, name=name, words=line))
    yield 1, alone


def shown(value: str | None, most: int = 100) -> str:
    """A value in a line."""
    if value is None:
        return "nothing"
    return value if len(value) <= most else f"{value[: most - 1]}…"


def parted(old: str | None, new: str | None) -> tuple[str, str]:
    """Both from a little before where they part, so that a line shows it."""
    if old is None or new is None:
        return shown(old), shown(new)
    pairs = enumerate(zip(old, new, strict=False))
    start = next((i for i, (a, b) in pairs if a != b), min(len(old), len(new)))
    start = max(0, start - 30)
    return shown(old[start:]), shown(new[start:])


def main() -> int:
    """Compare; 1 if anything differs."""
    parser = argparse.ArgumentParser(description="Compare the results of two versions.")
    parser.add_argument("old", help="a commit, or the folder of a checkout")
    parser.add_argument("new", help="likewise")
    parser.add_argument("--only", default="*", help="names to compare, as a pattern")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was made is removed
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory())).resolve()
        sides = []
        for name, what in (("old", arguments.old), ("new", arguments.new)):
            own = folder / name
            own.mkdir()
            sides.append(Side(stack.enter_context(checkout(what, own)), own))
        files = folder / "files"
        files.mkdir()
        found: list[Found] = [{}, {}]
        for p, tasks in stages(files, arguments.only):
            sys.stderr.write(f"{len(tasks)} task(s) on {p} rank(s) for either side\n")
            with ThreadPoolExecutor(max(1, arguments.jobs // p)) as pool:
                futures = [[pool.submit(task, side) for task in tasks] for side in sides]
                try:
                    for collected, own_futures in zip(found, futures, strict=True):
                        for future in own_futures:
                            collected.update(future.result())
                except BaseException:
                    pool.shutdown(cancel_futures=True)  # do not finish what nobody asks for now
                    raise
    old, new = found
    names = list(dict.fromkeys([*old, *new]))
    different = [name for name in names if old.get(name) != new.get(name)]
    for name in different:
        before, after = parted(old.get(name), new.get(name))
        print(f"{name}: {before!r}, now {after!r}")
    print(f"{len(names) - len(different)} equal, {len(different)} different")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
