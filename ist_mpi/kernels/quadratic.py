"""Gradients of quadratics on blocks of coordinates: the work of a round.

All arrays are C-contiguous. A rank's m workers share u ≤ m distinct quadratics: worker i has
``L[index[i]]`` and ``b[index[i]]`` (u = 1 when the problem is homogeneous). Blocks are given as
pi (t,) with edges (m + 1,), which need not start at 0.
"""

from numba import njit

from ist_mpi.kernels import REDUCTION


@njit(cache=True, fastmath=REDUCTION)
def block_product(L, block, w, out):  # type: ignore[no-untyped-def]
    """out = L[S, S] w for the block S (q,), L (d, d), w (q,)."""
    for a in range(block.size):
        row = L[block[a]]
        total = 0.0
        for c in range(block.size):
            total += row[block[c]] * w[c]
        out[a] = total


@njit(cache=True, fastmath=REDUCTION)
def row_product(row, x):  # type: ignore[no-untyped-def]
    """⟨row, x⟩ in one fixed order."""
    total = 0.0
    for j in range(x.size):
        total += row[j] * x[j]
    return total


@njit(cache=True)
def local_steps(L, b, index, pi, edges, C, gamma, steps, w, scratch):  # type: ignore[no-untyped-def]
    """`steps` times w_i ← w_i − γ C_i ∇f_i(w_i) for each of a rank's workers, Algorithm 1.

    C (t,) is the diagonal of C_i on the blocks, w (t,) the submodels, changed in place;
    scratch has room for the largest block.
    """
    start = edges[0]
    for i in range(index.size):
        lo = edges[i] - start
        hi = edges[i + 1] - start
        block = pi[lo:hi]
        submodel = w[lo:hi]
        product = scratch[: hi - lo]
        for _ in range(steps):
            block_product(L[index[i]], block, submodel, product)
            for a in range(hi - lo):
                gradient = product[a] - b[index[i], block[a]]
                submodel[a] -= gamma * C[lo + a] * gradient


@njit(cache=True)
def gradient_on_blocks(L, b, index, pi, edges, x, out):  # type: ignore[no-untyped-def]
    """out = the coordinates S_i of ∇f_i(x) = L_i x − b_i, for each of a rank's workers."""
    start = edges[0]
    for i in range(index.size):
        for a in range(edges[i] - start, edges[i + 1] - start):
            j = pi[a]
            out[a] = row_product(L[index[i], j], x) - b[index[i], j]


@njit(cache=True)
def rows_product(rows, x, out):  # type: ignore[no-untyped-def]
    """out = rows x for a slab of rows (r, d): each entry a dot product in one fixed order."""
    for a in range(rows.shape[0]):
        out[a] = row_product(rows[a], x)
