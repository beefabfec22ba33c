"""The columns of /rounds from models, each with the deviation that rounding explains."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ist_mpi.verify.logs import Instance

Float64 = NDArray[np.float64]

RELATIVE = 1e-9
"""Relative deviation that is allowed where rounding alone explains less."""
ROUNDING = 1e-13
"""Relative rounding of a product with L̄, and of x − x*."""


class Measured(NamedTuple):
    """A column."""

    value: Float64
    """Shape (r,)."""
    tolerance: Float64
    """Shape (r,)."""


def columns(
    instance: Instance,
    x_star: Float64,
    x_infinity: Float64 | None,
    models: Float64,
    radius: Float64,
) -> dict[str, Measured]:
    """What the log should say of `models`.

    Parameters
    ----------
    instance : Instance
    x_star : ndarray, shape (d,)
    x_infinity : ndarray, shape (d,), or None
    models : ndarray, shape (r, d)
    radius : ndarray, shape (r,)
        How far each model may be from that of the log.

    Returns
    -------
    dict
        By name: all columns but round, seconds and the floats.
    """
    if not instance.quadratic:
        other: Any = instance
        own: dict[str, Measured] = other.columns(x_star, x_infinity, models, radius)
        return own
    L = instance.L_mean
    steep = float(np.abs(L).sum(axis=1).max())  # at least λ_max(L̄)
    with np.errstate(all="ignore"):
        scale = np.linalg.norm(models, axis=1) + np.linalg.norm(x_star)
        off = radius + ROUNDING * scale
        e = models - x_star
        gradient = e @ L
        size, slope = np.linalg.norm(e, axis=1), np.linalg.norm(gradient, axis=1)
        blur = steep * (off + ROUNDING * size)  # of the gradient
        gap = 0.5 * np.sum(e * gradient, axis=1)
        rounding = 0.5 * steep * (off**2 + ROUNDING * size**2)
        out = {
            "gap": Measured(gap, RELATIVE * gap + slope * off + rounding),
            "distance_to_solution": Measured(size, RELATIVE * size + off),
            "gradient_norm_squared": Measured(
                slope**2, RELATIVE * slope**2 + 2 * slope * blur + blur**2
            ),
        }
        out["distance_to_fixed_point"] = _distance(models, x_infinity, off)
        out["gradient_norm_squared_w"] = _w_norm(instance, e, gradient, blur, off)
    return out


def _distance(models: Float64, x_infinity: Float64 | None, off: Float64) -> Measured:
    """‖x − x∞‖; NaN where there is no x∞."""
    if x_infinity is None:
        return Measured(np.full(len(models), np.nan), np.zeros(len(models)))
    away = np.linalg.norm(models - x_infinity, axis=1)
    off = off + ROUNDING * np.linalg.norm(x_infinity)
    return Measured(away, RELATIVE * away + off)


def _w_norm(
    instance: Instance, e: Float64, gradient: Float64, blur: Float64, off: Float64
) -> Measured:
    """(x − x*)ᵀ W̄ (x − x*) = ⟨L̄e, Me⟩; NaN where Theorem 1 does not speak."""
    moments = instance.moments
    if moments is None or moments.mean_sketch is not None:
        return Measured(np.full(len(e), np.nan), np.zeros(len(e)))
    turned = e @ moments.M
    size, slope = np.linalg.norm(turned, axis=1), np.linalg.norm(gradient, axis=1)
    steep = float(np.abs(moments.M).sum(axis=1).max())
    blurred = steep * (off + ROUNDING * np.linalg.norm(e, axis=1))
    tolerance = RELATIVE * size * slope + slope * blurred + size * blur + blur * blurred
    return Measured(np.sum(gradient * turned, axis=1), tolerance)
