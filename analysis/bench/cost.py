"""What a round costs on p ranks: T(p, n, d), fitted to a benchmark.

The network, after LogGP (Alexandrov, Ionescu, Schauser, Scheiman 1995): a message of m bytes takes
o + L + G m + o, of which o keeps the sender or the receiver busy. With D = ⌈log₂ p⌉:

    Bcast        binomial tree            D (2o + L + G m)
                 long, many ranks         2D (2o + L) + 2 G m         (scatter, then allgather)
    Scatterv     linear                   p o + L + (p − 1) G m       (m per rank; so Gatherv)
                 tree                     D (2o + L) + (p − 1) G m
    Allgatherv   recursive doubling       D (2o + L) + (p − 1) G m
                 ring                     (p − 1) (2o + L + G m)
    Alltoallv    every message at once    2 k o + L + k G m           (k messages of a rank)
    Barrier      dissemination            D (2o + L)

o contains the interpreter's call, which for linear collectives overstates it. Every rank has one
core and one link; links do not share a switch; nothing is overlapped with computing, though blocks
do travel a round ahead: the prediction is rather too slow than too fast. What a round takes beside
its kernels and its collectives (drawing, the interpreter, the coordinates that the server or a
router touches, waiting for each other) is a constant and a time for each coordinate.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from benchmarks import Row, crowded, median
from numpy.typing import NDArray
from scipy import optimize

Float64 = NDArray[np.float64]
NUMBER, INTEGER = 8, 4
LINE = 8
"""Numbers of a cache line."""
SHORT_BCAST, FEW_RANKS = 12_288, 8
"""Up to here MPICH broadcasts along a binomial tree, however long the message for few ranks."""
SHORT_ALLGATHER = 81_920
REWEIGHTED = 20
"""Times that a fit is made again with the weights of the last one."""
LEAST = 1e-3
"""Of what was measured: a model below counts as this, for the weights."""


class Network(NamedTuple):
    """LogGP, in seconds."""

    o: float
    """Of a message, on its sender and on its receiver."""
    L: float
    G: float
    """Of a byte."""

    def of(self, terms: Sequence[float]) -> float:
        """What so many o, L and G take."""
        return float(np.dot(self, terms))


Terms = tuple[float, float, float]
"""How many o, L, G."""


def depth(p: int) -> int:
    """⌈log₂ p⌉."""
    return max(0, math.ceil(math.log2(p)))


def barrier(p: int) -> Terms:
    """Dissemination."""
    return 2.0 * depth(p), float(depth(p)), 0.0


def bcast(p: int, m: float) -> Terms:
    """A tree; for long messages to many ranks in parts."""
    stages = depth(p)
    if m <= SHORT_BCAST or p < FEW_RANKS:
        return 2.0 * stages, float(stages), stages * m
    return 4.0 * stages, 2.0 * stages, 2.0 * m


def linear(p: int, m: float) -> Terms:
    """Scatterv or Gatherv: the root's messages one after another."""
    return (float(p), 1.0, (p - 1) * m) if p > 1 else (0.0, 0.0, 0.0)


def tree(p: int, m: float) -> Terms:
    """Scatter or Gather along a binomial tree: the same bytes through the root, fewer messages."""
    return 2.0 * depth(p), float(depth(p)), (p - 1) * m


def allgatherv(p: int, m: float) -> Terms:
    """Recursive doubling; a ring for much data."""
    if p * m <= SHORT_ALLGATHER:
        return tree(p, m)
    return 2.0 * (p - 1), float(p - 1), (p - 1) * m


def alltoallv(messages: float, m: float) -> Terms:
    """So many messages from and to every rank."""
    return 2.0 * messages, 1.0 if messages > 0 else 0.0, messages * m


def link_terms(row: Row) -> Terms:
    """The terms of one row of a benchmark's `links`, its barrier included."""
    p, m, many = row["p"], float(row["bytes"]), row["messages"]
    if row["operation"] == "pingpong":
        return 4.0, 2.0, 2 * m
    if row["operation"] == "stream":
        return many + 3.0, 2.0, many * m
    call: dict[str, Callable[[], Terms]] = {
        "barrier": lambda: (0.0, 0.0, 0.0),
        "bcast": lambda: bcast(p, m),
        "scatterv": lambda: linear(p, m),
        "gatherv": lambda: linear(p, m),
        "allgatherv": lambda: allgatherv(p, m),
        "alltoallv": lambda: alltoallv(p - 1, m),
    }
    o, L, G = (a + b for a, b in zip(call[row["operation"]](), barrier(p), strict=True))
    return o, L, G


class Model(NamedTuple):
    """Everything that T(p, n, d) is made of; seconds."""

    network: Network
    block: tuple[float, float]
    """Of a block product: constant, and for each cache line of half a block."""
    alone: tuple[float, float]
    """What a round of one rank takes beside its kernels: constant, and for each coordinate."""
    held: tuple[float, float]
    """What a round of several ranks takes beside kernels and collectives, with a server or
    replicas that hold the model."""
    routed: tuple[float, float]
    """The same without a server: each rank finds every coordinate's next owner."""

    def compute(self, n: int, d: int, p: int) -> float:
        """The slowest rank's local steps."""
        return -(-n // p) * (self.block[0] + self.block[1] * half_lines(d / n, d))

    def traffic(self, exchange: str, p: int, n: int, d: int) -> float:
        """What is told of the blocks, and the model's way to the workers and back.

        "serverless, own draws": every rank draws all blocks, nothing is told.
        """
        if p == 1:
            return 0.0
        active = min(p, n)  # ranks without a worker get nothing
        m = NUMBER * d / active
        told = self.network.of(bcast(p, INTEGER * (d + n + 1)))
        if exchange == "server":
            return told + 2 * self.network.of(linear(active, m))
        if exchange == "server, tree":
            return told + 2 * self.network.of(tree(active, m))
        if exchange == "replicated":
            return told + self.network.of(tree(p, NUMBER * d / p))  # no ring: it has p − 1 steps
        messages, numbers = spread(d / active, active)
        moved = self.network.of(alltoallv(messages, NUMBER * numbers))
        return moved if exchange == "serverless, own draws" else told + moved

    def overhead(self, exchange: str, p: int, d: int) -> float:
        """What is neither traffic nor a kernel."""
        constant, each = self.alone if p == 1 else self._together(exchange)
        return constant + each * d

    def _together(self, exchange: str) -> tuple[float, float]:
        return self.routed if exchange.startswith("serverless") else self.held

    def round(self, exchange: str, p: int, n: int, d: int) -> float:
        """T(p, n, d)."""
        parts = self.compute(n, d, p) + self.traffic(exchange, p, n, d)
        return parts + self.overhead(exchange, p, d)


def half_lines(q: float, d: float) -> float:
    """Cache lines that half of a block of q random coordinates meets, in expectation.

    A row of d/8 lines, each of them with one of the block's columns or more; half of q rows.
    """
    lines = d / LINE
    met = lines * -math.expm1(LINE * math.log1p(-q / d)) if q < d else lines
    return (q + 1) / 2 * max(1.0, met)


def spread(q: float, p: int) -> tuple[float, float]:
    """Non-empty messages to other ranks when q numbers go to p random owners; numbers in each.

    MPI libraries send no empty messages, so that with few numbers there are few messages.
    """
    others = (p - 1) * -math.expm1(q * math.log1p(-1 / p)) if p > 1 else 0.0
    return others, q * (p - 1) / p / others if others > 0 else 0.0


def fit(document: Row) -> Model:
    """The model of a benchmark with links: each part by non-negative least squares of ratios.

    Raises
    ------
    ValueError
        If the benchmark lacks what a part is fitted to.
    """
    links = [row for row in document.get("links", []) if not crowded(document, row["p"])]
    rounds = [row for row in document["rounds"] if not (row["rand"] or crowded(document, row["p"]))]
    if not links:
        raise ValueError(
            "no measured messages: --predict needs a benchmark of 2 ranks or more, to which "
            "analysis/bench/links.py has added them"
        )
    alone = [row for row in rounds if row["p"] == 1]
    if not alone:
        raise ValueError("no case was measured on one rank: nothing to fit kernels to")
    if len({row["q"] for row in alone}) < 2 or len({row["d"] for row in alone}) < 2:
        raise ValueError("one size only: --predict needs cases with several d and block sizes")
    o, L, G = _fitted([link_terms(row) for row in links], [median(row, "time") for row in links])
    lines = [(1.0, half_lines(row["d"] / row["n"], row["d"])) for row in rounds]
    blocks = [median(row, "kernel") / -(-row["n"] // row["p"]) for row in rounds]
    constant, each = _fitted(lines, blocks)
    routed = [row for row in rounds if row["exchange"] == "serverless"]
    held = [row for row in rounds if row["exchange"] in ("server", "replicated")]
    return Model(Network(o, L, G), (constant, each), *map(_left, (alone, held, routed)))


def _left(rows: Sequence[Row]) -> tuple[float, float]:
    """What rounds take beside their kernels and raw collectives: constant, and by coordinate."""
    if not rows:
        return 0.0, 0.0
    whole = np.array([median(row, "round") for row in rows])
    left = whole - [parts(row) for row in rows]
    terms = np.array([(1.0, row["d"]) for row in rows])
    constant, each = _least_squares(terms, left, 1.0 / whole)
    return float(constant), float(each)


def parts(row: Row) -> float:
    """What a measured round is made of: the slowest rank's kernels, the raw collectives."""
    return sum(median(row, name) for name in ("kernel", "raw") if name in row["seconds"])


def _fitted(terms: Sequence[Sequence[float]], seconds: Sequence[float]) -> list[float]:
    """Coefficients ≥ 0 with terms · coefficients ≈ seconds, in ratios.

    Errors are weighted by 1/√(measured · modelled), which is nearly the logarithm of their ratio:
    relative to what was measured alone, a model that is much too low would cost next to nothing.
    """
    measured = np.asarray(seconds, dtype=np.float64)
    matrix = np.asarray(terms, dtype=np.float64)
    values, found = measured, np.zeros(matrix.shape[1])
    for _ in range(REWEIGHTED):
        found = _least_squares(matrix, measured, 1.0 / np.sqrt(measured * values))
        values = np.maximum(matrix @ found, LEAST * measured)
    return [float(value) for value in found]


def _least_squares(matrix: Float64, wanted: Float64, weights: Float64) -> Float64:
    """Coefficients ≥ 0 of the smallest weighted error."""
    weighted = matrix * weights[:, None]
    sizes = np.linalg.norm(weighted, axis=0)
    sizes[sizes == 0] = 1.0  # coefficients differ by orders of magnitude
    scaled, _ = optimize.nnls(weighted / sizes, wanted * weights)
    return np.asarray(scaled / sizes)


def modelled(model: Model, row: Row) -> float:
    """T for a measured round; one rank is served by nobody."""
    exchange = "server" if row["exchange"] == "alone" else row["exchange"]
    return model.round(exchange, row["p"], row["n"], row["d"])
