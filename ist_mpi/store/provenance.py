"""Where a run came from: versions, hosts, commit, batch job."""

import functools
import json
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from ist_mpi._version import __version__
from ist_mpi.store import hdf5


@functools.cache
def git_commit() -> str:
    """The commit of the checkout this package runs from, with ``-dirty``; else empty."""
    package = Path(__file__).resolve().parents[1]
    if not (package.parent / ".git").exists():
        return ""
    try:
        done = subprocess.run(
            [
                "git",
                "-C",
                str(package.parent),
                "describe",
                "--always",
                "--dirty",
                "--abbrev=40",
                "--exclude=*",
            ],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def versions() -> dict[str, str]:
    """Versions of the package and of what its results depend on."""
    return {
        "ist_mpi": __version__,
        "git_commit": git_commit(),
        "python": platform.python_version(),
        "numpy": metadata.version("numpy"),
        "scipy": metadata.version("scipy"),
        "numba": metadata.version("numba"),
        "h5py": hdf5.H5PY_VERSION,
        "hdf5": hdf5.VERSION,
        "mpi4py": metadata.version("mpi4py"),
    }


def attributes(hosts: str, size: int, mpi_library: str) -> dict[str, Any]:
    """The provenance attributes of a run log."""
    return {
        "versions": json.dumps(versions()),
        "mpi_library": mpi_library,
        "ranks": size,
        "hosts": hosts,
        "threads": 1,  # of linear algebra, per rank: pinned, so that results do not depend on it
        "slurm_job_id": os.environ.get("SLURM_JOB_ID", ""),
    }
