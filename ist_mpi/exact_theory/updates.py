"""A round with its step size: x⁺ = x − (G x − h), G = γB̄ − (C̄ − I), h = γc; mostly C̄ = I."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ist_mpi.exact_theory.moments.second import RoundMoments

Float64 = NDArray[np.float64]
Map = Callable[[Float64], Float64]
"""A linear map of symmetric (d, d) matrices."""


@dataclass(frozen=True)
class Update:
    """The moments of G and h; see the module's text."""

    mean: Float64
    """Ḡ, shape (d, d)."""
    offset: Float64
    """h̄, shape (d,)."""
    second: Map
    """A ↦ E[G A Gᵀ]."""
    cross: Map
    """x (d,) ↦ E[G x hᵀ], shape (d, d)."""
    outer: Float64
    """E[h hᵀ], shape (d, d)."""
    one_draw: bool
    """Whether G and h are the same in every round."""
    symmetric: bool
    """Whether Ḡ is symmetric."""
    self_adjoint: bool
    """Whether G is, in every draw, so that N is self-adjoint."""

    def noise(self, p: Float64) -> Float64:
        """E[r rᵀ], shape (d, d), for r = h − Gp.

        Where all of its diagonal is within rounding of the terms that cancel, as for equal workers
        with one coordinate each, it is zero: so the distance to x∞ can fall without a floor.
        """
        if self.one_draw:
            r = self.offset - self.mean @ p
            return np.multiply.outer(r, r)
        second, cross = self.second(np.multiply.outer(p, p)), self.cross(p)
        noise = second - cross - cross.T + self.outer
        terms = np.diagonal(second) + 2.0 * np.abs(np.diagonal(cross)) + np.diagonal(self.outer)
        rounding = (len(p) + 16) * np.finfo(float).eps
        return noise if (np.diagonal(noise) > rounding * terms).any() else np.zeros_like(noise)


def update(moments: RoundMoments, gamma: float) -> Update:
    """The moments of G and h at step size γ."""
    M, m, mean_sketch = moments.M, moments.m, moments.mean_sketch
    gamma = np.float64(gamma)  # which overflows to infinity, not to an exception
    if mean_sketch is None:
        return Update(
            gamma * M,
            gamma * m,
            lambda A: gamma**2 * moments.second(A),
            lambda x: gamma**2 * moments.cross(x),
            gamma**2 * moments.outer(),
            moments.one_draw,
            moments.symmetric,
            moments.self_adjoint,
        )
    excess = mean_sketch - 1.0
    sketch_sketch, sketch_vector = moments.sketch_outer()
    # s − 1 in place of s, the diagonal of C̄
    sketch_sketch -= mean_sketch[:, None] + excess
    sketch_vector -= m

    def second(A: Float64) -> Float64:
        cross = moments.sketch_cross(A) - M @ A
        return gamma**2 * moments.second(A) - gamma * (cross + cross.T) + A * sketch_sketch

    return Update(
        gamma * M - np.diag(excess),
        gamma * m,
        second,
        lambda x: gamma * (gamma * moments.cross(x) - x[:, None] * sketch_vector),
        gamma**2 * moments.outer(),
        moments.one_draw,
        moments.symmetric,
        moments.self_adjoint,
    )
