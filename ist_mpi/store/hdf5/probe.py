"""Have a file read by another process first, since HDF5 may loop or crash on what is damaged.

The process is a fresh interpreter (never a fork: that is not safe once MPI has started) that loads
h5py and not MPI, knows nothing of the launcher, and has bounded time and memory.
"""

import json
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

from ist_mpi.errors import Fault, ReadError
from ist_mpi.store.files import Limit, failed
from ist_mpi.store.hdf5.wanted import Wanted

_LAUNCHERS = ("PMI", "OMPI_", "PRTE_", "MPI", "HYDI_", "HYDRA_", "SLURM_", "HDF5_PLUGIN")
"""Beginnings of the names of what is left out of the environment: a rank's place, and plugins."""


def fault_of(file: BinaryIO, path: Path, wanted: Wanted, limit: Limit) -> Fault | None:
    """What is wrong with an open file, found in another process; None if nothing is.

    Raises ReadError where the disk failed, there or here.
    """
    expected = "a whole HDF5 file"
    # -P: nothing is imported from the current folder that this process would not import.
    command = [sys.executable, "-P", "-m", "ist_mpi.store.hdf5.child"]
    try:
        done = subprocess.run(
            command,
            input=pickle.dumps((path, file.fileno(), wanted, limit)),
            capture_output=True,
            check=False,
            env=_environment(),
            pass_fds=(file.fileno(),),
        )
    except OSError as error:  # there is no process to be had
        why = f"no process to read it first can be had ({error.strerror or error})"
        raise ReadError(f"{path} could not be checked: {why}") from error
    code = done.returncode
    if -code in (signal.SIGALRM, signal.SIGPROF):
        return Fault(str(path), "a file that HDF5 does not finish reading in good time", expected)
    if code < 0:
        return Fault(str(path), f"a file that HDF5 crashes on (signal {-code})", expected)
    lines = done.stdout.splitlines()
    if code != 0 or not lines:
        words = done.stderr.decode(errors="replace").strip().splitlines() or [f"code {code}"]
        return Fault(str(path), f"a file that could not be checked ({words[-1][:300]})", expected)
    found = json.loads(lines[-1])
    if isinstance(found, int):
        raise failed(path, OSError(found, os.strerror(found)))
    return None if found is None else Fault(*found)


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_LAUNCHERS)}
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "HDF5_PLUGIN_PRELOAD": "::",  # HDF5's word for: no plugins
        "OPENBLAS_NUM_THREADS": "1",  # numpy would start a thread for each core
        "OMP_NUM_THREADS": "1",
    }
