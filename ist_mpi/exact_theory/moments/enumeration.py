"""Every draw of a `Finite` law with its matrices, from which moments follow by plain sums."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ist_mpi.errors import Fault, InputError
from ist_mpi.exact_theory.workers import Quadratic, Workers
from ist_mpi.sketches.law import Finite

Float64 = NDArray[np.float64]

MAX_NUMBERS = 2**28
"""Of the draws' matrices together, on every rank: 2 GiB."""
ROUNDING = 1e-13
"""Of a matrix that would be symmetric without it, relative to its largest entry."""


class Draws(NamedTuple):
    """All draws: round r is x⁺ = s_r ∘ x − γ (B_r x − c_r), or x for s_r ∘ x."""

    p: Float64
    """Their probabilities, shape (R,)."""
    B: Float64
    """Σ_i A_i C_i L_i C_i, or Σ_i A_i C_i L_i; shape (R, d, d)."""
    c: Float64
    """Σ_i A_i C_i b_i, shape (R, d)."""
    s: Float64
    """The diagonals of Σ_i A_i C_i, shape (R, d)."""

    @property
    def certain(self) -> bool:
        """Whether B_r is the same in all of them, up to rounding."""
        size = np.sqrt(np.abs(self.B).max(axis=(0, 2)))
        rounding = ROUNDING * np.multiply.outer(size, np.sqrt(np.abs(self.B).max(axis=(0, 1))))
        return bool((np.abs(self.B - self.B[0]) <= rounding).all())

    def mean(self, values: Float64) -> Float64:
        """The mean over the draws of values (R, …)."""
        return np.asarray(sum(p * value for p, value in zip(self.p, values, strict=True)))


def fits(law: Finite, d: int) -> bool:
    """Whether the draws' matrices fit into memory, by a rule that is the same on every rank."""
    return len(law.draws) * d * d <= MAX_NUMBERS


def draws_of(law: Finite, two_sided: bool, n: int, d: int, workers: Workers) -> Draws:
    """The matrices of every draw, on every rank; collective.

    Raises
    ------
    InputError
        If the draws are of other n or d, or too many for their d × d matrices.
    """
    law.check(n, d)
    if not fits(law, d):
        got = f"{len(law.draws)} draws of {d} × {d} matrices"
        expected = f"at most {MAX_NUMBERS:.3g} numbers"
        raise InputError(Fault("the law's draws", got, expected, "fewer draws, or a smaller d"))
    R = len(law.draws)
    p, s = np.array([draw.probability for draw in law.draws]), np.zeros((R, d))
    B, c = np.empty((R, d, d)), np.empty((R, d))
    for r, draw in enumerate(law.draws):
        np.add.at(s[r], draw.pi, draw.A * draw.C)

        def both(worker: int, f: Quadratic, r: int = r) -> Float64:
            """This worker's part of B_r, and of c_r as the last column."""
            S, C, A = law.draws[r].block(worker)
            out = np.zeros((d, d + 1))
            if two_sided:
                out[np.ix_(S, S)] = (A * C)[:, None] * f.L[np.ix_(S, S)] * C
            else:
                out[S, :d] = (A * C)[:, None] * f.L[S]
            out[S, d] = A * C * f.b[S]
            return out

        whole = workers.sum_each(both)
        B[r], c[r] = whole[:, :d], whole[:, d]
    return Draws(p, B, c, s)


def mean_weights(law: Finite, two_sided: bool, worker: int, d: int) -> tuple[Float64, Float64]:
    """W (d, d) and w (d,) with which a worker comes into M = Σ W_i ∘ L_i and m = Σ w_i ∘ b_i."""
    W, w = np.zeros((d, d)), np.zeros(d)
    for draw in law.draws:
        S, C, A = draw.block(worker)
        weight = draw.probability * A * C
        w[S] += weight
        if two_sided:
            W[np.ix_(S, S)] += np.multiply.outer(weight, C)
        else:
            W[S] += weight[:, None]
    return W, w


def is_symmetric(M: Float64) -> bool:
    """Whether M (d, d) is symmetric, up to rounding."""
    return bool(np.abs(M - M.T).max() <= ROUNDING * np.abs(M).max())
