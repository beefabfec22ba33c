"""Logistic regression from the samples themselves: values, gradients and local steps.

f_i(x) = (1/m) Σ_r log(1 + exp(−z_r)) + (l2/2) ‖x‖² with the margins z = Y A x of worker i. What is
kept is H = Y A/2, as the samples of `samples`: the margins are 2 H x, the gradient is
Hᵀ ω/m + l2 x with ω_r = −2/(1 + exp(z_r)), and HᵀH/m + l2 I, the quadratic of those samples, is
what no Hessian of f_i exceeds.

All sums of a worker are made in one order, whoever else is on its rank.
"""

import math
from typing import Any

from numba import njit
from numba.extending import overload

from ist_mpi.kernels.samples import (
    DenseSamples,
    add_columns,
    column_products,
    sparse_image,
    sparse_image_of_whole,
    sparse_products,
)


def image(A: Any, u: int, block: Any, w: Any, r: Any) -> None:
    """r (m,) = H_u[:, S] w for the block S (q,)."""
    raise NotImplementedError


def image_of_whole(A: Any, u: int, x: Any, r: Any) -> None:
    """r (m,) = H_u x."""
    raise NotImplementedError


def back(A: Any, u: int, block: Any, r: Any, out: Any) -> None:
    """out (q,) = H_u[:, S]ᵀ r / m."""
    raise NotImplementedError


@overload(image)
def _image(A, u, block, w, r):  # type: ignore[no-untyped-def]  # numba infers
    def dense(A, u, block, w, r):  # type: ignore[no-untyped-def]  # numba infers
        r[:] = 0.0
        add_columns(A.columns[u], block, w, r)

    def sparse(A, u, block, w, r):  # type: ignore[no-untyped-def]  # numba infers
        sparse_image(A.values, A.rows, A.starts[u], block, w, r)

    return dense if A.instance_class is DenseSamples else sparse


@overload(image_of_whole)
def _image_of_whole(A, u, x, r):  # type: ignore[no-untyped-def]  # numba infers
    def dense(A, u, x, r):  # type: ignore[no-untyped-def]  # numba infers
        r[:] = 0.0
        add_columns(A.columns[u], A.every, x, r)

    def sparse(A, u, x, r):  # type: ignore[no-untyped-def]  # numba infers
        sparse_image_of_whole(A.values, A.rows, A.starts[u], x, r)

    return dense if A.instance_class is DenseSamples else sparse


@overload(back)
def _back(A, u, block, r, out):  # type: ignore[no-untyped-def]  # numba infers
    def dense(A, u, block, r, out):  # type: ignore[no-untyped-def]  # numba infers
        column_products(A.columns[u], block, r, out)
        for a in range(block.size):
            out[a] /= r.size

    def sparse(A, u, block, r, out):  # type: ignore[no-untyped-def]  # numba infers
        sparse_products(A.values, A.rows, A.starts[u], r, block, out)

    return dense if A.instance_class is DenseSamples else sparse


@njit(cache=True)
def slope(half):  # type: ignore[no-untyped-def]  # numba infers
    """ω = −2/(1 + exp(z)) at z = 2 `half`, which never overflows."""
    if half >= 0.0:
        e = math.exp(-2.0 * half)
        return -2.0 * e / (1.0 + e)
    return -2.0 / (1.0 + math.exp(2.0 * half))


@njit(cache=True)
def measured(A, u, x, room):  # type: ignore[no-untyped-def]  # numba infers
    """f_u(x), and the share of its samples with a positive margin; a margin of 0 counts half."""
    m = A.samples[u]
    r = room[:m]
    image_of_whole(A, u, x, r)
    loss = 0.0
    right = 0.0
    for s in range(m):
        z = 2.0 * r[s]
        loss += math.log1p(math.exp(-abs(z))) + max(-z, 0.0)
        if z > 0.0:
            right += 1.0
        elif z == 0.0:
            right += 0.5
    square = 0.0
    for j in range(x.size):
        square += x[j] * x[j]
    return loss / m + 0.5 * A.l2 * square, right / m


@njit(cache=True)
def gradient_on(A, u, block, x, out, room):  # type: ignore[no-untyped-def]  # numba infers
    """out (q,) = the coordinates S of ∇f_u(x), for the whole model x (d,)."""
    r = room[: A.samples[u]]
    image_of_whole(A, u, x, r)
    for s in range(r.size):
        r[s] = slope(r[s])
    back(A, u, block, r, out)
    for a in range(block.size):
        out[a] += A.l2 * x[block[a]]


@njit(cache=True)
def gradients(A, pi, edges, X, out, room):  # type: ignore[no-untyped-def]  # numba infers
    """out (t,) = the coordinates S_i of ∇f_i for each of a rank's workers.

    At X (m, d), a model of each worker's own, or (1, d), one for all.
    """
    for i in range(A.which.size):
        lo, hi = edges[i] - edges[0], edges[i + 1] - edges[0]
        x = X[min(i, X.shape[0] - 1)]
        gradient_on(A, A.which[i], pi[lo:hi], x, out[lo:hi], room)


@njit(cache=True)
def whole_gradients(A, X, out, room):  # type: ignore[no-untyped-def]  # numba infers
    """out (m, d) = ∇f_i for each of a rank's workers, at X as in `gradients`."""
    for i in range(A.which.size):
        x = X[min(i, X.shape[0] - 1)]
        gradient_on(A, A.which[i], A.every, x, out[i], room)


@njit(cache=True)
def changes(A, pi, edges, h, v, out, room):  # type: ignore[no-untyped-def]  # numba infers
    """out (t,) = the coordinates S_i of ∇f_i(h + P_i v_i) − ∇f_i(h), v (t,) along the blocks.

    `room` for twice the samples of a worker.
    """
    for i in range(A.which.size):
        lo, hi = edges[i] - edges[0], edges[i + 1] - edges[0]
        u = A.which[i]
        m = A.samples[u]
        block, r, moved = pi[lo:hi], room[:m], room[m : 2 * m]
        image_of_whole(A, u, h, r)
        image(A, u, block, v[lo:hi], moved)
        for s in range(m):
            r[s] = slope(r[s] + moved[s]) - slope(r[s])
        back(A, u, block, r, out[lo:hi])
        for a in range(lo, hi):
            out[a] += A.l2 * v[a]


@njit(cache=True)
def work(A, pi, edges, C, weights, steps, parts, pieces, room):  # type: ignore[no-untyped-def]  # numba infers
    """From x[S_i] to what worker i sends back, as `rounds.work`; `weights` (t,) are the A_i."""
    for i in range(A.which.size):
        lo, hi = edges[i] - edges[0], edges[i + 1] - edges[0]
        u = A.which[i]
        block, w, out = pi[lo:hi], pieces[lo:hi], steps.product[: hi - lo]
        r = room[: A.samples[u]]
        for a in range(hi - lo):
            w[a] = C[lo + a] * parts[lo + a]  # w_i = C_i x
        for _ in range(steps.local_steps):
            image(A, u, block, w, r)
            for s in range(r.size):
                r[s] = slope(r[s])
            back(A, u, block, r, out)
            for a in range(hi - lo):
                w[a] -= steps.gamma * C[lo + a] * (out[a] + A.l2 * w[a])
        for a in range(lo, hi):
            if steps.merging:
                pieces[a] = weights[a] * pieces[a]
            else:
                piece = weights[a] * (pieces[a] - C[a] * parts[a])
                pieces[a] = parts[a] + piece if steps.disjoint else piece
