"""Repetitions that take turns, and what is told of them: medians, quartiles, ratios.

Whatever a machine does meanwhile, it does to all candidates: one lap of each, in an order that
changes, then the next lap. Ratios are taken lap by lap, of neighbours in time.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ist_mpi.parallel import ranks
from ist_mpi.parallel.teams import Team, turn

Float64 = NDArray[np.float64]


class Effort(NamedTuple):
    """How long to measure."""

    laps: int
    seconds: float
    """About how long one lap of one candidate takes."""


def _nothing(count: int) -> None:
    """No preparation."""


class Candidate(NamedTuple):
    """Something to be timed."""

    name: str
    run: Callable[[int], float | None]
    """Do it so many times; may return the seconds that count, else all do."""
    prepare: Callable[[int], None] = _nothing
    """Make ready for so many times; not timed."""
    units: int = 1
    """How many equal parts it has, if the time of one part is wanted."""
    most: int = 10_000
    """Most times in one lap."""


Times = dict[str, Float64]
"""Seconds of one unit, by candidate: shape (p, laps), the ranks of the team by laps."""


def measure(
    comm: Any, formed: Sequence[Team], entered: Sequence[Sequence[Candidate]], effort: Effort
) -> list[Times]:
    """Time the candidates of every team, one team at a time while the others sleep; collective.

    Parameters
    ----------
    comm : communicator
        Of all ranks.
    formed : sequence of Team
    entered : sequence of sequences of Candidate
        This rank's candidates in each team, the same names in the same order on all its members;
        empty where it is no member.

    Returns
    -------
    list of dict
        For each team; empty where this rank is no member.
    """
    counts: list[list[int]] = []
    for team, candidates in zip(formed, entered, strict=True):
        with turn(comm):
            counts.append([_calibrated(team.comm, one, effort.seconds) for one in candidates])
    times = [np.empty((len(candidates), effort.laps)) for candidates in entered]
    for lap in range(effort.laps):
        for at, team in enumerate(formed):
            with turn(comm):
                for place in _order(len(entered[at]), lap):
                    one, count = entered[at][place], counts[at][place]
                    times[at][place, lap] = _lap(team.comm, one, count) / (count * one.units)
    return [
        _of_all_ranks(team, candidates, mine)
        for team, candidates, mine in zip(formed, entered, times, strict=True)
    ]


def _order(many: int, lap: int) -> list[int]:
    """The order of a lap: each begins with another candidate, every second one is reversed."""
    places = [(place + lap) % many for place in range(many)]
    return places[::-1] if lap % 2 else places


def _lap(comm: Any, one: Candidate, count: int) -> float:
    """Seconds of `count` times, on this rank."""
    one.prepare(count)
    comm.Barrier()
    began = time.perf_counter()
    counted = one.run(count)
    elapsed = time.perf_counter() - began
    return elapsed if counted is None else counted


def _calibrated(comm: Any, one: Candidate, seconds: float) -> int:
    """How many times make a lap, the same on all ranks of a team; warms up on the way."""
    count = 1
    for _ in range(3):  # the first compiles, the second sees cold caches
        one.prepare(count)
        comm.Barrier()
        began = time.perf_counter()
        one.run(count)
        elapsed = time.perf_counter() - began
        wanted = int(seconds / max(elapsed / count, 1e-9))
        count = ranks.from_root(comm, max(1, min(wanted, one.most, 100 * count)))
        if one.most == 1:
            break
    return count


def _of_all_ranks(team: Team, candidates: Sequence[Candidate], mine: Float64) -> Times:
    """What all ranks of a team measured; collective over the team."""
    if not team.member:
        return {}
    everything = np.array(team.comm.allgather(mine))
    return {one.name: everything[:, place] for place, one in enumerate(candidates)}


def slowest(times: Float64) -> Float64:
    """Of every lap the slowest rank's time: (p, laps) to (laps,)."""
    return np.asarray(times.max(axis=0))


class Figure(NamedTuple):
    """What laps tell: seconds, or a ratio."""

    median: float
    low: float
    """Lower quartile."""
    high: float
    """Upper quartile."""
    best: float
    """The smallest."""

    def document(self) -> dict[str, float]:
        """For JSON."""
        return self._asdict()


def figure(laps: Float64) -> Figure:
    """Median, quartiles and best of laps (l,)."""
    low, median, high = np.quantile(laps, [0.25, 0.5, 0.75])
    return Figure(float(median), float(low), float(high), float(laps.min()))
