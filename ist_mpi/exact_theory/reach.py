"""Whether the numbers that a run is measured by can be written as float64.

They are squares: ‖x − x*‖², f − f*, ‖∇f‖². Where these leave the range, a run would go on and
measure nothing, so it is refused, with the scales that its problem has.
"""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ist_mpi.errors import Fault, InputError
from ist_mpi.exact_theory.objective import Means, Metrics, Prediction

Float64 = NDArray[np.float64]

LARGEST = 1e250
"""Of a square at the start."""
SMALLEST = 1e-250
"""Likewise, from which it can fall by what float64 resolves, squared, and more."""
REMEDY = "choose units in which the numbers are nearer to 1"


def check_means(mean: Means) -> None:
    """Refuse an L̄, b̄ or f(0) that is not finite, on every rank."""
    found = {"L̄": _largest(mean.L.diagonal), "b̄": _largest(mean.b), "f(0)": abs(mean.constant)}
    if not all(size <= LARGEST for size in found.values()):
        got = ", ".join(f"{name} up to {size:.3g}" for name, size in found.items())
        error = InputError(Fault("problem", got, f"numbers up to {LARGEST:g}", REMEDY))
        error.agreed = True
        raise error


def check_squares(
    mean: Means, prediction: Prediction, x0: Float64, start: Metrics, limit: Metrics | None
) -> None:
    """Refuse a start, or a fixed point, whose measurements are out of reach; on rank 0."""
    wrong = list(_of_start(start)) if not np.array_equal(x0, prediction.x_star) else []
    if limit is not None:
        wrong += [f"{name} = {value:.3g} at x∞" for name, value in _squares(limit) if _large(value)]
    if not wrong:
        return
    sizes = {
        "L̄": mean.L.diagonal,
        "b̄": mean.b,
        "x⁰": x0,
        "x*": prediction.x_star,
    }
    scales = ", ".join(f"{name} up to {_largest(values):.3g}" for name, values in sizes.items())
    expected = f"squares between {SMALLEST:g} and {LARGEST:g}"
    raise InputError(Fault("problem", f"{'; '.join(wrong)} ({scales})", expected, REMEDY))


def _of_start(start: Metrics) -> Iterator[str]:
    for name, value in _squares(start):
        if _large(value) or value < SMALLEST:
            yield f"{name} = {value:.3g} at x⁰"


def _squares(metrics: Metrics) -> Iterator[tuple[str, float]]:
    """What must not overflow, nor vanish before there is nothing left to measure."""
    yield "‖x − x*‖²", metrics.distance_to_solution * metrics.distance_to_solution
    yield "f − f*", metrics.gap
    yield "‖∇f‖²", metrics.gradient_norm_squared


def _large(value: float) -> bool:
    """Whether a square is too large, or none because a step on the way was."""
    return math.isnan(value) or value > LARGEST


def _largest(values: Float64) -> float:
    return float(np.abs(values).max(initial=0.0))
