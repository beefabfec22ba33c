"""The values that a sweep gives a setting: a list, a range, a log-range, or seeds."""

import math
import re
from typing import Any, TypeGuard

from ist_mpi.errors import Fault, InputError
from ist_mpi.randomness import MAX_SEED
from ist_mpi.store.files import Limit

Value = bool | int | float | str
"""What a setting can be."""

POINTS = Limit("IST_MPI_MAX_SWEEP_POINTS", 10_000, "points")
"""Of a sweep: each is a run with a log of its own."""
MORE_POINTS = f"if so many runs are meant, set the environment variable {POINTS.variable} higher"
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
    """The values that a sweep file (`source`) writes down for a setting (`name`), as in `FORMS`.

    Raises InputError with every fault of this setting.
    """
    where = f"{name} in {source}"
    if isinstance(spec, list):
        if not spec:
            raise InputError(Fault(where, "an empty list", "at least one value"))
        _check_count(len(spec), where)
        if wrong := [value for value in spec if not is_value(value)]:
            raise InputError(Fault(where, shown(wrong[0]), "numbers, strings, true or false"))
        return list(spec)
    if isinstance(spec, dict):
        if faults := _range_faults(spec, name, source):
            raise InputError(faults)
        if "step" in spec:
            return _stepped(spec["from"], spec["to"], spec["step"], where)
        _check_count(spec["count"], where)
        return _spaced(spec["from"], spec["to"], spec["count"], spec.get("log", False))
    if isinstance(spec, str) and (found := _SEEDS.fullmatch(spec)):
        first, last = int(found[1]), int(found[2])
        if not first < last <= MAX_SEED + 1:
            raise InputError(Fault(where, f'"{spec}"', f"A:B with A < B ≤ {MAX_SEED + 1}"))
        _check_count(last - first, where)
        return list(range(first, last))
    raise InputError(Fault(where, shown(spec), FORMS))


def is_value(value: Any) -> bool:
    """Whether a setting can have this value, of whatever meaning."""
    return isinstance(value, bool | int | float | str)


def shown(value: Any) -> str:
    """A short picture of a wrong value."""
    text = f'"{value}"' if isinstance(value, str) else repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _check_count(count: int, where: str) -> None:
    """Refuse more values than a sweep may have points, before any is made."""
    if count > POINTS.value:
        expected = f"at most {POINTS.text} in a sweep"
        raise InputError(Fault(where, f"{count} values", expected, MORE_POINTS))


def _range_faults(spec: dict[str, Any], name: str, source: str) -> list[Fault]:
    """What is wrong with a range, all of it."""
    faults: list[Fault] = []

    def check(good: bool, key: str, got: str, expected: str) -> None:
        if not good:
            faults.append(Fault(f"{name}{key} in {source}", got, expected))

    log, stepped, counted = spec.get("log", False), "step" in spec, "count" in spec
    for key in spec.keys() - set(_KEYS):
        check(False, f".{key}", "an unknown name", f"one of {', '.join(_KEYS)}")
    check(isinstance(log, bool), ".log", shown(log), "true or false")
    for key in ("from", "to"):
        good = _is_number(spec.get(key)) and not (log is True and spec[key] <= 0)
        expected = "a finite number > 0, with log = true" if log is True else "a finite number"
        check(good, f".{key}", shown(spec[key]) if key in spec else "nothing", expected)
    got = "both step and count" if stepped else "neither step nor count"
    check(stepped != counted, "", got, "exactly one of step and count")
    if counted:
        count = spec["count"]
        check(type(count) is int and count >= 2, ".count", shown(count), "an integer of at least 2")
    if stepped:
        step, first, last = spec["step"], spec.get("from"), spec.get("to")
        check(log is not True, ".step", "a step with log = true", "count in its place")
        good = _is_number(step) and step > 0
        check(good, ".step", shown(step), "a finite number > 0")
        if good and _is_number(first) and _is_number(last):
            check(first <= last, "", f"from = {first}, to = {last}", "from ≤ to, with a step")
    return faults


def _is_number(value: Any) -> TypeGuard[float]:
    """Whether this is a number that a float can hold; NaN is none."""
    return type(value) in (int, float) and abs(value) <= 1e300


def _stepped(first: Any, last: Any, step: Any, where: str) -> list[Value]:
    """first, first + step, … up to `last`, which is there if a step meets it."""
    steps = (last - first) / step
    _check_count(math.floor(min(steps, 1e18)) + 1, where)
    values = [first + k * step for k in range(math.floor(steps + 1e-9) + 1)]
    whole = isinstance(first, int) and isinstance(step, int)
    return values if whole else [_rounded(value) for value in values]


def _spaced(first: Any, last: Any, count: int, log: bool) -> list[Value]:
    """`count` values from `first` to `last`, both there; integers where all of them are whole."""
    shares = [k / (count - 1) for k in range(1, count - 1)]
    if log:
        low, ratio = math.log(first), math.log(last) - math.log(first)
        between = [_rounded(math.exp(low + share * ratio)) for share in shares]
    else:
        between = [_rounded(first + share * (last - first)) for share in shares]
    values: list[Value] = [first, *between, last]
    ends_whole = isinstance(first, int) and isinstance(last, int)
    kind = int if ends_whole and all(value.is_integer() for value in between) else float
    return [kind(value) for value in values]


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
