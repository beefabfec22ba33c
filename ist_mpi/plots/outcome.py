"""What became of a run, in words: as far as its log and its theory tell."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ist_mpi.exact_theory.verdict import SOLVED, cause
from ist_mpi.store.log import Run

TAIL = 5
"""The last fifth of a run is what its limit is compared with."""
LEVEL = 1.1
"""A gap within this factor of a level has reached it."""
GROWN = 1e3
"""From this multiple of where it began on a gap is on its way to infinity."""

SAID = 6
"""Of what is said of the runs of one curve, lines at most."""


def tail(run: Run) -> NDArray[np.float64]:
    """The last relative gaps of a run."""
    gaps = run.rounds["relative_gap"]
    return np.asarray(gaps[-max(1, len(gaps) // TAIL) :])


def verdict(run: Run) -> str:
    """How a run ended, and why there."""
    if run.status == "failed":
        return run.stop_reason
    if run.status != "finished":
        why = f": {run.stop_reason}" if run.stop_reason else ""
        return f"{run.status} at round {run.last_row()['round']}{why}"
    if run.divergence:
        return f"{run.divergence}{_beyond(run)}"
    gaps = run.rounds["gap"]
    if np.isnan(gaps).all():
        return "finished; without x* there is no gap"
    if np.isnan(run.rounds["relative_gap"]).all():
        return _from_solution(gaps)
    return _of_gaps(run, float(np.mean(tail(run))))


def verdicts(runs: Sequence[Run]) -> list[str]:
    """How each of several runs ended: what is said of most first, with how many those are."""
    counts = Counter(map(verdict, runs)).most_common()
    if len(counts) == 1:
        return [counts[0][0]]
    shown = counts if len(counts) <= SAID else counts[: SAID - 1]
    lines = [f"{count} of {len(runs)}: {words}" for words, count in shown]
    if rest := sum(count for _, count in counts[len(shown) :]):
        lines.append(f"{rest} of {len(runs)}: otherwise, each by itself")
    return lines


def _from_solution(gaps: NDArray[np.float64]) -> str:
    """Of a run whose gap at x⁰ is zero, or less to rounding."""
    if gaps.max() <= 0.0:
        return "began at the solution and stayed there"
    return f"began at the solution and left it: the gap is {gaps[-1]:.3g}"


def _of_gaps(run: Run, end: float) -> str:
    limit, bias = (_constant(run, name) for name in LIMITS)
    if end <= SOLVED:
        return "at the solution, to rounding"
    if run.stop_reason == "tolerance":
        return "reached the tolerance"
    if _beyond(run):
        growing = "diverges" if end > GROWN else "finished"
        return f"{growing}{_beyond(run)}"
    if not limit >= 0.0:
        return "finished"
    if limit / LEVEL <= end <= limit * LEVEL:
        return f"has levelled off at the predicted limit, {cause(limit, bias)}"
    if end < limit:
        return "below the predicted limit of the mean of runs"
    if limit <= SOLVED:
        return "still on its way to the solution"
    return f"still on its way to the predicted limit, {limit:.3g}"


LIMITS = ("limit_relative_gap", "fixed_point_relative_gap")


def _constant(run: Run, name: str) -> float:
    return float(run.theory.get(name, math.nan))


def _beyond(run: Run) -> str:
    """That the step size is too large, where theory knows; else nothing."""
    method: Mapping[str, Any] = run.config["method"]
    stable, step = _constant(run, "stable_step_size_limit"), float(method["step_size"])
    if not step >= stable:
        return ""
    return f"; the step size is beyond γ_max = {stable:.4g}, where the mean of runs grows"
