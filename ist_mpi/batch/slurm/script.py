"""The text of a job: run.sbatch with what is asked for, and with its command filled in."""

import shlex
import sys
from collections.abc import Iterator, Sequence
from importlib import resources

from ist_mpi.batch.slurm.request import Request

TASK = "$SLURM_ARRAY_TASK_ID"
"""In a command: the number of the array's task."""

_COMMAND = "# What every rank does: ist-mpi with these words."
"""The line of run.sbatch before those that say so, which end with an empty one."""


def template() -> str:
    """run.sbatch as it can be submitted by hand."""
    return resources.files("ist_mpi.batch.slurm").joinpath("run.sbatch").read_text(encoding="utf-8")


def render(request: Request, command: Sequence[str]) -> str:
    """The text of a job that runs ``ist-mpi`` with these words on every rank.

    The words are quoted here; one that is `TASK` stands for the number of the array's task. Raises
    ValueError if run.sbatch is not what it was.
    """
    lines = template().splitlines()
    if lines.count(_COMMAND) != 1:
        raise ValueError(f"run.sbatch has not one line {_COMMAND!r}")
    options = [k for k, line in enumerate(lines) if line.startswith("#SBATCH ")]
    place = lines.index(_COMMAND)
    after = lines.index("", place)
    return "\n".join(
        [
            lines[0],
            "# Written by ist-mpi; sbatch takes it as it is.",
            *(f"#SBATCH {option}" for option in _options(request)),
            *lines[options[-1] + 1 : place + 1],
            *_settings(request),
            f"set -- {' '.join(map(_quoted, command))}",
            *lines[after:],
            "",
        ]
    )


def _options(request: Request) -> Iterator[str]:
    """The options of sbatch, the user's own last: of two, sbatch takes the later."""
    yield f"--job-name={request.name or 'ist-mpi'}"
    yield f"--output={'%x-%A_%a.out' if request.array else '%x-%j.out'}"
    yield "--open-mode=append"
    yield "--requeue"
    yield f"--signal=B:USR1@{request.signal_seconds}"
    yield f"--nodes={request.nodes}"
    yield f"--ntasks-per-node={request.ntasks_per_node}"
    yield f"--cpus-per-task={request.cpus_per_task}"
    named = {name: getattr(request, name) for name in ("time", "account", "partition", "array")}
    yield from (f"--{name}={value}" for name, value in named.items() if value)
    for option in request.options:
        name, equals, value = option.partition("=")
        yield f'{name}="{value}"' if equals and not value.isalnum() else option


def _settings(request: Request) -> Iterator[str]:
    """The settings of run.sbatch, as lines of bash."""
    yield f"IST_PYTHON={shlex.quote(sys.executable)}"
    yield f"IST_LAUNCHER={request.launcher}"
    yield f"IST_MPI={shlex.quote(request.mpi)}"


def _quoted(word: str) -> str:
    return f'"{TASK}"' if word == TASK else shlex.quote(word)
