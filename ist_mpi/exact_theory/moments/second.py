"""Exact second moments of one round with one local step, without sampling.

A round is x⁺ = C̄ x − γ (B̄ x − c), with C̄ = I except for merges that multiply the model, and with

    B̄ = Σ_i A_i C_i L_i C_i  (one-sided steps: Σ_i A_i C_i L_i),    c = Σ_i A_i C_i b_i,

A_i = I/n mostly. With a `Finite` law the moments are sums over its draws (`enumeration`). With an
`Exchangeable` one, each of the sums over workers has entries whose *slots* (row and column of
C_i L_i C_i, row of C_i L_i and of C_i b_i) must lie in worker i's block S_i. The mean of a product
of two such sums depends on the blocks only through which slots hold the same coordinate: through a
partition of the slots. With g(ρ) the mean for slots that coincide exactly as ρ says, for one worker
(g₁) and for two (g₂), and Φ_σ the product's terms in which at least the slots of each block of σ
coincide,

    E = Σ_σ [ c¹_σ Σ_i Φ_σ(worker i, i) + c²_σ Σ_{i≠j} Φ_σ(worker i, j) ]
      = Σ_σ [ (c¹_σ − c²_σ) Σ_i Φ_σ(worker i, i) + n² c²_σ Φ_σ(mean, mean) ],
    c_σ = Σ_{ρ finer than or equal to σ} μ(ρ, σ) g(ρ),

μ the Möbius function of the partition lattice. So every rank adds up the terms of its own workers
with the coefficients `own`, and the mean quadratic makes one more term, with those called `mean`.

Where a sketch moves groups of g coordinates, the same holds with slots "in the same group" for
slots that "coincide": g(ρ) is that of N = d/g coordinates, and BD takes Diag's place in the Φ_σ.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ist_mpi.errors import Fault, InputError
from ist_mpi.exact_theory.moments import enumeration
from ist_mpi.exact_theory.moments.certainty import same_in_every_draw
from ist_mpi.exact_theory.moments.first import first_moments, mean_operator
from ist_mpi.exact_theory.moments.partitions import Coefficients, Split, Weights, coefficients
from ist_mpi.exact_theory.moments.terms import cross_term, one_sided_term, outer_term, second_term
from ist_mpi.exact_theory.step import Known, Step
from ist_mpi.exact_theory.workers import Here, Quadratic, Workers
from ist_mpi.sketches.law import Exchangeable, Finite, Law

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class RoundMoments(ABC):
    """First and second moments of one round; made by `round_moments`.

    Methods may sum over workers: all ranks call them together.

    Attributes
    ----------
    L_mean, b_mean : ndarray, shapes (d, d) and (d,)
        L̄ and b̄.
    M, m : ndarray, shapes (d, d) and (d,)
        E B̄ and E c.
    mean_sketch : ndarray, shape (d,), or None
        The diagonal of E C̄ for a merge that multiplies the model, else None: C̄ = I.
    symmetric : bool
        Whether M is symmetric.
    self_adjoint : bool
        Whether B̄ is symmetric in every draw.
    preconditioned : bool
        Whether the C_i carry D_i^{−1/2}.
    one_draw : bool
        Whether a round is the same in every draw.
    certain : bool
        Whether B̄ is, for these quadratics.
    workers : Workers
    """

    L_mean: Float64
    b_mean: Float64
    M: Float64
    m: Float64
    mean_sketch: Float64 | None
    symmetric: bool
    self_adjoint: bool
    preconditioned: bool
    one_draw: bool
    certain: bool
    workers: Workers

    @abstractmethod
    def second(self, A: Float64, transposed: bool = False) -> Float64:
        """E[B̄ A B̄ᵀ], or E[B̄ᵀ A B̄] if `transposed`, for A (d, d) symmetric."""

    @abstractmethod
    def cross(self, x: Float64) -> Float64:
        """E[B̄ x cᵀ], shape (d, d), for x (d,)."""

    @abstractmethod
    def outer(self) -> Float64:
        """E[c cᵀ], shape (d, d)."""

    @abstractmethod
    def sketch_cross(self, A: Float64) -> Float64:
        """E[B̄ A C̄], shape (d, d), for A (d, d)."""

    @abstractmethod
    def sketch_outer(self) -> tuple[Float64, Float64]:
        """E[s sᵀ] and E[s cᵀ] with s the diagonal of C̄, so that E[C̄ A C̄] = A ∘ E[s sᵀ]."""

    def sigma_squared(self) -> float | None:
        """σ² = E‖g − E g‖²_L̄ = E‖c − E c‖²_L̄ of (30); None where it depends on x."""
        if not self.certain:
            return None
        covariance = self.outer() - np.multiply.outer(self.m, self.m)
        return max(0.0, float(np.sum(self.L_mean * covariance)))


@dataclass(frozen=True)
class ByCoincidence(RoundMoments):
    """The moments under an `Exchangeable` law.

    Attributes
    ----------
    coefficients : Coefficients
    X_mean, y_mean, z_mean : ndarray, shapes (d, d), (d,) and (d,)
        Means of the factors that stand in for L_i, b_i and the diagonal of C_i: preconditioned,
        D_i^{−1/2} L_i D_i^{−1/2}, D_i^{−1/2} b_i and D_i^{−1/2}; else L_i, b_i and ones.
    two_sided : bool
        Whether C_i stands on both sides of L_i.
    group_size : int
        g.
    """

    coefficients: Coefficients
    X_mean: Float64
    y_mean: Float64
    z_mean: Float64
    two_sided: bool
    group_size: int

    def second(self, A: Float64, transposed: bool = False) -> Float64:
        """E[B̄ A B̄ᵀ], or E[B̄ᵀ A B̄] if `transposed` (the same for two-sided steps)."""

        def term(c: Weights, X: Float64, y: Float64, z: Float64) -> Float64:
            if not self.two_sided:
                return one_sided_term(c, X, A, transposed, self.group_size)
            return second_term(c, X, A, self.group_size)

        self.workers.beat()
        out = self._moment(self.coefficients.second, term)
        return np.asarray(0.5 * (out + out.T))

    def cross(self, x: Float64) -> Float64:
        """E[B̄ x cᵀ], shape (d, d), for x (d,)."""
        g = self.group_size

        def term(c: Weights, X: Float64, y: Float64, z: Float64) -> Float64:
            if not self.two_sided:
                return outer_term(c, X @ x, y, g)
            return cross_term(c, X, y, x[:, None], g)

        return self._moment(self.coefficients.cross, term)

    def outer(self) -> Float64:
        """E[c cᵀ], shape (d, d)."""
        c, g = self.coefficients.outer, self.group_size
        return self._moment(c, lambda c, X, y, z: outer_term(c, y, y, g))

    def sketch_cross(self, A: Float64) -> Float64:
        """E[B̄ A C̄], shape (d, d), for A (d, d)."""
        c, g = self.coefficients.cross, self.group_size
        return self._moment(c, lambda c, X, y, z: cross_term(c, X, z, A, g))

    def sketch_outer(self) -> tuple[Float64, Float64]:
        """E[s sᵀ] and E[s cᵀ] with s the diagonal of C̄."""
        c, g = self.coefficients.outer, self.group_size
        return (
            self._moment(c, lambda c, X, y, z: outer_term(c, z, z, g)),
            self._moment(c, lambda c, X, y, z: outer_term(c, z, y, g)),
        )

    def _moment(
        self, split: Split, term: Callable[[Weights, Float64, Float64, Float64], Float64]
    ) -> Float64:
        out = term(split.mean, self.X_mean, self.y_mean, self.z_mean)
        if any(split.own.values()):
            own = split.own
            out += self.workers.sum(lambda f: term(own, *_factors(f, self.preconditioned)))
        return out


def _factors(quadratic: Quadratic, preconditioned: bool) -> tuple[Float64, Float64, Float64]:
    """(X, y, z) of one worker; see `ByCoincidence`."""
    if not preconditioned:
        return quadratic.L, quadratic.b, np.ones_like(quadratic.b)
    root = 1.0 / np.sqrt(np.diagonal(quadratic.L))
    return quadratic.L * np.multiply.outer(root, root), quadratic.b * root, root


@dataclass(frozen=True)
class ByEnumeration(RoundMoments):
    """The moments under a `Finite` law, every draw with its matrices."""

    draws: enumeration.Draws

    def second(self, A: Float64, transposed: bool = False) -> Float64:
        """E[B̄ A B̄ᵀ], or E[B̄ᵀ A B̄] if `transposed`."""
        self.workers.beat()
        B = self.draws.B.transpose(0, 2, 1) if transposed else self.draws.B
        out = sum(p * (b @ A @ b.T) for p, b in zip(self.draws.p, B, strict=True))
        return np.asarray(0.5 * (out + out.T))

    def cross(self, x: Float64) -> Float64:
        """E[B̄ x cᵀ], shape (d, d), for x (d,)."""
        p, B, c, _ = self.draws
        return np.asarray((p[:, None] * (B @ x)).T @ c)

    def outer(self) -> Float64:
        """E[c cᵀ], shape (d, d)."""
        p, _, c, _ = self.draws
        return np.asarray((p[:, None] * c).T @ c)

    def sketch_cross(self, A: Float64) -> Float64:
        """E[B̄ A C̄], shape (d, d), for A (d, d)."""
        p, B, _, s = self.draws
        return np.asarray(sum(p[r] * (B[r] @ A) * s[r] for r in range(len(p))))

    def sketch_outer(self) -> tuple[Float64, Float64]:
        """E[s sᵀ] and E[s cᵀ] with s the diagonal of C̄."""
        p, _, c, s = self.draws
        weighed = (p[:, None] * s).T
        return np.asarray(weighed @ s), np.asarray(weighed @ c)


def round_moments(
    step: Step | None, law: Law | None, n: int, d: int, workers: Sequence[Quadratic] | Workers
) -> RoundMoments:
    """The moments of one round.

    Parameters
    ----------
    step : Step
        With one local step.
    law : Law
        Of the sketch.
    n, d : int
        Workers and coordinates.
    workers : sequence of Quadratic, or Workers
        The workers' quadratics; or, where they are spread over ranks, the sums over them.

    Raises
    ------
    InputError
        If there is no exact theory, or none of so many local steps; if a finite law does not fit n
        and d, or its matrices do not fit into memory.
    """
    if step is None or law is None:
        raise InputError(Fault("method", Known(step, law).why_not, "a step and a law"))
    if step.local_steps != 1:
        raise InputError(Fault("method.local_steps", str(step.local_steps), "1"))
    over = Here(workers) if isinstance(workers, Sequence) else workers
    L_mean, b_mean = over.sum(lambda f: f.L) / n, over.sum(lambda f: f.b) / n
    if isinstance(law, Finite):
        return _by_enumeration(step, law, L_mean, b_mean, over, n)
    return _by_coincidence(step, law, L_mean, b_mean, over, n)


def _by_enumeration(
    step: Step, law: Finite, L_mean: Float64, b_mean: Float64, workers: Workers, n: int
) -> ByEnumeration:
    draws = enumeration.draws_of(law, step.two_sided, n, len(b_mean), workers)
    M, m = draws.mean(draws.B), draws.mean(draws.c)
    symmetric = enumeration.is_symmetric(M)
    return ByEnumeration(
        L_mean=L_mean,
        b_mean=b_mean,
        M=0.5 * (M + M.T) if symmetric else M,
        m=m,
        mean_sketch=draws.mean(draws.s) if step.multiplies_model else None,
        symmetric=symmetric,
        self_adjoint=all(map(enumeration.is_symmetric, draws.B)),
        preconditioned=False,
        one_draw=law.one_draw,
        certain=draws.certain,
        workers=workers,
        draws=draws,
    )


def _by_coincidence(
    step: Step, law: Exchangeable, L_mean: Float64, b_mean: Float64, workers: Workers, n: int
) -> ByCoincidence:
    X_mean, y_mean, z_mean = L_mean, b_mean, np.ones(len(b_mean))
    if law.preconditioned:
        X_mean = workers.sum(lambda f: _factors(f, True)[0]) / n
        y_mean = workers.sum(lambda f: _factors(f, True)[1]) / n
        z_mean = workers.sum(lambda f: _factors(f, True)[2]) / n
    first = first_moments(step, law)

    def X_of(f: Quadratic) -> Float64:
        return _factors(f, law.preconditioned)[0]

    return ByCoincidence(
        L_mean=L_mean,
        b_mean=b_mean,
        M=mean_operator(first, X_mean.copy()),
        m=first.beta * y_mean,
        mean_sketch=first.beta * z_mean if step.multiplies_model else None,
        symmetric=True,
        self_adjoint=step.two_sided,
        preconditioned=law.preconditioned,
        one_draw=law.one_draw,
        certain=law.certain or same_in_every_draw(step, law, n, X_mean, X_of, workers),
        workers=workers,
        coefficients=coefficients(step, law, n),
        X_mean=X_mean,
        y_mean=y_mean,
        z_mean=z_mean,
        two_sided=step.two_sided,
        group_size=law.group_size,
    )
