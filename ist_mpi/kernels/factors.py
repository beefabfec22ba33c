"""The diagonals of C_i and of the merge weights A_i on a rank's blocks, round by round."""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ist_mpi.kernels.draws import count_holders


class FactorRules(NamedTuple):
    """How a sketch's factors follow from its blocks, and room to write them."""

    n: int
    scale: float
    """C_i on a block where it is the same everywhere; for the preconditioned sketch before
    D_i^{−1/2}."""
    by_holders: bool
    """Whether a coordinate's factor depends on how many workers hold it: n > d (in groups,
    n > d/g)."""
    unscaled: bool
    preconditioned: bool
    inverse_roots: NDArray[np.float64]
    """D_i^{−1/2} of the distinct quadratics (u, d), for the preconditioned sketch."""
    which: NDArray[np.int64]
    """Which of them each of the rank's workers has, (m,)."""
    holders: NDArray[np.int32]
    """Scratch (d,), where factors go by holders."""
    C: NDArray[np.float64]
    """Room for the rank's blocks."""
    A: NDArray[np.float64]
    """Likewise."""


@njit(cache=True)
def set_factors(rules, all_pi, pi, edges):  # type: ignore[no-untyped-def]  # numba infers
    """Write C and A along pi, the blocks of the rank's workers with edges (m + 1,).

    C is n on a permutation's block, n/h_j at n > d (h_j workers hold coordinate j), d/q for Rand-q,
    1 for unscaled and identity; the preconditioned sketch, eq. (23), takes the square root and
    multiplies by D_i^{−1/2}. A is 1/n, for unscaled 1, or 1/h_j at n > d. What does not depend on
    the blocks is there from the start.
    """
    C, A = rules.C, rules.A
    if rules.by_holders:
        count_holders(all_pi, rules.holders)
        for a in range(pi.size):
            h = rules.holders[pi[a]]
            if rules.unscaled:
                A[a] = 1.0 / h
            elif rules.preconditioned:
                C[a] = np.sqrt(rules.n / h)
            else:
                C[a] = rules.n / h
    elif rules.preconditioned:
        C[: pi.size] = rules.scale
    if rules.preconditioned:
        for i in range(rules.which.size):
            for a in range(edges[i] - edges[0], edges[i + 1] - edges[0]):
                C[a] *= rules.inverse_roots[rules.which[i], pi[a]]
