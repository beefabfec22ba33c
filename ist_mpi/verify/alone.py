"""What is certain of one log, whatever its seed: rows, ledger, constants, blocks, replay."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ist_mpi.errors import InputError
from ist_mpi.methods.ledger import Ledger
from ist_mpi.verify.blocks import recorded_blocks
from ist_mpi.verify.findings import Comparison, Finding, Options, compare, faults, not_judged
from ist_mpi.verify.logs import Instance, Log, from_log, sketch_of_log
from ist_mpi.verify.measure import RELATIVE, columns
from ist_mpi.verify.processes import Seeded, process_of, without_replay
from ist_mpi.verify.rounds import padded, seconds_per_round, seeded

Float64 = NDArray[np.float64]

DISTURBED = 1e-14
"""Relative change of every number in a round of a disturbed run, far above rounding."""
MAX_SPREAD = 1e-6
"""Relative spread of disturbed runs from which on a replay tells nothing."""


def check(log: Log, instance: Instance | str, options: Options) -> Iterator[Finding]:
    """Every finding of one log; `instance` is its problem, or why that is not known."""
    yield rows(log)
    yield consistency(log)
    if isinstance(instance, str):
        yield floats(log, None)
        for name in ("blocks", "problem", "constants", "measurements", "replay"):
            yield not_judged(name, log.name, instance)
        return
    yield floats(log, instance.n)
    unknown = without_replay(instance)
    if unknown:
        yield measurements(log, instance)
        for name in ("blocks", "constants", "replay"):
            yield not_judged(name, log.name, unknown)
        return
    blocks = recorded_blocks(log, instance, options)
    yield blocks
    shape = np.shape(log.run.problem.get("L", instance.L)), len(log.run.model["x0"])
    if shape != (instance.L.shape, instance.d):
        yield faults("problem", log.name, [f"L, x0: {shape}"], str((instance.L.shape, instance.d)))
        return
    yield problem(log, instance)
    yield constants(log, instance)
    yield measurements(log, instance)
    if not options.replay:
        yield not_judged("replay", log.name, "not asked for")
    elif blocks.verdict == "failed":
        yield not_judged("replay", log.name, "the recorded blocks are wrong")
    elif seconds_of_replay(log, instance) > options.seconds:
        yield not_judged("replay", log.name, f"cost: more than {options.seconds:g} s")
    else:
        yield replay(log, instance)
    if certain(instance):
        yield certain_curve(log, instance)


def rows(log: Log) -> Finding:
    """Whether the logged rounds are those of the configuration: 0, every, … and the last."""
    run, rounds, last = log.run, log.run.rounds["round"], log.made
    wrong = []
    due = np.minimum(np.arange(len(rounds)) * log.every, last)
    differ = np.flatnonzero(rounds != due)
    if differ.size:
        wrong.append(f"row {differ[0]} is of round {rounds[differ[0]]}, not {due[differ[0]]}")
    elif len(rounds) != -(-last // log.every) + 1:
        wrong.append(f"{len(rounds)} rows for {last} rounds")
    if last > log.rounds or (run.stop_reason == "rounds" and last != log.rounds):
        wrong.append(f"last round {last} of {log.rounds}")
    gap = run.rounds["gap"]  # not the relative one, which is undefined from the solution
    reached = gap <= log.tolerance * gap[0]
    if run.stop_reason == "tolerance" and not (reached[-1] and not reached[:-1].any()):
        wrong.append(f"relative gap {run.rounds['relative_gap'][-1]:.3g} at the stop")
    if run.iterates and not np.array_equal(run.iterates["round"], rounds):
        wrong.append("/iterates has other rounds")
    if run.attributes.get("seed") != log.seed:
        wrong.append(f"seed {run.attributes.get('seed')}, configured {log.seed}")
    return faults("rows", log.name, wrong, f"rounds 0 to {log.rounds}, every {log.every}")


def consistency(log: Log) -> Finding:
    """relative_gap = gap/gap[0], and what /theory says of the start."""
    run, theory = log.run, log.run.theory
    gap, places = run.rounds["gap"], run.rounds["round"]
    first = theory.get("initial_gap", gap[0])
    with np.errstate(all="ignore"):
        relative = gap / first if first > 0 else np.full(len(gap), np.nan)
    wanted = [
        Comparison("gap", gap[:1], first, RELATIVE * abs(first), places),
        Comparison(
            "relative_gap",
            run.rounds["relative_gap"],
            relative,
            RELATIVE * np.abs(relative),
            places,
        ),
    ]
    if {"fixed_point_gap", "fixed_point_relative_gap"} <= set(theory) and first > 0:
        ratio = theory["fixed_point_gap"] / first
        seen = theory["fixed_point_relative_gap"]
        wanted.append(Comparison("fixed_point_relative_gap", seen, ratio, RELATIVE * abs(ratio)))
    quadratic = run.attributes.get("storage") != "functions"
    if quadratic and {"fixed_point_gap", "bias_norm_squared"} <= set(theory):
        norm, seen = 2.0 * theory["fixed_point_gap"], theory["bias_norm_squared"]
        wanted.append(Comparison("bias_norm_squared", seen, norm, RELATIVE * abs(norm)))
    return compare("consistency", log.name, wanted)


def floats(log: Log, n: int | None) -> Finding:
    """The ledger: what the method says that it sends, by the draws and coins of the run's seed."""
    n = n or log.problem.get("n")
    if n is None:
        return not_judged("floats", log.name, "the number of workers is not known")
    try:
        sketch = sketch_of_log(log, n)
    except InputError as error:
        return not_judged("floats", log.name, f"the data are gone: {error}")
    places, counted = log.run.rounds["round"], Ledger(log.method, sketch, log.seed)
    up, down = np.array([counted.at(int(k)) for k in places]).T
    if np.isnan([up, down]).all():
        return not_judged("floats", log.name, "the method, or the sketch, does not say")
    ledger = [
        Comparison(name, log.run.rounds[name], sent, RELATIVE * (1.0 + sent), places)
        for name, sent in (("floats_up", up), ("floats_down", down))
    ]
    return compare("floats", log.name, ledger)


def problem(log: Log, instance: Instance) -> Finding:
    """/problem and x0 against the configuration."""
    start = log.run.model["x0"]
    wanted = [Comparison("x0", start, instance.x0, RELATIVE * np.abs(instance.x0).max())]
    recorded = from_log(log)
    if recorded is not None:
        for name in ("L", "b", "constant"):
            given, expected = getattr(recorded, name), getattr(instance, name)
            wanted.append(Comparison(name, given, expected, RELATIVE * np.abs(expected).max()))
    return compare("problem", log.name, wanted)


def constants(log: Log, instance: Instance) -> Finding:
    """x* and x∞ by what they solve, f* by its value."""
    theory = log.run.theory
    if not instance.quadratic:
        other: Any = instance
        known = list(other.constants(theory))
        if not known:
            return not_judged("constants", log.name, "there is no exact theory of the problem")
        return compare("constants", log.name, known)
    L, b = instance.L_mean, instance.b_mean
    x_star = theory["x_star"]
    wanted = [_solves("x_star", L, b, x_star)]
    mean = float(instance.constant.mean())
    half = 0.5 * float(b @ x_star)
    tolerance = RELATIVE * (abs(mean) + abs(half))
    wanted.append(Comparison("f_star", theory.get("f_star", np.nan), mean - half, tolerance))
    x_infinity = theory.get("fixed_point")
    if x_infinity is not None and instance.mean_step is not None:
        wanted.append(_solves("fixed_point", *instance.mean_step, x_infinity))
        there = columns(instance, x_star, x_infinity, x_infinity[None], np.zeros(1))["gap"]
        seen = theory.get("fixed_point_gap", np.nan)
        wanted.append(Comparison("fixed_point_gap", seen, there.value[0], there.tolerance))
    return compare("constants", log.name, wanted)


def _solves(name: str, G: Float64, h: Float64, x: Float64) -> Comparison:
    """Whether Gx = h to a backward error of `RELATIVE`."""
    size = np.abs(G).sum(axis=1).max() * np.abs(x).max() + np.abs(h).max()
    return Comparison(f"residual of {name}", G @ x - h, 0.0, RELATIVE * size)


def measurements(log: Log, instance: Instance) -> Finding:
    """The columns against the models that the log holds: the first, the last, the iterates."""
    run, places = log.run, log.run.rounds["round"]
    rows, models = np.array([0, len(places) - 1]), np.stack([run.model["x0"], run.x])
    if log.made == 0:
        rows, models = rows[:1], models[1:]
    wanted = list(_measured(log, instance, rows, models, np.zeros(len(rows))))
    if run.iterates and run.iterates["x"].shape == (len(places), log.d):
        models = run.iterates["x"]
        wanted.append(Comparison("/iterates and /model/x0", models[0], run.model["x0"], 0.0))
        wanted.append(Comparison("/iterates and /model/x", models[-1], run.x, 0.0))
        every = np.arange(len(places))
        wanted += _measured(log, instance, every, models, np.zeros(len(places)))
    return compare("measurements", log.name, wanted)


def _measured(
    log: Log, instance: Instance, rows: NDArray[np.int64], models: Float64, radius: Float64
) -> Iterable[Comparison]:
    """The columns' entries in `rows` (r,) against `models` (r, d), known to `radius` (r,)."""
    run = log.run
    x_star: Any = run.theory.get("x_star")  # None: it is not known, and not asked for
    x_infinity = run.theory.get("fixed_point")
    places = run.rounds["round"][rows]
    for name, (value, tolerance) in columns(instance, x_star, x_infinity, models, radius).items():
        yield Comparison(name, run.rounds[name][rows], value, tolerance, places)


def seconds_of_replay(log: Log, instance: Instance) -> float:
    """About how long it takes."""
    row = 0.0 if instance.seconds_of_rounds is None else instance.seconds_of_rounds[1]
    rows = len(log.run.rounds["round"])
    return seconds_per_round(instance, instance.replicas) * log.made + row * rows


def replay(log: Log, instance: Instance) -> Finding:
    """The run made again from its seed's blocks: models and columns at every logged round."""
    run, places = log.run, log.run.rounds["round"]
    models, radius, norms = _made_again(log, instance)
    known = np.full(len(places), True) if instance.replicas == 1 else ~(radius > MAX_SPREAD * norms)
    rows = np.flatnonzero(known)
    wanted = []
    if known[-1]:
        wanted = [Comparison("/model/x", run.x, models[-1], radius[-1], np.full(log.d, log.made))]
    if run.iterates and run.iterates["x"].shape == models.shape:
        seen, off = run.iterates["x"][rows], radius[rows, None]
        wanted.append(Comparison("/iterates", seen, models[rows], off, places[rows]))
    wanted += _measured(log, instance, rows, models[rows], radius[rows])
    found = compare("replay", log.name, wanted)
    if known.all() or found.verdict == "failed":
        return found
    first = int(np.flatnonzero(~known)[0])
    reason = (
        f"from round {places[first]} on rounding errors grow beyond {MAX_SPREAD:g} of the model"
    )
    return not_judged("replay", log.name, f"{reason}; rows before are as they should be")


def _made_again(log: Log, instance: Instance) -> tuple[Float64, Float64, Float64]:
    """At every logged round (r,) the model (r, d), how far it is known, and the largest norm."""
    places = log.run.rounds["round"]
    models, radius, norms = np.full((len(places), log.d), np.nan), *np.zeros((2, len(places)))
    logged = {int(k): row for row, k in enumerate(places)}
    R, rng = instance.replicas, np.random.default_rng(0)
    runs = process_of(instance, R, Seeded(log.seed))
    runs.x[:] = log.run.model["x0"]
    largest = 0.0
    blocks = seeded(instance, log.seed, log.made + 1)
    with np.errstate(all="ignore"):
        for k, (pi, offsets) in enumerate(blocks):
            norm = float(np.linalg.norm(runs.x[0]))
            largest = max(largest, norm)
            if k in logged:
                row = logged[k]
                models[row], norms[row], radius[row] = runs.x[0], largest, 1e-13 * largest
                radius[row] += 1e-10 * norm if R == 1 else _spread(runs.x)
            if k < log.made:
                instance.open_round(log.seed, k)
                sizes = np.diff(offsets)
                runs.advance(k, padded(np.tile(pi, (R, 1)), np.tile(sizes, (R, 1))))
                runs.x[1:] *= 1.0 + DISTURBED * rng.choice([-1.0, 1.0], (R - 1, log.d))
    return models, radius, norms


def _spread(x: Float64) -> float:
    """How far the first run may be off, by those that were disturbed (R, d)."""
    return 10.0 * float(np.linalg.norm(x[1:] - x[0], axis=1).max())


def certain(instance: Instance) -> bool:
    """Whether a round is the same in every draw: gradient descent, homogeneous preconditioned.

    So it is where B̄ is (`RoundMoments.certain`) and E[c cᵀ] = E c E cᵀ, with C̄ = I.
    """
    moments = instance.moments
    if moments is None or moments.mean_sketch is not None or not moments.certain:
        return False
    square = np.multiply.outer(moments.m, moments.m)
    spread = np.abs(np.diagonal(moments.outer() - square)).max()
    return bool(spread <= 1e-12 * max(np.diagonal(square).max(), np.finfo(float).tiny))


def certain_curve(log: Log, instance: Instance) -> Finding:
    """x^{k+1} = x^k − γ (M x^k − m) without chance: with M = I, x∞ nears at rate 1 − γ (31)."""
    if instance.mean_step is None:
        return not_judged("certain curve", log.name, "several local steps")
    (M, m), gamma, places = instance.mean_step, log.method.gamma, log.run.rounds["round"]
    models, radius = np.empty((len(places), log.d)), np.empty(len(places))
    x, largest, k = log.run.model["x0"], 0.0, 0
    with np.errstate(all="ignore"):
        for row, place in enumerate(places):
            while k < place:
                x = x - gamma * (M @ x - m)
                k += 1
            largest = max(largest, float(np.linalg.norm(x)))
            models[row], radius[row] = x, 1e-10 * np.linalg.norm(x) + 1e-13 * largest
    wanted = _measured(log, instance, np.arange(len(places)), models, radius)
    return compare("certain curve", log.name, wanted)
