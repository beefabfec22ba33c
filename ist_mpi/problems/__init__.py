"""The problems: min f(x) = (1/n) Σ f_i(x) with quadratic f_i, one file per kind.

A kind of problem is a *source*: rank 0 opens it, checks it, and hands every worker its share;
whoever owns the worker turns the share into the worker's quadratic. So a data set is read once,
and no rank holds the matrices of workers that are not its own.
"""

from ist_mpi.config import ArraysProblem, Problem, RidgeProblem
from ist_mpi.problems import arrays, ridge, synthetic
from ist_mpi.problems.quadratic import Source


def load(problem: Problem) -> Source:
    """Open and check the configured problem; called on rank 0 only.

    Raises
    ------
    InputError
        If its data are missing, malformed or do not fit the configuration.
    """
    if isinstance(problem, RidgeProblem):
        return ridge.load(problem)
    if isinstance(problem, ArraysProblem):
        return arrays.load(problem)
    return synthetic.load(problem)
