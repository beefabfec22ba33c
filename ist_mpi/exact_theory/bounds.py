"""What step sizes are made of where matrices L_i bound the Hessians of functions, and no more."""

from functools import cached_property
from typing import Any

from ist_mpi.exact_theory.krylov import Product
from ist_mpi.exact_theory.objective import Means, means
from ist_mpi.exact_theory.quantities import OfSketch, Quantities
from ist_mpi.exact_theory.rules import StepRule, no_rule
from ist_mpi.exact_theory.step import Known, OwnTheory, Step
from ist_mpi.parallel.team import Team
from ist_mpi.problems.quadratic import LocalQuadratics
from ist_mpi.problems.source import Stored
from ist_mpi.sketches.law import Exchangeable

NOT_QUADRATIC = "the problem is not quadratic"
"""Why there is no exact theory."""


class Bounds(Quantities):
    """Of quadratics with the matrices L_i: their largest eigenvalues bound those of the Hessians.

    Parameters
    ----------
    bounds : LocalQuadratics
        Of the L_i, by samples.
    entries : float
        Numbers of all samples.
    mu : float
        What no eigenvalue of a Hessian is below.
    """

    quadratic = False
    out_of_patience = True

    def __init__(
        self,
        team: Team,
        bounds: LocalQuadratics,
        entries: float,
        known: Known,
        sketch: Any,
        mu: float,
    ) -> None:
        OfSketch.__init__(self, sketch)
        self._team, self._local, self._known = team, bounds, known
        self._law = known.law
        self._stored = Stored("dense", total=int(entries))
        self.mu = mu

    @cached_property
    def _mean(self) -> Means:  # type: ignore[override]  # a property: made when it is asked for
        return means(self._team, self._local, self._stored)

    def _lanczos(self, apply: Product, what: str) -> float:
        """The means come first: ranks make them together, and products one after another."""
        _ = self._exponent
        return super()._lanczos(apply, what)

    @property
    def spread(self) -> float:
        """√λ_max(mean L_i²): the Hessians may differ by more than the L_i do."""
        return self.rms

    @property
    def expected_smoothness(self) -> float | None:
        """𝓛 = C max λ_max(L_i), C the largest of C_i: no Σ A_i C_i ∇²f_i C_i exceeds it.

        None where blocks overlap, or C_i carries D_i^{−1/2}.
        """
        law = self._law
        if not isinstance(law, Exchangeable) or law.preconditioned or self.independent:
            return None
        return max(block.C for block in law.blocks) * self.largest

    def stable(self, own: OwnTheory | None, gamma: float) -> float | None:
        """None: second moments are not known."""
        return None

    def stability_limit(self, step: Step | None = None) -> float | None:
        """None: γ_max is not known."""
        return None

    def theorem_one_limit(self) -> float:
        """InputError: there is no θ."""
        raise no_rule("theory", NOT_QUADRATIC, 'a number, or "default"')

    def theorem_or_half_limit(self) -> StepRule:
        """1/(2𝓛), as for stochastic gradients of f_D; InputError where there is no such bound."""
        step = self._known.step
        smooth = self.expected_smoothness if step is not None and step.two_sided else None
        if smooth is None:
            raise no_rule("default", f"{NOT_QUADRATIC}, and none is known of such sketches")
        law = self._law
        scaled = isinstance(law, Exchangeable) and max(block.C for block in law.blocks) > 1.0
        formula = f"1/(2{' C' if scaled else ''} max λ_max(L_i)), L_i above all Hessians of f_i"
        return StepRule(1.0 / (2.0 * smooth), formula, proved=False)
