"""What is true of twenty seeds or more of one configuration: means, bounds, the law of blocks."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ist_mpi.verify import alone, blocks, bounds, means
from ist_mpi.verify.findings import Comparison, Finding, Options, compare, not_judged
from ist_mpi.verify.groups import Group, Statistic
from ist_mpi.verify.logs import Instance, Integers, Log
from ist_mpi.verify.processes import without_replay
from ist_mpi.verify.rounds import seeded
from ist_mpi.verify.simulate import (
    CURVES,
    Expected,
    Simulated,
    affordable_runs,
    exact,
    seconds_of_expectations,
    simulate,
)

Float64 = NDArray[np.float64]

ROWS = 30
"""Largest number of rounds at which the means are compared."""


def check(
    logs: Sequence[Log], instance: Instance | str, options: Options
) -> Iterator[Finding | Statistic]:
    """The findings of a group, and the tests whose verdict waits for their number."""
    name = f"{logs[0].name} and {len(logs) - 1} more" if len(logs) > 1 else logs[0].name
    distinct, repeated = _by_seed(logs)
    if repeated:
        yield same_seed(name, repeated)
    reason = ""
    if len(distinct) < means.FEWEST:
        reason = f"{means.FEWEST} seeds or more are needed, there are {len(distinct)}"
    elif any(alone.rows(log).verdict == "failed" for log in distinct):
        reason = "a log's rows are not those of its configuration"
    elif isinstance(instance, str):
        reason = instance
    else:
        reason = without_replay(instance)
    if reason or isinstance(instance, str):
        yield not_judged("expectations", name, reason)
        return
    group = group_of(name, distinct, instance)
    yield from _blocks(group, options)
    if not instance.quadratic:
        yield not_judged("expectations", name, "the problem is not quadratic")
        return
    if not len(group.places):
        yield not_judged("expectations", name, "no row that all logs have")
        return
    runs = affordable_runs(instance, group.last, options.seconds)
    if not runs:
        reason = f"cost: more than {options.seconds:g} s of simulation"
        yield not_judged("expectations", name, reason)
        return
    simulated = simulate(instance, runs, group.places.tolist(), group.last)
    expected = None
    if seconds_of_expectations(instance, group.last) <= options.seconds:
        expected = exact(instance, group.places.tolist(), group.last)
    yield from _curves(group, simulated, expected)
    yield from bounds.check(group, simulated, options)


def _by_seed(logs: Sequence[Log]) -> tuple[list[Log], list[tuple[Log, Log]]]:
    """One log of every seed, and the others with it."""
    of: dict[int, Log] = {}
    repeated = [(of[log.seed], log) for log in logs if of.setdefault(log.seed, log) is not log]
    return list(of.values()), repeated


def same_seed(name: str, repeated: Sequence[tuple[Log, Log]]) -> Finding:
    """Two logs of one seed must say the same; each seed is counted once."""
    wanted = []
    for first, second in repeated:
        rows = min(len(log.run.rounds["gap"]) for log in (first, second))
        gap = first.run.rounds["gap"][:rows]
        tolerance = 1e-6 * np.abs(gap) + 1e-14 * gap[0]
        wanted.append(Comparison(second.name, second.run.rounds["gap"][:rows], gap, tolerance))
    found = compare("seeds", name, wanted)
    if found.verdict == "failed":
        return found
    return not_judged("seeds", name, f"{len(repeated)} log(s) repeat a seed: each is counted once")


def group_of(name: str, logs: Sequence[Log], instance: Instance) -> Group:
    """The logs with the rounds to compare: half of them evenly spread, half by equal factors."""
    every, rounds = logs[0].every, logs[0].rounds
    rows = -(-rounds // every)  # after round 0
    picked = np.append(np.geomspace(1, rows, ROWS // 2), np.linspace(1, rows, ROWS // 2))
    common = set(np.minimum(picked.round().astype(np.int64) * every, rounds).tolist())
    for log in logs:
        common &= set(log.run.rounds["round"].tolist())
    last = min(log.made for log in logs)
    to_plan = all(log.run.stop_reason != "tolerance" for log in logs)
    return Group(name, logs, instance, np.array(sorted(common), dtype=np.int64), last, to_plan)


def _curves(group: Group, simulated: Simulated, expected: Expected | None) -> Iterator[Statistic]:
    """The means of the curves, and of the last models, against their expectations."""
    instance = group.instance
    size = float(np.sum(instance.x0**2) + np.sum(instance.x_star**2))
    steep = float(np.abs(instance.L_mean).sum(axis=1).max())
    for name in CURVES:
        power = 1 if name == "gap" else 2
        known = None if expected is None else expected.curves[name]
        start = float(group.logs[0].run.rounds[name][0]) ** power
        floor = 1e-14 * start + 1e-24 * size * (steep if name == "gap" else 1.0)
        if np.isnan(simulated.curves[name][:, 0]).all():
            continue  # no x∞
        labels = [f"mean {name}{'²' * (power - 1)} at round {k}" for k in group.places]
        runs = simulated.curves[name]
        yield _means(group, labels, group.column(name) ** power, runs, known, floor)
    if group.to_plan and all(log.made == group.last for log in group.logs):
        models = np.stack([log.run.x for log in group.logs])
        known = None if expected is None else expected.x
        labels = [f"mean x[{j}] at round {group.last}" for j in range(models.shape[1])]
        floor = 1e-10 * np.sqrt(size)
        yield _means(group, labels, models, simulated.x, known, floor)


def _means(
    group: Group,
    labels: Sequence[str],
    measured: Float64,
    simulated: Float64,
    exact: Float64 | None,
    floor: float,
) -> Statistic:
    """Means of `measured` (N, m) against exact ones (m,), or those of `simulated` (R, m)."""
    R = len(simulated)
    truth = simulated.mean(axis=0) if exact is None else exact
    error = simulated.std(axis=0) / np.sqrt(R) if exact is None else np.zeros(len(truth))
    slack = 1e-8 * np.abs(truth) + floor
    ps = [
        means.p_value(measured[:, k], truth[k], error[k], simulated[:, k], slack[k])
        for k in range(len(truth))
    ]
    k = int(np.argmin(ps))
    what = f"simulated in {R} runs" if exact is None else "expected"
    seen = f"{labels[k]}: {measured[:, k].mean():.6g}, {what} {truth[k]:.6g}"
    return Statistic("expectations", group.name, ps[k], len(ps), seen)


def _blocks(group: Group, options: Options) -> Iterator[Finding | Statistic]:
    """Every worker has every coordinate equally often, and larger blocks at random.

    Of a permutation in groups, every group, which stands for its coordinates.
    """
    instance, name = group.instance, group.name
    n, d, g = instance.n, instance.items, instance.method.group_size
    if instance.method.sketch == "identity":
        return
    recorded = all(log.run.permutations for log in group.logs)
    total = sum(log.made for log in group.logs)
    if not recorded and not options.replay:
        yield not_judged("law of blocks", name, "no blocks recorded")
        return
    if not recorded and total * (3e-6 + 2e-8 * max(n, d)) > options.seconds:
        yield not_judged("law of blocks", name, f"cost: more than {options.seconds:g} s")
        return

    def draws() -> Iterator[tuple[Integers, Integers]]:
        for log in group.logs:
            kept = log.run.permutations
            of = zip(kept["pi"], kept["offsets"], strict=True) if recorded else None
            for pi, offsets in of or seeded(instance, log.seed, log.made):
                yield instance.dealt_out(pi, offsets)

    try:
        met, larger, rounds = blocks.counted(draws(), n, d, g)
    except (ValueError, IndexError):
        yield not_judged("law of blocks", name, "the recorded blocks are wrong")
        return
    marginal = blocks.marginal(instance, met, rounds)
    if marginal is None or marginal.p is None:
        yield not_judged("law of blocks", name, f"{rounds} rounds are too few, or no choice")
    else:
        item = "coordinate" if g == 1 else f"group of {g} coordinates"
        seen = f"{met.min()} to {met.max()} times a {item} with a worker, in {rounds} rounds"
        yield Statistic("law of blocks", name, marginal.p, 1, seen)
    owners = blocks.owners_of_larger(larger, rounds, max(n, d // g))
    if instance.method.sketch == "permutation" and owners is not None and owners.p is not None:
        seen = f"{larger.min()} to {larger.max()} times a larger share, in {rounds} rounds"
        yield Statistic("owners of larger blocks", name, owners.p, 1, seen)
