"""Recorded blocks: what every round's must be, and how they are distributed over many rounds."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from ist_mpi.partition import spans
from ist_mpi.verify.findings import Finding, Options, faults, not_judged
from ist_mpi.verify.logs import Instance, Integers, Log
from ist_mpi.verify.rounds import seeded

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

EXPECTED = 10
"""Chi-square is used where every cell's expected count is at least this."""


class ChiSquare(NamedTuple):
    """A sum of squares that is about chi-square for the sketch's law, with mean `degrees`."""

    value: float
    degrees: int
    fewest: float
    """The smallest expected count of a cell, or of its complement."""

    @property
    def p(self) -> float | None:
        """Probability of as large a value; None where the counts are too small for chi-square."""
        if self.fewest < EXPECTED:
            return None
        return float(special.chdtrc(self.degrees, self.value))


def recorded_blocks(log: Log, instance: Instance, options: Options) -> Finding:
    """Whether every recorded round has near-equal blocks that own what they should, the seed's."""
    recorded = log.run.permutations
    if not recorded:
        return not_judged("blocks", log.name, "none recorded")
    pi, offsets, n = recorded["pi"], recorded["offsets"], instance.n
    size = instance.sketch.total
    allowed = "blocks of the sketch" + (", as the seed gives them" if options.replay else "")
    wrong = []
    if not np.array_equal(recorded["round"], np.arange(log.made)):
        wrong.append("rounds are missing, or there are too many")
    if pi.shape != (len(recorded["round"]), size) or offsets.shape != (len(pi), n + 1):
        wrong.append(f"shapes {pi.shape} and {offsets.shape}")
    if not wrong:
        wrong = [trouble for trouble in [_first_trouble(log, instance, options)] if trouble]
    return faults("blocks", log.name, wrong, allowed)


def _first_trouble(log: Log, instance: Instance, options: Options) -> str:
    pi, offsets = log.run.permutations["pi"], log.run.permutations["offsets"]
    for k in range(len(pi)):
        trouble = block_trouble(instance, pi[k], offsets[k])
        if trouble:
            return f"round {k}: {trouble}"
    if options.replay:
        for k, (true_pi, true_offsets) in enumerate(seeded(instance, log.seed, len(pi))):
            if not (np.array_equal(pi[k], true_pi) and np.array_equal(offsets[k], true_offsets)):
                return f"round {k}: not the blocks that seed {log.seed} gives"
    return ""


def block_trouble(instance: Instance, pi: Integers, offsets: Integers) -> str:
    """What is wrong with the blocks of one round; empty if nothing is."""
    n, d, sizes = instance.n, instance.d, np.diff(offsets)
    if offsets[0] != 0 or offsets[-1] != len(pi) or sizes.min() < 0:
        return f"offsets {offsets.tolist()}"
    if pi.min() < 0 or pi.max() >= d:
        return f"a coordinate that is not one of 0 to {d - 1}"
    if len(np.unique(np.repeat(np.arange(n), sizes) * d + pi)) < len(pi):
        return "a worker has a coordinate twice"
    own = instance.trouble_of_blocks(pi, offsets)
    if own is not None:
        return own
    g, N = instance.method.group_size, instance.method.groups(d)
    if g > 1:
        groups, edges = in_groups(pi, offsets, g)
        whole = (g * groups[:, None] + np.arange(g)).ravel()
        if not (np.array_equal(whole, pi) and np.array_equal(g * edges, offsets)):
            return f"a block that is not made of whole groups of {g} coordinates, in order"
        pi, sizes = groups, np.diff(edges)
    holders = np.bincount(pi, minlength=N)
    wanted_sizes, wanted_holders = np.ones(n), np.ones(N)
    if instance.method.sketch == "rand":
        wanted_sizes, wanted_holders = (
            np.full(n, float(instance.q)),
            np.sort(holders),
        )
    elif n <= N:
        wanted_sizes = np.sort(np.diff(spans(N, n)))
    else:
        wanted_holders = np.sort(np.diff(spans(n, N)))
    items = "coordinates" if g == 1 else "groups"
    if not np.array_equal(np.sort(sizes), wanted_sizes):
        return f"blocks of {sizes.tolist()} {items}"
    if not np.array_equal(np.sort(holders), wanted_holders):
        return f"{items} with {holders.tolist()} workers"
    return ""


def in_groups(pi: Integers, offsets: Integers, g: int) -> tuple[Integers, Integers]:
    """The groups (t/g,) of blocks that are made of whole ones, and their edges (n + 1,)."""
    return pi[::g] // g, offsets // g


def counted(
    draws: Iterable[tuple[Integers, Integers]], n: int, d: int, g: int = 1
) -> tuple[Int64, Int64, int]:
    """How often worker i had coordinate j (n, d), and a block or holders above the average.

    With groups of g, they are counted as coordinates are: d/g of them stand for the d.

    Parameters
    ----------
    draws : iterable of (pi (t,), offsets (n + 1,))

    Returns
    -------
    met : ndarray, shape (n, d)
    larger : ndarray, shape (min(n, d),)
        Rounds in which worker i's block was a larger one (n > d: coordinate j had more workers).
    rounds : int
    """
    d //= g
    met, larger, rounds = np.zeros((n, d), np.int64), np.zeros(min(n, d), np.int64), 0
    for drawn, edges in draws:
        pi, offsets = in_groups(drawn, edges, g)
        sizes = np.diff(offsets)
        np.add.at(met, (np.repeat(np.arange(n), sizes), pi), 1)
        shares = np.bincount(pi, minlength=d) if n > d else sizes
        larger += shares > max(n, d) // min(n, d)
        rounds += 1
    return met, larger, rounds


def marginal(instance: Instance, met: Int64, rounds: int) -> ChiSquare | None:
    """Whether every worker has every coordinate equally often.

    A round's indicators Z_ij of "worker i has coordinate j" are independent between rounds. Those
    of a permutation deal `items` (the larger of n and d) to `parts`, with shares p_a of the items.
    On the tables that sum to 0 over the items and over the parts, Cov Z is g times the identity,

        g = (1 − Σ p_a²)/(parts − 1) · items/(items − 1),

    so the counts' sum of squares, centred over the items, is chi-square with
    (items − 1)(parts − 1) degrees of freedom after division by rounds · g. Of Rand-q every worker
    is one for itself, with variance (q/d)(1 − q/d) · d/(d − 1).

    Parameters
    ----------
    met : ndarray, shape (n, d), or (n, d/g) of groups
        Counts over `rounds` rounds.

    Returns
    -------
    ChiSquare, or None where there is only one possible table.
    """
    n, d = met.shape
    if instance.method.sketch == "rand":
        share = (instance.q or d) / d
        if share == 1.0:
            return None
        variance = share * (1 - share) * d / (d - 1)
        value = float(np.sum((met - rounds * share) ** 2)) / (rounds * variance)
        return ChiSquare(value, n * (d - 1), rounds * min(share, 1 - share))
    items, parts = max(n, d), min(n, d)
    if parts == 1:
        return None
    table = met.T if n > d else met  # (parts, items)
    off = table - table.mean(axis=1, keepdims=True)
    shares = np.diff(spans(items, parts)) / items
    g = float(1.0 - np.sum(shares**2)) / (parts - 1) * items / (items - 1)
    value = float(np.sum(off**2)) / (rounds * g)
    return ChiSquare(value, (items - 1) * (parts - 1), rounds / parts)


def owners_of_larger(larger: Int64, rounds: int, items: int) -> ChiSquare | None:
    """Whether the items mod parts larger shares go to uniform random owners; larger (parts,)."""
    parts = len(larger)
    share = (items % parts) / parts
    if share == 0.0:
        return None
    variance = share * (1 - share) * parts / (parts - 1)
    value = float(np.sum((larger - rounds * share) ** 2)) / (rounds * variance)
    return ChiSquare(value, parts - 1, rounds * min(share, 1 - share))
