"""What honest runs do: exact expectations, and the law of runs simulated with other randomness."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ist_mpi.exact_theory import recursions
from ist_mpi.exact_theory.chains.chain import Chain
from ist_mpi.exact_theory.cost import chain_seconds
from ist_mpi.verify.logs import Instance
from ist_mpi.verify.processes import Tossed, process_of
from ist_mpi.verify.rounds import drawn, entries_per_run, seconds_per_round

Float64 = NDArray[np.float64]

RUNS = 2000
FEWEST_RUNS = 500
ENTRIES = 4_000_000
"""Largest number of matrix entries that a chunk of runs gathers at once."""

CURVES = ("gap", "distance_to_solution", "distance_to_fixed_point")


class Simulated(NamedTuple):
    """R independent runs of an instance."""

    curves: dict[str, Float64]
    """The gap and the squared distances of `CURVES`, each (R, rows)."""
    descents: dict[str, Float64]
    """The left sides of (15) and (30) with the last gap, `descent`; each (R,)."""
    x: Float64
    """The models after the last round, shape (R, d)."""


class Expected(NamedTuple):
    """Expectations of the same."""

    curves: dict[str, Float64]
    """Each (rows,)."""
    x: Float64
    """Shape (d,)."""


def quadratic_forms(instance: Instance, x: Float64) -> dict[str, Float64]:
    """The curves of models x (R, d), and ‖x − x*‖²_W̄ as "w"; each (R,)."""
    e = x - instance.x_star
    gradient = e @ instance.L_mean
    undefined = np.full(len(x), np.nan)
    fixed_point, moments = instance.fixed_point, instance.moments
    away = undefined if fixed_point is None else np.sum((x - fixed_point) ** 2, axis=1)
    return {
        "gap": 0.5 * np.sum(e * gradient, axis=1),
        "distance_to_solution": np.sum(e**2, axis=1),
        "distance_to_fixed_point": away,
        "w": undefined if moments is None else np.sum(gradient * (e @ moments.M), axis=1),
    }


def descent(sums: Float64, last_gap: Float64, gamma: float, rounds: int) -> Float64:
    """(1/K) Σ_{k<K} ‖·‖² + 2 gap_K/(γK), bounded by 2 gap_0/(γK) + … in (15) and (30)."""
    return sums / rounds + 2.0 * last_gap / (gamma * rounds)


def affordable_runs(instance: Instance, rounds: int, seconds: float) -> int:
    """How many runs can be simulated in about `seconds`; 0 if fewer than `FEWEST_RUNS`."""
    one, many = (seconds_per_round(instance, R) * rounds for R in (0, RUNS))
    if many <= seconds:
        return RUNS
    runs = int(RUNS * (seconds - one) / (many - one))
    return runs if runs >= FEWEST_RUNS else 0


def simulate(instance: Instance, runs: int, places: Sequence[int], rounds: int) -> Simulated:
    """Run the method `runs` times with blocks of our own; the same runs on every call.

    Parameters
    ----------
    places : sequence of int
        The rounds at which the curves are kept, rising.
    rounds : int
        K, at least the last of them.
    """
    rng = np.random.default_rng(20230628)
    at_once = max(1, ENTRIES // entries_per_run(instance))
    parts = [
        _chunk(instance, min(at_once, runs - first), places, rounds, rng)
        for first in range(0, runs, at_once)
    ]
    return Simulated(
        {name: np.concatenate([part.curves[name] for part in parts]) for name in CURVES},
        {name: np.concatenate([part.descents[name] for part in parts]) for name in ("gap", "w")},
        np.concatenate([part.x for part in parts]),
    )


def _chunk(
    instance: Instance, R: int, places: Sequence[int], rounds: int, rng: np.random.Generator
) -> Simulated:
    runs = process_of(instance, R, Tossed(rng, R))
    row = {place: k for k, place in enumerate(places)}
    curves = {name: np.empty((R, len(places))) for name in CURVES}
    sums = {"gap": np.zeros(R), "w": np.zeros(R)}
    with np.errstate(all="ignore"):
        for k in range(rounds + 1):
            forms = quadratic_forms(instance, runs.x)
            if k in row:
                for name in CURVES:
                    curves[name][:, row[k]] = forms[name]
            if k < rounds:
                sums["gap"] += 2.0 * forms["gap"]
                sums["w"] += forms["w"]
                runs.advance(k, drawn(instance, R, rng))
    gamma = instance.method.gamma
    descents = {name: descent(sums[name], forms["gap"], gamma, rounds) for name in sums}
    return Simulated(curves, descents, runs.x)


def seconds_of_expectations(instance: Instance, rounds: int) -> float:
    """About how long `exact` takes."""
    distinct, d = 1 if instance.homogeneous else instance.n, instance.d
    if instance.known.own is not None:
        return chain_seconds(instance.known.own, rounds + 3)
    return (rounds + 3) * (distinct + 1) * (1e-4 + 2e-8 * d**2 + 1e-10 * d**3)


def exact(instance: Instance, places: Sequence[int], rounds: int) -> Expected | None:
    """The exact expectations; None where they have no closed form."""
    if instance.chain is not None:
        return _of_chain(instance, instance.chain, places, rounds)
    if instance.moments is None:
        return None
    gamma = instance.method.gamma
    path = recursions.trajectory(instance.moments, gamma, instance.x0, rounds)
    rows = list(places)
    curves = (path.gap[rows], path.to_solution[rows], path.to_fixed_point[rows])
    return Expected(dict(zip(CURVES, curves, strict=True)), path.mean[rounds])


def _of_chain(instance: Instance, chain: Chain, places: Sequence[int], rounds: int) -> Expected:
    """`exact` of a method with exact theory of its own, whose fixed point is x*."""
    gap, distance, mean = np.empty(rounds + 1), np.empty(rounds + 1), instance.x0
    errors = chain.errors(instance.x0 - instance.x_star)
    for k, now in zip(range(rounds + 1), errors, strict=False):
        gap[k] = 0.5 * np.sum(instance.L_mean * now.second)
        distance[k], mean = np.trace(now.second), now.mean + instance.x_star
    rows = list(places)
    curves = (gap[rows], distance[rows], distance[rows])
    return Expected(dict(zip(CURVES, curves, strict=True)), mean)
