"""Single messages and collectives of many sizes: what a model of the network is fitted to."""

from typing import Any

from ist_mpi.bench.cases import FLOAT
from ist_mpi.bench.figures import Row
from ist_mpi.bench.timing import Candidate, Effort, figure, measure, slowest
from ist_mpi.parallel.raw import OPERATIONS, STREAM, operation
from ist_mpi.parallel.teams import Team

SIZES = (1, 64, 1024, 8192, 65536)
"""Numbers (float64) of a message."""


def links(comm: Any, formed: list[Team], effort: Effort) -> list[Row]:
    """Seconds of every operation, on every team of more than one rank; on rank 0; collective."""
    several = [team for team in formed if team.size > 1]
    entered = [_candidates(team) if team.member else [] for team in several]
    measured = measure(comm, several, entered, effort)
    return [
        {
            "p": team.size,
            "operation": one.name.partition(" ")[0],
            "bytes": int(one.name.partition(" ")[2]) * FLOAT,
            "messages": STREAM if one.name.startswith("stream") else 1,
            "seconds": {"time": figure(slowest(times[one.name])).document()},
        }
        for team, candidates, times in zip(several, entered, measured, strict=True)
        for one in candidates
    ]


def _candidates(team: Team) -> list[Candidate]:
    found = []
    for name in OPERATIONS:
        for size in (0,) if name == "barrier" else SIZES:
            run = operation(team.comm, name, size)
            found.append(Candidate(f"{name} {size}", run))
    return found
