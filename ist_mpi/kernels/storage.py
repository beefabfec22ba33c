"""What a round asks of a rank's quadratics, whichever way they are stored.

Numba chooses by the type of the storage, when it compiles.
"""

from typing import Any

from numba import njit
from numba.extending import overload

from ist_mpi.kernels.ahead import ask_start
from ist_mpi.kernels.matrices import (
    Matrices,
    gather_half,
    gathered_product,
    groups_product,
    half_product,
    row_product,
    rows_product,
)
from ist_mpi.kernels.samples import (
    DenseSamples,
    SparseSamples,
    dense_groups,
    dense_normal,
    dense_normal_of_whole,
    sparse_groups,
    sparse_normal,
    sparse_normal_of_whole,
)


def prepare_block(storage: Any, i: int, block: Any, room: Any) -> None:
    """Make ready, in `room`, for several products with worker i's block."""
    raise NotImplementedError


def block_product(
    storage: Any, i: int, block: Any, w: Any, out: Any, room: Any, ready: bool
) -> None:
    """out = L_i[S, S] w for worker i's block S (q,), w (q,); `ready`: if it is prepared."""
    raise NotImplementedError


def gradient_on_block(storage: Any, i: int, block: Any, x: Any, out: Any, room: Any) -> None:
    """out = the coordinates S of L_i x − b_i, for the whole model x (d,)."""
    raise NotImplementedError


def whole_product(storage: Any, u: int, x: Any, out: Any, room: Any) -> None:
    """out = L_u x of the distinct quadratic u, for the whole model x (d,)."""
    raise NotImplementedError


def whole_product_in_groups(storage: Any, u: int, g: int, x: Any, out: Any, room: Any) -> None:
    """out = BD(L_u) x, of the g × g diagonal blocks of L_u, for the whole model x (d,)."""
    raise NotImplementedError


NORMAL: dict[Any, Any] = {DenseSamples: dense_normal, SparseSamples: sparse_normal}
"""A_uᵀA_u/m between blocks, by the kind of samples."""
OF_WHOLE: dict[Any, Any] = {
    DenseSamples: dense_normal_of_whole,
    SparseSamples: sparse_normal_of_whole,
}
"""A block of A_uᵀA_u x/m for whole models, likewise."""

GROUPS: dict[Any, Any] = {DenseSamples: dense_groups, SparseSamples: sparse_groups}
"""A_uᵀA_u/m inside groups of coordinates, likewise."""


@overload(prepare_block)
def _prepare_block(storage, i, block, room):  # type: ignore[no-untyped-def]  # numba infers
    if storage.instance_class is Matrices:
        return lambda storage, i, block, room: gather_half(storage.L[storage.which[i]], block, room)
    return lambda storage, i, block, room: None  # columns are contiguous as they are


@overload(block_product)
def _block_product(storage, i, block, w, out, room, ready):  # type: ignore[no-untyped-def]  # numba infers
    normal: Any = NORMAL.get(storage.instance_class)

    def of_matrix(storage, i, block, w, out, room, ready):  # type: ignore[no-untyped-def]  # numba infers
        if ready:
            gathered_product(room, w, out)
        else:
            half_product(storage.L[storage.which[i]], block, w, out)

    def of_samples(storage, i, block, w, out, room, ready):  # type: ignore[no-untyped-def]  # numba infers
        normal(storage, storage.which[i], block, w, block, out, room)
        for a in range(block.size):
            out[a] += storage.l2 * w[a]

    return of_matrix if normal is None else of_samples


@overload(gradient_on_block)
def _gradient_on_block(storage, i, block, x, out, room):  # type: ignore[no-untyped-def]  # numba infers
    normal: Any = OF_WHOLE.get(storage.instance_class)

    def of_matrix(storage, i, block, x, out, room):  # type: ignore[no-untyped-def]  # numba infers
        u, last = storage.which[i], block.size - 1
        for a in range(block.size):
            j = block[a]
            after = block[min(a + 1, last)]
            if after != j + 1:  # else the stream goes on by itself
                ask_start(storage.L[u, after])
            out[a] = row_product(storage.L[u, j], x) - storage.b[u, j]

    def of_samples(storage, i, block, x, out, room):  # type: ignore[no-untyped-def]  # numba infers
        u = storage.which[i]
        normal(storage, u, x, block, out, room)
        for a in range(block.size):
            j = block[a]
            out[a] += storage.l2 * x[j] - storage.b[u, j]

    return of_matrix if normal is None else of_samples


@overload(whole_product)
def _whole_product(storage, u, x, out, room):  # type: ignore[no-untyped-def]  # numba infers
    normal: Any = OF_WHOLE.get(storage.instance_class)

    def of_samples(storage, u, x, out, room):  # type: ignore[no-untyped-def]  # numba infers
        normal(storage, u, x, storage.every, out, room)
        for j in range(x.size):
            out[j] += storage.l2 * x[j]

    if normal is None:
        return lambda storage, u, x, out, room: rows_product(storage.L[u], x, out)
    return of_samples


@overload(whole_product_in_groups)
def _whole_product_in_groups(storage, u, g, x, out, room):  # type: ignore[no-untyped-def]  # numba infers
    groups: Any = GROUPS.get(storage.instance_class)

    def of_samples(storage, u, g, x, out, room):  # type: ignore[no-untyped-def]  # numba infers
        groups(storage, u, g, x, out, room)
        for j in range(x.size):
            out[j] += storage.l2 * x[j]

    if groups is None:
        return lambda storage, u, g, x, out, room: groups_product(storage.L[u], 0, g, x, out)
    return of_samples


@njit(cache=True)
def product(storage, u, x, out, room):  # type: ignore[no-untyped-def]  # numba infers
    """out = L_u x of the distinct quadratic u, for the whole model x (d,)."""
    whole_product(storage, u, x, out, room)


@njit(cache=True)
def product_in_groups(storage, u, g, x, out, room):  # type: ignore[no-untyped-def]  # numba infers
    """out = BD(L_u) x, of the g × g diagonal blocks of L_u, for the whole model x (d,)."""
    whole_product_in_groups(storage, u, g, x, out, room)


@njit(cache=True)
def local_steps(storage, pi, edges, C, steps, w):  # type: ignore[no-untyped-def]  # numba infers
    """w_i ← w_i − γ C_i ∇f_i(w_i), `steps.local_steps` times, for each of a rank's workers.

    The blocks are pi (t,) with edges (m + 1,), which need not start at 0; C (t,) is the diagonal of
    C_i on them, w (t,) the submodels, changed in place; see `rounds.Steps` for the rest.
    """
    for i in range(storage.which.size):
        lo = edges[i] - edges[0]
        hi = edges[i + 1] - edges[0]
        block = pi[lo:hi]
        submodel = w[lo:hi]
        out = steps.product[: hi - lo]
        b = storage.b[storage.which[i]]
        if steps.ready:
            prepare_block(storage, i, block, steps.room)
        for _ in range(steps.local_steps):
            block_product(storage, i, block, submodel, out, steps.room, steps.ready)
            for a in range(hi - lo):
                submodel[a] -= steps.gamma * C[lo + a] * (out[a] - b[block[a]])


@njit(cache=True)
def gradients_apart(storage, pi, edges, X, out, room):  # type: ignore[no-untyped-def]  # numba infers
    """`gradients` with a whole model of each worker's own, X (m, d)."""
    for i in range(storage.which.size):
        lo = edges[i] - edges[0]
        hi = edges[i + 1] - edges[0]
        gradient_on_block(storage, i, pi[lo:hi], X[i], out[lo:hi], room)


@njit(cache=True)
def block_products(storage, pi, edges, w, out, room):  # type: ignore[no-untyped-def]  # numba infers
    """out (t,) = L_i[S_i, S_i] w_i for each of a rank's workers, w (t,)."""
    for i in range(storage.which.size):
        lo = edges[i] - edges[0]
        hi = edges[i + 1] - edges[0]
        block_product(storage, i, pi[lo:hi], w[lo:hi], out[lo:hi], room, False)


@njit(cache=True)
def gradients(storage, pi, edges, x, out, room):  # type: ignore[no-untyped-def]  # numba infers
    """out (t,) = the coordinates S_i of ∇f_i(x) = L_i x − b_i, for each of a rank's workers."""
    for i in range(storage.which.size):
        lo = edges[i] - edges[0]
        hi = edges[i + 1] - edges[0]
        gradient_on_block(storage, i, pi[lo:hi], x, out[lo:hi], room)
