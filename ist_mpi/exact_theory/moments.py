"""Exact second moments of one round with one local step (SPEC §4), without sampling.

A round is x⁺ = C̄ x − γ (B̄ x − c), with C̄ = I except for merges that multiply the model, and with

    B̄ = Σ_i A_i C_i L_i C_i  (compressed gradient descent: Σ_i A_i C_i L_i),    c = Σ_i A_i C_i b_i,

A_i = I/n mostly. Each is a sum over workers of entries whose *slots* (row and column of
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

A partition is written with the slots' letters, "ac|eb": a, c | e, b for the rows and columns of
B̄ and B̄ in E[B̄ A B̄]; a, c | b for E[B̄ Q Diag(c)]; a | b for E[c cᵀ].

Where a permutation moves groups of g coordinates, the same holds with slots "in the same group" for
slots that "coincide": g(ρ) is that of N = d/g coordinates, and the Φ_σ are those of `grouped`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import factorial, perm, prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ist_mpi.config import Method
from ist_mpi.errors import Fault, InputError
from ist_mpi.exact_theory import diagonals, grouped
from ist_mpi.exact_theory.first_moments import first_moments, mean_operator
from ist_mpi.parallel.watchdog import beat
from ist_mpi.partition import spans

Float64 = NDArray[np.float64]
Partition = tuple[str, ...]
Weights = Mapping[str, float]
"""The coefficient of each partition, by its name."""


class Split(NamedTuple):
    """The coefficients of one moment."""

    own: Weights
    """c¹_σ − c²_σ, for the sum over workers of the term of one worker."""
    mean: Weights
    """n² c²_σ, for the term of the mean quadratic."""


class Coefficients(NamedTuple):
    """The coefficients of the three moments; they depend on the method, n and d alone."""

    second: Split
    """Of E[B̄ A B̄]: 15 partitions; of E[B̄ᵀ A B̄] and E[B̄ A B̄ᵀ] of DCGD: 2."""
    cross: Split
    """Of E[B̄ Q Diag(c)]: 5 partitions; DCGD: 2."""
    outer: Split
    """Of E[c cᵀ]: 2 partitions."""


class Quadratic(NamedTuple):
    """f_i(x) = ½ xᵀ L x − bᵀ x, which `copies` workers have."""

    L: Float64
    """Shape (d, d), symmetric; for the preconditioned sketch with a positive diagonal."""
    b: Float64
    """Shape (d,)."""
    copies: int = 1


def partitions(slots: str) -> Iterator[Partition]:
    """Every partition of the letters of `slots`; letters and blocks in the order of `slots`."""
    if not slots:
        yield ()
        return
    for smaller in partitions(slots[:-1]):
        for k, block in enumerate(smaller):
            yield (*smaller[:k], block + slots[-1], *smaller[k + 1 :])
        yield (*smaller, slots[-1])


def moebius(fine: Partition, coarse: Partition) -> int:
    """μ(fine, coarse) of the partition lattice: Π_B (−1)^{k−1} (k−1)!, 0 if not comparable.

    B runs over the blocks of `coarse`, and k is the number of blocks of `fine` inside B.
    """
    inside = [[set(part) <= set(block) for part in fine] for block in coarse]
    if sum(map(sum, inside)) < len(fine):
        return 0
    return prod((-1) ** (sum(row) - 1) * factorial(sum(row) - 1) for row in inside)


def block_means(method: Method, n: int, d: int, left: str, right: str) -> tuple[Weights, Weights]:
    """g₁ and g₂ of every partition of the slots of two factors, the factors' scales included.

    Parameters
    ----------
    method : Method
    n, d : int
        Workers and coordinates; with groups, the number of groups for that of coordinates.
    left, right : str
        The slots of the two factors: two letters for C_i L_i C_i, one for C_i L_i and C_i b_i.
    """
    permutation = method.sketch == "permutation"
    # The number of workers that hold a coordinate, and of coordinates that a worker holds.
    holders = np.diff(spans(n, d)) if permutation and n > d else np.ones(1)
    q = d if method.sketch == "identity" else int(getattr(method, "q", None) or 0)
    sizes = [int(size) for size in np.diff(spans(d, n))] if permutation and n <= d else [q]

    def scale(slots: str) -> Float64:
        """A_i times C_i once per slot, by the number of holders (without D_i^{−1/2})."""
        if not permutation:
            return (d / q) ** len(slots) / (n * holders)
        if method.scaling == "unscaled":
            return 1.0 / holders
        power = len(slots) / 2 if method.scaling == "preconditioned" else len(slots)
        return np.asarray((n / holders) ** power / n)

    here, there = scale(left), scale(right)

    def one_worker(r: int) -> float:
        """All r different coordinates in S_i."""
        if permutation and n > d:
            return float(np.mean(here * there * holders)) / n if r == 1 else 0.0
        met = [_ratio(perm(size, r), perm(d, r)) for size in sizes]
        return float(here[0] * there[0] * np.mean(met))

    def two_workers(u: int, v: int, joined: bool) -> float:
        """The u different coordinates of the left factor in S_i and the v of the right in S_j."""
        if permutation and n > d:
            if u > 1 or v > 1:
                return 0.0
            pairs = float(np.mean(here * there * holders * (holders - 1)))
            if not joined:
                pairs = _pair_mean(here * holders, there * holders)
            return pairs / (n * (n - 1))
        if not permutation:
            met = _ratio(perm(q, u), perm(d, u)) * _ratio(perm(q, v), perm(d, v))
        elif joined:
            return 0.0  # S_i and S_j are disjoint
        else:
            left_sizes = np.array([_ratio(perm(size, u), perm(d, u)) for size in sizes])
            right_sizes = np.array(
                [_ratio(perm(size, v), perm(max(d - u, 0), v)) for size in sizes]
            )
            met = _pair_mean(left_sizes, right_sizes)
        return float(here[0] * there[0] * met)

    g1, g2 = {}, {}
    for blocks in partitions(left + right):
        on_left = [bool(set(block) & set(left)) for block in blocks]
        on_right = [bool(set(block) & set(right)) for block in blocks]
        joined = any(a and b for a, b in zip(on_left, on_right, strict=True))
        g1["|".join(blocks)] = one_worker(len(blocks))
        g2["|".join(blocks)] = two_workers(sum(on_left), sum(on_right), joined)
    return g1, g2


def _ratio(numerator: int, denominator: int) -> float:
    """A quotient of falling factorials, where 0/0 counts as 0."""
    return numerator / denominator if denominator else 0.0


def _pair_mean(f: Float64, g: Float64) -> float:
    """The mean of f_i g_j over the ordered pairs i ≠ j; 0 if there are none."""
    m = len(f)
    return float((f.sum() * g.sum() - (f * g).sum()) / (m * (m - 1))) if m > 1 else 0.0


def coefficients(method: Method, n: int, d: int) -> Coefficients:
    """The coefficients of the moments of `method` with n workers and d coordinates.

    Raises
    ------
    InputError
        If the sketch's groups do not divide d.
    """
    groups = method.groups(d)

    def split(left: str, right: str) -> Split:
        g1, g2 = block_means(method, n, groups, left, right)
        every = {"|".join(blocks): blocks for blocks in partitions(left + right)}

        def invert(g: Weights) -> dict[str, float]:
            return {
                name: sum(moebius(fine, coarse) * g[key] for key, fine in every.items())
                for name, coarse in every.items()
            }

        c1, c2 = invert(g1), invert(g2)
        return Split(
            {name: c1[name] - c2[name] for name in every},
            {name: n * n * c2[name] for name in every},
        )

    outer = split("a", "b")
    if method.name == "dcgd":
        return Coefficients(outer, outer, outer)
    return Coefficients(split("ac", "eb"), split("ac", "b"), outer)


def second_term(c: Weights, X: Float64, A: Float64) -> Float64:
    """Σ_σ c_σ Φ_σ over the 15 partitions of a, c, e, b, with Φ_σ(X, A)_ab = Σ X_ac A_ce X_eb.

    Two products of matrices, and none where blocks have one coordinate.

    Parameters
    ----------
    c : mapping
        `Coefficients.second.own` with a worker's X, `.mean` with the mean X.
    X, A : ndarray, shape (d, d)
        Symmetric; for the preconditioned sketch X = D_i^{−1/2} L_i D_i^{−1/2}, else L_i.

    Returns
    -------
    ndarray, shape (d, d)
    """
    x, a = np.diagonal(X), np.diagonal(A)
    XA_diagonal = np.einsum("ij,ij->i", X, A)
    XX = X * X
    diagonal = 2.0 * c["acb|e"] * x * XA_diagonal + c["ab|ce"] * (XX @ a) + c["aceb"] * x * x * a
    out = c["ac|eb"] * np.multiply.outer(x, x)
    out += c["ae|cb"] * XX
    out *= A
    v = c["ae|c|b"] * XA_diagonal + c["ace|b"] * x * a
    if v.any():
        out += X * np.add.outer(v, v)
    product = (c["a|ce|b"] * a) * X if c["a|ce|b"] else None
    if c["a|c|e|b"] or c["ac|e|b"] or c["ab|c|e"]:
        XA = X @ A
        if c["ab|c|e"]:
            diagonal += c["ab|c|e"] * np.einsum("ij,ij->i", XA, X)
        if c["a|c|e|b"]:
            whole = c["a|c|e|b"] * XA
            product = whole if product is None else np.add(product, whole, out=product)
        XA *= c["ac|e|b"] * x
        out += XA
        out += XA.T
    if product is not None:
        out += product @ X
    out[np.diag_indices_from(out)] += diagonal
    return np.asarray(out)


def one_sided_term(c: Weights, X: Float64, A: Float64, transposed: bool, g: int = 1) -> Float64:
    """The term of E[B̄ A B̄ᵀ], or of E[B̄ᵀ A B̄] if `transposed`, for B̄ = Σ A_i C_i L_i (DCGD).

    Parameters are those of `second_term`, with two coefficients, and the size g of groups.
    """
    if not (c["a|b"] or c["ab"]):
        return np.zeros_like(A)
    if transposed:
        return np.asarray(X @ _spread(c, A, g) @ X)
    if c["a|b"]:
        return _spread(c, X @ A @ X, g)
    if g == 1:
        return np.diag(c["ab"] * np.sum((X @ A) * X, axis=1))
    out = np.zeros_like(A)
    diagonals.add_blocks(out, c["ab"] * diagonals.product_blocks(X @ A, X, g))
    return out


def _spread(c: Weights, A: Float64, g: int) -> Float64:
    """c_{a|b} A + c_{ab} BD(A), shape (d, d); BD = Diag at g = 1."""
    out = c["a|b"] * A
    if g > 1:
        diagonals.add_blocks(out, c["ab"] * diagonals.blocks_of(A, g))
        return np.asarray(out)
    out[np.diag_indices_from(out)] += c["ab"] * np.diagonal(A)
    return np.asarray(out)


def cross_term(c: Weights, X: Float64, y: Float64, Q: Float64) -> Float64:
    """Σ_σ c_σ Φ_σ over the 5 partitions of a, c, b, with Φ_σ(X, Q, y)_ab = Σ X_ac Q_cb y_b.

    Parameters
    ----------
    c : mapping
        `Coefficients.cross.own` with a worker's X and y, `.mean` with the mean ones.
    X : ndarray, shape (d, d)
    y : ndarray, shape (d,)
        b_i (preconditioned: D_i^{−1/2} b_i) for E[B̄ Q Diag(c)].
    Q : ndarray, shape (d, d) or (d, 1)
        One column x stands for d equal ones: then B̄ Q Diag(c) = B̄ x cᵀ, in O(d²).

    Returns
    -------
    ndarray, shape (d, d)
    """
    x = np.diagonal(X)
    XQ = X @ Q if c["a|c|b"] or c["ab|c"] else np.zeros_like(Q)
    Q_diagonal = np.diagonal(np.broadcast_to(Q, X.shape))
    diagonal = c["ab|c"] * np.diagonal(np.broadcast_to(XQ, X.shape)) + c["acb"] * x * Q_diagonal
    out = (c["a|c|b"] * XQ + c["ac|b"] * x[:, None] * Q) * y + c["a|cb"] * X * (Q_diagonal * y)
    out[np.diag_indices_from(out)] += diagonal * y
    return np.asarray(out)


def outer_term(c: Weights, y: Float64, z: Float64, g: int = 1) -> Float64:
    """c_{a|b} y zᵀ + c_{ab} BD(y zᵀ), shape (d, d): the term of E[c cᵀ] for y = z = b_i (d,)."""
    return _spread(c, np.multiply.outer(y, z), g)


@dataclass(frozen=True)
class RoundMoments:
    """First and second moments of one round; made by `round_moments`.

    Methods that sum over workers must be called by all ranks together.

    Attributes
    ----------
    coefficients : Coefficients
    over_workers : callable
        Adds ``term(quadratic)`` up over all workers.
    L_mean, b_mean : ndarray, shapes (d, d) and (d,)
        L̄ and b̄.
    X_mean, y_mean, z_mean : ndarray, shapes (d, d), (d,) and (d,)
        Means of the factors that stand in for L_i, b_i and the diagonal of C_i: preconditioned,
        D_i^{−1/2} L_i D_i^{−1/2}, D_i^{−1/2} b_i and D_i^{−1/2}; else L_i, b_i and ones.
    M, m : ndarray, shapes (d, d) and (d,)
        E B̄ and E c.
    mean_sketch : ndarray, shape (d,), or None
        The diagonal of E C̄ for a merge that multiplies the model, else None: C̄ = I.
    one_sided : bool
        Whether B̄ is not symmetric (DCGD).
    preconditioned : bool
    one_draw : bool
        Whether a round is the same in every draw.
    certain : bool
        Whether B̄ is, for any quadratics: with one draw, and for the preconditioned sketch of
        single coordinates at n ≥ d.
    group_size : int
        g, of the groups of coordinates that a permutation moves.
    """

    coefficients: Coefficients
    over_workers: "Total"
    L_mean: Float64
    b_mean: Float64
    X_mean: Float64
    y_mean: Float64
    z_mean: Float64
    M: Float64
    m: Float64
    mean_sketch: Float64 | None
    one_sided: bool
    preconditioned: bool
    one_draw: bool
    certain: bool
    group_size: int = 1

    def second(self, A: Float64, transposed: bool = False) -> Float64:
        """E[B̄ A B̄ᵀ], or E[B̄ᵀ A B̄] if `transposed` (the same unless DCGD), A (d, d) symmetric."""

        def term(c: Weights, X: Float64, y: Float64, z: Float64) -> Float64:
            if self.one_sided:
                return one_sided_term(c, X, A, transposed, self.group_size)
            if self.group_size > 1:
                return grouped.second_term(c, X, A, self.group_size)
            return second_term(c, X, A)

        beat()  # Arnoldi's method asks for hundreds of these
        out = self._moment(self.coefficients.second, term)
        return np.asarray(0.5 * (out + out.T))

    def cross(self, x: Float64) -> Float64:
        """E[B̄ x cᵀ], shape (d, d), for x (d,)."""

        def term(c: Weights, X: Float64, y: Float64, z: Float64) -> Float64:
            if self.one_sided:
                return outer_term(c, X @ x, y, self.group_size)
            return self._cross_term(c, X, y, x[:, None])

        return self._moment(self.coefficients.cross, term)

    def outer(self) -> Float64:
        """E[c cᵀ], shape (d, d)."""
        return self._moment(
            self.coefficients.outer, lambda c, X, y, z: outer_term(c, y, y, self.group_size)
        )

    def sketch_cross(self, A: Float64) -> Float64:
        """E[B̄ A C̄], shape (d, d), for A (d, d)."""
        return self._moment(
            self.coefficients.cross, lambda c, X, y, z: self._cross_term(c, X, z, A)
        )

    def sketch_outer(self) -> tuple[Float64, Float64]:
        """E[s sᵀ] and E[s cᵀ] with s the diagonal of C̄, so that E[C̄ A C̄] = A ∘ E[s sᵀ]."""
        c, g = self.coefficients.outer, self.group_size
        return (
            self._moment(c, lambda c, X, y, z: outer_term(c, z, z, g)),
            self._moment(c, lambda c, X, y, z: outer_term(c, z, y, g)),
        )

    def sigma_squared(self) -> float | None:
        """σ² = E‖g − E g‖²_L̄ = E‖c − E c‖²_L̄ of (30); None where it depends on x."""
        if not self.certain:
            return None
        covariance = self.outer() - np.multiply.outer(self.m, self.m)
        return max(0.0, float(np.sum(self.L_mean * covariance)))

    def _cross_term(self, c: Weights, X: Float64, y: Float64, Q: Float64) -> Float64:
        if self.group_size > 1:
            return grouped.cross_term(c, X, y, Q, self.group_size)
        return cross_term(c, X, y, Q)

    def _moment(
        self, split: Split, term: Callable[[Weights, Float64, Float64, Float64], Float64]
    ) -> Float64:
        out = term(split.mean, self.X_mean, self.y_mean, self.z_mean)
        if any(split.own.values()):
            own = split.own
            out += self.over_workers(lambda f: term(own, *_factors(f, self.preconditioned)))
        return out


def _factors(quadratic: Quadratic, preconditioned: bool) -> tuple[Float64, Float64, Float64]:
    """(X, y, z) of one worker; see `RoundMoments`."""
    if not preconditioned:
        return quadratic.L, quadratic.b, np.ones_like(quadratic.b)
    root = 1.0 / np.sqrt(np.diagonal(quadratic.L))
    return quadratic.L * np.multiply.outer(root, root), quadratic.b * root, root


def is_one_draw(method: Method, n: int, d: int) -> bool:
    """Whether a round is the same in every draw."""
    return {
        "identity": True,
        "rand": getattr(method, "q", None) == d,
        "permutation": n == 1 or method.groups(d) == 1,
    }[method.sketch]


def is_certain(method: Method, n: int, d: int) -> bool:
    """Whether B̄ is the same in every draw, for any quadratics, so that σ² of (30) is defined."""
    single = method.scaling == "preconditioned" and method.group_size == 1 and n >= d
    return is_one_draw(method, n, d) or single


Total = Callable[[Callable[[Quadratic], Float64]], Float64]
"""Adds ``term(quadratic)`` up over all workers, in worker order, one copy each."""


def total_of(quadratics: Sequence[Quadratic]) -> Total:
    """The sum over workers that are all here."""

    def total(term: Callable[[Quadratic], Float64]) -> Float64:
        return np.asarray(sum(quadratic.copies * term(quadratic) for quadratic in quadratics))

    return total


def round_moments(
    method: Method, n: int, d: int, workers: Sequence[Quadratic] | Total
) -> RoundMoments:
    """The moments of one round of `method`.

    Parameters
    ----------
    method : Method
        With one local step.
    n, d : int
        Workers and coordinates.
    workers : sequence of Quadratic, or callable
        The workers' quadratics; or, where the workers are spread over ranks, the sum over them,
        whose result must be the same to the bit on all ranks.

    Raises
    ------
    InputError
        If `method` takes more than one local step: its round is not a sketched gradient step. If
        its groups do not divide d.
    """
    if method.local_steps != 1:
        raise InputError(Fault("method.local_steps", str(method.local_steps), "1"))
    over_workers = workers if callable(workers) else total_of(workers)
    preconditioned = method.scaling == "preconditioned"

    L_mean, b_mean = over_workers(lambda f: f.L) / n, over_workers(lambda f: f.b) / n
    X_mean, y_mean, z_mean = L_mean, b_mean, np.ones(d)
    if preconditioned:
        X_mean = over_workers(lambda f: _factors(f, True)[0]) / n
        y_mean = over_workers(lambda f: _factors(f, True)[1]) / n
        z_mean = over_workers(lambda f: _factors(f, True)[2]) / n
    first = first_moments(method, n, d)
    return RoundMoments(
        coefficients=coefficients(method, n, d),
        over_workers=over_workers,
        L_mean=L_mean,
        b_mean=b_mean,
        X_mean=X_mean,
        y_mean=y_mean,
        z_mean=z_mean,
        M=mean_operator(first, X_mean.copy()),
        m=first.beta * y_mean,
        mean_sketch=first.root_mean * z_mean if method.multiplies_model else None,
        one_sided=method.name == "dcgd",
        preconditioned=preconditioned,
        one_draw=is_one_draw(method, n, d),
        certain=is_certain(method, n, d),
        group_size=method.group_size,
    )
