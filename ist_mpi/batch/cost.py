"""What the runs of a sweep will take: time, memory, disk.

Memory and disk are the budget that a run itself is refused by. The time is that of a model of what
is computed (Algorithm 1's products, the measurements, the making of the matrices), at the rate of
this machine; where runs of the sweep are finished, rounds are predicted by what theirs took.
"""

import statistics
from collections.abc import Mapping
from typing import NamedTuple

from ist_mpi.batch.points import Plan
from ist_mpi.batch.status import Status
from ist_mpi.config import Config
from ist_mpi.exact_theory.cost import FLOPS, effort_seconds, wish_of_run
from ist_mpi.problems.source import Facts
from ist_mpi.training import budget

START = 0.1
"""Seconds until a run begins, in a process that has loaded what it needs."""


class Cost(NamedTuple):
    """What one run takes, on the ranks that it was predicted for."""

    seconds: float
    """Of all of it, start and set-up included."""
    memory: int
    """Bytes of all its ranks together, on one host, beyond the program itself."""
    disk: int
    """Bytes of its log."""


def predict(
    plan: Plan, facts: Mapping[int, Facts], statuses: Mapping[int, Status], size: int
) -> tuple[dict[int, Cost], str]:
    """The cost of every run, by its index, on `size` ranks each; and what it rests on, in words."""
    ratios = []
    for point in plan.points:
        status = statuses[point.index]
        if status.state == "finished" and status.round:
            modelled = _rounds_seconds(point.config, facts[point.index], status.ranks)
            share = status.round / point.config.run.rounds
            ratios.append(status.row["seconds"] / (modelled * share))
    ratio = statistics.median(ratios) if ratios else 1.0
    costs = {p.index: _cost(p.config, facts[p.index], size, ratio) for p in plan.points}
    if ratios:
        basis = f"the rounds of {len(ratios)} finished run(s) of this sweep, "
        basis += f"{ratio:.2g} times the model"
    else:
        rate = 8e-9 / budget.seconds_per_entry(1024, 8)
        basis = f"a model, at {rate:.1f} GB/s of matrix read by a rank, as measured here now"
    return costs, f"{basis}; {START:g} s to begin a run, set-up at {FLOPS / 1e9:g} GFLOP/s"


def _cost(config: Config, facts: Facts, size: int, ratio: float) -> Cost:
    """Of one run whose rounds take `ratio` times what the model says."""
    effort = wish_of_run(config, facts).wanted
    needs = budget.estimate(config, facts, size)
    needs = budget.with_theory(needs, effort, config, facts, size)
    memory = size * (needs.memory + needs.theory) + needs.memory_root - needs.memory + needs.shared
    setup = 0.0
    if facts.stored.kind == "matrix":  # L_i = B_iᵀB_i, or A_iᵀA_i, and the solution
        made = 1 if facts.homogeneous else -(-facts.n // size)
        setup = (2 * made + 1) * facts.d**3 / FLOPS
    rounds = ratio * _rounds_seconds(config, facts, size)
    return Cost(START + setup + effort_seconds(effort, facts) + rounds, memory, needs.log)


def _rounds_seconds(config: Config, facts: Facts, size: int) -> float:
    """Of all rounds, and of the measurements of the logged ones."""
    run, d = config.run, facts.d
    entries = d * d if facts.stored.kind == "matrix" else 2 * facts.n * facts.stored.entries
    logged = run.rounds // config.log.every + 2
    measuring = logged * entries / size * budget.seconds_per_entry(d, 1)
    return run.rounds * budget.seconds_per_round(config, facts, size) + measuring
