"""What the runs of a sweep will take: time, memory, disk.

Memory and disk are the budget that a run itself is refused by. The time is that of a model of what
is computed (Algorithm 1's products, the measurements, the making of the matrices), at the rate of
this machine; where runs of the sweep are finished, rounds are predicted by what theirs took.
"""

import statistics
from collections.abc import Mapping
from typing import NamedTuple

from ist_mpi.batch.points import Plan
from ist_mpi.batch.standing import Standing
from ist_mpi.config import Config
from ist_mpi.exact_theory.cost import Effort, effort_seconds, wish_of_run
from ist_mpi.problems.quadratic import Facts
from ist_mpi.training import budget

START = 3.0
"""Seconds until a program has loaded what it needs."""
FLOPS = 1e10
"""Of matrix products in a second, on one thread: a cautious figure for the making of matrices."""


class Cost(NamedTuple):
    """What one run takes, on the ranks that it was predicted for."""

    seconds: float
    """Of all of it, start and set-up included."""
    memory: int
    """Bytes of all its ranks together, on one host, beyond the program itself."""
    disk: int
    """Bytes of its log."""


class Prediction(NamedTuple):
    """The costs of all points, and what they rest on."""

    costs: dict[int, Cost]
    """By the point's index."""
    basis: str
    """In words."""


def predict(
    plan: Plan, facts: Mapping[int, Facts], standings: Mapping[int, Standing], size: int
) -> Prediction:
    """The cost of every run of a sweep on `size` ranks each."""
    rounds = {
        point.index: _rounds_seconds(point.config, facts[point.index], size)
        for point in plan.points
    }
    ratios = []
    for point in plan.points:
        standing = standings[point.index]
        if standing.word == "finished" and standing.round:
            modelled = _rounds_seconds(point.config, facts[point.index], standing.ranks)
            share = standing.round / point.config.run.rounds
            ratios.append(standing.row["seconds"] / (modelled * share))
    ratio = statistics.median(ratios) if ratios else 1.0
    costs = {}
    for point in plan.points:
        known = facts[point.index]
        effort, _ = wish_of_run(point.config, known)
        seconds = START + _setup_seconds(known, size) + effort_seconds(effort, known)
        seconds += ratio * rounds[point.index]
        costs[point.index] = _cost(point.config, known, size, effort, seconds)
    rate = 8e-9 / budget.seconds_per_entry(1024, 8)
    basis = (
        f"the rounds of {len(ratios)} finished run(s) of this sweep, {ratio:.2g} times the model; "
        if ratios
        else f"a model, at {rate:.1f} GB/s of matrix read by a rank, as measured here now; "
    )
    return Prediction(costs, basis + f"{START:g} s to start, set-up at {FLOPS / 1e9:g} GFLOP/s")


def _rounds_seconds(config: Config, facts: Facts, size: int) -> float:
    """Of all rounds, and of the measurements of the logged ones."""
    run, d = config.run, facts.d
    entries = d * d if facts.stored.kind == "matrix" else 2 * facts.n * facts.stored.entries
    logged = run.rounds // config.log.every + 2
    measuring = logged * entries / size * budget.seconds_per_entry(d, 1)
    return run.rounds * budget.seconds_per_round(config, facts, size) + measuring


def _setup_seconds(facts: Facts, size: int) -> float:
    """Of the making of L_i = B_iᵀB_i, or A_iᵀA_i, and of the solution, d³/3 more."""
    if facts.stored.kind != "matrix":
        return 0.0
    made = 1 if facts.homogeneous else -(-facts.n // size)
    return (2 * made + 1) * facts.d**3 / FLOPS


def _cost(config: Config, facts: Facts, size: int, effort: Effort, seconds: float) -> Cost:
    needs = budget.estimate(config, facts, size)
    needs = budget.with_theory(needs, effort, config, facts, size)
    memory = size * (needs.memory + needs.theory) + needs.memory_root - needs.memory + needs.shared
    return Cost(seconds, memory, needs.log)
