"""Run many configurations in one job and write what came out of each, as digests.

``[mpiexec -n p] python drive.py CONFIGURATIONS.json LOG.h5 DIGESTS.jsonl``; `compare.py` starts it.
Only `ist_mpi.run` and the log's format are used, so that it does for any version of the package.
"""

import hashlib
import json
import sys
import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from mpi4py import MPI

import ist_mpi

GROUPS = ("model", "rounds", "theory", "problem", "iterates", "permutations")
"""Those of a log that are compared, where it has them."""
ATTRIBUTES = ("status", "stop_reason", "run_id", "seed", "storage")
"""Likewise, of the log itself."""
CLOCK = "rounds/seconds"


def digest(value: Any) -> str:
    """Of an array or an attribute: its type, its shape, and its bytes."""
    array = np.asarray(value)
    if array.dtype.kind in "OU":
        return repr(array.tolist())
    content = hashlib.sha256(array.tobytes()).hexdigest()[:16]
    return f"{array.dtype.str} {array.shape} {content}"


def digests(path: Path) -> dict[str, str]:
    """Of every dataset of a log but the clock, and of theory's attributes."""
    with h5py.File(path, "r") as file:
        found = {f"@{key}": digest(file.attrs[key]) for key in ATTRIBUTES if key in file.attrs}
        for group in GROUPS:
            if group not in file:
                continue
            for key, dataset in file[group].items():
                if f"{group}/{key}" != CLOCK:
                    found[f"{group}/{key}"] = digest(dataset[()])
            if group == "theory":
                for key, value in file[group].attrs.items():
                    found[f"{group}@{key}"] = digest(value)
    return found


def main() -> None:
    """Every configuration, in order; a line as soon as it is done."""
    configurations, log, out = map(Path, sys.argv[1:])
    root = MPI.COMM_WORLD.rank == 0
    warnings.simplefilter("ignore")
    if root:
        print(Path(ist_mpi.__file__).resolve().parents[1], flush=True)
    for name, config in json.loads(configurations.read_text(encoding="utf-8")).items():
        try:
            ist_mpi.run(config, out=log, force=True)
        except ist_mpi.InputError as error:  # on every rank
            found = {"error": str(error)}
        else:
            found = digests(log) if root else {}
        if root:
            with out.open("a", encoding="utf-8") as file:
                file.write(json.dumps([name, found]) + "\n")
        MPI.COMM_WORLD.Barrier()


if __name__ == "__main__":
    main()
