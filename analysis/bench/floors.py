"""Measure block products beside what the memory takes for as many cache lines; prints a table.

    python analysis/bench/floors.py [d,n …]

All of a round's blocks, matrix after matrix, on one rank; µs of a block. kernel: the whole round of
a run, a worker's part of it. sequential, the floor: as many cache lines as half of a block touches,
one after another, from a random place in each matrix. numpy: ``L[np.ix_(S, S)] @ w``.
"""

import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ist_mpi import problems
from ist_mpi.bench import EFFORT
from ist_mpi.bench.cases import Case, parse
from ist_mpi.bench.rounds import candidates
from ist_mpi.bench.timing import Candidate, Float64, figure, measure
from ist_mpi.errors import InputError
from ist_mpi.parallel import ranks
from ist_mpi.threads import one_thread
from ist_mpi.training.setup import facts_of, prepare

LINE = 8
"""Numbers (float64) of a cache line."""
CASES = ("1000,10", "4000,4")


def lines_of_half(block: NDArray[np.int64], d: int) -> int:
    """Cache lines that the lower half of L[S, S] has entries in; L begins with one."""
    met = [np.unique((row * d + block[: at + 1]) // LINE).size for at, row in enumerate(block)]
    return sum(met)


def floors_of(case: Case, matrices: Sequence[Float64]) -> list[Candidate]:
    """The sequential read, and numpy's products, of one block of every worker a time."""
    d, n, random = case.d, case.n, np.random.default_rng(0)
    lines = lines_of_half(np.sort(random.permutation(d)[: case.block]), d)
    entries = min(lines * LINE, d * d)
    w = np.ones(case.block)

    def sequential(count: int) -> None:
        for _ in range(count):
            for matrix in matrices:
                start = random.integers(d * d - entries + 1)
                span = matrix.reshape(-1)[start : start + entries]
                np.dot(span, span)

    def numpy(count: int) -> None:
        for _ in range(count):
            for matrix, S in zip(matrices, np.array_split(random.permutation(d), n), strict=True):
                S.sort()
                matrix[np.ix_(S, S)] @ w[: S.size]

    return [Candidate("sequential", sequential), Candidate("numpy", numpy)]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    words = list(sys.argv[1:] if arguments is None else arguments) or list(CASES)
    try:
        cases = parse(words)
    except InputError as error:
        print(f"floors.py: {error}", file=sys.stderr)
        return error.exit_code
    comm = ranks.world()
    names = ("round alone", "sequential", "numpy")
    print(f"{'d, n':>12}{'kernel':>10}{'sequential':>12}{'numpy':>10}  kernel/sequential")
    for case in cases:
        with one_thread():
            source = problems.load(case.config.problem)
            experiment = prepare(comm, case.config, facts_of(case.config, source), source, "none")
            entered = candidates(case, experiment, ["alone"])
            entered += floors_of(case, [experiment.problem.matrix(i) for i in range(case.n)])
            tried = [one for one in entered if one.name in names]
            (times,) = measure(comm, [comm], [tried], EFFORT)
        kernel, sequential, numpy = (1e6 / case.n * figure(times[name])["median"] for name in names)
        ratio = figure(times["round alone"] / times["sequential"])["median"]
        print(f"{case!s:>12}{kernel:10.1f}{sequential:12.1f}{numpy:10.1f}  {ratio:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
