"""From the expectations of a law to the coefficients of second moments.

A partition is written with its slots' letters, "ac|eb": a, c | e, b for the rows and columns of
B̄ and B̄ in E[B̄ A B̄]; a, c | b for E[B̄ Q Diag(c)]; a | b for E[c cᵀ]. See `second` for how
the coefficients follow.
"""

from collections.abc import Iterator, Mapping
from math import factorial, prod
from typing import NamedTuple

from ist_mpi.exact_theory.step import Step
from ist_mpi.sketches.law import Exchangeable

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
    """The coefficients of the three moments; they depend on the step, the law and n alone."""

    second: Split
    """Of E[B̄ A B̄]: 15 partitions; of E[B̄ᵀ A B̄] and E[B̄ A B̄ᵀ] of one-sided steps: 2."""
    cross: Split
    """Of E[B̄ Q Diag(c)]: 5 partitions; of one-sided steps: 2."""
    outer: Split
    """Of E[c cᵀ]: 2 partitions."""


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


def block_means(
    law: Exchangeable, left: str, right: str, s: int, t: int
) -> tuple[Weights, Weights]:
    """g₁ and g₂ of every partition of the slots of two factors, the factors' scales included.

    Parameters
    ----------
    law : Exchangeable
    left, right : str
        The slots of the two factors: two letters for C_i L_i C_i, one for C_i L_i and C_i b_i.
    s, t : int
        How often C_i comes with each factor; A_i comes once.
    """
    g1, g2 = {}, {}
    for blocks in partitions(left + right):
        on_left = [bool(set(block) & set(left)) for block in blocks]
        on_right = [bool(set(block) & set(right)) for block in blocks]
        joined = any(a and b for a, b in zip(on_left, on_right, strict=True))
        g1["|".join(blocks)] = law.one(s, t, len(blocks))
        g2["|".join(blocks)] = law.two(s, t, sum(on_left), sum(on_right), joined)
    return g1, g2


def inverted(g: Weights, slots: str) -> dict[str, float]:
    """c_σ = Σ μ(ρ, σ) g(ρ), of every partition of the slots, ρ finer than σ or equal to it."""
    every = {"|".join(blocks): blocks for blocks in partitions(slots)}
    return {
        name: sum(moebius(fine, coarse) * g[key] for key, fine in every.items())
        for name, coarse in every.items()
    }


def coefficients(step: Step, law: Exchangeable, n: int) -> Coefficients:
    """The coefficients of the moments of one round with n workers."""

    def split(left: str, right: str) -> Split:
        s, t = (len(left), len(right)) if step.scaled else (1, 1)
        g1, g2 = block_means(law, left, right, s, t)
        c1, c2 = inverted(g1, left + right), inverted(g2, left + right)
        return Split(
            {name: c1[name] - c2[name] for name in c1},
            {name: n * n * c2[name] for name in c1},
        )

    outer = split("a", "b")
    if not step.two_sided:
        return Coefficients(outer, outer, outer)
    return Coefficients(split("ac", "eb"), split("ac", "b"), outer)
