"""One block for all workers: block coordinate descent, plain or with Nesterov's momentum."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ist_mpi.config import Method as MethodTable
from ist_mpi.exact_theory.rules import StepRule, no_rule
from ist_mpi.exact_theory.step import OwnTheory
from ist_mpi.methods.method import Float64, Floats, Tools
from ist_mpi.methods.momentum import WithMomentum, momentum_chain
from ist_mpi.sketches.blocks import Blocks

if TYPE_CHECKING:
    from ist_mpi.exact_theory.quantities import Quantities


class SharedBlock(WithMomentum):
    """x_S ← x_S − γ mean [∇f_i(x)]_S, S the round's first block, for all workers the same.

    Every rank has a replica of x, which it brings up to date from the mean that all receive. With
    momentum (accelerated coordinate descent, Lin, Lu, Xiao 2014), N blocks and a = √(μγ)/N:

        y = (x + a z)/(1 + a),  z ← (1 − a) z + a y,  z_S ← z_S − γ/(N a) ∇_S f(y),
        x ← y,  x_S ← x_S − γ ∇_S f(y).
    """

    replay = "ist_mpi.verify.unbiased:SharedBlock"
    sketches = ("permutation",)
    effort: ClassVar[Mapping[str, str]] = {"theory": "none", "default": "none"}

    def __init__(self, settings: MethodTable, tools: Tools, x0: Float64) -> None:
        super().__init__(settings, tools, x0)
        self.workers = tools.team.last - tools.team.first

    def round(self, k: int) -> None:
        """One step on one block."""
        block = self._first_block(k)
        if self.momentum is not None:
            self.momentum.mix(self.x, self.z)  # x becomes y
        same = np.tile(block, self.workers)
        edges = block.size * np.arange(self.workers + 1, dtype=np.int32)
        none = np.empty(0)
        each = self.tools.problem.gradients(self.x, Blocks(same, edges, none, none))
        g = self.tools.exchange.reduce(each.reshape(self.workers, block.size))
        g /= self.tools.sketch.n
        if self.momentum is not None:
            self.z[block] -= self.momentum.step * g
        self.x[block] -= self.gamma * g

    def _first_block(self, k: int) -> Any:
        """S: the first worker's block of the round's draw."""
        exchange = self.tools.exchange
        exchange.broadcast(k)
        drawing = exchange.drawing
        return drawing.pi[: drawing.offsets[1]]

    @staticmethod
    def own_theory(settings: Any, sketch: Any) -> OwnTheory | None:
        """E⁺ = E − (γ/N)(L̄E + EL̄) + γ² E[P L̄EL̄ P], or that of momentum."""
        from ist_mpi.exact_theory.chains.chain import Linear, blockwise, one_block_limit

        blocks = sketch.n * sketch.d / sketch.total

        def build(law: Any, workers: Any, n: int, d: int) -> Any:
            L, eye = workers.sum(lambda f: f.L) / n, np.eye(d)
            if settings.momentum is not None:
                mu = workers.curvature(settings.mu)
                return lambda gamma: momentum_chain(law, n, L, mu, gamma, blocks)
            return lambda gamma: Linear(eye, eye, *blockwise(law, n, [L], [-gamma * eye], None))

        def limit(law: Any, workers: Any, n: int, d: int) -> float:
            return one_block_limit(law, n, workers.sum(lambda f: f.L) / n)

        if settings.momentum is not None:
            return OwnTheory(2 * sketch.d, build)
        return OwnTheory(sketch.d, build, limit=limit)

    @classmethod
    def theory_step(cls, settings: MethodTable, quantities: "Quantities") -> StepRule:
        """1/l1: E f falls by the factor 1 − γμ/N; with momentum that is not proved."""
        if getattr(settings, "momentum", None) is not None:
            raise no_rule("theory", "none is proved with momentum", 'a number, or "default"')
        return cls.default_step(settings, quantities)

    @staticmethod
    def default_step(settings: MethodTable, quantities: "Quantities") -> StepRule:
        """1/l1, too with momentum, where it was checked."""
        proved = getattr(settings, "momentum", None) is None
        return StepRule(1.0 / quantities.l1, "1/λ_max(ρL̄ + (1 − ρ)D̄)", proved)

    @staticmethod
    def floats(k: int, sketch: Any, settings: MethodTable) -> Floats:
        """A block each way, and the model down at the start."""
        q = sketch.total / sketch.n
        return Floats(up=k * q, down=sketch.d + k * q)

    @staticmethod
    def floats_of_round(
        sketch: Any, settings: MethodTable, seed: int
    ) -> Callable[[int], Floats] | None:
        """The first block may have one coordinate more than others."""
        if sketch.same_sizes:
            return None
        size = sketch.first_size(seed)

        def of_round(k: int) -> Floats:
            q = float(size(k))
            return Floats(up=q, down=q)

        return of_round
