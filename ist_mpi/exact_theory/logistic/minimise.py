"""The minimiser of a smooth, strongly convex function: damped Newton, or with few numbers kept.

The function is evaluated by all ranks together; every rank makes the same steps with the same
numbers, and so comes to the same bits.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Function = Callable[[Float64], tuple[float, Float64]]
"""x (d,) ↦ its value and its gradient (d,), on every rank."""
Direction = Callable[[Float64, Float64], Float64]
"""(x, g) ↦ p (d,), about −H(x)⁻¹ g, on every rank."""

ITERATIONS = 400
GOAL = 1e-15
"""Of ‖∇f‖, relative to that at the start."""
NEAR = 1e-10
"""Relative difference of values from which on they tell: short gradients alone are far out too."""
HALVINGS = 40
PATIENCE = 10
"""Steps that do not make the gradient smaller, before it is as small as rounding lets it be."""


class Minimum(NamedTuple):
    """What was found."""

    x: Float64
    """Shape (d,)."""
    value: float
    residual: float
    """‖∇f(x)‖ relative to that at the start."""


def minimise(
    function: Function,
    direction: Direction,
    x: Float64,
    goal: float = GOAL,
    patience: int = PATIENCE,
) -> Minimum:
    """From x (d,), to a gradient of `goal`, or as small as it gets; collective.

    A step is halved until the value falls by part of what its slope promises or, where values are
    too near each other to tell, the gradient does.
    """
    value, g = function(x)
    first = size = float(np.linalg.norm(g))
    best, idle = Minimum(x, value, 1.0), 0
    for _ in range(ITERATIONS):
        if size <= goal * first or idle == patience:
            break
        p = direction(x, g)
        slope, t = float(g @ p), 1.0
        for _ in range(HALVINGS):
            there = x + t * p
            found, gradient = function(there)
            length = float(np.linalg.norm(gradient))
            near = found <= value + NEAR * abs(value)
            if found <= value + 1e-4 * t * slope or (near and length <= (1.0 - 1e-4 * t) * size):
                break
            t *= 0.5
        else:
            break
        x, value, g, size = there, found, gradient, length
        idle = 0 if size < 0.9 * first * best.residual else idle + 1
        if size < first * best.residual:
            best = Minimum(x, value, size / first)
    return best


def few_vectors(function: Function, x: Float64, memory: int = 30) -> Minimum:
    """The same by L-BFGS, for whom no Hessian is at hand; collective."""
    steps: list[tuple[Float64, Float64, float]] = []
    last: tuple[Float64, Float64] | None = None

    def direction(x: Float64, g: Float64) -> Float64:
        nonlocal last
        if last is not None:
            s, y = x - last[0], g - last[1]
            if (curvature := float(s @ y)) > 0.0:
                steps.append((s, y, curvature))
                del steps[:-memory]
        last = x, g
        p, weights = -g, []
        for s, y, curvature in reversed(steps):
            weights.append(float(s @ p) / curvature)
            p = p - weights[-1] * y
        if steps:
            _, y, curvature = steps[-1]
            p = p * (curvature / float(y @ y))
        for (s, y, curvature), weight in zip(steps, reversed(weights), strict=True):
            p = p + (weight - float(y @ p) / curvature) * s
        return p

    return minimise(function, direction, x, patience=memory)
