"""Anchored submodels: submodels of the way from an anchor whose whole gradient is known."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np

from ist_mpi.config import Method as MethodTable
from ist_mpi.config import Rule
from ist_mpi.config.types import Count, Field, Positive, Probability, Section
from ist_mpi.exact_theory.rules import StepRule, no_rule
from ist_mpi.exact_theory.step import OwnTheory, Step
from ist_mpi.methods.coins import Coins
from ist_mpi.methods.method import Float64, Floats, Method, Room, Tools, Vector

if TYPE_CHECKING:
    from ist_mpi.exact_theory.quantities import Quantities


class AnchoredSettings(Section):
    """What the method adds to [method]."""

    alpha: Annotated[
        Positive | Literal["tight"], Field(description='a finite number > 0, or "tight"')
    ] = 1.0
    """What the way from the anchor is scaled by in a submodel; "tight": the least α that is stable
    on average for cycles of any length, λ_max(M1^{−1/2} L̄ M1^{−1/2})."""
    refresh: Count | None = None
    """m: the anchor moves every m rounds. Default 2, with alpha = "tight" N, the blocks."""
    refresh_probability: Probability | None = None
    """In its place: the anchor moves with this probability, and in round 0."""

    @classmethod
    def broken_rules(cls, values: Mapping[str, Any]) -> Iterator[Rule]:
        """See `Section.broken_rules`."""
        yield from super().broken_rules(values)
        if values.get("refresh") is not None and values.get("refresh_probability") is not None:
            yield "refresh", "refresh and refresh_probability", "either of them"


class Anchored(Method):
    """The anchor h moves to x now and then, in round 0 at first, and ∇f(h) is made anew.

        h = x;  x ← x − γ ∇f(h)                                                      then
        u_i = [x − h]_{S_i};  x ← x − γ (∇f(h) + Σ A_i C_i [∇f_i(h + α P_i u_i) − ∇f_i(h)])   else

    On quadratics the difference is α L_i[S_i, S_i] u_i, and a worker keeps nothing.
    """

    Settings = AnchoredSettings
    replay = "ist_mpi.verify.unbiased:Anchored"
    sketches = ("permutation",)
    resolves = ("alpha", "refresh")
    effort: ClassVar[Mapping[str, str]] = {"theory": "none", "default": "none"}
    room: ClassVar[Room] = Room(rank=4, worker=1)

    def __init__(self, settings: MethodTable, tools: Tools, x0: Float64) -> None:
        super().__init__(settings, tools, x0)
        self.h, self.gradient = x0.copy(), np.zeros_like(x0)
        self.alpha: float = getattr(settings, "alpha", 1.0)
        self.refreshes = refreshes(settings, tools.seed)
        self._way = np.zeros_like(x0)

    def vectors(self) -> Sequence[Vector]:
        """The model, the anchor and its gradient."""
        return [
            Vector("x", "server", self.x),
            Vector("h", "server", self.h),
            Vector("gradient", "server", self.gradient),
        ]

    def round(self, k: int) -> None:
        """A gradient step where the anchor moves, else a step with submodels."""
        problem, exchange = self.tools.problem, self.tools.exchange
        S = exchange.broadcast(k)
        if self.refreshes(k):
            exchange.share(self.x)
            self.h[:] = self.x
            self.gradient[:] = exchange.reduce(problem.whole_gradients(self.h))
            self.gradient /= self.tools.sketch.n
            self.x -= self.gamma * self.gradient
            return
        if exchange.holds:
            np.subtract(self.x, self.h, out=self._way)
            self.x -= self.gamma * self.gradient
        v = problem.changes(self.h, self.alpha * exchange.scatter(self._way), S)
        v *= -self.gamma * S.A * S.C
        exchange.add(self.x, v)

    @staticmethod
    def own_theory(settings: Any, sketch: Any) -> OwnTheory | None:
        """Of the way from the anchor and the anchor, in cycles; see `chains.anchor`."""
        from ist_mpi.exact_theory.chains.anchor import Anchored as Chain
        from ist_mpi.exact_theory.moments.second import round_moments

        def build(law: Any, workers: Any, n: int, d: int) -> Any:
            moments = round_moments(Step(scaled=False), law, n, d, workers)
            m, p = settings.refresh, settings.refresh_probability
            return lambda gamma: Chain(moments, settings.alpha, gamma, m, p)

        n, d, m = sketch.n, float(sketch.d), settings.refresh or 1
        # Of a round: two products of matrices for each worker, and calls that take 0.2 ms.
        return OwnTheory(2 * sketch.d, build, m * ((4 * n + 20) * d**3 + 4e6 * (n + 2)))

    @classmethod
    def resolved(cls, settings: MethodTable, quantities: "Quantities") -> MethodTable:
        """See `Method.resolved`."""
        found: dict[str, Any] = {}
        tight = getattr(settings, "alpha", None) == "tight"
        if tight:
            found["alpha"] = quantities.tight_alpha
        given = ("refresh", "refresh_probability")
        if all(getattr(settings, name, None) is None for name in given):
            found["refresh"] = round(quantities.blocks) if tight else 2
        return super().resolved(settings.model_copy(update=found), quantities)

    @staticmethod
    def theory_step(settings: MethodTable, quantities: "Quantities") -> StepRule:
        """None is proved."""
        raise no_rule("theory", "only the mean is proved to converge", 'a number, or "default"')

    @classmethod
    def default_step(cls, settings: MethodTable, quantities: "Quantities") -> StepRule:
        """min(γ_max/(2α), 1/l0), or γ_max/(2α) at α > 1, halved until second moments fall.

        γ_max is the limit of rounds with Σ A_i C_i L_i P_i; where it is out of reach 1/(αℓ) takes
        the place of all that, ℓ = max_i λ_max(L_i). Where f is no quadratic it is 1/l0, at α = 1.
        """
        alpha = getattr(settings, "alpha", 1.0)
        if not quantities.quadratic:
            if alpha != 1.0:
                raise no_rule("default", f"none is known of alpha = {alpha:g} here")
            return StepRule(1.0 / quantities.l0, "1/λ_max(L̄)", proved=False)
        limit = None
        if not quantities.out_of_patience:
            limit = quantities.stability_limit(Step(scaled=False))
        if limit is None:
            step = 1.0 / (alpha * quantities.largest)
            return StepRule(step, "1/(α max_i λ_max(L_i))", proved=False, checked=False)
        step, formula = limit / (2.0 * alpha), "γ_max/(2α)"
        if alpha <= 1.0:
            step, formula = min(step, 1.0 / quantities.l0), "min(γ_max/(2α), 1/λ_max(L̄))"
        stable = quantities.stable(cls.own_theory(settings, quantities.sketch), step)
        if stable is None:
            return StepRule(step, formula, proved=False, checked=False)
        halved = "" if stable == step else ", halved until second moments fall"
        return StepRule(stable, formula + halved, proved=False)

    @staticmethod
    def floats(k: int, sketch: Any, settings: MethodTable) -> Floats:
        """The model both ways where the anchor moves, else a block."""
        m, p = getattr(settings, "refresh", None), getattr(settings, "refresh_probability", None)
        moves = float(-(-k // (m or 2)))
        if p is not None:
            moves = 1.0 + p * (k - 1) if k else 0.0
        sent = moves * sketch.d + (k - moves) * (sketch.total / sketch.n)
        return Floats(up=sent, down=sent)

    @staticmethod
    def floats_of_round(
        sketch: Any, settings: MethodTable, seed: int
    ) -> Callable[[int], Floats] | None:
        """By the coins, where there are any."""
        if getattr(settings, "refresh_probability", None) is None:
            return None
        moves, d, q = refreshes(settings, seed), float(sketch.d), sketch.total / sketch.n

        def of_round(k: int) -> Floats:
            sent = d if moves(k) else q
            return Floats(up=sent, down=sent)

        return of_round


def refreshes(settings: Any, seed: int) -> Callable[[int], bool]:
    """k ↦ whether the anchor moves in round k."""
    if settings.refresh_probability is not None:
        coins = Coins(seed, settings.refresh_probability)
        return lambda k: k == 0 or coins.up(k)
    m = settings.refresh
    return lambda k: bool(k % m == 0)
