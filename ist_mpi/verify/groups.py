"""A group of logs, and a statistical test whose verdict waits for the number of all tests."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ist_mpi.verify.findings import Finding, Verdict
from ist_mpi.verify.logs import Instance, Log

Float64 = NDArray[np.float64]

ALARM = 1e-4
"""Largest probability that honest logs fail, over all comparisons of a verification."""


class Statistic(NamedTuple):
    """A statistical check before it is known how many comparisons were made in all."""

    check: str
    subject: str
    p: float
    """The smallest of its comparisons."""
    comparisons: int
    seen: str

    def finding(self, comparisons: int) -> Finding:
        """Corrected for all the comparisons of the verification (Bonferroni)."""
        verdict: Verdict = "failed" if self.p * comparisons < ALARM else "ok"
        seen = f"{self.seen}; p = {self.p:.2g}, the smallest of {self.comparisons}"
        return Finding(
            self.check, self.subject, verdict, seen, f"p ≥ {ALARM:g} / {comparisons} comparisons"
        )


class Group(NamedTuple):
    """Logs of one configuration with different seeds."""

    name: str
    logs: Sequence[Log]
    instance: Instance
    places: NDArray[np.int64]
    """The rounds that are compared, (rows,); chosen from the configuration, not from the data."""
    last: int
    """The last round that all logs have."""
    to_plan: bool
    """Whether `last` does not depend on the data: no log stopped at its tolerance."""

    def column(self, name: str) -> Float64:
        """A column at `places`, shape (N, rows)."""
        picked = []
        for log in self.logs:
            rows = np.searchsorted(log.run.rounds["round"], self.places)
            picked.append(log.run.rounds[name][rows])
        return np.stack(picked)
