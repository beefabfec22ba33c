"""Units in which a problem's numbers are about 1, where its own are far from it.

With L = 2^s L', b = 2^(s+t) b' and γ = 2^(−s) γ' the iterates are x = 2^t x'. Powers of two change
no bit, while the products that theory makes of four or five such numbers stay in the range of
float64, and iterative solvers, which take what is below 1e-11 for nothing, see numbers.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ist_mpi.exact_theory.step import Known
from ist_mpi.exact_theory.workers import Quadratic
from ist_mpi.sketches.law import Exchangeable

Float64 = NDArray[np.float64]

ORDINARY_L = (-20, 100)
"""Exponents of two of L̄ that need no other unit."""
ORDINARY_B = (-100, 100)
"""Likewise of b̄."""
POWERS = {
    "theta": (1, 0),
    "step_size_limit": (-1, 0),
    "w_min_eigenvalue": (2, 0),
    "stable_step_size_limit": (-1, 0),
    "limit_gap": (1, 2),
    "sigma_squared": (3, 2),
}
"""The powers of 2^s and 2^t in a constant; none in what is not here. Where C_i has D_i^{−1/2} the
first are others, but s = 0."""


class Units(NamedTuple):
    """See the module's text."""

    s: int = 0
    t: int = 0

    @classmethod
    def of(cls, known: Known, L_mean: Float64, b_mean: Float64) -> "Units":
        """Those for a round on a problem with the diagonal of L̄ (d,) and with b̄ (d,).

        A C_i with D_i^{−1/2} is not what it was once L is scaled: then only lengths are.
        """
        s, t = exponent(L_mean), exponent(b_mean, ORDINARY_B)
        if isinstance(known.law, Exchangeable) and known.law.preconditioned:
            return cls(0, t - s // 2)
        return cls(s, t - s)

    def quadratic(self, L: Float64, b: Float64) -> Quadratic:
        """(L', b')."""
        if not (self.s or self.t):
            return Quadratic(L, b)
        return Quadratic(np.ldexp(L, -self.s), np.ldexp(b, -self.s - self.t))

    def curvature(self, value: float) -> float:
        """Of a number like an eigenvalue of L̄: that of L'."""
        return float(self.own(value, -1, 0))

    def step_size(self, gamma: float) -> float:
        """γ'."""
        return float(np.ldexp(gamma, self.s))

    def of_errors(self, e: Float64) -> "Units":
        """The same, but such that errors of the size of e (d,) are about 1.

        For methods that are linear in x − x*: b is no matter.
        """
        return Units(self.s, exponent(e, ORDINARY_B))

    def constants(self, found: Mapping[str, float | None]) -> dict[str, float | None]:
        """Constants in the problem's own numbers, from those in these units."""
        return {
            name: value if value is None else self.number(name, value)
            for name, value in found.items()
        }

    def number(self, name: str, value: float) -> float:
        """One of them."""
        return float(self.own(value, *POWERS.get(name, (0, 0))))

    def own(self, values: Any, of_s: int, of_t: int) -> Any:
        """The problem's own numbers, from those in these units with such powers of 2^s and 2^t."""
        power = of_s * self.s + of_t * self.t
        return np.ldexp(values, power) if power else values

    def model(self, x: Float64) -> Float64:
        """x'."""
        return np.asarray(self.own(x, 0, -1))


def exponent(values: Float64, ordinary: tuple[int, int] = ORDINARY_L) -> int:
    """That of the largest number, 0 where it is ordinary or where all are zero."""
    largest = float(np.abs(values).max(initial=0.0))
    found = int(np.frexp(largest)[1])
    return 0 if largest == 0.0 or ordinary[0] <= found <= ordinary[1] else found
