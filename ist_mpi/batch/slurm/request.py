"""What a job asks of SLURM, checked before sbatch sees it."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ist_mpi.errors import Fault, InputError

LAUNCHERS = ("srun", "mpiexec")
"""What may start the ranks inside the job."""
MINUTE = 60
"""Seconds by which SLURM's signal may come early."""
MOST = 10**6
"""Of nodes, of ranks on a node, of CPUs: beyond, it is a slip."""

OURS = ("array", "signal", "requeue", "no-requeue", "open-mode", "wrap", "parsable")
"""Options of sbatch on which the job's script rests."""

_TIME = re.compile(r"\d+(:\d+){0,2}|\d+-\d+(:\d+){0,2}", re.ASCII)
_ARRAY = re.compile(r"\d+(-\d+(:\d+)?)?(,\d+(-\d+(:\d+)?)?)*(%[1-9]\d*)?", re.ASCII)
_WORD = re.compile(r"[\w.,%@:+/=\-]+", re.ASCII)
_OPTION = re.compile(r"--[a-z][a-z\-]*(=[^\"'\\`$\x00-\x1f\x7f]+)?", re.ASCII)

T = TypeVar("T")


def _option(default: T, help: str, **more: Any) -> T:
    """A setting that is an option of the commands that submit, with what typer.Option takes."""
    return field(default=default, metadata={"help": help, **more})


@dataclass(frozen=True, kw_only=True)
class Request:
    """Resources and circumstances of a job; an empty text leaves the choice to the site.

    Raises InputError with every fault found, each named by its option of sbatch.
    """

    nodes: int = _option(1, "Nodes of the job.", metavar="N")
    ntasks_per_node: int = _option(1, "Ranks per node.", metavar="P")
    cpus_per_task: int = _option(1, "CPUs per rank.", metavar="C")
    time: str = _option("", "Time limit: 1:00:00, 2-12, or minutes.", metavar="TIME")
    account: str = _option("", "Default: SBATCH_ACCOUNT, or the site's.", metavar="NAME")
    partition: str = _option("", "Default: SBATCH_PARTITION, or the site's.", metavar="NAME")
    name: str = _option(
        "", "Default: ist-mpi, or the sweep's name.", name="--job-name", metavar="NAME"
    )
    launcher: str = _option("srun", "srun or mpiexec, inside the job.", envvar="IST_LAUNCHER")
    mpi: str = _option("", "srun's MPI type: pmi2 (MPICH, Intel MPI), pmix.", envvar="IST_MPI")
    signal_seconds: int = _option(
        120, "Stop with a checkpoint this many seconds before the limit.", name="--signal"
    )
    options: Sequence[str] = _option(
        (), "Another option of sbatch. Repeatable.", name="--sbatch", metavar="--OPTION=VALUE"
    )
    array: str = ""
    """Tasks, as ``0-23%4``: each a job of its own, at most four at once."""

    def __post_init__(self) -> None:
        if faults := list(self._faults()):
            raise InputError(faults)

    @property
    def ranks(self) -> int:
        """In all."""
        return self.nodes * self.ntasks_per_node

    def _faults(self) -> Iterator[Fault]:
        counts = {
            "--nodes": self.nodes,
            "--ntasks-per-node": self.ntasks_per_node,
            "--cpus-per-task": self.cpus_per_task,
        }
        for option, count in counts.items():
            if not 1 <= count <= MOST:
                yield Fault(option, str(count), f"a whole number from 1 to {MOST}")
        if not 1 <= self.signal_seconds <= 65535:
            got, expected = str(self.signal_seconds), "1 to 65535 seconds before the limit"
            yield Fault("--signal", got, expected)
        words = {
            "--account": self.account,
            "--partition": self.partition,
            "--job-name": self.name,
            "--mpi": self.mpi,
        }
        for option, text in words.items():
            if text and not _WORD.fullmatch(text):
                expected = "one word of letters, digits and . , % @ : + / = - _"
                yield Fault(option, _shown(text), expected)
        if "/" in self.name or "%" in self.name:  # it is part of the name of a file
            yield Fault("--job-name", _shown(self.name), "a name without / and %")
        yield from self._time_faults()
        if self.array and not _ARRAY.fullmatch(self.array):
            yield Fault("--array", _shown(self.array), "tasks as 0-23, 1,5,7 or 0-23%4")
        if self.launcher not in LAUNCHERS:
            yield Fault("--launcher", _shown(self.launcher), " or ".join(LAUNCHERS))
        elif self.mpi and self.launcher != "srun":
            yield Fault("--mpi", _shown(self.mpi), "no value where mpiexec starts the ranks")
        for option in self.options:
            if not _OPTION.fullmatch(option):
                expected = "an option of sbatch as --qos=long, without quotes"
                yield Fault("--sbatch", _shown(option), expected)
        for option in self.options:
            # sbatch takes the beginning of an option's name for the name.
            begun = option.partition("=")[0].removeprefix("--")
            if begun and any(name.startswith(begun) for name in OURS):
                expected = "none of " + ", ".join(f"--{name}" for name in OURS)
                yield Fault("--sbatch", _shown(option), f"{expected}, nor what these begin with")

    def _time_faults(self) -> Iterator[Fault]:
        least = self.signal_seconds + MINUTE
        if self.time and not _TIME.fullmatch(self.time):
            expected = "minutes, MM:SS, HH:MM:SS, D-HH, D-HH:MM or D-HH:MM:SS"
            yield Fault("--time", _shown(self.time), expected)
        elif self.time and 0 < (limit := _seconds(self.time)) <= least:
            got, expected = f"{self.time}, which is {limit} s", "more than --signal and a minute"
            remedy = "1:00:00 is an hour, 1:00 a minute; or a smaller --signal"
            yield Fault("--time", got, f"{expected}: {least} s", remedy)


def _seconds(time: str) -> int:
    """A limit as sbatch reads it: minutes, MM:SS, HH:MM:SS; after days HH, HH:MM, HH:MM:SS."""
    days, dash, clock = time.rpartition("-")
    parts = [int(part) for part in clock.split(":")]
    if dash:
        hours, minutes, seconds = [*parts, 0, 0][:3]
    else:
        hours, minutes, seconds = [0, *parts, 0] if len(parts) == 1 else [0, 0, *parts][-3:]
    return int(days or 0) * 86400 + hours * 3600 + minutes * 60 + seconds


def _shown(text: str) -> str:
    return repr(text[:60])
