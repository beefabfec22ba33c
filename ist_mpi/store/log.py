"""The run log, schema version 1: one HDF5 file a run, one writer and one reader.

Writer: rank 0 keeps the rows in memory and every now and then puts the whole file in place, so
that on disk there is always a valid file with a prefix of the run. Reader: `open_run`, in `run`.

The README describes the schema for those who read logs with other tools.
"""

import array
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ist_mpi.errors import LogError, MismatchError
from ist_mpi.store import files, hdf5
from ist_mpi.store.run import (
    FORMAT,
    SCHEMA_VERSION,
    WANTED,
    Float64,
    Result,
    Run,
    last_row,
    open_run,
    read,
    read_image,
)

__all__ = ["Result", "Run", "RunLog", "open_run", "read_image"]

COMMIT_SECONDS = 10.0
"""Time between two versions of the file on disk."""
COMMIT_SHARE = 0.002
"""Largest share of the run spent on writing it, as much again on checkpoints; the time between
versions stretches to keep it."""


class RunLog:
    """Collects a run's rows and keeps a valid file of them on disk.

    Parameters
    ----------
    path : Path or None
        Where the log goes, its folder is made if it is missing; None: nowhere, but `result` has it.
    attributes : mapping
        Root attributes: numbers and strings.
    columns : mapping
        The columns of /rounds with their units and long names; ``round`` (int64) and ``seconds``
        are among them, all but the first are float64.
    arrays : mapping
        Arrays known from the start, by group: ``{"theory": {"x_star": …}, "model": {"x0": …}}``.
    constants : mapping
        The attributes of /theory: numbers and texts.
    force : bool
        Whether a file already at `path` may be replaced.
    """

    def __init__(
        self,
        path: Path | None,
        attributes: Mapping[str, Any],
        columns: Mapping[str, tuple[str, str]],
        arrays: Mapping[str, Mapping[str, Float64]],
        constants: Mapping[str, float | str],
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
        self._columns = columns
        self._constants = constants
        self._overwrite = force
        self._rows: dict[str, array.array[Any]] = {
            name: array.array("q" if name == "round" else "d") for name in columns
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
        return last_row(self._rows)

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
        """Add the blocks that lead from x^k to x^{k+1}.

        Raises
        ------
        MismatchError
            If those before are not as many: of a log that is gone on with, or a sketch's own doing.
        """
        before = self._draws[-1:]
        if any((p.size, o.size) != (pi.size, offsets.size) for _, p, o in before):
            got = f"{pi.size} entries, those before {before[0][1].size}"
            raise MismatchError(
                f"log.permutations: round {k} does not fit into the log: its draw has {got}"
            )
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
                files.remove_leftovers(self.path)
            files.replace(self.path, contents, overwrite=self._overwrite)
        except OSError as error:
            raise LogError(f"the log {self.path} cannot be written: {error}") from error
        self._overwrite = True  # from now on the file there is ours
        now = time.monotonic()
        self._next_commit = now + max(COMMIT_SECONDS, (now - began) / COMMIT_SHARE)

    def result(self) -> "Run":
        """What a reader of the last version would get, without its path."""
        with hdf5.in_memory(hdf5.image(self._fill), WANTED) as file:
            return read(file, self.path)

    def _fill(self, file: Any) -> None:
        hdf5.write_attributes(file, self._attributes)
        file.attrs["committed"] = len(self._rows["round"])
        rounds = file.create_group("rounds", track_order=True)
        for name, values in self.rows().items():
            column = hdf5.write_array(rounds, name, values)
            column.attrs["units"], column.attrs["long_name"] = self._columns[name]
        _label(rounds, {name: ("round",) for name in self._columns})
        groups = {name: file.require_group(name) for name in (*self._arrays, "theory")}
        hdf5.write_attributes(groups["theory"], self._constants)
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
