"""The workers' quadratics, and sums over them."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]


class Quadratic(NamedTuple):
    """f_i(x) = ½ xᵀ L x − bᵀ x, which `copies` workers have."""

    L: Float64
    """Shape (d, d), symmetric; for the preconditioned sketch with a positive diagonal."""
    b: Float64
    """Shape (d,)."""
    copies: int = 1


class Workers(Protocol):
    """Sums over all workers, in worker order, the same to the bit on all ranks; collective."""

    def sum(self, term: Callable[[Quadratic], Float64]) -> Float64:
        """Σ_i term(f_i)."""

    def sum_each(self, term: Callable[[int, Quadratic], Float64]) -> Float64:
        """Σ_i term(i, f_i), for a term that depends on who the worker is."""

    def curvature(self, value: float) -> float:
        """A number like an eigenvalue of L̄, in the units that the quadratics are in."""

    def beat(self) -> None:
        """Called with every application of T: Arnoldi's method asks for hundreds of these."""


class Here:
    """Workers that are all here."""

    def __init__(self, quadratics: Sequence[Quadratic]) -> None:
        self._quadratics = quadratics

    def sum(self, term: Callable[[Quadratic], Float64]) -> Float64:
        """Σ_i term(f_i)."""
        return np.asarray(sum(f.copies * term(f) for f in self._quadratics))

    def sum_each(self, term: Callable[[int, Quadratic], Float64]) -> Float64:
        """Σ_i term(i, f_i)."""
        each = [f for f in self._quadratics for _ in range(f.copies)]
        return np.asarray(sum(term(i, f) for i, f in enumerate(each)))

    def curvature(self, value: float) -> float:
        """The units are the problem's own."""
        return value

    def beat(self) -> None:
        """Nobody waits."""
