"""Run logs grouped into curves: the runs of one configuration, over their seeds."""

import csv
import logging
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ist_mpi.config import OPERATION
from ist_mpi.errors import Fault, InputError, printable
from ist_mpi.store.log import Run, open_run

Float64 = NDArray[np.float64]
LOGGER = logging.getLogger(__name__)
MANY = 8
"""Curves that a colour scale tells apart better than a legend does."""


class Curve(NamedTuple):
    """Runs of one configuration, over their seeds."""

    settings: dict[str, Any]
    """By ``section.key``, without those that change no result but by chance."""
    runs: list[Run]

    def theory(self, name: str) -> float:
        """A constant of /theory; nan where the log has none."""
        return float(self.runs[0].theory.get(name, math.nan))


def open_curves(paths: Sequence[Path], *, bulk: bool = True) -> list[Curve]:
    """The curves of run logs; raises InputError where a file is none. `bulk`: as `open_run`'s."""
    LOGGER.info("reading %d logs" if len(paths) > 1 else "reading %d log", len(paths))
    return curves_of([open_run(path, bulk=bulk) for path in paths])


def settings_of(run: Run) -> dict[str, Any]:
    """The resolved configuration, by ``section.key``."""
    config = run.config
    return {f"{section}.{key}": v for section, table in config.items() for key, v in table.items()}


def curves_of(runs: Sequence[Run]) -> list[Curve]:
    """Group runs by all settings but the seed and what changes no result, by step size.

    Each run is there once, however many logs of it there are: as far as one of them goes.
    """
    curves: dict[str, Curve] = {}
    for run in _each_once(runs):
        settings = {
            key: value
            for key, value in settings_of(run).items()
            if key not in {"run.seed", *(f"run.{name}" for name in OPERATION)}
        }
        curves.setdefault(repr(settings), Curve(settings, [])).runs.append(run)
    return sorted(curves.values(), key=lambda curve: curve.settings["method.step_size"])


def _each_once(runs: Iterable[Run]) -> list[Run]:
    found: dict[tuple[str, str], Run] = {}
    for run in runs:
        same = run.attributes["run_id"], run.attributes.get("problem_digest", "")
        kept = found.setdefault(same, run)
        if run.rounds["round"][-1] > kept.rounds["round"][-1]:
            found[same] = run
    return list(found.values())


def by_problem(curves: Sequence[Curve]) -> list[list[Curve]]:
    """The curves of each problem, in order of appearance."""
    problems: dict[str, list[Curve]] = {}
    for curve in curves:
        problem = {k: v for k, v in curve.settings.items() if k.startswith("problem.")}
        problems.setdefault(repr(problem), []).append(curve)
    return list(problems.values())


def scale_of(curves: Sequence[Curve]) -> tuple[str, list[float]] | None:
    """The setting in which alone many curves differ, and its numbers; None where that is not so."""
    keys = {key for curve in curves for key in curve.settings} - {"method.step_size_rule"}
    differing = [k for k in keys if len({repr(one.settings.get(k)) for one in curves}) > 1]
    if len(curves) < MANY or len(differing) != 1:
        return None
    values = [curve.settings.get(differing[0]) for curve in curves]
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return None
    return differing[0], [float(value) for value in values if value is not None]


def is_whole(curve: Curve) -> bool:
    """Whether all runs of a curve have finished, so that its end can be spoken of."""
    return not diverged(curve) and all(
        run.status == "finished" and len(run.rounds["round"]) > 1 for run in curve.runs
    )


def over(curve: Curve) -> list[Run]:
    """The runs of a curve that have come to their end, whatever it is."""
    return [run for run in curve.runs if run.status in ("finished", "failed")]


def diverged(curve: Curve) -> bool:
    """Whether a run of the curve ceased to be finite."""
    return any(run.divergence for run in curve.runs)


def require_rows(curves: Iterable[Curve], *, finished: bool = False) -> None:
    """Refuse logs with nothing to compare.

    Raises
    ------
    ValueError
        If a run diverged, has one row only, or (with `finished`) has not finished; names it.
    """
    for run in (run for curve in curves for run in curve.runs):
        last = int(run.rounds["round"][-1])
        if run.divergence:
            raise ValueError(f"{run.path}: diverged by round {last}; expected runs that do not")
        if finished and run.status != "finished":
            expected = "expected finished runs (ist-mpi resume goes on)"
            raise ValueError(f"{run.path}: {run.status} at round {last}; {expected}")
        if last == 0:
            raise ValueError(f"{run.path}: round 0 only; expected runs that have begun")


def require_kind(curves: Iterable[Curve], kind: str) -> None:
    """Refuse logs of another kind of problem, with a ValueError that names one."""
    for curve in curves:
        found = curve.settings["problem.kind"]
        if found != kind:
            path = curve.runs[0].path
            raise ValueError(f'{path}: problem.kind = "{found}"; expected "{kind}"')


def workers_of(run: Run) -> int:
    """n; known where the problem is configured by n or is in the log."""
    settings = settings_of(run)
    if "problem.n" in settings:
        return int(settings["problem.n"])
    if "L" in run.problem:
        return len(run.problem["L"])
    raise ValueError(f"{run.path}: nothing says how many workers; log it with log.problem = true")


def seeds_word(curves: Sequence[Curve]) -> str:
    """How many runs a curve stands for, for a title."""
    counts = sorted({len(curve.runs) for curve in curves})
    if counts == [1]:
        return "one run"
    return f"{counts[0]} runs" if len(counts) == 1 else f"{counts[0]} to {counts[-1]} runs"


def column(run: Run, name: str) -> Float64:
    """A column of /rounds as floats; ``floats`` is the sum of both directions."""
    if name == "floats":
        return np.asarray(run.rounds["floats_up"] + run.rounds["floats_down"])
    return np.asarray(run.rounds[name], dtype=np.float64)


def stacked(curve: Curve, name: str) -> Float64:
    """A column of all the curve's runs, shape (runs, rows), as far as all have the same rounds.

    The last row of a run that was stopped may be of a round that no other has logged.
    """
    rounds = [run.rounds["round"] for run in curve.runs]
    rows = min(map(len, rounds))
    same = np.all([one[:rows] == rounds[0][:rows] for one in rounds], axis=0)
    rows = rows if same.all() else int(np.argmin(same))
    return np.stack([column(run, name)[:rows] for run in curve.runs])


def median(curve: Curve, name: str) -> Float64:
    """The median of a column over the curve's runs, shape (rows,)."""
    return np.asarray(np.median(stacked(curve, name), axis=0))


def tail(curve: Curve, name: str, share: float = 0.5) -> Float64:
    """The mean over the last `share` of the rows of each run, shape (runs,)."""
    values = stacked(curve, name)
    rows = values.shape[1]
    return np.asarray(values[:, rows - max(1, int(share * rows)) :].mean(axis=1))


def mean_and_error(values: Float64) -> tuple[Float64, Float64]:
    """Mean over the runs (axis 0) and its standard error; nan with one run."""
    runs = len(values)
    if runs < 2:
        return values.mean(axis=0), np.full(values.shape[1:], math.nan)
    return values.mean(axis=0), values.std(axis=0, ddof=1) / math.sqrt(runs)


def companion(run: Run, suffix: str) -> Path:
    """The file of theory beside a log: NAME.csv for NAME.h5 and for NAME-seed3.h5."""
    path = Path(run.path or "run.h5")
    return path.with_name(re.sub(r"-seed\d+$", "", path.stem) + suffix)


def expectation(curve: Curve) -> dict[str, Float64]:
    """The table that ``ist-mpi theory --rounds K --csv NAME.csv`` made beside the log NAME.h5.

    Raises
    ------
    InputError
        If it is missing or not such a table.
    """
    return read_expectation(companion(curve.runs[0], ".csv"))


def read_expectation(path: Path) -> dict[str, Float64]:
    """A table of exact expectations; raises InputError, with the line, where `path` is none."""
    wanted = f'a table made by "ist-mpi theory CONFIG --rounds K --csv {path}"'
    if not path.is_file():
        raise InputError(Fault(str(path), "nothing: it is missing", wanted))
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        try:
            names = next(reader, [])
            if "round" not in names:
                raise ValueError('no column "round"')
            rows = [_numbers(row, len(names)) for row in reader]
            if not rows:
                raise ValueError("no rounds")
        except (ValueError, csv.Error) as error:
            where = f"{path}, line {max(1, reader.line_num)}"
            raise InputError(Fault(where, printable(str(error)), wanted)) from error
    return dict(zip(names, np.array(rows).T.copy(), strict=True))


def _numbers(row: Sequence[str], count: int) -> list[float]:
    """A line of a table; what is empty is not known."""
    if len(row) != count:
        raise ValueError(f"{len(row)} values, not {count}")
    return [float(text or "nan") for text in row]
