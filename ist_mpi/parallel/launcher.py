"""What the launcher says of this process, read from the environment without starting MPI."""

import os
import stat
import sys
from contextlib import suppress

STEP = "SLURM_STEP_NUM_TASKS"
"""Where srun tells a process how many it started. A batch script itself has none, and what mpiexec
starts inside a job inherits that of mpiexec's own helpers, one on each node."""

SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", STEP)
"""Where launchers tell a process how many they started (MPICH's mpiexec, Open MPI's, srun without
either's protocol); the first that speaks is right."""

RANKS = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "SLURM_PROCID")
"""Where they tell a process which of them it is."""


_alone = [False]


def stay_alone() -> None:
    """This process is to do without MPI, whatever started it; before MPI is loaded."""
    _alone[0] = True


def stays_alone() -> bool:
    """Whether it is."""
    return _alone[0]


def _number(names: tuple[str, ...]) -> int | None:
    for name in names:
        if os.environ.get(name, "").isdecimal():
            return int(os.environ[name])
    return None


def launched_size() -> int | None:
    """How many ranks the launcher says it started; None without a launcher that says."""
    return _number(SIZES)


def started_by_srun() -> bool:
    """Whether srun started this process, or mpiexec's helpers that did."""
    return STEP in os.environ


def launched_rank() -> int:
    """This process's rank as the launcher says; 0 without a launcher."""
    return _number(RANKS) or 0


_OF_RANKS = ("PMI_", "PMIX_", "HYDI_", "MPI_LOCAL", "OMPI_COMM_WORLD_")
"""How the variables begin by which a launcher ties a process to its job."""


def untied() -> dict[str, str]:
    """This process's environment without its launcher's ties, for one that is to start its own MPI.

    Settings of the MPI library stay.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_OF_RANKS) or "_MCA_" in name
    }


ALONE = "ist-mpi: caution: started by a rank of a job, this process works alone"


def leave_parents_job() -> None:
    """Let a process that a rank of a job started, and that so is no rank, work alone, and say so.

    It has that rank's variables, but not the socket to the launcher that they name: Python closes
    it in a child. MPI would end the process with a trace of its own.
    """
    named = os.environ.get("PMI_FD", "")
    if not named.isdecimal():
        return
    try:
        if stat.S_ISSOCK(os.fstat(int(named)).st_mode):
            return
    except (OSError, OverflowError):
        pass
    for name in set(os.environ) - set(untied()) | {STEP, "SLURM_PROCID"}:
        os.environ.pop(name, None)
    with suppress(AttributeError, OSError):  # where nobody listens
        sys.stderr.write(f"{ALONE}\n")
