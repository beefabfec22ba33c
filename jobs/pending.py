"""Of the jobs on standard input, print the commands of those whose results are not there yet.

A job is a line `RESULT<tab>COMMAND`. RESULT is a run log, complete when it says so itself: a run
that diverged has ended, too. `LOG.h5#A:B` stands for the logs of the seeds A, …, B − 1. Any other
file is complete when it exists.
"""

import sys
from pathlib import Path

import ist_mpi


def results(target: str) -> list[Path]:
    """The files that a job makes."""
    name, _, seeds = target.partition("#")
    path = Path(name)
    if not seeds:
        return [path]
    first, _, last = seeds.partition(":")
    return [
        path.with_name(f"{path.stem}-seed{k}{path.suffix}") for k in range(int(first), int(last))
    ]


def complete(path: Path) -> bool:
    """Whether a result is there, and whole."""
    if path.suffix != ".h5":
        return path.exists()
    try:
        return path.exists() and ist_mpi.open_run(path).status in ("finished", "failed")
    except ist_mpi.InputError:
        return False


def main() -> None:
    """The command."""
    for line in sys.stdin:
        target, _, command = line.rstrip("\n").partition("\t")
        if command and not all(map(complete, results(target))):
            print(command)


if __name__ == "__main__":
    main()
