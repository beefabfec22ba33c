"""Problems that are no quadratics: every worker's f_i by its values and gradients.

One of one's own is made on every rank, a `FunctionProblem`. Of samples, rank 0 opens a
`FunctionSource` and deals shares, of which every rank makes the functions of its own workers.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ist_mpi.config import Problem
from ist_mpi.errors import Fault, InputError
from ist_mpi.problems.given import unmasked
from ist_mpi.problems.own import sized
from ist_mpi.problems.source import Stored
from ist_mpi.sketches import Units
from ist_mpi.sketches.blocks import Blocks

Float64 = NDArray[np.float64]
Columns = Mapping[str, tuple[str, str]]
"""Of the log: units and long names."""
NO_COLUMNS: Columns = MappingProxyType({})


class HeldOut(Protocol):
    """What is measured of a model on rank 0 alone, as on samples that no worker has."""

    columns: Columns

    def values(self, x: Float64) -> Sequence[float]:
        """A number for each column."""


class FunctionSource(Protocol):
    """A problem that is dealt, as rank 0 sees it; found by a class, the kind, with its Settings."""

    dealt: ClassVar[bool]
    """True."""
    theory: ClassVar[str]
    """Where what is known of it is, "module:class"; "": nothing is. See `training.functions`."""
    replay: ClassVar[str]
    """Where its second implementation for verify is, likewise: (log, source) ↦ instance, or why it
    cannot be rebuilt."""
    n: int
    d: int
    homogeneous: bool
    data_bytes: int
    """What it takes on rank 0 until it is dealt."""
    stored: Stored
    """Of kind "functions", with what the largest worker keeps."""
    notes: tuple[str, ...]
    """What the user should know of the data."""
    units: Units | None
    """What its coordinates belong to, where sketches are to deal that out; may be left out."""

    def share(self, worker: int) -> Any:
        """What worker `worker` (0-based) is made of; can be sent to another rank."""

    @staticmethod
    def local(settings: Any, shares: list[Any], first: int, d: int) -> "LocalFunctions":
        """The functions of a rank's workers, from `first` on, of their shares, in order."""

    def held_out(self) -> HeldOut | None:
        """What is measured on rank 0; it is all that stays there of the data."""

    def start(self) -> Float64:
        """x⁰, shape (d,)."""


class FunctionProblem:
    """f(x) = (1/n) Σ f_i(x), each f_i known by its value and its gradient.

    It is made on every rank, which asks it for its own workers only; so what is random in it must
    come from its settings.

    Attributes
    ----------
    n, d : int
        Workers and coordinates; set by `__init__`.
    x_star : ndarray or None
        The minimiser, shape (d,), where it is known: then the log has gaps and distances.
    columns : mapping
        Further columns of the log, with their units and long names; see `measurements`.

    Its settings are a class attribute, derived from `ist_mpi.config.Problem`.
    """

    Settings: ClassVar[type[Problem]] = Problem
    homogeneous: ClassVar[bool] = False
    data_bytes: ClassVar[int] = 0
    stored: ClassVar[Stored] = Stored("functions")
    dealt: ClassVar[bool] = False
    theory: ClassVar[str] = ""
    replay: ClassVar[str] = ""
    notes: tuple[str, ...] = ()

    n: int
    d: int
    x_star: Float64 | None = None
    columns: Columns = NO_COLUMNS

    def __init__(self, settings: Any) -> None:
        self.settings = settings

    @classmethod
    def open(cls, settings: Any) -> "FunctionProblem":
        """The problem, on any rank."""
        made = sized(cls(settings))
        x_star = unmasked(made.x_star, f"{cls.__name__}.x_star")
        if x_star is not None and np.shape(x_star) != (made.d,):
            got = f"shape {np.shape(x_star)}"
            raise InputError(Fault(f"{cls.__name__}.x_star", got, f"({made.d},), or None"))
        return made

    def value(self, worker: int, x: Float64) -> float:
        """f_i(x) of worker 0 … n − 1, x (d,)."""
        raise NotImplementedError

    def gradient(self, worker: int, x: Float64) -> Float64:
        """∇f_i(x), shape (d,)."""
        raise NotImplementedError

    def measurements(self, worker: int, x: Float64) -> Sequence[float]:
        """A number for each of `columns`, of which the log has the mean over the workers."""
        return ()

    def held_out(self) -> HeldOut | None:
        """What is measured on rank 0 alone; here nothing."""
        return None

    def start(self) -> Float64:
        """x⁰, shape (d,); here 0."""
        return np.zeros(self.d)


def read_only(x: Float64) -> Float64:
    """The same numbers, for code that must not change the model."""
    view = x.view()
    view.flags.writeable = False
    return view


class FunctionSteps(NamedTuple):
    """What a rank's workers do with their submodels; see `kernels.rounds.Steps`."""

    gamma: float
    local_steps: int
    merging: bool
    disjoint: bool


class LocalFunctions:
    """The functions of one rank's workers, with what methods ask of `LocalQuadratics` too.

    A kind of problem says `value`, `gradient` and `measurements`; all else is made of these, and
    may be made faster.
    """

    compiled = False
    kind = "functions"

    x_star: Float64 | None = None
    columns: Columns = NO_COLUMNS
    digests: tuple[str, ...] = ()
    """Of the workers' data, where they are dealt."""

    def __init__(self, d: int, first: int, last: int) -> None:
        self.d, self.first, self.last = d, first, last
        """`first` is the rank's first worker, `last` the next rank's."""

    def value(self, worker: int, x: Float64) -> float:
        """f_i(x) of one of the rank's workers, x (d,)."""
        raise NotImplementedError

    def gradient(self, worker: int, x: Float64) -> Float64:
        """∇f_i(x), shape (d,)."""
        raise NotImplementedError

    def measurements(self, worker: int, x: Float64) -> Sequence[float]:
        """A number for each of `columns`."""
        return ()

    def open_round(self, seed: int, k: int) -> None:
        """What follows is of round k of the run with this seed: what chance decides belongs to it.

        Here nothing; measurements are of no round.
        """

    @property
    def index(self) -> NDArray[np.int64]:
        """Shape (m,): which function each of the rank's workers has."""
        return np.arange(self.last - self.first)

    def gradients(self, x: Float64, S: Blocks) -> Float64:
        """The coordinates S_i of ∇f_i(x), shape (t,), for each of this rank's workers."""
        out = np.empty(S.pi.size)
        for worker, piece in self._pieces(S):
            out[piece] = self.gradient(worker, x)[S.pi[piece]]
        return out

    def differences(self, x: Float64, y: Float64, S: Blocks) -> Float64:
        """See `LocalQuadratics.differences`."""
        return self.gradients(x, S) - self.gradients(y, S)

    def gradients_apart(self, X: Float64, S: Blocks) -> Float64:
        """The same at a model of each worker's own, X (m, d)."""
        out = np.empty(S.pi.size)
        for worker, piece in self._pieces(S):
            out[piece] = self.gradient(worker, X[worker - self.first])[S.pi[piece]]
        return out

    def whole_gradients(self, x: Float64) -> Float64:
        """See `LocalQuadratics.whole_gradients`."""
        workers = range(self.first, self.last)
        at = x if x.ndim == 2 else np.broadcast_to(x, (len(workers), x.size))
        found = [self.gradient(worker, at[i]) for i, worker in enumerate(workers)]
        return np.array(found).reshape(len(workers), x.shape[-1])

    def changes(self, h: Float64, u: Float64, S: Blocks) -> Float64:
        """See `LocalQuadratics.changes`."""
        out = np.empty(S.pi.size)
        for worker, piece in self._pieces(S):
            block, there = S.pi[piece], h.copy()
            there[block] += u[piece]
            out[piece] = (self.gradient(worker, there) - self.gradient(worker, h))[block]
        return out

    def steps(
        self, sketch: Any, most: int, gamma: float, count: int, merging: bool, disjoint: bool
    ) -> FunctionSteps:
        """See `LocalQuadratics.steps`."""
        return FunctionSteps(gamma, count, merging, disjoint)

    def submodels(self, S: Blocks, x: Float64, steps: FunctionSteps) -> Float64:
        """What the workers send back, from the parts x (t,) of the model.

        w_i = C_i x; w_i ← w_i − γ C_i ∇f_i(w_i); then A_i w_i, or A_i (w_i − C_i x).
        """
        pieces = np.empty(x.size)
        for worker, piece in self._pieces(S):
            block, C, A = S.pi[piece], S.C[piece], S.A[piece]
            w = np.zeros(self.d)
            w[block] = C * x[piece]
            for _ in range(steps.local_steps):
                w[block] -= steps.gamma * C * self.gradient(worker, w)[block]
            if steps.merging:
                pieces[piece] = A * w[block]
            else:
                change = A * (w[block] - C * x[piece])
                pieces[piece] = x[piece] + change if steps.disjoint else change
        return pieces

    def _pieces(self, S: Blocks) -> list[tuple[int, slice]]:
        """Each of the rank's workers with where its block is."""
        edges = S.offsets - S.offsets[0]
        workers = range(self.first, self.last)
        return [(worker, slice(edges[i], edges[i + 1])) for i, worker in enumerate(workers)]


class OfProblem(LocalFunctions):
    """Those of a `FunctionProblem`."""

    def __init__(self, problem: FunctionProblem, first: int, last: int) -> None:
        super().__init__(problem.d, first, last)
        self.problem, self.x_star, self.columns = problem, problem.x_star, problem.columns

    def value(self, worker: int, x: Float64) -> float:
        """See `LocalFunctions`."""
        return float(self.problem.value(worker, read_only(x)))

    def gradient(self, worker: int, x: Float64) -> Float64:
        """See `LocalFunctions`."""
        return np.array(self.problem.gradient(worker, read_only(x)), dtype=np.float64)

    def measurements(self, worker: int, x: Float64) -> Sequence[float]:
        """See `LocalFunctions`."""
        return self.problem.measurements(worker, read_only(x))
