"""What a run is: the configuration, typed, frozen and validated.

A configuration comes from a TOML file, a dict or a `Config`; `load` merges it with the command
line's overrides, reports every fault at once, and fills in every default, so that the resolved
configuration says the whole of what will be run.

rules       what does not go together
model       the tables
faults      findings in words
reading     files, dicts, overrides
axes        the values that a sweep gives a setting
sweep       a base and a grid of settings
"""

from ist_mpi.config.axes import Value
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
from ist_mpi.config.sweep import Alike, Sweep, described, ranges, read_sweep

__all__ = [
    "OPERATION",
    "Alike",
    "ArraysProblem",
    "Config",
    "Method",
    "Problem",
    "RidgeProblem",
    "Sweep",
    "SyntheticProblem",
    "Value",
    "default_form",
    "described",
    "load",
    "ranges",
    "read_sweep",
    "read_toml",
]
