"""What the launcher says of this process, read from the environment without starting MPI."""

import os
import stat
import sys
from contextlib import suppress
from pathlib import Path

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

    It has that rank's variables, but MPI could not start in it: it would end with a trace of its
    own, or, with the rank's connection to the launcher in its hands, have both of them wait for
    ever.
    """
    if not (_has_lost_its_launcher() or _is_below_a_rank()):
        return
    for name in set(os.environ) - set(untied()) | {STEP, "SLURM_PROCID"}:
        os.environ.pop(name, None)
    with suppress(AttributeError, OSError):  # where nobody listens
        sys.stderr.write(f"{ALONE}\n")


def _has_lost_its_launcher() -> bool:
    """Whether the named socket to the launcher is not there: Python closes it in a child."""
    named = os.environ.get("PMI_FD", "")
    if not named.isdecimal():
        return False
    try:
        return not stat.S_ISSOCK(os.fstat(int(named)).st_mode)
    except (OSError, OverflowError):
        return True


_LAUNCHERS = ("mpiexec", "mpirun", "hydra", "prte", "orted", "srun", "slurmstepd")
"""How the programs are called that start ranks; they may themselves be started by a rank."""


def _is_below_a_rank() -> bool:
    """Whether one of the processes above has the same rank's variables, and an MPI library."""
    mine = {name: os.environ[name] for name in RANKS[:3] if name in os.environ}
    process = os.getppid() if mine else 0
    while process > 1:
        try:
            folder = Path(f"/proc/{process}")
            words = (folder / "environ").read_bytes().split(b"\0")
            theirs = dict(
                word.decode(errors="replace").split("=", 1) for word in words if b"=" in word
            )
            program = (folder / "exe").readlink().name
            if program.startswith(_LAUNCHERS) or mine.items() - theirs.items():
                return False
            if b"/libmpi" in (folder / "maps").read_bytes():
                return True
            # The name in parentheses may have any characters in it.
            process = int((folder / "stat").read_bytes().rpartition(b")")[2].split()[1])
        except (OSError, ValueError, IndexError):  # over meanwhile, or another system
            return False
    return False
