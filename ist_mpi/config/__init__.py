"""What a run is: the configuration, typed, frozen and validated.

A configuration comes from a TOML file, a dict or a `Config`; `load` merges it with the command
line's overrides, reports every fault at once, and fills in every default, so that the resolved
configuration says the whole of what will be run.

rules       what does not go together
model       the tables
faults      findings in words
reading     files, dicts, overrides
"""

from ist_mpi.config.model import (
    OPERATION,
    ArraysProblem,
    Config,
    Method,
    Problem,
    RidgeProblem,
    SyntheticProblem,
    default_form,
)
from ist_mpi.config.reading import load, read_toml

__all__ = [
    "OPERATION",
    "ArraysProblem",
    "Config",
    "Method",
    "Problem",
    "RidgeProblem",
    "SyntheticProblem",
    "default_form",
    "load",
    "read_toml",
]
