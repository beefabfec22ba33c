"""What a job asks of SLURM, checked before sbatch sees it."""

import re
from dataclasses import dataclass

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


@dataclass(frozen=True, kw_only=True)
class Request:
    """Resources and circumstances of a job; an empty text leaves the choice to the site.

    Raises
    ------
    InputError
        With every fault found, each named by its option of sbatch.
    """

    nodes: int = 1
    ntasks_per_node: int = 1
    """Ranks on a node."""
    cpus_per_task: int = 1
    time: str = ""
    """The limit, as sbatch takes it: minutes, ``1:00:00``, ``2-12``."""
    account: str = ""
    partition: str = ""
    name: str = "ist-mpi"
    output: str = ""
    """Where the job's messages go; default: ``NAME-JOB.out`` in the folder of submission."""
    array: str = ""
    """Tasks, as ``0-23%4``: each a job of its own, at most four at once."""
    launcher: str = "srun"
    """What starts the ranks: ``srun`` or ``mpiexec``."""
    mpi: str = ""
    """srun's ``--mpi=``: ``pmi2``, ``pmix``."""
    signal_seconds: int = 120
    """So long before the time limit the run is told to stop; SLURM may do so a minute earlier."""
    options: tuple[str, ...] = ()
    """More options of sbatch, as ``--qos=long``."""

    def __post_init__(self) -> None:
        faults = [*self._numbers(), *self._words(), *self._choices()]
        if faults:
            raise InputError(faults)

    @property
    def ranks(self) -> int:
        """In all."""
        return self.nodes * self.ntasks_per_node

    def _numbers(self) -> list[Fault]:
        counts = {
            "--nodes": self.nodes,
            "--ntasks-per-node": self.ntasks_per_node,
            "--cpus-per-task": self.cpus_per_task,
        }
        expected = f"a whole number from 1 to {MOST}"
        faults = [Fault(k, str(v), expected) for k, v in counts.items() if not 1 <= v <= MOST]
        if not 1 <= self.signal_seconds <= 65535:
            faults.append(
                Fault("--signal", str(self.signal_seconds), "1 to 65535 seconds before the limit")
            )
        return faults

    def _words(self) -> list[Fault]:
        words = {
            "--account": self.account,
            "--partition": self.partition,
            "--job-name": self.name or "?",
            "--output": self.output,
            "--mpi": self.mpi,
        }
        expected = "one word of letters, digits and . , % @ : + / = - _"
        faults = [
            Fault(option, _shown(text), expected)
            for option, text in words.items()
            if text and not _WORD.fullmatch(text)
        ]
        if "/" in self.name or "%" in self.name:  # it is part of the name of a file
            faults.append(Fault("--job-name", _shown(self.name), "a name without / and %"))
        return faults

    def _choices(self) -> list[Fault]:
        faults = []
        if self.time and not _TIME.fullmatch(self.time):
            expected = "minutes, MM:SS, HH:MM:SS, D-HH, D-HH:MM or D-HH:MM:SS"
            faults.append(Fault("--time", _shown(self.time), expected))
        elif self.time and 0 < (limit := _seconds(self.time)) <= self.signal_seconds + MINUTE:
            got = f"{self.time}, which is {limit} s"
            expected = f"more than --signal and a minute: {self.signal_seconds + MINUTE} s"
            remedy = "1:00:00 is an hour, 1:00 a minute; or a smaller --signal"
            faults.append(Fault("--time", got, expected, remedy))
        if self.array and not _ARRAY.fullmatch(self.array):
            faults.append(Fault("--array", _shown(self.array), "tasks as 0-23, 1,5,7 or 0-23%4"))
        if self.launcher not in LAUNCHERS:
            faults.append(Fault("--launcher", _shown(self.launcher), " or ".join(LAUNCHERS)))
        elif self.mpi and self.launcher != "srun":
            faults.append(
                Fault("--mpi", _shown(self.mpi), "no value where mpiexec starts the ranks")
            )
        faults += [
            Fault("--sbatch", _shown(option), "an option of sbatch as --qos=long, without quotes")
            for option in self.options
            if not _OPTION.fullmatch(option)
        ]
        faults += [
            Fault("--sbatch", _shown(option), "none of " + ", ".join(f"--{name}" for name in OURS))
            for option in self.options
            if option.partition("=")[0].removeprefix("--") in OURS
        ]
        return faults


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
