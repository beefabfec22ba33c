"""What the launcher says of this process, read from the environment without starting MPI."""

import os

SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE")
"""Where launchers tell a process how many they started (MPICH's mpiexec, Open MPI's)."""

RANKS = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "SLURM_PROCID")
"""Where they tell a process which of them it is."""


def _number(names: tuple[str, ...]) -> int | None:
    for name in names:
        if os.environ.get(name, "").isdecimal():
            return int(os.environ[name])
    return None


def launched_size() -> int | None:
    """How many ranks the launcher says it started; None without a launcher that says."""
    return _number(SIZES)


def launched_rank() -> int:
    """This process's rank as the launcher says; 0 without a launcher."""
    return _number(RANKS) or 0
