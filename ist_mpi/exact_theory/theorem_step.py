"""The step size that the word "theory" stands for."""

from ist_mpi.exact_theory import theorems
from ist_mpi.exact_theory.cost import DENSE
from ist_mpi.exact_theory.objective import Means
from ist_mpi.exact_theory.over_ranks import moments_of
from ist_mpi.exact_theory.rules import no_rule
from ist_mpi.exact_theory.step import Known
from ist_mpi.parallel.team import Team
from ist_mpi.problems.quadratic import LocalQuadratics


def theory_step_size(team: Team, local: LocalQuadratics, known: Known, mean: Means) -> float:
    """1/θ, the largest step size of Theorem 1.

    Raises
    ------
    InputError
        On every rank, where no θ exists, or d is too large to find it.
    """
    expected = "a number, or a problem for which θ of (14) exists"
    if not known.closed:
        raise no_rule("theory", known.why_not)
    if team.d > DENSE:
        raise no_rule("theory", f"d = {team.d}", f"d ≤ {DENSE}")
    moments, units = moments_of(team, local, known, mean)
    found = theorems.theorem_one(moments)
    if found is None or not found.theta:
        reason = "Theorem 1 does not apply"
        if found is not None:
            smallest = units.number("w_min_eigenvalue", found.w_min_eigenvalue)
            reason = f"no θ exists: W̄ has eigenvalue {smallest:.4g}"
        raise no_rule("theory", reason, expected)
    return units.number("step_size_limit", 1.0 / found.theta)
