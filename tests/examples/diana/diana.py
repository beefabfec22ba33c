"""A method of one's own: DIANA (Mishchenko, Gorbunov, Takáč, Richtárik, 2019)."""

import numpy as np

from ist_mpi.methods import Floats, Method, Vector


class Diana(Method):
    """Compressed gradient differences, and a shift h_i on every worker, which learns ∇f_i(x*).

    δ_i = P_i (∇f_i(x) − h_i),  x⁺ = x − γ (mean h_i + Σ A_i C_i δ_i),  h_i⁺ = h_i + δ_i.
    """

    def __init__(self, settings, tools, x0):
        super().__init__(settings, tools, x0)
        team = tools.team
        self.shifts = np.zeros((team.last - team.first, x0.size))
        self.mean_shift = np.zeros(x0.size)

    def vectors(self):
        """The model and the mean shift on the server, a shift on every worker."""
        return [
            Vector("x", "server", self.x),
            Vector("mean_shift", "server", self.mean_shift),
            Vector("shifts", "worker", self.shifts),
        ]

    def round(self, k):
        """One round: the model goes down, a block of differences comes up."""
        problem, exchange = self.tools.problem, self.tools.exchange
        S = exchange.broadcast(k)
        exchange.share(self.x)
        differences = problem.gradients(self.x, S)
        edges = S.offsets - S.offsets[0]
        for i, shift in enumerate(self.shifts):
            piece = slice(edges[i], edges[i + 1])
            differences[piece] -= shift[S.pi[piece]]
            shift[S.pi[piece]] += differences[piece]
        if exchange.holds:
            self.x -= self.gamma * self.mean_shift
        exchange.add(self.x, -self.gamma * S.A * S.C * differences)
        exchange.add(self.mean_shift, differences / self.tools.team.n)

    @staticmethod
    def floats(k, sketch, settings):
        """The model down, a block up."""
        return Floats(up=k * (sketch.total / sketch.n), down=k * float(sketch.d))
