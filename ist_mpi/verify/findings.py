"""What a verification says: findings, each with what was seen and what is allowed."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ist_mpi.errors import apart

Float64 = NDArray[np.float64]
Verdict = Literal["ok", "failed", "not judged"]

OVERFLOWING = 1e250
"""Numbers beyond this belong to a run that diverged: one order of sums overflows, another not."""


class Finding(NamedTuple):
    """One row of the report."""

    check: str
    subject: str
    """The log, or the group of logs, that was judged."""
    verdict: Verdict
    seen: str
    allowed: str
    """What is allowed; for `not judged`, why not."""


@dataclass(frozen=True)
class Report:
    """Every finding, in the order of the logs, groups of logs last."""

    rows: tuple[Finding, ...]

    @property
    def failed(self) -> bool:
        """Whether anything failed."""
        return any(row.verdict == "failed" for row in self.rows)


class Options(NamedTuple):
    """How far a verification goes."""

    replay: bool
    """Whether blocks are drawn from the run seed, and runs made again from them."""
    seconds: float
    """What would take longer, for one log or one group, is not judged."""


class Comparison(NamedTuple):
    """Numbers in a log beside what they should be; arrays of one shape, or scalars."""

    label: str
    seen: Float64 | float
    expected: Float64 | float
    tolerance: Float64 | float
    places: NDArray[np.int64] | None = None
    """Shape (rows,): the round of every entry of the first axis."""


def not_judged(check: str, subject: str, reason: str) -> Finding:
    """A finding that says why there is none."""
    return Finding(check, subject, "not judged", "", reason)


def faults(check: str, subject: str, wrong: Iterable[str], allowed: str) -> Finding:
    """Failed with all that is `wrong`, or ok where nothing is."""
    texts = list(wrong)
    return Finding(check, subject, "failed" if texts else "ok", "; ".join(texts), allowed)


def compare(check: str, subject: str, comparisons: Iterable[Comparison]) -> Finding:
    """Failed with the worst deviation, or ok where all are within their tolerances.

    NaN is equal to NaN and to nothing else; of diverged runs only finite numbers are compared.
    """
    worst, seen, allowed, count = 0.0, "", "", 0
    for item in comparisons:
        count += 1
        given, expected, tolerance = np.broadcast_arrays(
            np.asarray(item.seen, float),
            np.asarray(item.expected, float),
            np.asarray(item.tolerance, float),
        )
        excess = _excess(given, expected, tolerance)
        if not excess.size or excess.max() < worst:
            continue
        at = np.unravel_index(int(excess.argmax()), excess.shape)
        worst = float(excess[at])
        where = "" if item.places is None else f" at round {item.places[at[0]]}"
        one, other = apart(given[at], expected[at], 12)
        seen = f"{item.label}{where}: {one}"
        allowed = f"{other} ± {tolerance[at]:.1e}"
    if worst > 1.0:
        return Finding(check, subject, "failed", seen, allowed)
    text = f"{count} comparisons, the largest deviation {worst:.1e} of what is allowed"
    return Finding(check, subject, "ok", text, "rounding")


def _excess(given: Float64, expected: Float64, tolerance: Float64) -> Float64:
    """|given − expected| / tolerance, at least 0, inf where one is NaN and the other is not."""
    with np.errstate(all="ignore"):
        off = np.abs(given - expected)
        excess = np.where(off == 0.0, 0.0, off / tolerance)
        without_value = ~(np.abs(given) < OVERFLOWING) & ~(np.abs(expected) < OVERFLOWING)
    excess = np.where(np.isnan(excess), np.inf, excess)
    return np.where(without_value, 0.0, excess)
