"""One round of a method as exact theory sees it, and whether there are closed forms of it.

Everything in this room reads a `Known`; nothing asks which method or which sketch it is.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from ist_mpi.config import Method
from ist_mpi.registry import speaks_for
from ist_mpi.sketches.law import Exchangeable, Law
from ist_mpi.sketches.own import law_of


class Step(NamedTuple):
    """A round x⁺ = C̄ x − γ (B̄ x − c), c = Σ A_i C_i b_i, of a method with a sketch."""

    two_sided: bool = True
    """Whether B̄ = Σ A_i C_i L_i C_i, as for submodels; else Σ A_i C_i L_i."""
    scaled: bool = True
    """Whether a submodel is C_i x; else P_i x, and B̄ = Σ A_i C_i L_i P_i."""
    multiplies_model: bool = False
    """Whether C̄ = Σ A_i C_i, where that is not always I; else C̄ = I."""
    local_steps: int = 1
    """How many such steps a worker takes before the merge."""


class OwnTheory(NamedTuple):
    """Exact theory of a method that is linear and without noise around x*; see `chains`."""

    size: int
    """m: the second moments that are carried from round to round take m² numbers."""
    build: Callable[..., Callable[[float], Any]]
    """(law, workers, n, d) ↦ (γ ↦ the `Chain` at that step size); all ranks call it together."""
    work: float = 0.0
    """Operations of a cycle of rounds of second moments, beside those of products of m × m."""
    limit: Callable[..., float] | None = None
    """(law, workers, n, d) ↦ γ_max, where it is known in closed form; else it is searched for."""


class Known(NamedTuple):
    """What is known of a round; decided once, in words where it is not enough."""

    step: Step | None
    """None: the method's round is not of that form."""
    law: Law | None
    """None: nothing is known of the sketch's draws."""
    subject: str = "this method with this sketch"
    """What the words call it."""
    obstacle: str = ""
    """Why there is no exact theory all the same, if that is so."""
    own: OwnTheory | None = None
    """What the method knows of itself, where its round is not such a step."""

    @property
    def both(self) -> tuple[Step, Law] | None:
        """The step and the law, where there are both: then one local step has a mean."""
        if self.step is None or self.law is None or self.obstacle:
            return None
        return self.step, self.law

    @property
    def why_not(self) -> str:
        """Why a round has no closed form; empty where it has."""
        if self.obstacle:
            return self.obstacle
        if self.step is None or self.law is None:
            return f"no exact theory of {self.subject}"
        if self.step.local_steps > 1:
            return f"no closed form is known for {self.step.local_steps} local steps"
        return ""

    @property
    def closed(self) -> bool:
        """Whether the moments of a round have a closed form."""
        return not self.why_not

    @property
    def multiplies_model(self) -> bool:
        """Whether a merge multiplies the model by a random matrix."""
        return self.step is not None and self.step.multiplies_model

    @property
    def theorem_one(self) -> bool:
        """Whether Theorem 1 is about such rounds."""
        return self.closed and not self.multiplies_model

    @property
    def certain(self) -> bool:
        """Whether B̄ is the same in every draw, for any quadratics: then σ² of (30) is defined."""
        if self.step is None or self.law is None:
            return False
        return self.law.certain if self.step.two_sided else self.law.one_draw

    @property
    def matrices(self) -> int:
        """Matrices (d, d) that the law's moments keep, besides those of any law."""
        return 2 + self.law.listed if self.law is not None and self.law.listed else 0


def known_of(method: Method, sketch: Any) -> Known:
    """The step of a configured method, and the law of its sketch."""
    kind = type(method).method_class
    law = law_of(sketch)
    step, own = None, None
    if speaks_for(kind, "step", "round", "rounds"):
        step = kind.step(method)
    if isinstance(law, Exchangeable) and speaks_for(kind, "own_theory", "round", "rounds"):
        own = kind.own_theory(method, sketch)
    subject = f'"{method.name}" with sketch = "{method.sketch}"'
    return Known(step, law, subject, own=own)
