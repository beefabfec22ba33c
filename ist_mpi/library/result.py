"""A run as programs and notebooks want it: attributes read, tables, a picture."""

import html
import json
import math
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import numpy as np

from ist_mpi.errors import Fault, InputError
from ist_mpi.library.arguments import one_of, path_of
from ist_mpi.store import run as runlog
from ist_mpi.training.columns import COLUMNS, OF_FUNCTIONS

X_AXES = {
    "rounds": (("round",), "communication round"),
    "floats": (("floats_up", "floats_down"), "floats sent and received by a worker"),
    "seconds": (("seconds",), "seconds"),
}
"""The columns that are added up, and the words of the axis."""
LIMITS = {"relative_gap": "limit_relative_gap", "gap": "limit_gap"}
"""Of columns, the constants that say where their means go."""
TAIL = 5
"""The last fifth of a run is what its limit is compared with."""


class Compared(NamedTuple):
    """A measured value beside what theory predicts."""

    name: str
    measured: float
    predicted: float
    """NaN where there is no prediction."""


class Result(runlog.Run):
    """A run, from `ist_mpi.run` or `ist_mpi.open_run`.

    Attributes
    ----------
    status, stop_reason : str
    x : ndarray, shape (d,)
        The latest model.
    rounds : mapping of ndarray, shape (rows,)
        What was measured: ``rounds["relative_gap"]``; its columns are named in the log's schema.
    theory : mapping
        The constants (NaN: undefined or not computed), ``x_star`` and ``fixed_point``.
    config : dict
        The resolved configuration, by table.
    attributes : dict
        Provenance: versions, hosts, ranks, seed, and what else the log says of the run.
    iterates, permutations, problem : mapping of ndarray
        Empty if not logged.
    path : Path or None
    """

    @classmethod
    def of(cls, run: runlog.Run) -> Self:
        """The same run, with its attributes read."""
        made = cls(**vars(run))
        attributes = dict(made.attributes)
        attributes["config"] = tomllib.loads(attributes["config"])
        attributes["hosts"] = json.loads(attributes["hosts"])
        return replace(made, attributes=attributes)

    @property
    def config(self) -> dict[str, Any]:
        """The resolved configuration, by table."""
        tables: dict[str, Any] = self.attributes["config"]
        return tables

    @property
    def label(self) -> str:
        """The method with its sketch and step size, in a word or two."""
        method = self.config["method"]
        return f"{method['name']}, {method['sketch']}, γ = {method['step_size']:.3g}"

    def compared(self) -> list[Compared]:
        """What was measured beside what is predicted."""
        row, theory = self.last_row(), self.theory
        tail = {name: np.mean(c[-max(1, len(c) // TAIL) :]) for name, c in self.rounds.items()}
        limit = float(theory.get("limit_relative_gap", math.nan))
        far = math.nan
        if {"x_star", "fixed_point"} <= set(theory):
            far = float(np.linalg.norm(theory["fixed_point"] - theory["x_star"]))
        return [
            Compared("f", row.get("value", math.nan), float(theory.get("f_star", math.nan))),
            Compared("relative gap", row["relative_gap"], math.nan),
            Compared("relative gap, mean of the last fifth", float(tail["relative_gap"]), limit),
            Compared("distance to x*", row["distance_to_solution"], far),
            Compared("distance to x∞", row.get("distance_to_fixed_point", math.nan), math.nan),
            Compared("floats up, of a worker", row["floats_up"], math.nan),
            Compared("floats down, to a worker", row["floats_down"], math.nan),
        ]

    def __repr__(self) -> str:
        """One line: the log's, and the predicted gap where there is one."""
        limit = float(self.theory.get("limit_relative_gap", math.nan))
        words = "" if math.isnan(limit) else f", predicted limit {limit:.3e}"
        return f"{super().__repr__().removesuffix('>')}{words}>"

    def _repr_html_(self) -> str:
        """A table for notebooks: measured beside predicted."""

        def cell(value: float) -> str:
            return "" if math.isnan(value) else f"{value:.4g}"

        rows = "".join(
            f"<tr><th style='text-align:left'>{html.escape(one.name)}</th>"
            f"<td>{cell(one.measured)}</td><td>{cell(one.predicted)}</td></tr>"
            for one in self.compared()
            if not (math.isnan(one.measured) and math.isnan(one.predicted))
        )
        state = f"{self.status} ({self.stop_reason}), round {self.last_row()['round']}"
        title = html.escape(f"{self.label}: {state}")
        return (
            f"<table><caption>{title}</caption><thead><tr><th></th><th>measured</th>"
            f"<th>predicted</th></tr></thead><tbody>{rows}</tbody></table>"
        )

    def to_dataframe(self) -> Any:
        """A pandas DataFrame of `rounds`, a row for every logged round, indexed by round.

        Raises
        ------
        InputError
            If pandas is not installed.
        """
        pandas = optional("pandas", "data")
        return pandas.DataFrame(dict(self.rounds)).set_index("round")

    def to_xarray(self) -> Any:
        """An xarray Dataset: the columns by ``round``, vectors by ``coordinate``, with units.

        Raises
        ------
        InputError
            If xarray is not installed.
        """
        xarray = optional("xarray", "analysis")
        named = {**OF_FUNCTIONS, **COLUMNS}
        variables: dict[str, tuple[Any, ...]] = {}
        for name, column in self.rounds.items():
            units, words = named.get(name, ("1", name))
            if name != "round":
                variables[name] = ("round", column, {"units": units, "long_name": words})
        vectors = {name: v for name, v in self.theory.items() if isinstance(v, np.ndarray)}
        for name, vector in {**vectors, **self.model}.items():
            variables[name] = ("coordinate", vector)
        if self.iterates:
            variables["iterates"] = (("round", "coordinate"), self.iterates["x"])
        constants = {name: v for name, v in self.theory.items() if name not in vectors}
        return xarray.Dataset(
            variables,
            coords={"round": self.rounds["round"]},
            attrs={"label": self.label, **constants},
        )

    def plot(
        self,
        x: Literal["rounds", "floats", "seconds"] = "rounds",
        y: str = "relative_gap",
        ax: Any = None,
    ) -> Any:
        """Draw a column against rounds, floats or seconds, with its predicted limit; matplotlib.

        Parameters
        ----------
        x : {"rounds", "floats", "seconds"}
        y : str
            A column of `rounds`.
        ax : matplotlib Axes, optional
            Where to draw; default: a figure of its own.

        Returns
        -------
        Axes

        Raises
        ------
        InputError
            If there is no such axis or column, or matplotlib is not installed.
        """
        columns, words = X_AXES[one_of("x", x, X_AXES)]
        one_of("y", y, self.rounds)
        values, along = self.rounds[y], sum(self.rounds[name] for name in columns)
        if ax is None:
            ax = optional("matplotlib.pyplot", "plot").subplots()[1]
        (line,) = ax.plot(along, values, label=self.label)
        predicted = float(self.theory.get(LIMITS.get(y, ""), math.nan))
        if predicted > 0:
            ax.axhline(predicted, color=line.get_color(), linestyle=":", label="predicted limit")
        if np.isfinite(values).any() and np.nanmin(values) >= 0 < np.nanmax(values):
            ax.set_yscale("log")
        ax.set_xlabel(words)
        ax.set_ylabel({**OF_FUNCTIONS, **COLUMNS}.get(y, ("1", y))[1])
        ax.legend()
        return ax


def open_run(path: str | Path) -> Result:
    """See `ist_mpi.open_run`."""
    return Result.of(runlog.open_run(path_of("path", path)))


def optional(name: str, extra: str) -> Any:
    """A library that not everybody has; InputError says how to get it."""
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        first = name.partition(".")[0]
        remedy = f'python -m pip install "ist_mpi[{extra}]"'
        raise InputError(Fault(first, "not installed", f"the library {first}", remedy)) from error
