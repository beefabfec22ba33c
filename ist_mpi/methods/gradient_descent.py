"""Gradient descent: x⁺ = x − γ (1/n) Σ ∇f_i(x), whole models both ways; also with momentum."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from ist_mpi.config import Method as MethodTable
from ist_mpi.exact_theory.rules import StepRule
from ist_mpi.exact_theory.step import OwnTheory, Step
from ist_mpi.methods.method import Floats
from ist_mpi.methods.momentum import WithMomentum, momentum_chain

if TYPE_CHECKING:
    from ist_mpi.exact_theory.quantities import Quantities


class GradientDescent(WithMomentum):
    """The identity sketch: every worker has all d coordinates.

    With Nesterov's momentum every rank has a replica of x and z, see `shared_block` with N = 1.
    """

    replay = "ist_mpi.verify.unbiased:GradientDescent"
    sketch = "identity"
    ignores = ("sketch", "scaling", "form", "q", "group_size")
    effort: ClassVar[Mapping[str, str]] = {"theory": "dense", "default": "none"}

    def round(self, k: int) -> None:
        """One step."""
        problem, exchange = self.tools.problem, self.tools.exchange
        S = exchange.broadcast(k)
        if self.momentum is not None:
            self.momentum.mix(self.x, self.z)  # x becomes y
            g = exchange.reduce(problem.gradients(self.x, S).reshape(-1, self.x.size))
            g /= self.tools.sketch.n
            self.z -= self.momentum.step * g
            self.x -= self.gamma * g
            return
        exchange.share(self.x)
        step = problem.gradients(self.x, S)  # ∇f_i(x)
        step *= -self.gamma / self.tools.sketch.n
        exchange.add(self.x, step)  # x − γ (1/n) Σ ∇f_i(x)

    @staticmethod
    def step(settings: MethodTable) -> Step | None:
        """See `Method.step`."""
        return Step() if getattr(settings, "momentum", None) is None else None

    @staticmethod
    def own_theory(settings: Any, sketch: Any) -> OwnTheory | None:
        """Of momentum; see `Method.own_theory`."""
        if settings.momentum is None:
            return None

        def build(law: Any, workers: Any, n: int, d: int) -> Any:
            L, mu = workers.sum(lambda f: f.L) / n, workers.curvature(settings.mu)
            return lambda gamma: momentum_chain(law, n, L, mu, gamma, 1.0)

        return OwnTheory(2 * sketch.d, build)

    @classmethod
    def theory_step(cls, settings: MethodTable, quantities: "Quantities") -> StepRule:
        """1/θ = 1/l0, which Nesterov's method takes too."""
        momentum = getattr(settings, "momentum", None) is not None
        if momentum or not quantities.quadratic:
            return cls.default_step(settings, quantities)
        return super().theory_step(settings, quantities)

    @staticmethod
    def default_step(settings: MethodTable, quantities: "Quantities") -> StepRule:
        """1/l0."""
        return StepRule(1.0 / quantities.l0, "1/λ_max(L̄)", proved=True)

    @staticmethod
    def floats(k: int, sketch: Any, settings: MethodTable) -> Floats:
        """The model both ways."""
        d = float(sketch.d)
        return Floats(up=k * d, down=k * d)
