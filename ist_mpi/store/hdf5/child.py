"""Read a file that may bring HDF5 to grief, in a process of its own: it may loop or crash here.

Run by `ist_mpi.store.hdf5.probe`: ``python -m ist_mpi.store.hdf5.child``, with what is asked on
standard input (a pickle: path, descriptor of the open file, `Wanted`, `Limit`). Prints one line of
JSON: null, the fault found, or the number of the error with which the disk failed.
The process ends itself when it takes too long or too much memory.
"""

import json
import pickle
import resource
import signal
import sys
from pathlib import Path

from ist_mpi.errors import InputError, ReadError
from ist_mpi.store import files
from ist_mpi.store.hdf5.opening import parsed

PROCESSOR_SECONDS = 1.0
"""For each array, besides its data; what is whole needs some milliseconds."""
WAITING_SECONDS = 30.0
"""For the same with the waiting for a slow disk."""
SLOWEST = 20 << 20
"""Bytes a second, at least, of the data."""
MEMORY = 3 << 29
"""Bytes, besides those of the interpreter: some chunks of the largest size."""


def main() -> None:
    """The command."""
    for clock in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(clock, signal.SIG_DFL)  # ends the process, inside of HDF5 too
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {clock})
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    path, descriptor, wanted, limit = pickle.load(sys.stdin.buffer)
    _bound_memory()
    _start_clocks(0)
    try:
        with (
            files.noting(descriptor, path) as file,
            parsed(file, path, wanted, limit, InputError, packed=True) as reader,
        ):
            reader.check(_start_clocks)
    except ReadError as error:
        print(json.dumps(error.errno))
    except InputError as error:
        print(json.dumps(error.faults[0]))
    else:
        print("null")


def _start_clocks(size: int) -> None:
    """Allow the time for an array of so many bytes that are to be read, from now on."""
    data = size / SLOWEST
    signal.setitimer(signal.ITIMER_PROF, PROCESSOR_SECONDS + data)
    signal.setitimer(signal.ITIMER_REAL, WAITING_SECONDS + data)


def _bound_memory() -> None:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    except (OSError, ValueError):  # another system, or less is allowed already
        pass


if __name__ == "__main__":
    main()
