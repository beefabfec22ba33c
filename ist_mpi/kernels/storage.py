"""What a round asks of a rank's quadratics, whichever way they are stored.

Numba chooses by the type of the storage, when it compiles.
"""

from typing import Any

from numba import njit
from numba.extending import overload

from ist_mpi.kernels.matrices import (
    Matrices,
    gather_half,
    gathered_product,
    half_product,
    row_product,
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


@overload(prepare_block)
def _prepare_block(storage, i, block, room):  # type: ignore[no-untyped-def]
    if storage.instance_class is Matrices:
        return lambda storage, i, block, room: gather_half(storage.L[storage.which[i]], block, room)
    return None


@overload(block_product)
def _block_product(storage, i, block, w, out, room, ready):  # type: ignore[no-untyped-def]
    def of_matrix(storage, i, block, w, out, room, ready):  # type: ignore[no-untyped-def]
        if ready:
            gathered_product(room, w, out)
        else:
            half_product(storage.L[storage.which[i]], block, w, out)

    return {Matrices: of_matrix}.get(storage.instance_class)


@overload(gradient_on_block)
def _gradient_on_block(storage, i, block, x, out, room):  # type: ignore[no-untyped-def]
    def of_matrix(storage, i, block, x, out, room):  # type: ignore[no-untyped-def]
        u = storage.which[i]
        for a in range(block.size):
            j = block[a]
            out[a] = row_product(storage.L[u, j], x) - storage.b[u, j]

    return {Matrices: of_matrix}.get(storage.instance_class)


@njit(cache=True)
def local_steps(storage, pi, edges, C, gamma, steps, w, product, room, ready):  # type: ignore[no-untyped-def]
    """`steps` times w_i ← w_i − γ C_i ∇f_i(w_i) for each of a rank's workers, Algorithm 1.

    The blocks are pi (t,) with edges (m + 1,), which need not start at 0; C (t,) is the diagonal of
    C_i on them, w (t,) the submodels, changed in place; product (q,) and room are scratch.
    `ready`: whether a block is prepared once for all its steps.
    """
    for i in range(storage.which.size):
        lo = edges[i] - edges[0]
        hi = edges[i + 1] - edges[0]
        block = pi[lo:hi]
        submodel = w[lo:hi]
        out = product[: hi - lo]
        b = storage.b[storage.which[i]]
        if ready:
            prepare_block(storage, i, block, room)
        for _ in range(steps):
            block_product(storage, i, block, submodel, out, room, ready)
            for a in range(hi - lo):
                submodel[a] -= gamma * C[lo + a] * (out[a] - b[block[a]])


@njit(cache=True)
def gradients(storage, pi, edges, x, out, room):  # type: ignore[no-untyped-def]
    """out (t,) = the coordinates S_i of ∇f_i(x) = L_i x − b_i, for each of a rank's workers."""
    for i in range(storage.which.size):
        lo = edges[i] - edges[0]
        hi = edges[i + 1] - edges[0]
        gradient_on_block(storage, i, pi[lo:hi], x, out[lo:hi], room)
