"""Whole rounds on a team, taken apart, beside the raw collectives and the textbook's loop."""

import time
from typing import Any

import numpy as np

from ist_mpi.bench import blocks, textbook
from ist_mpi.bench.cases import Case
from ist_mpi.bench.material import SEED, Material, Tools, lay_out
from ist_mpi.bench.timing import Candidate
from ist_mpi.kernels import laps, model, routes
from ist_mpi.parallel.raw import raw_round
from ist_mpi.parallel.rounds import Exchange
from ist_mpi.sketches import Blocks, disjoint

AT_ONCE = 100
"""Rounds between two looks of the main loop at the model."""


def exchanges_of(case: Case, size: int, wanted: tuple[str, ...]) -> list[str]:
    """The exchanges that a team of this size can use."""
    if size == 1:
        return ["alone"]
    if disjoint(case.method, case.n, case.d):
        return list(wanted)
    return [name for name in wanted if name != "serverless"]


def candidates(
    comm: Any, case: Case, material: Material, exchanges: list[str], weak: bool = False
) -> list[Candidate]:
    """Everything to be timed on a team; `weak`: only the rounds and the kernel."""
    tools = lay_out(comm, case, material, exchanges[0])
    source = blocks.Source(tools)
    entered = [blocks.Kernel(tools, source, cached=False).candidate()]
    for name in exchanges:
        entered.append(_whole(name, lay_out(comm, case, material, name)))
        if comm.size > 1 and not weak:
            entered += [_inside(name, comm, case, material), _raw(name, comm, tools)]
    if weak:
        return entered
    entered += [
        _draws(tools),
        blocks.Sequential(tools, source, cached=False).candidate(),
        blocks.Scattered(tools, source, cached=False).candidate(),
    ]
    if comm.size == 1:
        entered.append(blocks.Numpy(tools, source, cached=False).candidate())
        for kind in (blocks.Kernel, blocks.Sequential, blocks.Scattered, blocks.Numpy):
            entered.append(kind(tools, source, cached=True).candidate())
        entered += [_textbook(tools), _touches(tools), _routes(tools)]
    return entered


class _Rounds:
    """Rounds of a method, one after another over all laps."""

    def __init__(self, tools: Tools) -> None:
        self._method, self._next = tools.method, 0

    def __call__(self, count: int) -> None:
        """The next so many, as the main loop asks for them."""
        last = self._next + count
        while self._next < last:
            until = min(self._next + AT_ONCE, last)
            self._method.rounds(self._next, until)
            self._next = until


def _whole(exchange: str, tools: Tools) -> Candidate:
    return Candidate(f"round {exchange}", _Rounds(tools))


class _Watched:
    """An exchange that adds up the time spent in its calls; see `Exchange`."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self.name, self.alone, self.holds = exchange.name, exchange.alone, exchange.holds
        self.seconds = 0.0

    def broadcast(self, k: int) -> Blocks:
        """Timed."""
        began = time.perf_counter()
        found = self._exchange.broadcast(k)
        self.seconds += time.perf_counter() - began
        return found

    def scatter(self, x: Any, k: int) -> Any:
        """Timed."""
        began = time.perf_counter()
        parts = self._exchange.scatter(x, k)
        self.seconds += time.perf_counter() - began
        return parts

    def gather(self, pieces: Any, k: int) -> Any:
        """Timed."""
        began = time.perf_counter()
        merged = self._exchange.gather(pieces, k)
        self.seconds += time.perf_counter() - began
        return merged

    def share(self, x: Any) -> None:
        """Not a part of a round."""
        self._exchange.share(x)

    def close(self) -> None:
        """Likewise."""
        self._exchange.close()


def _inside(exchange: str, comm: Any, case: Case, material: Material) -> Candidate:
    """The time in a round that is spent in the exchange, waiting for other ranks included."""
    tools = lay_out(comm, case, material, exchange, watched=_Watched)
    watched: Any = tools.bench.exchange
    rounds = _Rounds(tools)

    def run(count: int) -> float:
        before = watched.seconds
        rounds(count)
        return float(watched.seconds - before)

    return Candidate(f"inside {exchange}", run)


def _raw(exchange: str, comm: Any, tools: Tools) -> Candidate:
    """The collectives of a round through mpi4py, with nothing else."""
    sketch, where = tools.bench.sketch, tools.bench.team
    counts = np.diff(sketch.draw(0).offsets[where.workers]).astype(np.int32)
    return Candidate(f"raw {exchange}", raw_round(comm, exchange, sketch.message(0).size, counts))


def _draws(tools: Tools) -> Candidate:
    """Drawing the blocks of a round."""
    plan = tools.bench.sketch.plan(0)
    first = [blocks.FIRST_ROUND // 2]

    def run(count: int) -> None:
        laps.draw_rounds(plan, first[0], first[0] + count)
        first[0] += count

    return Candidate("permutation", run)


def _textbook(tools: Tools) -> Candidate:
    """The loop over workers in numpy."""
    case, gamma = tools.case, tools.case.method.gamma
    problem = tools.textbook
    random = np.random.default_rng(SEED)
    at = [tools.method.x.copy()]

    def run(count: int) -> None:
        x = at[0]
        for _ in range(count):
            if case.q is None:
                x = textbook.permutation_round(problem, x, gamma, random)
            else:
                x = textbook.rand_round(problem, x, gamma, random, case.q)
        at[0] = x

    return Candidate("textbook", run)


def _touches(tools: Tools) -> Candidate:
    """Taking all coordinates out of a model and putting them back, as one who holds it does."""
    pi = tools.bench.sketch.draw(0).pi.copy()
    x, pieces = np.zeros(tools.case.d), np.zeros(pi.size)

    def run(count: int) -> None:
        for _ in range(count):
            model.take(x, pi, pieces)
            model.place(x, pi, pieces)

    return Candidate("touch", run)


def _routes(tools: Tools) -> Candidate:
    """Finding the next owner of every coordinate, as each rank does where nobody holds the model.

    As the first of two ranks.
    """
    d = tools.case.d
    room, few = (np.empty(max(size, 2), dtype=np.int32) for size in (d, 0))
    route = routes.Route(
        rank=0,
        owner=room,
        place=room.copy(),
        leaving=room.copy(),
        arriving=room.copy(),
        leaving_edges=np.zeros(3, dtype=np.int32),
        arriving_edges=np.zeros(3, dtype=np.int32),
        leaving_counts=few,
        arriving_counts=few.copy(),
    )
    permuted = [np.random.default_rng(k).permutation(d).astype(np.int32) for k in range(2)]
    edges = np.array([0, d // 2, d], dtype=np.int32)

    def run(count: int) -> None:
        for _ in range(count):
            routes.find(route, permuted[0], edges, permuted[1], edges)

    return Candidate("route", run)
