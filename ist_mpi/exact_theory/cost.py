"""How much theory is computed, and what it takes: one model of the time of the constants.

Times are operations of products of matrices at one rate, on one core; they depend on the problem
alone, and so are the same on any number of ranks.
"""

from typing import Literal, NamedTuple, get_args

from ist_mpi.config import Config
from ist_mpi.exact_theory.krylov import BASIS
from ist_mpi.exact_theory.step import OwnTheory, known_of
from ist_mpi.problems.source import Facts

Effort = Literal["none", "cheap", "dense", "full"]
"""How much is computed: what is known anyway; eigenvalues without second moments, too; θ, too;
everything. Beyond d = `DENSE` all but "none" are estimates, and "full" tries longest."""

EFFORTS: tuple[Effort, ...] = get_args(Effort)
"""From the least to the most, each with all that those before it have."""

AUTO_DENSE = 300
"""Largest d for which a run computes second moments unasked."""
AUTO_CHEAP = 1500
"""Largest d for which a run computes eigenvalues unasked."""
AUTO_SECONDS = 5.0
"""Longest that a run waits, unasked, for the constants that take many applications of T."""
DENSE = 6000
"""Largest d for which d × d eigenvalues are computed at all."""
HESSIANS = 2000
"""Largest d for which Hessians of functions that are no quadratics are formed."""
WORD_SECONDS = 30.0
"""Longest that a step size that is a word is checked against second moments."""
PATIENCE = 150.0
"""Seconds, estimated, beyond which a constant is left out unless all are asked for."""
FLOPS = 2e10
"""Of a core's matrix products, for that estimate."""
APPLICATIONS = 30
"""Of T, in an iteration for γ_max or for the limit."""
EIGENVALUES = 14
"""Of d³ operations, at that speed, for the eigenvalue problems: 7e-10 d³ s were measured."""
CHAIN = 12
"""Of m³ operations, in a round of second moments of a state of m numbers."""
CALL = 3e-4
"""Seconds of such a round at least."""
RADIUS = 200
"""Rounds of second moments for their spectral radius: 14 to 1000 were measured."""
BISECTIONS = 16
"""Spectral radii of such rounds, for γ_max."""

PRODUCT_RATE = 1e9
"""Numbers a second that a product of an operator with a vector reads."""
MAX_RESTARTS = 300
"""Of Lanczos' method, before an eigenvalue is given up for good."""
SECONDS = 60.0
"""For all estimates of eigenvalues, roughly, where nobody asked to wait longer."""


class Wish(NamedTuple):
    """How much theory is wanted, and how much cannot be done without."""

    wanted: Effort
    least: Effort
    """Refused where it does not fit into memory; what is wanted beyond is left out."""


def wish_of_run(config: Config, facts: Facts) -> Wish:
    """What a run computes, on any number of ranks."""
    wanted = _effort_of_run(config, facts)
    least = effort_of_step(config)
    return Wish(wanted, wanted if config.run.theory is True else least)


def effort_of_step(config: Config) -> Effort:
    """What the step size cannot do without, where it is a word."""
    word = config.method.step_size
    if not isinstance(word, str):
        return "none"
    needed: Effort = type(config.method).method_class.effort[word]
    return needed


def _effort_of_run(config: Config, facts: Facts) -> Effort:
    """`run.theory`, or what costs next to nothing."""
    asked = config.run.theory
    if asked != "auto":
        return "full" if asked else "none"
    own = known_of(config.method, facts.sketch(config.method)).own
    if own is not None:
        return _effort_of_chain(own, AUTO_SECONDS)
    if facts.d <= AUTO_DENSE:
        quick = _iteration_seconds(_distinct(facts), facts.d) <= AUTO_SECONDS
        return "full" if quick else "cheap"
    return "cheap" if facts.d <= AUTO_CHEAP else "none"


def _effort_of_chain(own: OwnTheory, seconds: float) -> Effort:
    """How much theory of a method that has its own takes no longer."""
    radii = BISECTIONS if own.limit is None else 2
    one = chain_seconds(own, RADIUS)
    if one * radii <= seconds:
        return "full"
    if one <= seconds:
        return "dense"
    return "cheap" if EIGENVALUES * float(own.size) ** 3 / FLOPS <= seconds else "none"


def chain_seconds(own: OwnTheory, cycles: int = 2 * APPLICATIONS) -> float:
    """A rough time of so many cycles of rounds of second moments; by default, of their radius."""
    return cycles * (CALL + (CHAIN * float(own.size) ** 3 + own.work) / FLOPS)


def patient_effort(facts: Facts, own: OwnTheory | None = None) -> Effort:
    """As much as `PATIENCE` allows, for who wants the constants but did not ask for all.

    `own`: of a method that has its own theory.
    """
    if own is not None:
        return _effort_of_chain(own, PATIENCE)
    distinct, d = _distinct(facts), facts.d
    if d > DENSE or _theta_seconds(distinct, d) > PATIENCE:
        return "cheap"
    return "dense" if _iteration_seconds(distinct, d) > PATIENCE else "full"


def out_of_patience(homogeneous: bool, n: int, d: int) -> bool:
    """Whether γ_max takes longer than `PATIENCE`, or d × d matrices are out of reach."""
    return d > DENSE or _iteration_seconds(1 if homogeneous else n, d) > PATIENCE


def effort_seconds(effort: Effort, facts: Facts) -> float:
    """A rough time of the constants of this effort, on one core."""
    if effort == "none":
        return 0.0
    distinct, d = _distinct(facts), facts.d
    seconds = EIGENVALUES * float(d) ** 3 / FLOPS
    if effort != "cheap":
        seconds += _theta_seconds(distinct, d)
    return seconds + (_iteration_seconds(distinct, d) if effort == "full" else 0.0)


def _distinct(facts: Facts) -> int:
    """The number of distinct quadratics."""
    return 1 if facts.homogeneous else facts.n


def _iteration_seconds(distinct: int, d: int) -> float:
    """A rough time of an iteration with T for so many distinct quadratics, on one core."""
    return APPLICATIONS * _application(distinct, d) / FLOPS


def _theta_seconds(distinct: int, d: int) -> float:
    """A rough time of θ likewise: T once, and the eigenvalues."""
    return (_application(distinct, d) + EIGENVALUES * float(d) ** 3) / FLOPS


def _application(distinct: int, d: int) -> float:
    """Operations of T: two products of matrices for each quadratic, and for their mean."""
    return (2 * distinct + 2) * 2.0 * float(d) ** 3


def few_restarts(entries: float) -> int:
    """Restarts of Lanczos' method in about `SECONDS`, where a product reads so many numbers."""
    products = 6 * BASIS  # a restart of λ_min(M), λ_max(M), and λ_min(W̄), which takes four
    return max(1, min(MAX_RESTARTS, int(SECONDS * PRODUCT_RATE / (products * entries))))
