"""Perm-q, eq. (7): disjoint near-equal blocks of a random permutation; preconditioned, eq. (23).

A permutation may move N = d/g groups of g consecutive coordinates (`method.group_size`), whole
cache lines at g = 8: then what is said of d coordinates holds of N groups. With n ≤ N workers the
blocks are disjoint, and who gets the larger ones is drawn too; with n > N each worker holds one
group, and the h_j holders of a group share it.
"""

from collections.abc import Callable
from math import perm
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ist_mpi.config import Method
from ist_mpi.kernels import draws, philox
from ist_mpi.partition import spans
from ist_mpi.sketches.compiled import Float64, Int32, empty_plan, factor_rules, fits
from ist_mpi.sketches.drawing import CompiledDrawing
from ist_mpi.sketches.law import (
    Block,
    Exchangeable,
    holder_moments,
    meeting_probability,
    merged,
    pair_mean,
    ratio,
)
from ist_mpi.sketches.sketch import Sketch
from ist_mpi.sketches.units import UnitPermutation


class Permutation(Sketch):
    """g coordinates of a group, N = d/g groups; largest block g⌈N/n⌉, in all d, or ng at n > N."""

    scalings = ("unbiased", "unscaled", "preconditioned")
    groups = True

    def __init__(self, method: Method, n: int, d: int) -> None:
        super().__init__(method, n, d)
        self.g, self.N = method.group_size, method.groups(d)
        self.scaling = method.scaling
        self.largest = self.g * -(-self.N // n)
        self.total = self.g * max(n, self.N)
        fits(n, self.total)
        self.disjoint = n <= self.N
        self.same_sizes = not self.disjoint or self.N % n == 0
        self.rescales = method.scaling == "preconditioned"
        if self.disjoint and not self.rescales:
            self.weight = 1.0

    @classmethod
    def over(cls, units: Any, method: Method, n: int, d: int) -> Sketch:
        """See `Sketch.over`."""
        return UnitPermutation(method, n, d, units)

    @staticmethod
    def sums_to_identity(method: Method) -> bool:
        """Whether (1/n) Σ C_i = I, or the sum of what is unscaled."""
        return method.scaling != "preconditioned"

    def drawing(
        self, seed: int, first: int, last: int, diagonals: Float64 | None, which: NDArray[np.int64]
    ) -> CompiledDrawing:
        """See `drawing_of`."""
        n, N, g = self.n, self.N, self.g
        message: Int32 = np.zeros(n + 1 + self.total, dtype=np.int32)
        plan = empty_plan(seed, n, message)._replace(
            kind=draws.DISJOINT if self.disjoint else draws.SINGLE,
            owner=np.empty(N if self.disjoint else 0, dtype=np.int32),
            order=np.empty(min(n, N), dtype=np.int32),
            group_size=g,
        )
        if g > 1:
            plan = plan._replace(groups=np.empty(plan.pi.size // g, dtype=np.int32))
        if self.same_sizes:
            plan.offsets[:] = np.arange(n + 1, dtype=np.int32) * self.largest
        scale = {"unbiased": float(n), "unscaled": 1.0, "preconditioned": float(np.sqrt(n))}
        rules = factor_rules(self, which, scale[self.scaling], 1.0 / n)._replace(
            by_holders=not self.disjoint,
            holders=np.zeros(0 if self.disjoint else self.d, dtype=np.int32),
        )
        if self.scaling == "unscaled":
            rules.A[:] = 1.0
            rules = rules._replace(unscaled=True)
        if self.rescales:
            roots = np.empty((0, 0)) if diagonals is None else 1.0 / np.sqrt(diagonals)
            rules = rules._replace(preconditioned=True, inverse_roots=roots)
        changing = not self.disjoint or self.rescales
        return CompiledDrawing(plan, message, rules, changing, self.same_sizes, first, last)

    def first_size(self, seed: int) -> Callable[[int], int]:
        """k ↦ the size of the first worker's block in round k."""
        order = np.empty(min(self.n, self.N), dtype=np.int32)
        state = np.zeros(philox.STATE_SIZE, dtype=np.uint32)
        if not self.disjoint:
            return lambda k: self.g
        return lambda k: self.g * int(draws.size_of_first(seed, k, self.N, order, state))

    def law(self) -> Exchangeable:
        """See `permutation_law`."""
        return permutation_law(self.n, self.d, self.g, self.scaling)


def permutation_law(n: int, d: int, g: int = 1, scaling: str = "unbiased") -> Exchangeable:
    """A permutation deals d/g groups to n workers, or the workers to the groups where n > d/g.

    Parameters
    ----------
    n, d : int
        Workers and coordinates.
    g : int
        Coordinates of a group; divides d.
    scaling : {"unbiased", "unscaled", "preconditioned"}
    """
    N = d // g
    # The number of workers that hold a group, and of groups that a worker holds.
    holders = np.diff(spans(n, N)) if n > N else np.ones(1)
    sizes = [int(size) for size in np.diff(spans(N, n))] if n <= N else []
    unscaled, preconditioned = scaling == "unscaled", scaling == "preconditioned"

    def scale(power: int) -> Float64:
        """A_i C_i^power by the number of holders, without D_i^{−1/2}."""
        if unscaled:
            return 1.0 / holders
        return np.asarray((n / holders) ** (power / 2 if preconditioned else power) / n)

    def one(s: int, t: int, r: int) -> float:
        here, there = scale(s), scale(t)
        if n > N:
            return float(np.mean(here * there * holders)) / n if r == 1 else 0.0
        met = [ratio(perm(size, r), perm(N, r)) for size in sizes]
        return float(here[0] * there[0] * np.mean(met))

    def two(s: int, t: int, u: int, v: int, joined: bool) -> float:
        here, there = scale(s), scale(t)
        if n > N:
            if u > 1 or v > 1:
                return 0.0
            pairs = float(np.mean(here * there * holders * (holders - 1)))
            if not joined:
                pairs = pair_mean(here * holders, there * holders)
            return pairs / (n * (n - 1))
        if joined:
            return 0.0  # S_i and S_j are disjoint
        left = np.array([ratio(perm(size, u), perm(N, u)) for size in sizes])
        right = np.array([ratio(perm(size, v), perm(max(N - u, 0), v)) for size in sizes])
        return float(here[0] * there[0] * pair_mean(left, right))

    base = 1.0 if unscaled else float(np.sqrt(n) if preconditioned else n)
    blocks = [Block(1.0 / n, size, base) for size in sizes]
    for h in holders.astype(int).tolist() if n > N else ():
        factor = base if unscaled else base / float(np.sqrt(h) if preconditioned else h)
        blocks.append(Block(1.0 / N if unscaled else h / n, 1, factor))
    inverse, root = holder_moments(n, N) if n > N else (1.0, 1.0)
    return Exchangeable(
        alpha=1.0 if unscaled or preconditioned else n * inverse,
        rho=0.0 if n > N else meeting_probability(n, N),
        beta=float(root / np.sqrt(n)) if preconditioned else 1.0,
        one=one,
        two=two,
        group_size=g,
        preconditioned=preconditioned,
        one_draw=n == 1 or N == 1,
        certain=n == 1 or N == 1 or (preconditioned and g == 1 and n >= d),
        blocks=merged(blocks),
    )
