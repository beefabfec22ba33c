"""What a run is: the configuration, typed, frozen and validated.

A configuration comes from a TOML file, a dict or a `Config`; `load` merges it with the command
line's overrides, reports every fault at once, and fills in every default, so that the resolved
configuration says the whole of what will be run.

types       of settings
model       the tables
faults      findings in words
reading     files, dicts, overrides
"""

from ist_mpi.config.model import OPERATION, Config, Method, Problem, method_table
from ist_mpi.config.reading import know_classes, load, read_toml
from ist_mpi.config.types import Rule, Section

__all__ = [
    "OPERATION",
    "Config",
    "Method",
    "Problem",
    "Rule",
    "Section",
    "know_classes",
    "load",
    "method_table",
    "read_toml",
]
