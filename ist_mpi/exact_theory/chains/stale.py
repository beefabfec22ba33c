"""Exact moments of models that workers keep, of which a block a round is brought up to date.

z = (e, v_1 … v_n, k_1 … k_n) with v_i = w_i − x*, k_i = h_i − ∇f_i(x*). With r_i = L_i v_i − k_i
and s_i = e − v_i, a round has δ_i = P_i r_i + P_i L_i P_i s_i and

    v_i ← v_i + P_i s_i,    k_i ← k_i + δ_i,    e ← e − γ (mean k + τ Σ A_i C_i δ_i).

Expectations of P_i X P_i Y P_j and the like are sums over partitions of the slots, as in
`moments.second`; here for all pairs of workers at once, which have different matrices on the two
sides.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ist_mpi.exact_theory.chains.chain import Linear, pairs
from ist_mpi.exact_theory.moments.partitions import block_means, inverted
from ist_mpi.sketches.law import Exchangeable

Float64 = NDArray[np.float64]
Weights = Mapping[str, Float64]
"""c_σ of every pair of workers, (n, n, 1, 1), by the name of the partition."""


def _diag(X: Float64) -> Float64:
    """The diagonals of X (…, d, d) as columns (…, d, 1)."""
    return np.diagonal(X, axis1=-2, axis2=-1)[..., None]


def _row(x: Float64) -> Float64:
    """Columns as rows."""
    return np.swapaxes(x, -1, -2)


def both_sides(c: Weights, X: Float64, A: Float64, Y: Float64) -> Float64:
    """Σ_σ c_σ Φ_σ over the partitions of a, c, e, b, Φ_σ(X, A, Y)_ab = Σ X_ac A_ce Y_eb.

    X, A, Y and what is returned are (n, n, d, d), or broadcast to that.
    """
    x, a, y = _diag(X), _diag(A), _diag(Y)
    XA, AY = X @ A, A @ Y
    xa, ay = _diag(XA), _diag(AY)
    out = (c["a|c|e|b"] * XA + c["a|ce|b"] * X * _row(a)) @ Y
    out += c["ac|e|b"] * x * AY + c["a|c|eb"] * XA * _row(y)
    out += (c["ae|c|b"] * xa + c["ace|b"] * x * a) * Y
    out += X * _row(c["a|cb|e"] * ay + c["a|ceb"] * a * y)
    out += c["ac|eb"] * x * A * _row(y) + c["ae|cb"] * X * np.swapaxes(A, -1, -2) * Y
    whole = np.sum(XA * np.swapaxes(Y, -1, -2), axis=-1, keepdims=True)
    around = np.sum(X * _row(a) * np.swapaxes(Y, -1, -2), axis=-1, keepdims=True)
    on = c["ab|c|e"] * whole + c["ab|ce"] * around
    on = on + c["acb|e"] * x * ay + c["aeb|c"] * xa * y + c["aceb"] * x * a * y
    return np.asarray(out + on * np.eye(X.shape[-1]))


def one_side(c: Weights, X: Float64, Y: Float64) -> Float64:
    """Likewise over the partitions of a, c, b, Φ_σ(X, Y)_ab = Σ X_ac Y_cb."""
    x, y, XY = _diag(X), _diag(Y), X @ Y
    out = c["a|c|b"] * XY + c["ac|b"] * x * Y + c["a|cb"] * X * _row(y)
    return np.asarray(out + (c["ab|c"] * _diag(XY) + c["acb"] * x * y) * np.eye(X.shape[-1]))


def _weights(law: Exchangeable, n: int, left: str, right: str, s: int, t: int) -> Weights:
    """s, t: whether the factors carry A_i C_i."""
    own, others = (inverted(g, left + right) for g in block_means(law, left, right, s, t))
    unit, same = float(n ** (2 - s - t)), np.eye(n)[:, :, None, None] > 0
    return {name: unit * np.where(same, own[name], others[name]) for name in own}


def _blocks(X: Float64, n: int) -> Float64:
    """(n d, n d) as (n, n, d, d)."""
    d = len(X) // n
    return X.reshape(n, d, n, d).transpose(0, 2, 1, 3)


def _flat(X: Float64) -> Float64:
    """The other way."""
    n, _, d, _ = X.shape
    return X.transpose(0, 2, 1, 3).reshape(n * d, n * d)


def stale_chain(
    law: Exchangeable, L: Float64, gamma: float, tau: float, weight: float | None
) -> Linear:
    """The chain of the method, from L (n, d, d); coordinates alone, no groups.

    `weight`: A_i C_i, where it is one number.
    """
    n, d, _ = L.shape
    eye = np.eye(d)
    unit = np.eye((2 * n + 1) * d).reshape(2 * n + 1, d, -1)  # row p: the part p of z
    start = np.vstack([eye, *[eye] * n, *L])
    A = np.eye((2 * n + 1) * d) - gamma / n * (unit[0].T @ unit[1 + n :].sum(axis=0))
    r = np.vstack([L[i] @ unit[1 + i] - unit[1 + n + i] for i in range(n)])
    s = np.vstack([unit[0] - unit[1 + i] for i in range(n)])
    models, shifts = unit[1 : 1 + n].reshape(n * d, -1).T, unit[1 + n :].reshape(n * d, -1).T
    moved = np.hstack([-gamma * tau * unit[0].T] * n)
    # y = (δ, P s), or (A C δ, δ, P s) where A C is no number
    kinds = (0,) if weight is not None else (1, 0)
    E = np.hstack(
        [shifts + weight * moved, models] if weight is not None else [moved, shifts, models]
    )
    tables = {(p, q): pairs(law, n, d, p, q) for p in kinds for q in kinds}
    masks = {
        key: np.kron(np.eye(n), table.own) + np.kron(1.0 - np.eye(n), table.others)
        for key, table in tables.items()
    }
    full = {key: _weights(law, n, "ac", "eb", *key) for key in tables}
    half = {key: _weights(law, n, "ac", "b", *key) for key in tables}
    here, there = L[:, None], L[None, :]
    # E[W_i L_i P_i], W_i with A_i C_i or without
    inside = {
        p: n ** (2 - p) * np.where(eye > 0, law.one(p, 0, 1), law.one(p, 0, 2)) for p in kinds
    }

    def mean_of(p: int) -> Float64:
        curved = [(inside[p] * L[i]) @ s[i * d : (i + 1) * d] for i in range(n)]
        return np.asarray(tables[p, p].mean * r + np.vstack(curved))

    mean = np.vstack([*map(mean_of, kinds), tables[0, 0].mean * s])

    def outer(Z: Float64) -> Float64:
        rr, rs, ss = r @ Z @ r.T, _blocks(r @ Z @ s.T, n), _blocks(s @ Z @ s.T, n)
        sr = rs.transpose(1, 0, 3, 2)

        def differences(p: int, q: int) -> Float64:
            one = _flat(one_side(half[p, q], here, sr))
            other = _flat(one_side(half[q, p], here, sr)).T
            both = _flat(both_sides(full[p, q], here, ss, there))
            return np.asarray(masks[p, q] * rr + one + other + both)

        def mixed(p: int) -> Float64:
            return np.asarray(masks[p, 0] * _flat(rs) + _flat(one_side(half[p, 0], here, ss)))

        rows = [[*(differences(p, q) for q in kinds), mixed(p)] for p in kinds]
        last = [*(mixed(p).T for p in kinds), masks[0, 0] * _flat(ss)]
        return np.block([*rows, last])

    return Linear(start, A, E, mean, outer)
