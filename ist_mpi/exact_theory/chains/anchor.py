"""Exact moments of submodels of the way from an anchor h, in cycles or moved by chance.

u = x − h, a = h − x*, e = a + u, B̄ = Σ A_i C_i L_i P_i, M = αE B̄, Q = I − γM. A round is

    u⁺ = u − γ (α B̄ u + L̄ a),    a⁺ = a,

and before it the anchor may have moved: a ← a + u, u ← 0.
"""

import numpy as np
from numpy.typing import NDArray

from ist_mpi.exact_theory.chains.chain import Chain, Moments
from ist_mpi.exact_theory.moments.second import RoundMoments

Float64 = NDArray[np.float64]


class Anchored(Chain):
    """The state is z = (u, a).

    Parameters
    ----------
    moments : RoundMoments
        Of rounds with B̄.
    alpha, gamma : float
    refresh : int or None
        m: the anchor moves in rounds 0, m, 2m, …
    probability : float or None
        In its place: with which it moves, and in round 0.
    """

    def __init__(
        self,
        moments: RoundMoments,
        alpha: float,
        gamma: float,
        refresh: int | None,
        probability: float | None,
    ) -> None:
        self._moments, self._alpha = moments, alpha
        self._gamma = np.float64(gamma)  # its square may be infinite: no error, as of a float
        self._L, self._d = moments.L_mean, len(moments.b_mean)
        self._Q = np.eye(self._d) - gamma * alpha * moments.M
        self._p = probability
        self.period = refresh if refresh is not None else 1
        # Where it moves in rounds that are known, all follows from a at a cycle's start.
        self.size = self._d if probability is None else 2 * self._d

    def begin(self, e: Float64) -> Moments:
        """See `Chain`."""
        z = np.concatenate([np.zeros_like(e), e])
        return Moments(z, np.multiply.outer(z, z))

    def _moved(self, now: Moments, p: float) -> Moments:
        """After the anchor has moved with probability p."""
        d, (z, Z) = self._d, now
        U, X, A = Z[:d, :d], Z[:d, d:], Z[d:, d:]
        u, a = (1.0 - p) * z[:d], z[d:] + p * z[:d]
        A = A + p * (X + X.T + U)
        A = 0.5 * (A + A.T)
        return Moments(
            np.concatenate([u, a]), np.block([[(1 - p) * U, (1 - p) * X], [(1 - p) * X.T, A]])
        )

    def _stepped(self, now: Moments) -> Moments:
        """After the round itself."""
        d, L, Q, gamma, (z, Z) = self._d, self._L, self._Q, self._gamma, now
        U, X, A = Z[:d, :d], Z[:d, d:], Z[d:, d:]
        u = Q @ z[:d] - gamma * (L @ z[d:])
        MU, QXL = (U - Q @ U), gamma * (Q @ X @ L)
        noise = (gamma * self._alpha) ** 2 * self._moments.second(U)
        U = U - MU - MU.T + noise - QXL - QXL.T + gamma**2 * (L @ A @ L)
        U = 0.5 * (U + U.T)  # what is not symmetric would grow
        X = Q @ X - gamma * (L @ A)
        return Moments(np.concatenate([u, z[d:]]), np.block([[U, X], [X.T, A]]))

    def advance(self, now: Moments, k: int) -> Moments:
        """See `Chain`."""
        p = float(k % self.period == 0) if self._p is None else self._p
        return self._stepped(self._moved(now, p) if p else now)

    def error(self, now: Moments) -> Moments:
        """See `Chain`."""
        d, (z, Z) = self._d, now
        X = Z[:d, d:]
        return Moments(z[:d] + z[d:], Z[d:, d:] + X + X.T + Z[:d, :d])

    def cycle(self, Z: Float64) -> Float64:
        """See `Chain`; of A = E a aᵀ where the rounds are known, else of the whole state."""
        if self._p is not None:
            return self.advance(Moments(np.zeros(self.size), Z), 0).second
        d = self._d
        whole = np.zeros((2 * d, 2 * d))
        whole[d:, d:] = Z
        now = Moments(np.zeros(2 * d), whole)
        for k in range(self.period):
            now = self.advance(now, k)
        return self.error(now).second

    def mean_cycle(self) -> Float64:
        """See `Chain`."""
        d, L, Q, gamma = self._d, self._L, self._Q, self._gamma
        eye = np.eye(d)
        if self._p is not None:
            p = self._p
            moved = np.block([[(1 - p) * eye, np.zeros((d, d))], [p * eye, eye]])
            step = np.block([[Q, -gamma * L], [np.zeros((d, d)), eye]])
            return np.asarray(step @ moved)
        u = np.zeros((d, d))
        for _ in range(self.period):
            u = Q @ u - gamma * L
        return np.asarray(eye + u)
