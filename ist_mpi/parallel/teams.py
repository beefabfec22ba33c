"""Some of the ranks at work while the others sleep: for measuring p = 1, 2, 4, … in one job.

A rank that waits inside MPI may take a core from one that works, so the others look only now and
then whether it is their turn.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

POLL_SECONDS = 1e-3


class Team(NamedTuple):
    """The first `size` ranks of a job."""

    size: int
    comm: Any
    """Their communicator; None on the other ranks."""

    @property
    def member(self) -> bool:
        """Whether this rank is one of them."""
        return self.comm is not None


def team_sizes(ranks: int) -> list[int]:
    """1, 2, 4, … and the number of ranks itself."""
    return sorted({2**power for power in range(ranks.bit_length()) if 2**power <= ranks} | {ranks})


def teams(comm: Any) -> list[Team]:
    """A team of each size that a communicator has ranks for; collective."""
    return [Team(size, _first(comm, size)) for size in team_sizes(comm.size)]


def _first(comm: Any, size: int) -> Any:
    """A communicator of the first `size` ranks; None on the others; collective."""
    part = comm.Split(0 if comm.rank < size else 1, comm.rank)
    if comm.rank < size:
        return part
    part.Free()
    return None


@contextmanager
def turn(comm: Any) -> Iterator[None]:
    """Nobody goes on before all ranks of `comm` are through the body; who is early sleeps."""
    yield
    request = comm.Ibarrier()
    while not request.Test():
        time.sleep(POLL_SECONDS)


def disband(formed: list[Team]) -> None:
    """Free the communicators; collective."""
    for team in formed:
        if team.comm is not None:
            team.comm.Free()
