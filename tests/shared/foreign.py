"""The file of a user who adds problems."""

CODE = """
import numpy as np
from ist_mpi.config import Problem
from ist_mpi.config.types import Count
from ist_mpi.problems import FunctionProblem

class Sizes(Problem):
    n: Count
    d: Count

class Logistic(FunctionProblem):
    Settings = Sizes

    def __init__(self, settings):
        super().__init__(settings)
        self.n, self.d = settings.n, settings.d

    def samples(self, worker):
        rng = np.random.default_rng(worker)
        return rng.standard_normal((8, self.d)), rng.choice([-1.0, 1.0], 8)

    def value(self, worker, x):
        A, y = self.samples(worker)
        return np.log1p(np.exp(-y * (A @ x))).mean() + 0.05 * x @ x

    def gradient(self, worker, x):
        A, y = self.samples(worker)
        return -A.T @ (y / (1.0 + np.exp(y * (A @ x)))) / 8 + 0.1 * x

class Quadratic(Logistic):
    def __init__(self, settings):
        super().__init__(settings)
        self.x_star = np.linalg.solve(
            sum(self.matrix(i) for i in range(self.n)), sum(self.linear(i) for i in range(self.n))
        )

    def matrix(self, worker):
        B = np.random.default_rng([1, worker]).standard_normal((self.d, self.d))
        return B.T @ B

    def linear(self, worker):
        return np.random.default_rng([2, worker]).standard_normal(self.d)

    def value(self, worker, x):
        return 0.5 * x @ self.matrix(worker) @ x - self.linear(worker) @ x

    def gradient(self, worker, x):
        return self.matrix(worker) @ x - self.linear(worker)
"""
