"""Where the logs of a run go, one for each seed, and whether they can be put there."""

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ist_mpi.config import Config
from ist_mpi.errors import Fault, InputError, OutputError
from ist_mpi.randomness import MAX_SEED
from ist_mpi.store import checkpoint, files
from ist_mpi.store.files import followed
from ist_mpi.store.locks import path_of
from ist_mpi.training import budget

MAX_SEEDS = 100_000
"""Most runs of one --seeds: all their logs are checked before the first starts."""


def seed_range(text: str) -> range:
    """The run seeds that ``A:B`` means; raises InputError."""
    first, colon, last = text.partition(":")
    seeds = range(0)
    if colon and _is_seed(first) and _is_seed(last):
        seeds = range(int(first), int(last))
    if not 1 <= len(seeds) <= MAX_SEEDS:
        expected = f"A:B with 0 ≤ A < B ≤ {MAX_SEED}, at most {MAX_SEEDS} seeds"
        raise InputError(Fault("--seeds", repr(text[:60]), expected))
    return seeds


def _is_seed(word: str) -> bool:
    return word.isascii() and word.isdecimal() and len(word) < 20 and int(word) <= MAX_SEED


def logs_of(path: Path | None, run_seed: int, seeds: range | None) -> dict[int, Path | None]:
    """The log of every seed: the path itself, or with --seeds ``name-seed3.h5`` and so on."""
    if path is None:
        return dict.fromkeys(seeds if seeds is not None else [run_seed])
    if seeds is None or not path.name:  # "." is refused as the directory that it is
        return {run_seed: followed(path)}
    return {
        seed: followed(path.with_name(f"{path.stem}-seed{seed}{path.suffix}")) for seed in seeds
    }


def output_faults(paths: Iterable[Path | None], force: bool, option: str = "--out") -> list[Fault]:
    """Whether files can be put there; of many paths in one folder, what ails it is said once."""
    faults: dict[Fault, None] = {}
    for path in paths:
        if path is not None:
            try:
                found = _output_fault(path, force, option)
            except OSError as error:  # a name that is too long, a folder that may not be entered
                if error.errno not in files.SAYING:
                    raise
                got = error.strerror or str(error)
                found = Fault(f"{option} {path}", got, "a path where a file can be made")
            if found is not None:
                faults[found] = None
    return list(faults)


def input_faults(
    paths: Iterable[Path | None], source: Any, config: Config | None, option: str = "--out"
) -> list[Fault]:
    """Whether a file that --force would replace is what the run is made of."""
    inputs = {"the configuration": source if isinstance(source, str | Path) else None}
    if config is not None:
        inputs["the data"] = getattr(config.problem, "path", None)
        inputs["the data to test on"] = getattr(config.problem, "test", None)
    return [
        Fault(f"{option} {path}", f"{name} of the run itself", "another file")
        for path in paths
        for name, other in inputs.items()
        if path is not None and other is not None and _is_same(path, Path(other))
    ]


def read_faults(paths: Iterable[Path], read: Iterable[Path], option: str) -> list[Fault]:
    """Whether a file that --force would replace is one of those that its contents are made of."""
    sources = list(read)
    return [
        Fault(f"{option} {path}", "a file that this reads, and that stays", "another file")
        for path in paths
        if any(_is_same(path, other) for other in sources)
    ]


def _is_same(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except (OSError, ValueError):  # one of them is not there, or cannot be
        return False


def _output_fault(path: Path, force: bool, option: str) -> Fault | None:
    where = f"{option} {path}"
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return Fault(where, "a name that is not UTF-8", "one that can be printed")
    if path.is_dir():
        return Fault(where, "a directory", "the path of a file")
    if path.exists() or path.is_symlink():
        if not force:
            return Fault(where, "a file that exists", "a path where nothing is", "or use --force")
        if not path.is_file():
            return Fault(where, "a special file", "the path of a regular file")
    folder = budget.existing_folder(path)
    if not folder.is_dir():
        return Fault(where, f"{folder}, which is no directory", "a path inside directories")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        if error.errno not in files.UNWRITABLE:
            raise
        got = f"the folder {folder}, which cannot be written ({error.strerror})"
        return Fault(option, got, "a writable folder")
    return None


def put_text(path: Path, text: str, option: str) -> None:
    """Put what was asked for in a file, whole or not at all, its folder too.

    Raises
    ------
    OutputError
        Where that fails, although `output_faults` had nothing to say.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.replace(path, text.encode())
    except OSError as error:
        text = f"{option} {path} cannot be written: {error.strerror or error}"
        raise OutputError(text) from error


def companion_faults(logs: Iterable[Path | None]) -> list[Fault]:
    """Whether what comes to lie beside the logs, locks and checkpoints, has its place there."""
    faults = []
    for log in logs:
        if log is None:
            continue
        lock, folder = path_of(log), checkpoint.folder_of(log)
        try:
            if lock.is_symlink() or (lock.exists() and not lock.is_file()):
                got = "something else than a file"
                faults.append(Fault(f"the lock {lock}", got, "a path where a file can be made"))
            if (folder.exists() or folder.is_symlink()) and not folder.is_dir():
                got = "something else than a folder"
                where = f"the checkpoints {folder}"
                faults.append(Fault(where, got, "a path where a folder can be made"))
        except OSError as error:  # a name that is too long with their suffixes
            if error.errno not in files.SAYING:
                raise
            got = error.strerror or str(error)
            faults.append(Fault(f"--out {log}", got, "a path where files can be made"))
    return faults
