"""The run log, schema version 1: one HDF5 file a run, one writer and one reader.

Writer: rank 0 keeps the rows in memory and every now and then puts the whole file in place, so
that on disk there is always a valid file with a prefix of the run. Reader: `open_run`.

The README describes the schema for those who read logs with other tools.
"""

import array
import json
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ist_mpi.errors import DamagedError, Fault, InputError, LogError
from ist_mpi.store import hdf5
from ist_mpi.store.files import LOG_BYTES

FORMAT = "ist_mpi.run"
SCHEMA_VERSION = 1

COLUMNS: dict[str, tuple[str, str]] = {
    "round": ("1", "communication round"),
    "seconds": ("s", "wall-clock time since round 0, logging included"),
    "gap": ("1", "f(x) - f*"),
    "relative_gap": ("1", "(f(x) - f*) / (f(x0) - f*)"),
    "distance_to_solution": ("1", "Euclidean distance to x*"),
    "distance_to_fixed_point": ("1", "Euclidean distance to the predicted fixed point"),
    "gradient_norm_squared": ("1", "squared Euclidean norm of the gradient of f"),
    "gradient_norm_squared_w": ("1", "(x - x*)' W (x - x*), the left side of eq. (15)"),
    "floats_up": ("1", "numbers sent by a worker so far, mean over workers"),
    "floats_down": ("1", "numbers sent to a worker so far, mean over workers"),
}
"""The columns of /rounds: units and long names. All float64 but `round`, which is int64."""

STATUSES = ("running", "finished", "stopped", "failed")

COMMIT_SECONDS = 10.0
"""Time between two versions of the file on disk."""
COMMIT_SHARE = 0.002
"""Largest share of the run spent on writing it, as much again on checkpoints; the time between
versions stretches to keep it."""

Float64 = NDArray[np.float64]


class RunLog:
    """Collects a run's rows and keeps a valid file of them on disk.

    Parameters
    ----------
    path : Path or None
        Where the log goes, its folder is made if it is missing; None: nowhere, but `result` has it.
    attributes : mapping
        Root attributes: numbers and strings.
    arrays : mapping
        Arrays known from the start, by group: ``{"theory": {"x_star": …}, "model": {"x0": …}}``.
    theory : mapping
        The attributes of /theory.
    force : bool
        Whether a file already at `path` may be replaced.
    """

    def __init__(
        self,
        path: Path | None,
        attributes: Mapping[str, Any],
        arrays: Mapping[str, Mapping[str, Float64]],
        theory: Mapping[str, float | str],
        force: bool,
    ) -> None:
        self.path = path
        self._attributes = {
            "format": FORMAT,
            "schema_version": SCHEMA_VERSION,
            **attributes,
            "status": "running",
            "stop_reason": "",
        }
        self._arrays = arrays
        self._theory = theory
        self._overwrite = force
        self._rows: dict[str, array.array[Any]] = {
            name: array.array("q" if name == "round" else "d") for name in COLUMNS
        }
        self._iterates: list[Float64] = []
        self._draws: list[tuple[int, NDArray[np.int32], NDArray[np.int32]]] = []
        self._model = np.array(arrays["model"]["x0"])
        self._next_commit = 0.0

    def restore(self, run: "Run", observed: int, k: int) -> None:
        """Begin with an earlier log: rows and iterates up to round `observed`, draws before k."""
        keep = run.rounds["round"] <= observed
        for name, values in self._rows.items():
            values[:] = array.array(values.typecode, run.rounds[name][keep].tolist())
        self._model = np.array(run.model["x"])
        if run.iterates:
            self._iterates = list(run.iterates["x"][keep])
        if run.permutations:
            made = run.permutations["round"] < k
            self._draws = [
                (int(k), pi, offsets)
                for k, pi, offsets in zip(
                    run.permutations["round"][made],
                    run.permutations["pi"][made],
                    run.permutations["offsets"][made],
                    strict=True,
                )
            ]

    def last_row(self) -> dict[str, float]:
        """The last logged round."""
        return {name: values[-1] for name, values in self._rows.items()}

    def image(self) -> bytes:
        """The log with everything so far, as it would be on disk."""
        return hdf5.image(self._fill)

    def append(self, row: Mapping[str, float], x: Float64, keep_iterate: bool) -> None:
        """Add one logged round: a value for every column, and the model (d,) of that round."""
        for name, values in self._rows.items():
            values.append(row[name])
        self._model = np.array(x, dtype=np.float64)
        if keep_iterate:
            self._iterates.append(self._model)

    def append_draw(self, k: int, pi: NDArray[np.int32], offsets: NDArray[np.int32]) -> None:
        """Add the blocks that lead from x^k to x^{k+1}."""
        self._draws.append((k, pi.copy(), offsets.copy()))

    def note(self, name: str, value: float | str) -> None:
        """Set a root attribute that is known only at the end."""
        self._attributes[name] = value

    def rows(self) -> dict[str, NDArray[Any]]:
        """The columns so far."""
        return {
            name: np.array(values, dtype=values.typecode) for name, values in self._rows.items()
        }

    def commit_if_due(self) -> None:
        """Write the file if the last version is old enough."""
        if time.monotonic() >= self._next_commit:
            self.commit("running")

    def commit(self, status: str, stop_reason: str = "") -> None:
        """Put the file with everything so far in place.

        Raises
        ------
        LogError
            If that fails; the version before is still there.
        """
        began = time.monotonic()
        self._attributes |= {"status": status, "stop_reason": stop_reason}
        if self.path is not None:
            self.put(self.image(), began)

    def put(self, contents: bytes, began: float) -> None:
        """Put an `image` that was begun at that time in place.

        Raises
        ------
        LogError
            If that fails; the version before is still there.
        """
        if self.path is None:
            return
        try:
            if self._next_commit == 0.0:  # a folder that vanishes later is not made again
                self.path.parent.mkdir(parents=True, exist_ok=True)
            hdf5.replace(self.path, contents, self._overwrite)
        except OSError as error:
            raise LogError(f"the log {self.path} cannot be written: {error}") from error
        self._overwrite = True  # from now on the file there is ours
        now = time.monotonic()
        self._next_commit = now + max(COMMIT_SECONDS, (now - began) / COMMIT_SHARE)

    def result(self) -> "Run":
        """What a reader of the last version would get, without its path."""
        with hdf5.in_memory(hdf5.image(self._fill), WANTED) as file:
            return _read(file, self.path)

    def _fill(self, file: Any) -> None:
        hdf5.write_attributes(file, self._attributes)
        file.attrs["committed"] = len(self._rows["round"])
        rounds = file.create_group("rounds")
        for name, values in self.rows().items():
            column = hdf5.write_array(rounds, name, values)
            column.attrs["units"], column.attrs["long_name"] = COLUMNS[name]
        _label(rounds, {name: ("round",) for name in COLUMNS})
        groups = {name: file.require_group(name) for name in (*self._arrays, "theory")}
        hdf5.write_attributes(groups["theory"], self._theory)
        for group, arrays in self._arrays.items():
            for name, values in arrays.items():
                hdf5.write_array(groups[group], name, values)
        hdf5.write_array(groups["model"], "x", self._model)
        if self._iterates:
            group = file.create_group("iterates")
            hdf5.write_array(group, "round", self.rows()["round"])
            hdf5.write_array(group, "x", np.stack(self._iterates))
            _label(group, {"round": ("round",), "x": ("round", "coordinate")})
        if self._draws:
            group = file.create_group("permutations")
            drawn, pi, offsets = zip(*self._draws, strict=True)
            hdf5.write_array(group, "round", np.array(drawn, np.int64))
            hdf5.write_array(group, "pi", np.stack(pi))
            hdf5.write_array(group, "offsets", np.stack(offsets))
            _label(
                group, {"round": ("round",), "pi": ("round", "entry"), "offsets": ("round", "edge")}
            )
        for group, names in _LABELS.items():
            if group in groups:
                _label(groups[group], names)


_LABELS: dict[str, dict[str, tuple[str, ...]]] = {
    "theory": {"x_star": ("coordinate",), "fixed_point": ("coordinate",)},
    "model": {"x0": ("coordinate",), "x": ("coordinate",)},
    "problem": {
        "L": ("worker", "coordinate", "other_coordinate"),
        "b": ("worker", "coordinate"),
        "constant": ("worker",),
    },
}


def _label(group: Any, dimensions: Mapping[str, tuple[str, ...]]) -> None:
    """Name the dimensions of a group's datasets, as netCDF readers expect."""
    for name, axes in dimensions.items():
        if name not in group:
            continue
        for axis, dimension in enumerate(axes):
            if dimension not in group:
                scale = np.arange(group[name].shape[axis], dtype=np.int64)
                hdf5.write_array(group, dimension, scale)
            if not group[dimension].is_scale:
                group[dimension].make_scale(dimension)
            if name != dimension:
                group[name].dims[axis].attach_scale(group[dimension])


@dataclass(frozen=True)
class Run:
    """A run log, read into memory."""

    path: Path | None
    attributes: dict[str, Any]
    """The root attributes; `config` is a TOML string, `versions` a dict."""
    rounds: dict[str, NDArray[Any]]
    """The columns of /rounds, each of shape (rows,)."""
    theory: dict[str, Any]
    """The constants, and x_star (d,) and fixed_point (d,)."""
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
        gap = float(self.rounds["relative_gap"][-1])
        reason = f" ({self.stop_reason})" if self.stop_reason else ""
        where = f"{str(self.path)!r}, " if self.path is not None else ""
        return f"<Run {where}{self.status}{reason}, round {last}, relative gap {gap:.3e}>"

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
        return _read(file, path, bulk)


def read_image(contents: bytes, path: Path) -> Run:
    """The run log in the bytes of a file; `path` is for messages. InputError as for `open_run`.

    The bytes must be known to be as they were written: HDF5 reads them as they are.
    """
    with hdf5.in_memory(contents, WANTED, path) as file:
        return _read(file, path)


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
    "seconds_measuring": "number",
}
"""Attributes of / that a log may have."""

CONSTANTS = ("f_star", "initial_gap", "fixed_point_gap", "fixed_point_relative_gap")
"""The attributes of /theory that every log has."""

MORE_CONSTANTS = (
    "theta",
    "step_size_limit",
    "w_min_eigenvalue",
    "contraction",
    "spectral_radius",
    "stable_step_size_limit",
    "limit_gap",
    "limit_relative_gap",
    "bias_norm_squared",
    "sigma_squared",
    "mean_step_size_limit",
)
"""Those that a log may have."""

WANTED = hdf5.Wanted(
    arrays={
        **{f"rounds/{name}": hdf5.Array(1, "i" if name == "round" else "f") for name in COLUMNS},
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
        "theory": {
            **dict.fromkeys((*CONSTANTS, *MORE_CONSTANTS), "number"),
            "not_computed": "text",
            "estimated": "text",
        },
    },
)
"""All that is ever read of a log."""


def _read(file: hdf5.Reader, path: Path | None, with_bulk: bool = True) -> Run:
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
    theory = file.attributes("theory")
    if not set(CONSTANTS) <= set(theory):
        raise DamagedError(Fault(str(path), "a damaged log: /theory lacks constants", expected))

    def bulk(group: str) -> dict[str, NDArray[Any]]:
        return file.arrays(group) if with_bulk else {}

    run = Run(
        path=path,
        attributes=attributes,
        rounds=rounds,
        theory=theory | file.arrays("theory"),
        model=file.arrays("model"),
        iterates=bulk("iterates"),
        permutations=bulk("permutations"),
        problem=bulk("problem"),
    )
    if not _fit(run):
        got = "a damaged log: its models and its theory are of different lengths"
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


def _fit(run: Run) -> bool:
    """Whether the models and the vectors of theory are of one length."""
    vectors = [run.x, run.model["x0"], run.theory.get("x_star"), run.theory.get("fixed_point")]
    return len({len(vector) for vector in vectors if vector is not None}) == 1
