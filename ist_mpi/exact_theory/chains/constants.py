"""The constants of a method that has exact theory of its own; see `chain`."""

import numpy as np

from ist_mpi.exact_theory.chains import chain
from ist_mpi.exact_theory.cost import Effort
from ist_mpi.exact_theory.over_ranks import OverRanks
from ist_mpi.exact_theory.stages import stages, tell
from ist_mpi.exact_theory.step import Known

SECOND, LARGEST = "second moments of the method's rounds", "γ_max, the largest stable step size"
NAMES = (
    "spectral_radius",
    "stable_step_size_limit",
    "limit_relative_gap",
    "limit_gap",
    "cycle_rounds",
    "cycle_contraction",
    "rate",
)
"""Those that such a method has, beside those of its fixed point, which is x*."""


def constants(
    known: Known, workers: OverRanks, n: int, d: int, gamma: float, effort: Effort
) -> dict[str, float | None]:
    """The constants that the effort allows, by name; collective."""
    found: dict[str, float | None] = {}
    if known.own is None:
        return found
    units, chain_at = workers.units, known.own.build(known.law, workers, n, d)
    gamma = units.step_size(gamma)
    here: chain.Chain = chain_at(gamma)
    found["cycle_rounds"] = float(here.period)
    at = stages([SECOND, LARGEST] if effort == "full" else [SECOND])
    with np.errstate(over="ignore", invalid="ignore"):
        found["spectral_radius"] = here.mean_contraction() ** (1.0 / here.period)
        if effort != "cheap":
            tell(units.constants(found))
            next(at)
            found |= _of_second_moments(here)
        if effort == "full":
            tell(units.constants(found))
            next(at)
            limit = known.own.limit
            exact = None if limit is None else limit(known.law, workers, n, d)
            largest = chain.limit(chain_at, gamma) if exact is None else exact
            found["stable_step_size_limit"] = None if np.isnan(largest) else largest
    return units.constants(found)


def _of_second_moments(here: chain.Chain) -> dict[str, float | None]:
    contraction = here.contraction()
    goes_there = 0.0 if contraction < 1.0 else None
    return {
        "cycle_contraction": contraction,
        "rate": contraction ** (1.0 / here.period),
        "limit_gap": goes_there,
        "limit_relative_gap": goes_there,
    }
