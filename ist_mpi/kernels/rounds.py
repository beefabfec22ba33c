"""Algorithm 1 on plain arrays: what a rank's workers do in a round, and whole rounds alone."""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ist_mpi.kernels.draws import draw
from ist_mpi.kernels.factors import set_factors
from ist_mpi.kernels.model import add, place, take
from ist_mpi.kernels.storage import local_steps


class Steps(NamedTuple):
    """What the workers do with their submodels, and room to do it."""

    gamma: float
    local_steps: int
    merging: bool
    """Whether the pieces are A_i w_i (merge), or A_i (w_i − C_i x) (estimator)."""
    disjoint: bool
    """Whether every coordinate is in exactly one block."""
    pieces: NDArray[np.float64]
    """What the rank's workers send back, one after another."""
    product: NDArray[np.float64]
    """Room for the largest block."""
    room: NDArray[np.float64]
    """Room for the storage's own use."""
    ready: bool
    """Whether a block is prepared once for all its steps."""


@njit(cache=True)
def work(storage, pi, edges, C, A, steps, parts, pieces):  # type: ignore[no-untyped-def]  # numba infers
    """From x[S_i] to what worker i sends back, for each of a rank's workers.

    `parts` (t,) are the x[S_i]. `pieces` (t,) becomes the new model on S_i where blocks are
    disjoint, else what is to be added up: A_i w_i, or A_i (w_i − C_i x).
    """
    w = pieces
    for a in range(pi.size):
        w[a] = C[a] * parts[a]  # w_i = C_i x
    local_steps(storage, pi, edges, C, steps, w)
    for a in range(pi.size):
        if steps.merging:
            pieces[a] = A[a] * w[a]  # Σ A_i w_i
        else:
            piece = A[a] * (w[a] - C[a] * parts[a])  # x + Σ A_i (w_i − C_i x)
            pieces[a] = parts[a] + piece if steps.disjoint else piece


@njit(cache=True)
def train(x, first, last, plan, rules, storage, steps, parts):  # type: ignore[no-untyped-def]  # numba infers
    """Rounds first … last − 1 of a rank that is alone: x (d,) is changed in place.

    `parts` (t,) is scratch for x[S_i].
    """
    pieces = steps.pieces
    for k in range(first, last):
        draw(plan, k)  # the round's random permutation
        set_factors(rules, plan.pi, plan.pi, plan.offsets)
        take(x, plan.pi, parts)  # scatter
        work(storage, plan.pi, plan.offsets, rules.C, rules.A, steps, parts, pieces)
        if steps.disjoint:  # gather and merge
            place(x, plan.pi, pieces)
        else:
            if steps.merging:
                x[:] = 0.0
            add(x, plan.pi, pieces)
