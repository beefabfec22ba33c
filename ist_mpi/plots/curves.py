"""Run logs grouped into curves: the runs of one configuration, over their seeds."""

import csv
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ist_mpi.config import OPERATION
from ist_mpi.plots.words import plain_text, rounded, shown
from ist_mpi.store.log import Run, open_run

Float64 = NDArray[np.float64]
MANY = 8
"""Curves that a colour scale tells apart better than a legend does."""
WORDS_OF_SETTINGS = {"method.step_size": "$\\gamma$"}


class Curve(NamedTuple):
    """Runs of one configuration, over their seeds."""

    settings: dict[str, Any]
    """By ``section.key``, without those that change no result but by chance."""
    runs: list[Run]

    def theory(self, name: str) -> float:
        """A constant of /theory; nan where the log has none."""
        return float(self.runs[0].theory.get(name, math.nan))


def open_curves(paths: Iterable[Path]) -> list[Curve]:
    """The curves of run logs; raises InputError where a file is none."""
    return curves_of([open_run(path) for path in paths])


def settings_of(run: Run) -> dict[str, Any]:
    """The resolved configuration, by ``section.key``."""
    config = run.config
    return {f"{section}.{key}": v for section, table in config.items() for key, v in table.items()}


def curves_of(runs: Sequence[Run]) -> list[Curve]:
    """Group runs by all settings but the seed and what changes no result, by step size."""
    curves: dict[str, Curve] = {}
    for run in runs:
        settings = {
            key: value
            for key, value in settings_of(run).items()
            if key not in {"run.seed", *(f"run.{name}" for name in OPERATION)}
        }
        curves.setdefault(repr(settings), Curve(settings, [])).runs.append(run)
    return sorted(curves.values(), key=lambda curve: curve.settings["method.step_size"])


def by_problem(curves: Sequence[Curve]) -> list[list[Curve]]:
    """The curves of each problem, in order of appearance."""
    problems: dict[str, list[Curve]] = {}
    for curve in curves:
        problem = {k: v for k, v in curve.settings.items() if k.startswith("problem.")}
        problems.setdefault(repr(problem), []).append(curve)
    return list(problems.values())


def names_of(curves: Sequence[Curve]) -> list[str]:
    """What tells each curve from the others: the settings in which they differ.

    Different kinds of problems are named as wholes, as most of their settings differ. What is
    logged of a run is said only where nothing else tells curves apart.
    """
    kinds = {curve.settings["problem.kind"] for curve in curves}
    keys = sorted({key for curve in curves for key in curve.settings})
    differing = [
        key
        for key in keys
        if len({repr(curve.settings.get(key)) for curve in curves}) > 1
        and not (len(kinds) > 1 and key.startswith("problem."))
    ]
    telling = [key for key in differing if not key.startswith("log.") and key != "run.theory"]
    for wanted in (telling, differing):
        names = [_name_of(curve, wanted, len(kinds) > 1) for curve in curves]
        if len(set(names)) == len(names):
            break
    return [with_remarks(name, curve) for name, curve in zip(names, curves, strict=True)]


NAMED = {
    *("method.name", "method.sketch", "method.scaling", "method.momentum", "method.form"),
    *("method.q", "method.alpha", "method.refresh", "method.step_size_rule"),
}
"""Settings that a method's name says."""


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


def words_of(key: str) -> str:
    """A setting as an axis or a legend names it."""
    return WORDS_OF_SETTINGS.get(key, key.partition(".")[2].replace("_", " "))


def _name_of(curve: Curve, keys: Sequence[str], by_kind: bool) -> str:
    parts = [problem_name(curve)] if by_kind else []
    of_method = {"method.name", "method.sketch", "method.scaling", "method.momentum"} & set(keys)
    if of_method:
        parts.append(method_name(curve))
    for key in keys:
        if key in curve.settings and not (of_method and key in NAMED):
            value = curve.settings[key]
            value = rounded(value, 3) if isinstance(value, float) else shown(value)
            value = plain_text(Path(value).name) if key == "problem.path" else value
            parts.append(f"{WORDS_OF_SETTINGS.get(key, key.partition('.')[2])} = {value}")
    return ", ".join(parts) or str(curve.settings["method.name"])


def with_remarks(name: str, curve: Curve, seeds: bool = True) -> str:
    """The name of a curve with how many seeds it is, and with what became of those not finished."""
    count = len(curve.runs)
    remarks = [f"{count} seeds"] if seeds and count > 1 else []
    for word, states in (("diverged", ("failed",)), ("unfinished", ("running", "stopped"))):
        found = sum(run.status in states for run in curve.runs)
        many = "all" if found == count else str(found)
        if found:
            remarks.append(word if count == 1 else f"{many} {word}")
    return f"{name} ({', '.join(remarks)})" if remarks else name


def is_whole(curve: Curve) -> bool:
    """Whether all runs of a curve have finished, so that its end can be spoken of."""
    return all(run.status == "finished" and len(run.rounds["round"]) > 1 for run in curve.runs)


def diverged(curve: Curve) -> bool:
    """Whether a run of the curve ceased to be finite."""
    return any(run.status == "failed" for run in curve.runs)


def require_rows(curves: Iterable[Curve], *, finished: bool = False) -> None:
    """Refuse logs with nothing to compare.

    Raises
    ------
    ValueError
        If a run diverged, has one row only, or (with `finished`) has not finished; names it.
    """
    for run in (run for curve in curves for run in curve.runs):
        last = int(run.rounds["round"][-1])
        if run.status == "failed":
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


WORDS = {
    "gradient_descent": "gradient descent",
    "shared_block": "shared block",
    "anchored": "anchored",
    "stale": "stale",
    "marina_p": "MARINA-P",
    "diana": "DIANA",
    "ef21": "EF21",
    "marina": "MARINA",
    "scaffnew": "Scaffnew",
}
"""What the methods are called, but for those whose sketch is most of their name."""


def _settings_of_method(settings: dict[str, Any]) -> str:
    """What tells one run of a method from another."""
    text = ", Nesterov" if settings.get("method.momentum") == "nesterov" else ""
    if "method.alpha" in settings:
        text += f", α = {rounded(float(settings['method.alpha']))}"
    if "method.refresh" in settings:
        text += f", m = {settings['method.refresh']}"
    return text


def method_name(curve: Curve) -> str:
    """A method in a few words: IST, Perm-10."""
    settings = curve.settings
    name, sketch = settings["method.name"], settings["method.sketch"]
    if name in WORDS:
        return WORDS[name] + _settings_of_method(settings)
    if name not in ("ist", "dcgd"):
        return plain_text(str(name).rpartition(":")[2])
    n, d = settings.get("problem.n", math.nan), len(curve.runs[0].x)
    if sketch == "rand":
        words = f"Rand-{settings['method.q']}"
    elif sketch == "identity":
        words = "whole models"
    elif math.isnan(n):
        words = "Perm"
    else:
        g = int(settings.get("method.group_size", 1))
        q = max(g, d / n) if g > 1 else d / n
        words = f"Perm-{round(q)}" if q == round(q) else f"Perm-{q:.2g}"
        words += f" in groups of {g}" if g > 1 else ""
        if settings["method.scaling"] != "unbiased":
            words = f"{settings['method.scaling']} {words}"
    return f"{'DCGD' if name == 'dcgd' else 'IST'}, {words}"


ON_DATA = {
    "ridge": "ridge regression",
    "logistic": "logistic regression",
    "network": "a network",
}
"""Kinds of problems that are made of samples, in words."""


def problem_name(curve: Curve) -> str:
    """A problem in a few words."""
    kind = curve.settings["problem.kind"]
    path = curve.settings.get("problem.path")
    data = curve.settings.get("problem.dataset") or (Path(path).name if path else "arrays")
    if kind in ON_DATA:
        return f"{ON_DATA[kind]} on {plain_text(data)}, n = {curve.settings['problem.n']}"
    if kind == "arrays":
        return f"quadratic from {plain_text(data)}"
    if "problem.heterogeneous" not in curve.settings:
        return plain_text(str(kind).rpartition(":")[2])
    sort = "heterogeneous" if curve.settings["problem.heterogeneous"] else "homogeneous"
    return f"{sort}, d = {curve.settings['problem.d']}, n = {curve.settings['problem.n']}"


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
    """A column of all the curve's runs, shape (runs, rows), as far as all of them got."""
    rows = min(len(run.rounds["round"]) for run in curve.runs)
    return np.stack([column(run, name)[:rows] for run in curve.runs])


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
    ValueError
        If it is missing or not such a table.
    """
    return read_expectation(companion(curve.runs[0], ".csv"))


def read_expectation(path: Path) -> dict[str, Float64]:
    """A table of exact expectations; raises ValueError where `path` is none."""
    wanted = f'made by "ist-mpi theory CONFIG --rounds K --csv {path}"'
    if not path.is_file():
        raise ValueError(f"{path}: missing; expected the exact expectations, {wanted}")
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        names, rows = list(reader.fieldnames or []), list(reader)
    try:
        table = {name: np.array([float(row[name] or "nan") for row in rows]) for name in names}
        if "round" not in table or not rows:
            raise ValueError("no rounds")
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: expected a table {wanted} ({error})") from error
    return table
