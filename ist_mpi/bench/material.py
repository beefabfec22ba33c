"""Cheap symmetric matrices, and a rank's tools on them, put together as a run does it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ist_mpi import methods
from ist_mpi.bench import textbook
from ist_mpi.bench.cases import FLOAT, Case, most_workers
from ist_mpi.kernels.matrices import Matrices
from ist_mpi.methods.bench import Bench
from ist_mpi.parallel import rounds
from ist_mpi.parallel.team import Team
from ist_mpi.problems.quadratic import LocalQuadratics
from ist_mpi.randomness import Purpose, data_stream
from ist_mpi.sketches import Factors, Sketch

Float64 = NDArray[np.float64]
SEED = 0
BUFFERS = 256 << 20
"""Bytes besides the matrices: blocks and lists of lines drawn ahead."""
ROWS = 256
"""Rows of a matrix that are drawn at once."""


class Material(NamedTuple):
    """A rank's quadratics, as many as it needs in any team."""

    L: Float64
    """Shape (m, d, d)."""
    b: Float64
    """Shape (m, d)."""

    def of(self, count: int) -> Matrices:
        """The first `count` of them, as a rank with so many workers has them."""
        return Matrices(self.L[:count], self.b[:count], np.arange(count))


def make(case: Case, sizes: Sequence[int], rank: int) -> Material:
    """The matrices of one rank for the teams of these sizes.

    One random symmetric matrix with eigenvalues between 1 and 3 or so, shifted by a little for
    every worker: the values change no time, their places in memory do.
    """
    m, d = most_workers(case, sizes, rank), case.d
    L = np.empty((m, d, d))
    b = data_stream(SEED, Purpose.START).standard_normal((m, d))
    if m:
        _fill(L[0])
    for i in range(1, m):
        L[i] = L[0]
        L[i][np.diag_indices(d)] += i / m
    return Material(L, b)


def _fill(matrix: Float64) -> None:
    """2 I plus a random symmetric matrix of norm about 1; needs no room beside the matrix."""
    d = len(matrix)
    stream = data_stream(SEED, Purpose.WORKER)
    width = np.sqrt(3.0 / d) / 2.0  # entries uniform in ±width: norm 2 √d width/√3 = 1
    for top in range(0, d, ROWS):
        end = min(top + ROWS, d)
        rows = stream.uniform(-width, width, (end - top, end))
        matrix[top:end, :end] = rows
        square = rows[:, top:]
        matrix[top:end, top:end] = np.tril(square) + np.tril(square, -1).T
        matrix[:top, top:end] = rows[:, :top].T
    matrix[np.diag_indices(d)] += 2.0


def bytes_needed(case: Case, sizes: Sequence[int], rank: int) -> int:
    """What `make` takes, and the buffers of a round."""
    return FLOAT * most_workers(case, sizes, rank) * case.d**2 + BUFFERS


class Tools(NamedTuple):
    """One rank's bench of a team, and the method that works on it."""

    bench: Bench
    method: methods.Method
    case: Case

    @property
    def matrices(self) -> Float64:
        """L_i of the rank's workers, shape (m, d, d)."""
        return np.asarray(as_matrices(self.bench.problem).L, dtype=np.float64)

    @property
    def textbook(self) -> textbook.Problem:
        """The same quadratics for plain numpy."""
        return textbook.Problem(self.matrices, self.bench.problem.b)


def as_matrices(problem: LocalQuadratics) -> Matrices:
    """The storage of a problem that is measured: always matrices."""
    if not isinstance(problem.storage, Matrices):
        raise TypeError(f"the benchmark's problems are matrices, not {problem.kind}")
    return problem.storage


def lay_out(comm: Any, case: Case, material: Material, exchange: str, watched: Any = None) -> Tools:
    """A method at x⁰ on `comm`, with the exchange of that name.

    `watched` may put something around the exchange: it gets one and returns one.
    """
    team = Team.of(comm, case.n, case.d)
    count = team.last - team.first
    storage = material.of(count)
    problem = LocalQuadratics(storage, np.zeros(count), homogeneous=False)
    settings = case.method
    sketch = Sketch(settings, case.n, case.d, SEED)
    traffic = rounds.connect(team, exchange, sketch)
    bench = Bench(
        problem=problem,
        sketch=sketch,
        factors=Factors(sketch, np.zeros((count, 0)), storage.which),
        exchange=traffic if watched is None else watched(traffic),
        team=team,
    )
    x0 = data_stream(SEED, Purpose.START).standard_normal(case.d)
    return Tools(bench, methods.start(settings, bench, x0), case)
