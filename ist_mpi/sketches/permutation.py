"""Perm-q, eq. (7): disjoint near-equal blocks of a random permutation; preconditioned, eq. (23).

A permutation may move N = d/g groups of g consecutive coordinates (`method.group_size`), whole
cache lines at g = 8: then what is said of d coordinates holds of N groups. With n ≤ N workers the
blocks are disjoint, and who gets the larger ones is drawn too; with n > N each worker holds one
group, and the h_j holders of a group share it.
"""

import numpy as np
from numpy.typing import NDArray

from ist_mpi.config import Method
from ist_mpi.kernels import draws
from ist_mpi.sketches.compiled import Float64, Int32, empty_plan, factor_rules, fits
from ist_mpi.sketches.drawing import CompiledDrawing
from ist_mpi.sketches.sketch import Sketch


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
