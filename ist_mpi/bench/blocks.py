"""The kernel by itself, beside what the memory would take for as many cache lines, and numpy.

Cold: the blocks of all the rank's workers, matrix after matrix, as in a round. Cached: one block of
one matrix, over and over. Cold candidates never meet the same blocks or the same places twice, so
that none reads what another has just brought into the cache.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ist_mpi.bench import textbook
from ist_mpi.bench.material import SEED, Tools, as_matrices
from ist_mpi.bench.timing import Candidate
from ist_mpi.kernels import laps
from ist_mpi.sketches import Sketch

Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]

FIRST_ROUND = 10**12
"""Drawn ahead from here on: no round that a method makes."""
MOST_LISTED = 2**16
"""Most coordinates of blocks that are drawn ahead, beyond one round's: they take cache too."""
MOST_LINES = 2**18
"""Most cache lines that are listed ahead, likewise."""


class Drawn(NamedTuple):
    """The blocks of a rank's workers in several rounds."""

    pi: Int32
    """Shape (r, t)."""
    edges: Int32
    """Shape (r, m + 1): worker i's block is pi[r, edges[r, i]:edges[r, i + 1]]."""

    def block(self, r: int, i: int) -> Int32:
        """Of round r and worker i."""
        return self.pi[r, self.edges[r, i] : self.edges[r, i + 1]]


class Source:
    """Blocks of one rank that nobody has met before."""

    def __init__(self, tools: Tools) -> None:
        case, where = tools.case, tools.bench.team
        self._sketch = Sketch(case.method, case.n, case.d, SEED)
        self._mine = slice(where.first, where.last + 1)
        self._next = FIRST_ROUND

    def rounds(self, count: int) -> Drawn:
        """The next so many rounds'."""
        pi = np.empty((count, self._sketch.size), dtype=np.int32)
        offsets = np.empty((count, self._sketch.n + 1), dtype=np.int32)
        laps.keep_rounds(self._sketch.plan(0), self._next, pi, offsets)
        self._next += count
        return Drawn(pi, np.ascontiguousarray(offsets[:, self._mine]))

    def same(self, count: int) -> Drawn:
        """One new block of the rank's first worker, so many times."""
        block = self.rounds(1).block(0, 0)
        edges = np.array([0, block.size], dtype=np.int32)
        return Drawn(np.tile(block, (count, 1)), np.tile(edges, (count, 1)))


class _Blocks:
    """What the candidates on blocks have in common."""

    def __init__(self, tools: Tools, source: Source, cached: bool) -> None:
        self.tools, self.source, self.cached = tools, source, cached
        self.workers = 1 if cached else len(tools.bench.problem.index)
        self.size = tools.case.d**2

    def draw(self, count: int) -> Drawn:
        return self.source.same(count) if self.cached else self.source.rounds(count)

    def name(self, name: str) -> str:
        return f"cached {name}" if self.cached else name


class Kernel(_Blocks):
    """The local step of Algorithm 1, as the rounds do it."""

    def candidate(self) -> Candidate:
        """To be timed; a unit is one block."""
        bench, case = self.tools.bench, self.tools.case
        room, ready = bench.problem.room(case.block, 1)
        storage = as_matrices(bench.problem)
        self._storage = storage._replace(which=np.arange(self.workers))
        self._C = bench.factors.rules.C
        self._w = np.ones(bench.most)
        self._scratch = np.empty(case.block), room, ready
        most = max(1, MOST_LISTED // bench.sketch.size)
        return Candidate(self.name("kernel"), self._run, self._prepare, max(1, self.workers), most)

    def _prepare(self, count: int) -> None:
        self._drawn = self.draw(count)
        if self.cached:
            self._steps(Drawn(self._drawn.pi[:1], self._drawn.edges[:1]))

    def _run(self, _: int) -> None:
        self._steps(self._drawn)

    def _steps(self, drawn: Drawn) -> None:
        gamma = self.tools.case.method.gamma
        laps.local_steps_of_rounds(
            self._storage, *drawn, self._C, gamma, 1, self._w, *self._scratch
        )


class Sequential(_Blocks):
    """The floor: as many cache lines as half of a block touches, one after another.

    From a new random place of each matrix every time, so that a line is as likely to be in the
    cache as one of the kernel's.
    """

    def candidate(self) -> Candidate:
        """To be timed; a unit is one block."""
        self._flat = self.tools.matrices.reshape(-1)
        self._random = np.random.default_rng(SEED)
        entries = round(lines_of_block(self.tools, self.source)) * _per_line(self._flat)
        self._entries = min(entries, self.size)
        units = max(1, self.workers)
        return Candidate(self.name("sequential"), self._run, self._prepare, units)

    def _prepare(self, count: int) -> None:
        per_line = _per_line(self._flat)
        shape = (1 if self.cached else count, self.workers)
        within = self._random.integers(0, self.size - self._entries + 1, shape)
        starts = np.arange(self.workers) * self.size + within // per_line * per_line
        self._starts = np.tile(starts, (count, 1)) if self.cached else starts
        self._starts = self._starts.reshape(-1)
        if self.cached:
            laps.read_spans(self._flat, self._starts[:1], self._entries)

    def _run(self, _: int) -> None:
        laps.read_spans(self._flat, self._starts, self._entries)


class Scattered(_Blocks):
    """The lines themselves, in the kernel's order, without arithmetic on what is in them."""

    def candidate(self) -> Candidate:
        """To be timed; a unit is one block."""
        self._flat = self.tools.matrices.reshape(-1)
        lines = max(1.0, lines_of_block(self.tools, self.source) * self.workers)
        most = 10_000 if self.cached else max(1, int(MOST_LINES / lines))
        units = max(1, self.workers)
        return Candidate(self.name("scattered"), self._run, self._prepare, units, most)

    def _prepare(self, count: int) -> None:
        drawn = self.draw(1 if self.cached else count)
        listed = [
            _lines(self._flat, drawn.block(r, i), self.tools.case.d, i)
            for r in range(len(drawn.pi))
            for i in range(self.workers)
        ]
        edges = np.cumsum([0, *(lines.size for lines in listed)])
        starts = np.tile(np.arange(self.workers) * self.size, len(drawn.pi))
        lines = np.concatenate([np.empty(0, dtype=np.uint32), *listed])
        self._arguments = self._flat, self.size, starts, edges, lines
        if self.cached:
            laps.touch_lines(*self._arguments, 1)

    def _run(self, count: int) -> None:
        laps.touch_lines(*self._arguments, count if self.cached else 1)


class Numpy(_Blocks):
    """`L[np.ix_(S, S)] @ w`, on sorted blocks too."""

    def candidate(self) -> Candidate:
        """To be timed; a unit is one block."""
        self._problem = self.tools.textbook
        self._w = np.ones(self.tools.case.block)
        units = max(1, self.workers)
        return Candidate(self.name("numpy"), self._run, self._prepare, units, most=1000)

    def _prepare(self, count: int) -> None:
        drawn = self.draw(count)
        self._blocks = [
            [drawn.block(r, i).astype(np.int64) for i in range(self.workers)] for r in range(count)
        ]
        if self.cached:
            textbook.block_products(self._problem, self._blocks[:1], self._w)

    def _run(self, _: int) -> None:
        textbook.block_products(self._problem, self._blocks, self._w)


def _per_line(flat: NDArray[np.float64]) -> int:
    return laps.LINE // flat.itemsize


def _lines(flat: NDArray[np.float64], block: Int32, d: int, i: int) -> NDArray[np.uint32]:
    """The lines of matrix i's block, in the kernel's order."""
    room = np.empty(block.size * (block.size + 1) // 2, dtype=np.uint32)
    first = (flat.ctypes.data // flat.itemsize + i * d * d) % _per_line(flat)
    return room[: laps.half_lines(block, d, _per_line(flat), first, room)]


def lines_of_block(tools: Tools, source: Source) -> float:
    """How many cache lines half of a block touches, mean over the rank's workers in a round."""
    flat = tools.matrices.reshape(-1)
    drawn = source.rounds(1)
    workers = range(len(tools.bench.problem.index))
    counts = [_lines(flat, drawn.block(0, i), tools.case.d, i).size for i in workers]
    return float(np.mean(counts)) if counts else 0.0
