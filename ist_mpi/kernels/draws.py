"""One round's blocks, drawn from the stream (seed, round) and written into plain arrays.

Every draw is a uniform shuffle followed by a fixed rule, and the rules are functions of their own
so that the law of a sketch can be checked by enumerating all shuffles. Blocks come out sorted:
the order inside a block means nothing to the method, and a sorted gather is kinder to memory.

A permutation may move groups of g consecutive coordinates: then the groups are drawn as coordinates
are at g = 1, and each stands for its coordinates.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ist_mpi.kernels.philox import below, open_stream

ALL, DISJOINT, SINGLE, SUBSETS = range(4)
"""Kinds of blocks: all coordinates; disjoint, n ≤ d; one coordinate each, n > d; Rand-q.

Of a permutation in groups: disjoint, n ≤ d/g; one group each, n > d/g."""


class Plan(NamedTuple):
    """Where a round's blocks are drawn, and with what."""

    kind: int
    seed: int
    pi: NDArray[np.int32]
    """Shape (t,): the blocks, one after another."""
    offsets: NDArray[np.int32]
    """Shape (n + 1,): the edges of the blocks."""
    owner: NDArray[np.int32]
    """Scratch: (d/g,) for disjoint blocks."""
    order: NDArray[np.int32]
    """Scratch: (n,) for disjoint blocks, (d/g,) for single groups."""
    pool: NDArray[np.int32]
    """Scratch for Rand-q: 0 … d − 1."""
    swaps: NDArray[np.int64]
    """Scratch for Rand-q: (q,)."""
    group_size: int
    """g."""
    groups: NDArray[np.int32]
    """Shape (t/g,): the blocks as groups, before each becomes its coordinates; pi at g = 1."""
    state: NDArray[np.uint32]
    """Scratch: the stream's state."""


ROUND_STREAM = np.int64(0)
"""Stream of what is drawn once a round; worker i's own draws use stream i + 1."""


@njit(cache=True)
def shuffle(state, items):  # type: ignore[no-untyped-def]  # numba infers
    """Fisher-Yates: a uniform random order of `items`, in place."""
    for last in range(items.size - 1, 0, -1):
        other = below(state, last + 1)
        items[last], items[other] = items[other], items[last]


@njit(cache=True)
def block_edges(order, d, offsets):  # type: ignore[no-untyped-def]  # numba infers
    """Edges of the n blocks: ⌊d/n⌋ coordinates each, one more for the first d mod n of `order`.

    order (n,) is a permutation of the workers; offsets (n + 1,) is written.
    """
    n = order.size
    small = d // n
    for i in range(n + 1):
        offsets[i] = small
    for rank in range(d - small * n):
        offsets[order[rank] + 1] += 1
    offsets[0] = 0
    for i in range(n):
        offsets[i + 1] += offsets[i]


@njit(cache=True)
def blocks_of_owners(owner, offsets, cursor, pi):  # type: ignore[no-untyped-def]  # numba infers
    """Turn owner (d,), the worker of every coordinate, into the sorted blocks pi (d,)."""
    for i in range(cursor.size):
        cursor[i] = offsets[i]
    for j in range(owner.size):
        i = owner[j]
        pi[cursor[i]] = j
        cursor[i] += 1


@njit(cache=True)
def draw_permutation(seed, k, offsets, pi, owner, order, state):  # type: ignore[no-untyped-def]  # numba infers
    """Disjoint near-equal blocks of d ≥ n coordinates, eq. (7), with random owners if n ∤ d.

    Writes offsets (n + 1,) and pi (d,); owner (d,), order (n,) and state are scratch.
    """
    n = order.size
    d = owner.size
    open_stream(state, seed, ROUND_STREAM, k)
    for i in range(n):
        order[i] = i
    if d % n != 0:
        shuffle(state, order)
    block_edges(order, d, offsets)
    for i in range(n):
        owner[offsets[i] : offsets[i + 1]] = i
    shuffle(state, owner)
    blocks_of_owners(owner, offsets, order, pi)


@njit(cache=True)
def size_of_first(seed, k, d, order, state):  # type: ignore[no-untyped-def]  # numba infers
    """The size of the first worker's block that `draw_permutation` draws; order (n,) is scratch."""
    n = order.size
    size = d // n
    if d % n != 0:
        open_stream(state, seed, ROUND_STREAM, k)
        for i in range(n):
            order[i] = i
        shuffle(state, order)
        for rank in range(d % n):
            if order[rank] == 0:
                size += 1
    return size


@njit(cache=True)
def holders(order, pi):  # type: ignore[no-untyped-def]  # numba infers
    """The n > d coordinates to hand out: each ⌊n/d⌋ times, once more for the first of `order`."""
    d = order.size
    n = pi.size
    each = n // d
    for j in range(d):
        pi[j * each : (j + 1) * each] = j
    for extra in range(n - d * each):
        pi[d * each + extra] = order[extra]


@njit(cache=True)
def draw_single_coordinates(seed, k, pi, order, state):  # type: ignore[no-untyped-def]  # numba infers
    """One coordinate for each of n > d workers, each coordinate held by ⌊n/d⌋ or ⌈n/d⌉ of them.

    Writes pi (n,); order (d,) and state are scratch.
    """
    open_stream(state, seed, ROUND_STREAM, k)
    for j in range(order.size):
        order[j] = j
    if pi.size % order.size != 0:
        shuffle(state, order)
    holders(order, pi)
    shuffle(state, pi)


@njit(cache=True)
def draw_subsets(seed, k, offsets, pi, pool, swaps, state):  # type: ignore[no-untyped-def]  # numba infers
    """Rand-q, eq. (4): a uniform q-subset for every worker, from the worker's own stream.

    pi is written between the given offsets (n + 1,); pool (d,) must hold 0 … d − 1 and holds it
    again afterwards; swaps (q,) and state are scratch.
    """
    for i in range(offsets.size - 1):
        open_stream(state, seed, i + 1, k)
        block = pi[offsets[i] : offsets[i + 1]]
        q = block.size
        for a in range(q):
            other = a + below(state, pool.size - a)
            swaps[a] = other
            pool[a], pool[other] = pool[other], pool[a]
            block[a] = pool[a]
        for a in range(q - 1, -1, -1):
            other = swaps[a]
            pool[a], pool[other] = pool[other], pool[a]
        block.sort()


@njit(cache=True)
def coordinates_of(groups, g, pi):  # type: ignore[no-untyped-def]  # numba infers
    """pi (t g,): the g coordinates of every one of the groups (t,), in their order."""
    for a in range(groups.size):
        first = groups[a] * g
        for r in range(g):
            pi[a * g + r] = first + r


@njit(cache=True)
def count_holders(pi, count):  # type: ignore[no-untyped-def]  # numba infers
    """count (d,): how many times each coordinate occurs in pi (t,)."""
    count[:] = 0
    for j in pi:
        count[j] += np.int32(1)


@njit(cache=True)
def draw(plan, k):  # type: ignore[no-untyped-def]  # numba infers
    """Draw the blocks of round k."""
    g, blocks = plan.group_size, plan.groups
    if plan.kind == DISJOINT:
        draw_permutation(plan.seed, k, plan.offsets, blocks, plan.owner, plan.order, plan.state)
        if g > 1:
            for i in range(plan.offsets.size):
                plan.offsets[i] *= g
            coordinates_of(blocks, g, plan.pi)
    elif plan.kind == SINGLE:
        draw_single_coordinates(plan.seed, k, blocks, plan.order, plan.state)
        if g > 1:
            coordinates_of(blocks, g, plan.pi)
    elif plan.kind == SUBSETS:
        draw_subsets(plan.seed, k, plan.offsets, plan.pi, plan.pool, plan.swaps, plan.state)
