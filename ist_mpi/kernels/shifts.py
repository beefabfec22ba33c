"""What each worker keeps of a whole model's size, read and written on its block, row by row."""

from numba import njit


@njit(cache=True)
def put(rows, pi, edges, parts):  # type: ignore[no-untyped-def]  # numba infers
    """rows[i, S_i] = parts of worker i, for rows (m, d) and the blocks pi (t,), edges (m + 1,)."""
    for i in range(rows.shape[0]):
        for a in range(edges[i] - edges[0], edges[i + 1] - edges[0]):
            rows[i, pi[a]] = parts[a]


@njit(cache=True)
def move(rows, pi, edges, parts):  # type: ignore[no-untyped-def]  # numba infers
    """rows[i, S_i] += parts of worker i."""
    for i in range(rows.shape[0]):
        for a in range(edges[i] - edges[0], edges[i + 1] - edges[0]):
            rows[i, pi[a]] += parts[a]


@njit(cache=True)
def learn(shifts, pi, edges, gradients):  # type: ignore[no-untyped-def]  # numba infers
    """gradients −= shifts[i, S_i], and what is left is added to the shifts."""
    for i in range(shifts.shape[0]):
        for a in range(edges[i] - edges[0], edges[i + 1] - edges[0]):
            gradients[a] -= shifts[i, pi[a]]
            shifts[i, pi[a]] += gradients[a]
