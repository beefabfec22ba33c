"""A run as its log has it: the reader of logs, schema version 1.

What a log has beyond the rounds and their times is the run's: any column of numbers in /rounds,
any number or text in /theory. Whoever asks for what is not there gets an InputError that says so.
"""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from ist_mpi.errors import DamagedError, Fault, InputError
from ist_mpi.store import fitting, hdf5
from ist_mpi.store.files import LOG_BYTES

FORMAT = "ist_mpi.run"
SCHEMA_VERSION = 1
STATUSES = ("running", "finished", "stopped", "failed")

Float64 = NDArray[np.float64]


class Part(dict[str, Any]):
    """What a log has in a group, by name; asking for what it lacks says so.

    Parameters
    ----------
    where : str
        The group, for messages.
    """

    def __init__(self, where: str, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self.where = where

    def __missing__(self, name: str) -> NoReturn:
        there = ", ".join(self) or "nothing"
        raise InputError(
            Fault(f"{self.where}/{name}", "nothing", "a log that has it", f"it has {there}")
        )


def last_row(columns: Mapping[str, Any]) -> dict[str, Any]:
    """The last row of columns, as plain numbers."""
    return {name: column[-1:].tolist()[0] for name, column in columns.items()}


@dataclass(frozen=True)
class Run:
    """A run log, read into memory."""

    path: Path | None
    attributes: dict[str, Any]
    """The root attributes; `config` is a TOML string, `versions` a dict."""
    rounds: dict[str, NDArray[Any]]
    """The columns of /rounds, each of shape (rows,): round, seconds, and what was measured."""
    theory: dict[str, Any]
    """The constants, numbers and texts, and x_star (d,) and fixed_point (d,)."""
    model: dict[str, Float64]
    """x0 (d,) and x (d,)."""
    iterates: dict[str, NDArray[Any]]
    """round (r,) and x (r, d); empty if not logged."""
    permutations: dict[str, NDArray[Any]]
    """round (r,), pi (r, t) and offsets (r, n + 1); empty if not logged."""
    problem: dict[str, Float64]
    """L (n, d, d), b (n, d) and constant (n,); empty if not logged."""

    def __repr__(self) -> str:
        """One line: a notebook shows what a cell ends with, and the arrays fill pages."""
        last = int(self.rounds["round"][-1])
        value, gap = self.rounds.get("value"), self.rounds.get("relative_gap")
        words = "" if gap is None else f", relative gap {gap[-1]:.3e}"
        if value is not None and (gap is None or np.isnan(gap[-1])):  # x* is not known
            words = f", f {value[-1]:.6g}"
        reason = f" ({self.stop_reason})" if self.stop_reason else ""
        where = f"{str(self.path)!r}, " if self.path is not None else ""
        return f"<Run {where}{self.status}{reason}, round {last}{words}>"

    @property
    def config(self) -> dict[str, Any]:
        """The resolved configuration, by table."""
        return tomllib.loads(self.attributes["config"])

    @property
    def x(self) -> Float64:
        """The latest model, shape (d,)."""
        return self.model["x"]

    @property
    def status(self) -> str:
        """``running``, ``finished``, ``stopped`` or ``failed``."""
        return str(self.attributes["status"])

    @property
    def stop_reason(self) -> str:
        """Why the run ended, in words; empty while it runs."""
        return str(self.attributes["stop_reason"])

    @property
    def divergence(self) -> str:
        """How the run ceased to be finite, in words; empty where it did not.

        A gap overflows long before its model does, so that also a finished run may have diverged.
        """
        if self.status == "failed":
            return self.stop_reason
        gaps = self.rounds.get("gap", np.zeros(1))
        overflowed = not (np.isnan(gaps[:1]).any() or np.isfinite(gaps[-1:]).all())
        return "diverged: the gap is beyond what a number holds" if overflowed else ""

    def last_row(self) -> dict[str, Any]:
        """The last row of /rounds, as plain numbers."""
        return last_row(self.rounds)

    def without_bulk(self) -> "Run":
        """The same run without what grows with rounds times d, or with n times d²."""
        return replace(self, iterates={}, permutations={}, problem={})


Result = Run
"""What a run returns is what its log holds."""


def open_run(path: str | Path, *, bulk: bool = True) -> Run:
    """Read a run log; `bulk`: also what grows with rounds times d, or with n times d².

    Raises
    ------
    InputError
        If `path` is not a run log of a schema that this version knows; of the kind `DamagedError`
        if it is one that is damaged.
    """
    path = Path(path)
    with hdf5.reading(path, WANTED, LOG_BYTES, ours=True) as file:
        return read(file, path, bulk)


def read_image(contents: bytes, path: Path) -> Run:
    """The run log in the bytes of a file; `path` is for messages. InputError as for `open_run`.

    The bytes must be known to be as they were written: HDF5 reads them as they are.
    """
    with hdf5.in_memory(contents, WANTED, path) as file:
        return read(file, path)


REQUIRED = {
    "config": "text",
    "run_id": "text",
    "status": "text",
    "stop_reason": "text",
    "created": "text",
    "seed": "integer",
    "versions": "text",
    "mpi_library": "text",
    "ranks": "integer",
    "hosts": "text",
    "slurm_job_id": "text",
    "committed": "integer",
}
"""The attributes of / and their types, besides `format` and `schema_version`."""

OPTIONAL = {
    "threads": "integer",
    "exchange": "text",
    "storage": "text",
    "problem_digest": "text",
    "seconds_measuring": "number",
}
"""Attributes of / that a log may have."""

WANTED = hdf5.Wanted(
    arrays={
        "rounds/round": hdf5.Array(1, "i"),
        "rounds/seconds": hdf5.Array(1),
        "rounds/*": hdf5.Array(1),
        "theory/x_star": hdf5.Array(1, required=False),
        "theory/fixed_point": hdf5.Array(1, required=False),
        "model/x0": hdf5.Array(1),
        "model/x": hdf5.Array(1),
        "iterates/round": hdf5.Array(1, "i", required=False),
        "iterates/x": hdf5.Array(2, required=False),
        "permutations/round": hdf5.Array(1, "i", required=False),
        "permutations/pi": hdf5.Array(2, "i", required=False),
        "permutations/offsets": hdf5.Array(2, "i", required=False),
        "problem/L": hdf5.Array(3, required=False),
        "problem/b": hdf5.Array(2, required=False),
        "problem/constant": hdf5.Array(1, required=False),
    },
    attributes={
        "": {"format": "text", "schema_version": "integer", **OPTIONAL, **REQUIRED},
        "theory": {"*": "number or text"},
    },
)
"""All that is ever read of a log."""


def read(file: hdf5.Reader, path: Path | None, with_bulk: bool = True) -> Run:
    """An open log as a `Run`; DamagedError where it is none, or is damaged."""
    expected = f"a run log ({FORMAT}, schema version {SCHEMA_VERSION})"
    attributes = file.attributes()
    kind, version = attributes.get("format"), attributes.get("schema_version")
    if kind != FORMAT:
        raise InputError(Fault(str(path), "an HDF5 file of another kind", expected))
    if version != SCHEMA_VERSION:
        raise DamagedError(Fault(str(path), f"schema version {version}", expected))
    missing = [name for name in REQUIRED if name not in attributes]
    if missing:
        got = f"a damaged log without the attribute(s) {', '.join(missing)}"
        raise DamagedError(Fault(str(path), got, expected))
    try:
        attributes["versions"] = json.loads(attributes["versions"])
        _check_texts(attributes)
    except (ValueError, RecursionError) as error:
        got = f"a damaged log: its attributes are not the JSON or TOML that was written ({error})"
        raise DamagedError(Fault(str(path), got, expected)) from error
    rounds, committed = file.arrays("rounds"), attributes["committed"]
    if committed < 1 or any(column.shape != (committed,) for column in rounds.values()):
        got = f"a damaged log: the columns of /rounds do not have {committed} rows"
        raise DamagedError(Fault(str(path), got, expected))
    constants, vectors = file.attributes("theory"), file.arrays("theory")
    if constants.keys() & vectors.keys():
        raise DamagedError(Fault(str(path), "a damaged log: a vector twice in /theory", expected))

    def bulk(group: str) -> dict[str, NDArray[Any]]:
        return file.arrays(group) if with_bulk else {}

    where = "" if path is None else f"{path}:"  # a run that has no log has parts too
    run = Run(
        path=path,
        attributes=attributes,
        rounds=Part(f"{where}/rounds", rounds),
        theory=Part(f"{where}/theory", constants | vectors),
        model=file.arrays("model"),
        iterates=bulk("iterates"),
        permutations=bulk("permutations"),
        problem=bulk("problem"),
    )
    groups = {name: getattr(run, name) for name in ("rounds", "theory", "model", *fitting.WHOLE)}
    tables = tomllib.loads(attributes["config"])
    found = list(fitting.misfits(groups, tables, attributes.get("problem_digest")))
    if found:
        got = f"a damaged log, whose parts do not fit together: {'; '.join(found)}"
        raise DamagedError(Fault(str(path), got, expected))
    return run


def _check_texts(attributes: Mapping[str, Any]) -> None:
    """Raise ValueError unless the texts that hold more than a word can be read by whoever opens."""
    if attributes["status"] not in STATUSES:
        raise ValueError(f"status {attributes['status'][:40]!r}")
    versions, hosts = attributes["versions"], json.loads(attributes["hosts"])
    if not isinstance(versions, dict):
        raise ValueError("versions")
    if not (isinstance(hosts, list) and all(isinstance(host, str) for host in hosts)):
        raise ValueError("hosts")
    tables = tomllib.loads(attributes["config"])
    if not all(isinstance(table, dict) for table in tables.values()):
        raise ValueError("config")
