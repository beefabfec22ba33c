"""Teams of ranks: the others sleep, and the raw collectives go through on any number of ranks."""

import time

import numpy as np
import pytest
from mpi4py import MPI

from ist_mpi.parallel import raw, teams

pytestmark = [pytest.mark.mpi, pytest.mark.timeout(600)]

WORLD = MPI.COMM_WORLD
SECONDS = 0.5


def test_teams_are_the_first_ranks() -> None:
    formed = teams.teams(WORLD)
    assert [team.size for team in formed] == teams.team_sizes(WORLD.size)
    for team in formed:
        assert team.member == (WORLD.rank < team.size)
        if team.member:
            assert (team.comm.size, team.comm.rank) == (team.size, WORLD.rank)
    teams.disband(formed)


def test_who_waits_for_its_turn_sleeps() -> None:
    WORLD.Barrier()
    began, busy = time.monotonic(), time.process_time()
    over = 0.0
    with teams.turn(WORLD):
        if WORLD.rank == 0:
            time.sleep(SECONDS)
            over = time.monotonic()  # of the host, so the same for all ranks
    ended, busy = time.monotonic(), time.process_time() - busy
    assert ended >= WORLD.bcast(over)
    # What looking costs is a share of the time that it took, which grows with other work.
    assert busy < 0.3 * max(SECONDS, ended - began)


@pytest.mark.parametrize("exchange", ["server", "replicated", "serverless"])
def test_raw_rounds_of_uneven_counts(exchange: str) -> None:
    counts = np.arange(WORLD.size, dtype=np.int32) * 3  # the first rank has nothing
    rounds = raw.raw_round(WORLD, exchange, 17, counts)
    rounds(1)
    rounds(5)


@pytest.mark.parametrize("name", raw.OPERATIONS)
def test_operations(name: str) -> None:
    if WORLD.size > 1:
        raw.operation(WORLD, name, 0 if name == "barrier" else 5)(3)
