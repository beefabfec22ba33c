"""How ARPACK, by way of SciPy, is told to give the same answer on every run and rank."""

import inspect
from typing import Any

from scipy.sparse.linalg import eigsh

ALIKE: dict[str, Any] = {"rng": 0} if "rng" in inspect.signature(eigsh).parameters else {}
"""A seed for new starts where a space is exhausted; before 1.17 SciPy's ARPACK has its own."""
