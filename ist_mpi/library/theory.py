"""What theory says of a configuration, as numbers and functions of Python."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ist_mpi.errors import Fault, InputError
from ist_mpi.library.asking import configuration
from ist_mpi.library.words import python_words
from ist_mpi.parallel import ranks
from ist_mpi.training import foresight
from ist_mpi.training.foresight import Foresight, foresee

Float64 = NDArray[np.float64]

MOST_ROUNDS = 100_000
"""That `rounds_to` follows."""
NAMES = dict(zip(foresight.COLUMNS, ("round", "gap", "relative_gap"), strict=False)) | {
    "expected_distance_to_solution_squared": "distance_to_solution_squared",
    "expected_distance_to_fixed_point_squared": "distance_to_fixed_point_squared",
    "mean_iterate_gap": "mean_iterate_gap",
    "mean_iterate_relative_gap": "mean_iterate_relative_gap",
}
"""Of expectations, by the columns of ``ist-mpi theory --csv``."""


@dataclass(frozen=True)
class Theory:
    """Exact theory of a configuration, as `ist_mpi.theory` finds it.

    Constants are None where they are undefined or were left out; `why` has the reason for the
    latter.

    Attributes
    ----------
    theta, step_size_limit : float or None
        θ of (14), and 1/θ, the largest step size of Theorem 1.
    contraction, spectral_radius : float or None
        Of (16), and of I − γM.
    stable_step_size_limit : float or None
        γ_max: below it the second moment stays bounded.
    fixed_point_relative_gap, limit_gap, limit_relative_gap : float or None
        Of x∞, and of f in the limit, lim E f(x^k).
    cycle_rounds, cycle_contraction, rate : float or None
        Of methods without the bias.
    step_size : float
        The configured one, a number by now.
    f_star : float
    x_star : ndarray, shape (d,)
    fixed_point : ndarray, shape (d,), or None
        x∞ = M⁻¹m.
    why : mapping of str
        By constant, why it is None.
    """

    _source: Any
    _full: bool
    _comm: Any
    _found: Foresight = field(repr=False)

    def __getattr__(self, name: str) -> Any:
        """A constant of the theory."""
        if name.startswith("_"):
            raise AttributeError(name)
        values = self.to_dict()
        if name in values:
            return values[name]
        raise AttributeError(f"Theory has no {name}; it has {', '.join(sorted(values))}")

    def __dir__(self) -> list[str]:
        return sorted({*self.to_dict(), *object.__dir__(self)} - set(vars(self)))

    @property
    def x_star(self) -> Float64 | None:
        """The minimiser, shape (d,); None where it is not known."""
        return self._found.x_star

    @property
    def fixed_point(self) -> Float64 | None:
        """x∞, to which the mean iterate goes, shape (d,); None where it is not known."""
        return self._found.fixed_point

    @property
    def why(self) -> Mapping[str, str]:
        """By constant, why it is None; one that is None and not here is undefined."""
        reasons: Mapping[str, str] = self.to_dict()["not_computed_because"]
        return reasons

    def to_dict(self) -> dict[str, Any]:
        """What ``ist-mpi theory --json`` prints."""
        return foresight.to_document(self._found)

    def __repr__(self) -> str:
        """The constants that there are."""
        known = {k: v for k, v in self._found.constants.values().items() if v is not None}
        words = ", ".join(f"{name} = {value:.6g}" for name, value in known.items())
        return f"<Theory {self._found.known.subject}: {words or 'nothing is known'}>"

    def expectation(self, rounds: int) -> dict[str, Float64]:
        """The exact expectations of rounds 0 … K, arrays of length K + 1.

        Parameters
        ----------
        rounds : int
            K.

        Returns
        -------
        dict
            ``gap`` (E f(x^k) − f*), ``relative_gap``, ``distance_to_solution_squared``,
            ``distance_to_fixed_point_squared``, ``mean_iterate_gap`` (f(E x^k) − f*) and
            ``mean_iterate_relative_gap``; NaN where left out for its cost (see `full`).

        Raises
        ------
        InputError
            If there is no exact theory of the method with its sketch, or the table is too large.
        """
        if not isinstance(rounds, int) or rounds < 0:
            raise InputError(Fault("rounds", repr(rounds), "an integer of at least 0"))
        with python_words():
            found = foresee(
                self._comm, self._source, rounds=rounds, full=self._full, constants=False
            )
        table = found.trajectory
        if table is None:
            raise InputError(Fault("rounds", str(rounds), "a configuration with exact theory"))
        columns = dict(zip(foresight.COLUMNS, table.T, strict=True))
        return {NAMES[name]: np.array(c) for name, c in columns.items() if name != "round"}

    def rounds_to(self, tolerance: float) -> int | None:
        """The first round at which E f(x^k) − f* is at most `tolerance` times what it began with.

        None where it never is (a bias, or a step size that is too large), or is not known.

        Raises
        ------
        InputError
            If the tolerance is no number between 0 and 1.
        """
        if not 0.0 < tolerance < 1.0:
            raise InputError(Fault("tolerance", repr(tolerance), "a number between 0 and 1"))
        constants = self._found.constants
        limit, known = constants.limit_relative_gap, self._found.known
        if limit is not None and limit > tolerance:
            return None
        if limit is None and known.own is None:
            return None
        rounds = 64
        while rounds <= MOST_ROUNDS:
            gaps = self.expectation(rounds)["relative_gap"]
            below = np.flatnonzero(gaps <= tolerance)
            if below.size:
                return int(below[0])
            if not np.isfinite(gaps[-1]) or gaps[-1] > 1e3:
                return None
            rounds *= 4
        return None


def theory(
    config: Any = None,
    comm: Any = None,
    *,
    full: bool = False,
    L: Any = None,
    b: Any = None,
    X: Any = None,
    y: Any = None,
    **settings: Any,
) -> Theory:
    """See `ist_mpi.theory`."""
    comm = ranks.communicator(comm) if comm is not None else ranks.world_if_any()
    arrays = {"L": L, "b": b, "X": X, "y": y}
    source = None  # of ranks other than 0, for what rank 0 gives
    if config is not None or settings or any(array is not None for array in arrays.values()):
        source = configuration(config, settings, rounds=1000, **arrays)
    with python_words():
        found = foresee(comm, source, full=full)
    return Theory(source, full, comm, found)
