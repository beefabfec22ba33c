"""Laps that take turns, and what is told of them: medians and quartiles.

Whatever a machine does meanwhile, it does to all candidates: one lap of each, in an order that
changes, then the next lap. Ratios are taken lap by lap, of neighbours in time.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ist_mpi.parallel import ranks
from ist_mpi.parallel.split import others_asleep

Float64 = NDArray[np.float64]
MOST = 10_000
"""Times in one lap, at most."""


class Effort(NamedTuple):
    """How long to measure."""

    laps: int
    seconds: float
    """About how long one lap of one candidate takes."""


class Candidate(NamedTuple):
    """Something to be timed."""

    name: str
    run: Callable[[int], float | None]
    """Do it so many times; may return the seconds that count, else all do."""
    close: Callable[[], None] = lambda: None
    """When all is measured; collective over its ranks."""


Times = dict[str, Float64]
"""Of every lap the seconds of the slowest rank, by candidate: (laps,)."""


def measure(
    comm: Any, parts: Sequence[Any], entered: Sequence[Sequence[Candidate]], effort: Effort
) -> list[Times]:
    """Time candidates on parts of the ranks, one part at a time, the others asleep; collective.

    Parameters
    ----------
    comm : communicator
        Of all ranks.
    parts : sequence of communicators
        None where this rank is none of them.
    entered : sequence of sequences of Candidate
        Those of each part, the same names in the same order on all its ranks; empty elsewhere.

    Returns
    -------
    list of dict
        For each part; empty where this rank is none of it.
    """
    counts: list[list[int]] = []
    for part, candidates in zip(parts, entered, strict=True):
        with others_asleep(comm):
            counts.append([_calibrated(part, one, effort.seconds) for one in candidates])
    times = [np.empty((len(candidates), effort.laps)) for candidates in entered]
    for lap in range(effort.laps):
        for at, candidates in enumerate(entered):
            with others_asleep(comm):
                for place in _order(len(candidates), lap):
                    count = counts[at][place]
                    times[at][place, lap] = _lap(parts[at], candidates[place], count) / count
    found: list[Times] = []
    for part, candidates, mine in zip(parts, entered, times, strict=True):
        slowest = mine if part is None else np.max(part.allgather(mine), axis=0)
        found.append({one.name: slowest[place] for place, one in enumerate(candidates)})
    return found


def _order(many: int, lap: int) -> list[int]:
    """The order of a lap: each begins with another candidate, every second one is reversed."""
    places = [(place + lap) % many for place in range(many)]
    return places[::-1] if lap % 2 else places


def _lap(comm: Any, one: Candidate, count: int) -> float:
    """Seconds of `count` times, on this rank."""
    comm.Barrier()
    began = time.perf_counter()
    counted = one.run(count)
    return time.perf_counter() - began if counted is None else counted


def _calibrated(comm: Any, one: Candidate, seconds: float) -> int:
    """How many times make a lap, the same on all ranks; warms up on the way."""
    count = 1
    for _ in range(3):  # the first compiles, the second sees cold caches
        comm.Barrier()
        began = time.perf_counter()
        one.run(count)
        elapsed = time.perf_counter() - began
        wanted = int(seconds / max(elapsed / count, 1e-9))
        count = ranks.from_root(comm, max(1, min(wanted, MOST, 100 * count)))
    return count


def figure(laps: Float64) -> dict[str, float]:
    """Median, lower and upper quartile, and the smallest of laps (l,): seconds, or a ratio."""
    low, median, high = (float(value) for value in np.quantile(laps, [0.25, 0.5, 0.75]))
    return {"median": median, "low": low, "high": high, "best": float(laps.min())}
