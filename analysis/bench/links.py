"""Measure messages and collectives of many sizes, and add them to a benchmark of the same ranks.

    mpiexec -n P python analysis/bench/links.py BENCH.json [--quick]

What the network of a cost model is fitted to; `analysis/scaling.py --predict` reads it.
"""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ist_mpi.bench import EFFORT, FORMAT, HURRIED, SCHEMA_VERSION, write
from ist_mpi.bench.timing import Candidate, Effort, figure, measure
from ist_mpi.errors import Fault, InputError, ISTError
from ist_mpi.parallel import ranks
from ist_mpi.parallel.mpi import MPI
from ist_mpi.parallel.raw import traffic
from ist_mpi.parallel.split import first_ranks, rank_counts

OPERATIONS = (
    "barrier",
    "pingpong",
    "stream",
    "bcast",
    "scatterv",
    "gatherv",
    "allgatherv",
    "alltoallv",
)
"""pingpong: a message from the first rank to the last, and back. stream: STREAM messages that way,
and an empty one back. Every collective is followed by a barrier, so that no call overlaps the next.
"""
STREAM = 64
SIZES = (1, 64, 1024, 8192, 65536)
"""Numbers (float64) of a message."""
FLOAT = 8


def operation(comm: Any, name: str, size: int) -> Callable[[int], None]:
    """One of OPERATIONS with `size` numbers (float64) of every rank; alltoallv: to every rank."""
    if name in ("pingpong", "stream"):
        return _messages(comm, 1 if name == "pingpong" else STREAM, size)
    counts = np.full(comm.size, size * (comm.size if name == "alltoallv" else 1), dtype=np.int32)
    mine = np.zeros(size)
    calls: dict[str, Callable[[], None]] = {
        "barrier": lambda: None,
        "bcast": lambda: comm.Bcast([mine, MPI.DOUBLE], root=0),
        "scatterv": traffic(comm, "server", counts)[0],
        "gatherv": traffic(comm, "server", counts)[1],
        "allgatherv": traffic(comm, "replicated", counts)[1],
        "alltoallv": traffic(comm, "serverless", counts)[0],
    }
    call = calls[name]

    def repeated(count: int) -> None:
        for _ in range(count):
            call()
            comm.Barrier()

    return repeated


def _messages(comm: Any, many: int, size: int) -> Callable[[int], None]:
    """`many` messages from the first rank to the last, and a reply: as large to one, or empty."""
    first, last = comm.rank == 0, comm.rank == comm.size - 1
    buffer = [np.zeros(size), MPI.DOUBLE]
    reply = buffer if many == 1 else [np.zeros(0), MPI.DOUBLE]
    other = comm.size - 1 if first else 0

    def repeated(count: int) -> None:
        for _ in range(count):
            if first:
                for _ in range(many):
                    comm.Send(buffer, dest=other)
                comm.Recv(reply, source=other)
            elif last:
                for _ in range(many):
                    comm.Recv(buffer, source=other)
                comm.Send(reply, dest=other)

    return repeated


def links(comm: Any, effort: Effort) -> list[dict[str, Any]]:
    """Seconds of every operation on 2, 4, … ranks; on rank 0; collective."""
    sizes = [size for size in rank_counts(comm.size) if size > 1]
    parts = [first_ranks(comm, size) for size in sizes]
    tried = [(name, size) for name in OPERATIONS for size in SIZES if name != "barrier"]
    tried.append(("barrier", 0))
    entered = [
        [Candidate(f"{name} {size}", operation(part, name, size)) for name, size in tried]
        if part is not None
        else []
        for part in parts
    ]
    measured = measure(comm, parts, entered, effort)
    return [
        {
            **{"p": p, "operation": name, "bytes": size * FLOAT},
            "messages": STREAM if name == "stream" else 1,
            "seconds": {"time": figure(times[f"{name} {size}"])},
        }
        for p, times in zip(sizes, measured, strict=True)
        for name, size in tried
        if times
    ]


def _opened(path: Path, size: int) -> dict[str, Any]:
    """The benchmark; raises InputError where it is none, or one of another number of ranks."""
    expected = f"what ist-mpi bench --json wrote on {size} rank(s), two or more"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if (document["format"], document["schema_version"]) != (FORMAT, SCHEMA_VERSION):
            raise ValueError("another format")
        there = document["environment"]["ranks"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise InputError(Fault(str(path), str(error), expected)) from error
    if there != size or size < 2:
        got = f"one of {there} rank(s), on {size}"
        raise InputError(Fault(str(path), got, expected, f"mpiexec -n {there}"))
    found: dict[str, Any] = document
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    effort = HURRIED if "--quick" in words else EFFORT
    files = [word for word in words if word != "--quick"]
    comm = ranks.world()
    if len(files) != 1 or files[0].startswith("-"):
        print((__doc__ or "").strip(), file=sys.stderr)
        return 2
    with ranks.abort_on_error(comm):
        try:
            path = Path(files[0])
            document = ranks.on_root(comm, lambda: _opened(path, comm.size))
            document["links"] = links(comm, effort)
            ranks.on_root(comm, lambda: write(document, path))
        except ISTError as error:
            if comm.rank == 0:
                print(f"links.py: {error}", file=sys.stderr)
            return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
