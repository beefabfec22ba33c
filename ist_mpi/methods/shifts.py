"""What methods with shifts have in common: h_i on every worker, which learns ∇f_i(x*) by blocks."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ist_mpi.config import Method as MethodTable
from ist_mpi.exact_theory.rules import StepRule, no_rule
from ist_mpi.exact_theory.step import OwnTheory
from ist_mpi.methods.method import Float64, Floats, Method, Room, Tools, Vector
from ist_mpi.sketches.blocks import Blocks

if TYPE_CHECKING:
    from ist_mpi.exact_theory.quantities import Quantities


class Shifted(Method):
    """δ_i = P_i (∇f_i(·) − h_i),  h_i ← h_i + δ_i,  x ← x − γ (mean h_i + Σ c_i δ_i).

    At the start h_i = ∇f_i(x⁰), and the server knows their mean.
    """

    effort: ClassVar[Mapping[str, str]] = {"theory": "none", "default": "none"}
    room: ClassVar[Room] = Room(rank=3, worker=1)

    def __init__(self, settings: MethodTable, tools: Tools, x0: Float64) -> None:
        super().__init__(settings, tools, x0)
        self.shifts = tools.problem.whole_gradients(x0)
        self.mean_shift = tools.exchange.reduce(self.shifts) / tools.sketch.n
        self._sum, self._estimate = np.zeros_like(x0), np.zeros_like(x0)

    def vectors(self) -> Sequence[Vector]:
        """The model and the mean shift on the server, a shift on every worker."""
        return [
            Vector("x", "server", self.x),
            Vector("mean_shift", "server", self.mean_shift),
            Vector("shifts", "worker", self.shifts),
        ]

    def learn(self, S: Blocks, gradients: Float64) -> Float64:
        """δ_i (t,) in place of the gradients on S_i; the shifts take them in."""
        from ist_mpi.kernels import shifts

        shifts.learn(self.shifts, S.pi, S.offsets, gradients)
        return gradients

    def step_with_mean(self, differences: Float64) -> None:
        """x ← x − γ (mean h_i), the mean with the differences."""
        exchange = self.tools.exchange
        exchange.total(self._sum, differences)
        if exchange.holds:
            self.mean_shift += self._sum / self.tools.sketch.n
            self.x -= self.gamma * self.mean_shift

    def step_with_estimate(self, S: Blocks, differences: Float64, tau: float) -> None:
        """x ← x − γ (mean h_i + τ Σ A_i C_i δ_i), the mean without the differences."""
        exchange, n = self.tools.exchange, self.tools.sketch.n
        weight = self.tools.sketch.weight
        exchange.total(self._sum, differences)
        if weight is None:
            exchange.total(self._estimate, S.A * S.C * differences)
        elif exchange.holds:
            np.multiply(weight, self._sum, out=self._estimate)
        if exchange.holds:
            self._estimate *= tau
            self._estimate += self.mean_shift
            self.x -= self.gamma * self._estimate
            self.mean_shift += self._sum / n

    @staticmethod
    def shift_theory(sketch: Any, weighted: bool) -> OwnTheory:
        """Of z = (e, k_1 … k_n), k_i = h_i − ∇f_i(x*), where gradients are those of whole models.

        `weighted`: whether x moves by Σ A_i C_i δ_i; else by their mean.
        """
        from ist_mpi.exact_theory.chains.chain import Linear, blockwise, matrices

        def build(law: Any, workers: Any, n: int, d: int) -> Any:
            L, eye = matrices(workers, n, d), np.eye(d)
            unit = np.eye((n + 1) * d).reshape(n + 1, d, -1)  # row r: the part r of z
            start = np.vstack([eye, *L])
            F = [L[i] @ unit[0] - unit[1 + i] for i in range(n)]

            def at(gamma: float) -> Linear:
                A = np.eye((n + 1) * d) - gamma / n * (unit[0].T @ unit[1:].sum(axis=0))
                plain = [unit[1 + i].T for i in range(n)]
                moved = [-gamma * unit[0].T] * n
                weight = sketch.weight if weighted else 1.0 / n
                if weight is None:
                    return Linear(start, A, *blockwise(law, n, F, plain, moved))
                both = [E + weight * G for E, G in zip(plain, moved, strict=True)]
                return Linear(start, A, *blockwise(law, n, F, both, None))

            return at

        return OwnTheory((sketch.n + 1) * sketch.d, build)

    @staticmethod
    def floats(k: int, sketch: Any, settings: MethodTable) -> Floats:
        """The model down, a block up; at the start a gradient up; see `Method.floats`."""
        return Floats(up=sketch.d + k * (sketch.total / sketch.n), down=k * float(sketch.d))

    @staticmethod
    def theory_step(settings: MethodTable, quantities: "Quantities") -> StepRule:
        """None is proved here."""
        raise no_rule("theory", "none is proved", 'a number, or "default"')

    @staticmethod
    def default_step(settings: MethodTable, quantities: "Quantities") -> StepRule:
        """1/(4 rms), rms = √λ_max(mean L_i²)."""
        return StepRule(1.0 / (4.0 * quantities.rms), "1/(4 √λ_max(mean L_i²))", proved=False)
