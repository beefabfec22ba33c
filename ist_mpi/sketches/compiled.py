"""What the sketches that a kernel draws have in common: plans and rules to fill in."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ist_mpi.errors import Fault, InputError
from ist_mpi.kernels import draws, factors, philox

Int32 = NDArray[np.int32]
Float64 = NDArray[np.float64]


def fits(n: int, total: int) -> None:
    """Raise InputError if a round has more coordinates than an int32 counts."""
    if n + 2 + total >= 2**31:
        raise InputError(Fault("problem.n", f"{total} coordinates a round", "fewer than 2^31"))


def empty_plan(seed: int, n: int, message: Int32) -> draws.Plan:
    """A plan with its blocks in `message`, offsets then pi, and no scratch."""
    offsets, pi = message[: n + 1], message[n + 1 :]
    none = np.empty(0, dtype=np.int32)
    return draws.Plan(
        kind=draws.ALL,
        seed=seed,
        pi=pi,
        offsets=offsets,
        owner=none,
        order=none,
        pool=none,
        swaps=np.empty(0, dtype=np.int64),
        group_size=1,
        groups=pi,
        state=np.zeros(philox.STATE_SIZE, dtype=np.uint32),
    )


def factor_rules(
    sketch: Any, which: NDArray[np.int64], scale: float, weight: float
) -> factors.FactorRules:
    """The rules of a sketch with C_i = scale and A_i = weight on every block."""
    room = min(which.size * sketch.largest, sketch.total)
    return factors.FactorRules(
        n=sketch.n,
        scale=scale,
        by_holders=False,
        unscaled=False,
        preconditioned=False,
        inverse_roots=np.empty((0, 0)),
        which=which,
        holders=np.zeros(0, dtype=np.int32),
        C=np.full(room, scale),
        A=np.full(room, weight),
    )
