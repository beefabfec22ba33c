"""The values that a sweep gives a setting: a list, a range, a log-range, or seeds."""

import math
import re
from collections.abc import Iterator
from typing import Any

from ist_mpi.errors import Fault, InputError
from ist_mpi.randomness import MAX_SEED
from ist_mpi.store.files import Limit

Value = bool | int | float | str
"""What a setting can be."""

POINTS = Limit("IST_MPI_MAX_SWEEP_POINTS", 10_000, "points")
"""Of a sweep: each is a run with a log of its own."""
DIGITS = 12
"""Significant digits of a range's values, so that 1e-05 is the same number in a range and a list,
and the same run."""
FORMS = (
    "a list [1, 2], a range { from = 1, to = 9, step = 2 } or { from = 1, to = 9, count = 5 }, "
    'with log = true evenly spaced ratios, or "A:B" for the integers A, …, B-1'
)
_KEYS = ("from", "to", "step", "count", "log")
_SEEDS = re.compile("([0-9]{1,19}):([0-9]{1,19})")


def values_of(spec: Any, name: str, source: str) -> list[Value]:
    """The values that a sweep file writes down for one setting.

    Parameters
    ----------
    spec : list, dict or str
        As TOML has it; see `FORMS`.
    name, source : str
        What to call the setting in a message, and the file that it is in.

    Raises
    ------
    InputError
        With every fault of this setting.
    """
    where = f"{name} in {source}"
    if isinstance(spec, list):
        return _listed(spec, where)
    if isinstance(spec, dict):
        faults = [
            Fault(f"{name}{key} in {source}", got, expected) for key, got, expected in _broken(spec)
        ]
        if faults:
            raise InputError(faults)
        return _ranged(spec, where)
    if isinstance(spec, str) and (found := _SEEDS.fullmatch(spec)):
        first, last = int(found[1]), int(found[2])
        if not first < last <= MAX_SEED + 1:
            raise InputError(Fault(where, f'"{spec}"', f"A:B with A < B ≤ {MAX_SEED + 1}"))
        _count(last - first, where)
        return list(range(first, last))
    raise InputError(Fault(where, shown(spec), FORMS))


def is_value(value: Any) -> bool:
    """Whether a setting can have this value, of whatever meaning."""
    return isinstance(value, bool | int | float | str)


def shown(value: Any) -> str:
    """A short picture of a wrong value."""
    text = f'"{value}"' if isinstance(value, str) else repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _count(count: int, where: str) -> None:
    """Refuse more values than a sweep may have points, before any is made."""
    if count > POINTS.value:
        expected = f"at most {POINTS.text} in a sweep"
        raise InputError(Fault(where, f"{count} values", expected, _remedy()))


def _remedy() -> str:
    return f"if so many runs are meant, set the environment variable {POINTS.variable} higher"


def _listed(spec: list[Any], where: str) -> list[Value]:
    if not spec:
        raise InputError(Fault(where, "an empty list", "at least one value"))
    _count(len(spec), where)
    wrong = [value for value in spec if not is_value(value)]
    if wrong:
        expected = "numbers, strings, true or false"
        raise InputError(Fault(where, shown(wrong[0]), expected))
    return list(spec)


def _ranged(spec: dict[str, Any], where: str) -> list[Value]:
    first, last = spec["from"], spec["to"]
    if "step" in spec:
        return _stepped(first, last, spec["step"], where)
    _count(spec["count"], where)
    return _spaced(first, last, spec["count"], spec.get("log", False))


def _broken(spec: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """What is wrong with a range, all of it: where in it (``.from``), got, expected."""
    for key in spec.keys() - set(_KEYS):
        yield f".{key}", "an unknown name", f"one of {', '.join(_KEYS)}"
    log = spec.get("log", False)
    if not isinstance(log, bool):
        yield ".log", shown(log), "true or false"
    for key in ("from", "to"):
        if not _is_number(spec.get(key)) or (log is True and spec[key] <= 0):
            expected = "a finite number > 0, with log = true" if log is True else "a finite number"
            yield f".{key}", shown(spec[key]) if key in spec else "nothing", expected
    if ("step" in spec) == ("count" in spec):
        got = "both step and count" if "step" in spec else "neither step nor count"
        yield "", got, "exactly one of step and count"
    if "count" in spec and not (type(spec["count"]) is int and spec["count"] >= 2):
        yield ".count", shown(spec["count"]), "an integer of at least 2"
    if "step" in spec:
        yield from _broken_step(spec, log is True)


def _broken_step(spec: dict[str, Any], log: bool) -> Iterator[tuple[str, str, str]]:
    if log:
        yield ".step", "a step with log = true", "count in its place"
    ends: list[Any] = [spec.get("from"), spec.get("to")]
    if not (_is_number(spec["step"]) and spec["step"] > 0):
        yield ".step", shown(spec["step"]), "a finite number > 0"
    elif all(map(_is_number, ends)) and ends[1] < ends[0]:
        yield "", f"from = {ends[0]}, to = {ends[1]}", "from ≤ to, with a step"


def _is_number(value: Any) -> bool:
    """Whether this is a number that a float can hold."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return abs(value) <= 1e300  # not for NaN


def _stepped(first: Any, last: Any, step: Any, where: str) -> list[Value]:
    """first, first + step, … up to `last`, which is there if a step meets it."""
    steps = (last - first) / step
    _count(math.floor(min(steps, 1e18)) + 1, where)
    count = math.floor(steps + 1e-9) + 1
    if all(isinstance(number, int) for number in (first, step)):
        return [first + k * step for k in range(count)]
    return [_rounded(first + k * step) for k in range(count)]


def _spaced(first: Any, last: Any, count: int, log: bool) -> list[Value]:
    """`count` values from `first` to `last`, both there; integers where all of them are whole."""
    shares = [k / (count - 1) for k in range(count)]
    if log:
        low, ratio = math.log(first), math.log(last) - math.log(first)
        between = [_rounded(math.exp(low + share * ratio)) for share in shares]
    else:
        between = [_rounded(first + share * (last - first)) for share in shares]
    values: list[Value] = [first, *between[1:-1], last]
    ends_whole = isinstance(first, int) and isinstance(last, int)
    if ends_whole and all(float(value).is_integer() for value in values):
        return [int(value) for value in values]
    return [float(value) for value in values]


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
