"""C_i = I: all coordinates for every worker, in every round."""

import numpy as np
from numpy.typing import NDArray

from ist_mpi.config import Method
from ist_mpi.kernels import draws
from ist_mpi.sketches.compiled import Float64, Int32, empty_plan, factor_rules, fits
from ist_mpi.sketches.drawing import CompiledDrawing
from ist_mpi.sketches.law import Exchangeable
from ist_mpi.sketches.rand import rand_law
from ist_mpi.sketches.sketch import Sketch


class Identity(Sketch):
    """Nothing is drawn."""

    random = False
    same_sizes = True

    def __init__(self, method: Method, n: int, d: int) -> None:
        super().__init__(method, n, d)
        self.largest, self.total = d, n * d
        fits(n, self.total)
        self.disjoint = n == 1
        self.weight = 1.0 / n

    @staticmethod
    def sums_to_identity(method: Method) -> bool:
        """(1/n) Σ C_i = I."""
        return True

    def drawing(
        self, seed: int, first: int, last: int, diagonals: Float64 | None, which: NDArray[np.int64]
    ) -> CompiledDrawing:
        """See `drawing_of`."""
        message: Int32 = np.zeros(self.n + 1 + self.total, dtype=np.int32)
        plan = empty_plan(seed, self.n, message)._replace(
            kind=draws.ALL, order=np.empty(min(self.n, self.d), dtype=np.int32)
        )
        plan.pi[:] = np.tile(np.arange(self.d, dtype=np.int32), self.n)
        plan.offsets[:] = np.arange(self.n + 1, dtype=np.int32) * self.d
        rules = factor_rules(self, which, 1.0, 1.0 / self.n)
        return CompiledDrawing(plan, message, rules, False, True, first, last)

    def law(self) -> Exchangeable:
        """That of Rand-q with q = d."""
        return rand_law(self.n, self.d, self.d)
