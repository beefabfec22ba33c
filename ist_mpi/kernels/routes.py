"""Where the coordinates of disjoint blocks go from one round to the next."""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray


class Route(NamedTuple):
    """What one rank of p sends and receives when the blocks change; all int32."""

    rank: int
    owner: NDArray[np.int32]
    """Scratch (d,): the rank that has a coordinate next."""
    place: NDArray[np.int32]
    """Scratch (d,): where in the next blocks."""
    leaving: NDArray[np.int32]
    """The rank's present part, in the order in which it is sent: positions in it."""
    arriving: NDArray[np.int32]
    """Positions in the rank's next part, in the order in which it is received."""
    leaving_edges: NDArray[np.int32]
    """Shape (p + 1,): what goes to rank r is leaving[leaving_edges[r]:leaving_edges[r + 1]]."""
    arriving_edges: NDArray[np.int32]
    """Likewise."""
    leaving_counts: NDArray[np.int32]
    """Shape (p,)."""
    arriving_counts: NDArray[np.int32]
    """Likewise."""


@njit(cache=True)
def find(route, pi, edges, next_pi, next_edges):  # type: ignore[no-untyped-def]  # numba infers
    """Fill the route from blocks pi (d,) to next_pi (d,), whose ranks' edges are (p + 1,).

    Sender and receiver both go through the present blocks in their order, so that neither has to
    tell the other which coordinates it sends.
    """
    ranks = edges.size - 1
    owner, place = route.owner, route.place
    for r in range(ranks):
        for a in range(next_edges[r], next_edges[r + 1]):
            owner[next_pi[a]] = r
            place[next_pi[a]] = a - next_edges[r]
    mine = pi[edges[route.rank] : edges[route.rank + 1]]
    route.leaving_counts[:] = 0
    for j in mine:
        route.leaving_counts[owner[j]] += 1
    route.leaving_edges[0] = 0
    for r in range(ranks):
        route.leaving_edges[r + 1] = route.leaving_edges[r] + route.leaving_counts[r]
    route.leaving_counts[:] = 0
    for a in range(mine.size):
        r = owner[mine[a]]
        route.leaving[route.leaving_edges[r] + route.leaving_counts[r]] = a
        route.leaving_counts[r] += 1
    at = 0
    route.arriving_edges[0] = 0
    for r in range(ranks):
        for a in range(edges[r], edges[r + 1]):
            if owner[pi[a]] == route.rank:
                route.arriving[at] = place[pi[a]]
                at += 1
        route.arriving_edges[r + 1] = at
        route.arriving_counts[r] = at - route.arriving_edges[r]
