"""What theory says of a configuration, as numbers and functions of Python."""

import math
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ist_mpi.config import Config, load
from ist_mpi.errors import Fault, InputError
from ist_mpi.library.arguments import between, flag, integer
from ist_mpi.library.asking import configuration
from ist_mpi.library.words import in_python, python_words
from ist_mpi.parallel import ranks
from ist_mpi.training import foresight
from ist_mpi.training.foresight import foresee

Float64 = NDArray[np.float64]

MOST_ROUNDS = 100_000
"""That `rounds_to` follows."""
DIVERGES = 1e3
"""A relative gap from which `rounds_to` expects no way back."""
NEAR = 1e-6
"""How near to its limit, relatively, an expectation is taken to have arrived."""
NAMES = dict(zip(foresight.COLUMNS, ("round", "gap", "relative_gap"), strict=False)) | {
    "expected_distance_to_solution_squared": "distance_to_solution_squared",
    "expected_distance_to_fixed_point_squared": "distance_to_fixed_point_squared",
    "mean_iterate_gap": "mean_iterate_gap",
    "mean_iterate_relative_gap": "mean_iterate_relative_gap",
}
"""Of expectations, by the columns of ``ist-mpi theory --csv``."""


@dataclass(frozen=True, eq=False)
class Theory:
    """Exact theory of a configuration, as `ist_mpi.theory` finds it.

    Constants are None where they are undefined or were left out; `why` has the reasons.

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

    _subject: str
    _question: Config | None
    _digest: str
    _full: bool
    _comm: Any
    _document: dict[str, Any]
    _constants: tuple[str, ...]
    _x_star: Float64 | None
    _fixed_point: Float64 | None
    _can_be_followed: bool

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
        return self._x_star

    @property
    def fixed_point(self) -> Float64 | None:
        """x∞, to which the mean iterate goes, shape (d,); None where it is not known."""
        return self._fixed_point

    @property
    def why(self) -> Mapping[str, str]:
        """By constant, why it is None: a sentence."""
        reasons: Mapping[str, str] = self._document["not_computed_because"]
        return {name: in_python(why) for name, why in reasons.items()}

    def to_dict(self) -> dict[str, Any]:
        """What ``ist-mpi theory --json`` prints."""
        return deepcopy(self._document)

    def __repr__(self) -> str:
        """The constants that there are."""
        constants = {name: self._document[name] for name in self._constants}
        words = ", ".join(f"{k} = {v:.6g}" for k, v in constants.items() if v is not None)
        return f"<Theory {self._subject}: {words or 'nothing is known'}>"

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
            If there is no exact theory of the method with its sketch, the table is too large, or
            the data are others than they were.
        """
        rounds = integer("rounds", rounds, 0)
        with python_words():
            found = foresee(
                self._comm, self._question, rounds=rounds, full=self._full, constants=False
            )
        if found.digest != self._digest:
            raise InputError(foresight.CHANGED)
        table = found.trajectory
        if table is None:
            raise InputError(Fault("rounds", str(rounds), "a configuration with exact theory"))
        columns = dict(zip(foresight.COLUMNS, table.T, strict=True))
        return {NAMES[name]: np.array(c) for name, c in columns.items() if name != "round"}

    def rounds_to(self, tolerance: float) -> int | None:
        """The first round at which E f(x^k) − f* is at most `tolerance` times what it began with.

        None where it never is (a bias, or a step size that is too large), or where no round can be
        followed, as `why` says.

        Raises
        ------
        InputError
            If the tolerance is no number between 0 and 1; if it is not reached in 100 000 rounds,
            while nothing says that it never is; or if the data are others than they were.
        """
        tolerance = between("tolerance", tolerance, 1.0)
        if not self._can_be_followed:
            return None
        way = _Way(tolerance, self._document["limit_relative_gap"])
        with python_words(), ranks.abort_on_error(self._comm):
            foresight.follow(self._comm, self._question, self._full, self._digest, way.enough)
        if way.unsure:
            got = f"{tolerance:g}, not reached in {MOST_ROUNDS} rounds"
            expected = "a larger one, which is"
            remedy = "expectation(K) has the gaps of as many rounds as wished"
            raise InputError(Fault("tolerance", got, expected, remedy))
        return way.reached


class _Way:
    """The way of an expected gap to a tolerance, round by round."""

    def __init__(self, tolerance: float, limit: float | None) -> None:
        self._tolerance, self._limit = tolerance, limit
        self._look = 64
        """The round at which it is next asked whether there is hope."""
        self._arrived = 0
        """Rounds for which it has been at its limit by now."""
        self.reached: int | None = None
        self.unsure = False
        """Whether the rounds were too few to tell."""

    def enough(self, k: int, gap: float) -> bool:
        """Whether no later round is of interest."""
        if gap <= self._tolerance:
            self.reached = k
            return True
        limit = self._limit
        near = limit is not None and abs(gap - limit) <= NEAR * limit
        self._arrived = self._arrived + 1 if near else 0
        if k not in (self._look, MOST_ROUNDS):
            return False
        if self._never(k, gap):
            return True
        self._look *= 4
        self.unsure = k == MOST_ROUNDS
        return self.unsure

    def _never(self, k: int, gap: float) -> bool:
        """Whether the tolerance is out of reach; on its way a gap may swing below its limit."""
        limit = self._limit
        if not math.isfinite(gap) or (limit is None and gap > DIVERGES):
            return True
        above = limit is not None and self._tolerance < (1.0 - NEAR) * limit
        return above and 4 * self._arrived >= k


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
    with python_words(), ranks.abort_on_error(comm):
        ranks.meet(comm, "ist_mpi.theory")
        with ranks.agreeing(comm):
            full = flag("full", full)
            if config is not None or settings or any(one is not None for one in arrays.values()):
                source = configuration(config, settings, rounds=1000, **arrays)
            question = None if source is None else load(source)  # what a file says may change
        found = foresee(comm, question, full=full)
    return Theory(
        _subject=found.known.subject,
        _question=question,
        _digest=found.digest,
        _full=full,
        _comm=comm,
        _document=foresight.to_document(found),
        _constants=tuple(found.constants.values()),
        _x_star=found.x_star,
        _fixed_point=found.fixed_point,
        _can_be_followed=found.can_be_followed,
    )
