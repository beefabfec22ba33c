"""Parts of the ranks: the others sleep, and raw collectives go through on any number of ranks."""

import time

import numpy as np
import pytest
from mpi4py import MPI

from ist_mpi import problems
from ist_mpi.bench.cases import Case
from ist_mpi.errors import Fault, InputError
from ist_mpi.parallel import ranks, raw, split
from ist_mpi.training.setup import facts_of, method_of, prepare

pytestmark = [pytest.mark.mpi, pytest.mark.timeout(600)]

WORLD = MPI.COMM_WORLD
SECONDS = 0.5


def test_parts_are_the_first_ranks() -> None:
    for count in split.rank_counts(WORLD.size):
        part = split.first_ranks(WORLD, count)
        assert (part is not None) == (WORLD.rank < count)
        if part is not None:
            assert (part.size, part.rank) == (count, WORLD.rank)
            part.Free()


def test_who_waits_for_its_turn_sleeps() -> None:
    WORLD.Barrier()
    began, busy = time.monotonic(), time.process_time()
    over = 0.0
    with split.others_asleep(WORLD):
        if WORLD.rank == 0:
            time.sleep(SECONDS)
            over = time.monotonic()  # of the host, so the same for all ranks
    ended, busy = time.monotonic(), time.process_time() - busy
    assert ended >= WORLD.bcast(over)
    # What looking costs is a share of the time that it took, which grows with other work.
    assert busy < 0.3 * max(SECONDS, ended - began)


def test_an_error_of_a_part_is_everybodys() -> None:
    def fail() -> None:
        with ranks.agreeing(WORLD), split.others_asleep(WORLD):
            if WORLD.rank == 0:
                raise InputError(Fault("a fault", "got", "expected"))

    with pytest.raises(InputError, match="a fault"):
        fail()


@pytest.mark.parametrize("exchange", ["server", "replicated", "serverless"])
def test_raw_rounds_of_uneven_counts(exchange: str) -> None:
    counts = np.arange(WORLD.size, dtype=np.int32) * 3  # the first rank has nothing
    rounds = raw.raw_rounds(WORLD, exchange, 17, counts)
    rounds(1)
    rounds(5)


@pytest.mark.parametrize("case", [Case(24, 6), Case(30, 6, 4)])
def test_raw_rounds_have_the_sizes_of_real_ones(case: Case) -> None:
    """`case.edges` and the message are those that the exchange broadcasts; sizes divide evenly."""
    source = problems.load(case.config.problem)
    experiment = prepare(WORLD, case.config, facts_of(case.config, source), source, "none")
    method, tools = method_of(case.config, experiment, "server")
    method.rounds(0, 1)
    drawing = tools.exchange.drawing
    assert drawing.offsets.tolist() == case.edges.tolist()
    assert drawing.message is not None
    assert drawing.message.size == case.words
    tools.exchange.close()
