"""The problems: min f(x) = (1/n) Σ f_i(x), one file per kind.

A kind of problem is a *source*: rank 0 opens it, checks it, and hands every worker its share;
whoever owns the worker turns the share into the worker's quadratic. So a data set is read once,
and no rank holds the matrices of workers that are not its own.
"""

from typing import Any

from ist_mpi import registry
from ist_mpi.config import Problem
from ist_mpi.problems.functions import FunctionProblem
from ist_mpi.problems.own import QuadraticProblem

__all__ = ["FunctionProblem", "QuadraticProblem", "load"]


def load(problem: Problem) -> Any:
    """Open and check the configured problem, a `source.Source`; called on rank 0 only.

    Raises
    ------
    InputError
        If its data are missing, malformed or do not fit the configuration.
    """
    return registry.load("problems", problem.kind).open(problem)
