"""f(x) = (1/n) Σ f_i(x): the means that it is made of, and the measurements of an iterate.

L̄ is kept in slabs of rows over the ranks; no rank needs the memory of n matrices. Where the
workers keep samples and d is large, L̄ is never formed. A measurement is one product with L̄, the
same on any number of ranks.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ist_mpi.errors import Fault, InputError
from ist_mpi.exact_theory.moments import enumeration
from ist_mpi.exact_theory.moments import first as theory
from ist_mpi.exact_theory.operators import MeanOfWorkers, Operator, Slabs
from ist_mpi.exact_theory.step import Known
from ist_mpi.kernels import matrices as kernels
from ist_mpi.parallel.team import Team
from ist_mpi.problems.quadratic import LocalQuadratics
from ist_mpi.problems.source import Stored
from ist_mpi.sketches.law import Finite
from ist_mpi.sums import exact_sum

Float64 = NDArray[np.float64]
SLABS = 6000
"""Largest d for which L̄ is formed where the workers keep samples; beyond nothing has d² entries."""


TOO_LARGE = "too large for d × d matrices"
"""Why there is no exact theory of what needs them."""


class Means(NamedTuple):
    """Means over the workers."""

    L: Operator
    """L̄."""
    b: Float64
    """b̄, shape (d,), on every rank."""
    constant: float
    """The mean of the constants f_i(0)."""
    least: float = 0.0
    """A number that no eigenvalue of L̄ is below: l2 where samples are kept."""


class StandIns(NamedTuple):
    """What M and m are made of, where that is not L̄ and b̄.

    Of preconditioned sketches the means of D_i^{−1/2} L_i D_i^{−1/2}, D_i^{−1/2} b_i and
    D_i^{−1/2}; of a finite law M, m and the diagonal of E Σ A_i C_i themselves.
    """

    X: Operator
    y: Float64
    """Shape (d,), on every rank."""
    z: Float64
    """Shape (d,), on every rank."""
    symmetric: bool = True
    """Whether X is."""


class Prediction(NamedTuple):
    """What theory says of a method on this problem, on every rank."""

    x_star: Float64
    """The minimiser x* = L̄⁻¹ b̄, shape (d,); x⁰ itself, where that is it to rounding."""
    f_star: float
    fixed_point: Float64 | None
    """x∞, shape (d,), where the iterates tend to on average; None where undefined."""
    mean_step_size_limit: float
    """The mean iterate is stable for γ below this: 2/λ_max(M); NaN where undefined."""
    diagonal: Float64
    """Diag(L̄), shape (d,)."""
    unknown: bool = False
    """Whether there is an x∞ that could not be found without a d × d matrix."""


class Metrics(NamedTuple):
    """One measurement of x, as the log's columns define them."""

    gap: float
    distance_to_solution: float
    distance_to_fixed_point: float
    gradient_norm_squared: float
    gradient_norm_squared_w: float

    def row(self) -> dict[str, float]:
        """By the names of columns."""
        return self._asdict()


def by_products(stored: Stored, d: int) -> bool:
    """Whether L̄ is known by its products alone, or there is none."""
    return not stored.quadratic or (stored.kind != "matrix" and d > SLABS)


def _mean_operator(
    team: Team, local: LocalQuadratics, stored: Stored, roots: Float64 | None = None
) -> Operator:
    """L̄; with roots (u, d) the mean of the rescaled matrices; collective."""
    d = team.d
    if by_products(stored, d):
        entries = 2.0 * stored.total + team.n * d
        return MeanOfWorkers(team, local, entries, roots)

    if local.homogeneous and roots is None:
        return Slabs(team, local.matrix(0)[team.slab])

    def L_of(worker: int) -> Float64:
        u = int(local.index[worker - team.first])
        L = local.matrix(u)
        return L if roots is None else np.asarray(roots[u][:, None] * L * roots[u])

    return Slabs(team, team.mean_rows(L_of, (d, d)))


def means(team: Team, local: LocalQuadratics, stored: Stored) -> Means:
    """L̄, b̄ and the mean constant, added up in worker order; collective."""

    def b_of(worker: int) -> Float64:
        return np.asarray(local.b[local.index[worker - team.first]])

    d = team.d
    L = _mean_operator(team, local, stored)
    if local.homogeneous:
        return Means(L, local.b[0], float(local.constant[0]), local.least)
    b = team.whole(team.mean_rows(b_of, (d,)), everywhere=True)
    constants = team.all_workers(local.constant[local.index])
    mean = exact_sum(constants) / len(constants)
    return Means(L, np.asarray(b), mean, local.least)


def within_reach(known: Known, stored: Stored, d: int) -> Known:
    """What is known, but for what needs d × d matrices where none is formed."""
    if by_products(stored, d) and known.law is not None and known.law.listed:
        return known._replace(obstacle=TOO_LARGE)
    if known.own is not None and d > SLABS:
        return known._replace(own=None, obstacle=TOO_LARGE)
    return known


def stand_ins(team: Team, local: LocalQuadratics, stored: Stored, known: Known) -> StandIns | None:
    """What takes the place of L̄ and b̄ in M and m, if anything does; collective.

    Raises
    ------
    InputError
        On every rank: a preconditioned sketch meets a diagonal entry that is not positive; a
        finite law is of other n or d.
    """
    if known.both is None:
        return None
    step, law = known.both
    if isinstance(law, Finite):
        return _of_finite_law(team, local, law, step.two_sided)
    return _preconditioned(team, local, stored) if law.preconditioned else None


def _of_finite_law(team: Team, local: LocalQuadratics, law: Finite, two_sided: bool) -> StandIns:
    """M = Σ W_i ∘ L_i, m = Σ w_i ∘ b_i and E Σ A_i C_i, from the weights of each worker."""
    n, d = team.n, team.d
    law.check(n, d)

    def both(worker: int) -> Float64:
        u = int(local.index[worker - team.first])
        W, w = enumeration.mean_weights(law, two_sided, worker, d)
        return np.column_stack([W * local.matrix(u), w * local.b[u], w])

    whole = team.whole(team.sum_rows(both, (d, d + 2)), everywhere=True)
    M, y, z = np.split(np.asarray(whole), [d, d + 1], axis=1)
    symmetric = enumeration.is_symmetric(M)
    M = 0.5 * (M + M.T) if symmetric else M
    slab = Slabs(team, np.ascontiguousarray(M[team.slab]))
    return StandIns(slab, y.ravel(), z.ravel(), symmetric)


def _preconditioned(team: Team, local: LocalQuadratics, stored: Stored) -> StandIns:
    """The means of the preconditioned quadratics; see `stand_ins`."""
    diagonals = local.diagonals
    with team.agreeing():
        bad = np.argwhere(diagonals[local.index] <= 0)
        if bad.size:
            worker, coordinate = team.first + int(bad[0, 0]), int(bad[0, 1])
            raise InputError(
                Fault(
                    'method.scaling = "preconditioned"',
                    f"a zero diagonal entry of L_i at coordinate {coordinate} of worker {worker} "
                    f"(both counted from 0; {len(bad)} such entries on its rank)",
                    "positive diagonals, which D_i^{−1/2} needs",
                    "set problem.l2 > 0, or drop the column",
                )
            )
    roots = 1.0 / np.sqrt(diagonals)

    def of(worker: int) -> int:
        return int(local.index[worker - team.first])

    def b_of(worker: int) -> Float64:
        return np.asarray(roots[of(worker)] * local.b[of(worker)])

    def root_of(worker: int) -> Float64:
        return np.asarray(roots[of(worker)])

    def vector(array_of: Any) -> Float64:
        slab = team.mean_rows(array_of, (team.d,))
        return np.asarray(team.whole(slab, everywhere=True))

    L = _mean_operator(team, local, stored, roots)
    return StandIns(L, vector(b_of), vector(root_of))


class Objective:
    """Measures iterates.

    Parameters
    ----------
    team : Team
    mean : Means
    prediction : Prediction
    moments : FirstMoments or None
        Of the method, for the norm of Theorem 1; None where the theorem does not apply.
    stand_ins : StandIns or None
    """

    def __init__(
        self,
        team: Team,
        mean: Means,
        prediction: Prediction,
        moments: theory.FirstMoments | None,
        stand_ins: StandIns | None,
    ) -> None:
        self.mean, self.prediction = mean, prediction
        self.X = mean.L if stand_ins is None else stand_ins.X
        self._team = team
        self._moments = moments

    def gap(self, x: Float64) -> float:
        """f(x) − f* of an x (d,) known to every rank, on every rank; collective."""
        metrics = self.measure(x)
        return float(self._team.comm.bcast(metrics.gap if metrics is not None else None))

    def measure(self, x: Float64) -> Metrics | None:
        """The metrics of x (d,), known to every rank; on rank 0, None elsewhere; collective.

        The gap is ½⟨∇f(x), x − x*⟩ with ∇f(x) = L̄(x − x*), never a difference of two values of f.
        """
        error = x - self.prediction.x_star
        gradient = self.mean.L.product(error)
        around, turned = self._images(error)
        if gradient is None:
            return None
        away = math.nan
        if self.prediction.fixed_point is not None:
            offset = x - self.prediction.fixed_point
            away = math.sqrt(kernels.row_product(offset, offset))
        return Metrics(
            gap=0.5 * float(kernels.row_product(gradient, error)),
            distance_to_solution=math.sqrt(kernels.row_product(error, error)),
            distance_to_fixed_point=away,
            gradient_norm_squared=float(kernels.row_product(gradient, gradient)),
            gradient_norm_squared_w=self._w_norm(gradient, around, turned),
        )

    def _images(self, error: Float64) -> tuple[Float64 | None, Float64 | None]:
        """BD(X) e on every rank, and Xe on rank 0, X as in `theory`; collective.

        The first is None without Theorem 1; the second where M has no part of it, or where it is
        L̄e, which is known anyway.
        """
        if self._moments is None:
            return None, None
        X = self.X
        around = X.groups_product(error, self._moments.group_size)
        if X is self.mean.L:
            return around, None
        return around, X.product(error) if self._moments.rho > 0 else None

    def _w_norm(self, gradient: Float64, around: Float64 | None, turned: Float64 | None) -> float:
        """(x − x*)ᵀ W̄ (x − x*) = ⟨L̄e, Me⟩, since W̄ = ½ (L̄M + MᵀL̄); NaN without Theorem 1.

        `around` and `turned` (d,) are those of `_images`.
        """
        if self._moments is None or around is None:
            return math.nan
        alpha, rho = self._moments.alpha, self._moments.rho
        if self.X is self.mean.L:
            turned = gradient
        same = kernels.row_product(gradient, around)
        if turned is None:
            return float(alpha * (1 - rho) * same)
        met = kernels.row_product(gradient, turned)
        return float(alpha * (rho * met + (1 - rho) * same))
