"""What curves, methods and problems are called in a legend."""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ist_mpi.config.model import CODE
from ist_mpi.plots.curves import Curve
from ist_mpi.plots.words import plain_text, rounded

WORDS_OF_SETTINGS = {"method.step_size": "$\\gamma$"}
DIGESTS = {f"{table}.{key}" for table, keys in CODE.items() for key in keys.values()}
"""Settings that are digests of files."""
DIGEST = 8
"""Letters of a digest that a name shows."""
_SHA256 = re.compile("[0-9a-f]{64}")


def names_of(curves: Sequence[Curve]) -> list[str]:
    """What tells each curve from the others: the settings in which they differ.

    Different kinds of problems are named as wholes, as most of their settings differ. What is
    logged of a run, and what a method's name leaves out, is said only where nothing else tells
    curves apart; no two names are the same.
    """
    kinds = {curve.settings["problem.kind"] for curve in curves}
    keys = sorted({key for curve in curves for key in curve.settings})
    differing = [k for k in keys if len({repr(one.settings.get(k)) for one in curves}) > 1]
    whole = ("log.", "problem.") if len(kinds) > 1 else ("log.",)
    telling = [key for key in differing if not key.startswith(whole) and key != "run.theory"]
    names = [_name_of(curve, telling, len(kinds) > 1) for curve in curves]
    told = _told_apart(curves, names, differing)
    return [with_remarks(name, curve) for name, curve in zip(told, curves, strict=True)]


def _told_apart(curves: Sequence[Curve], names: Sequence[str], keys: Sequence[str]) -> list[str]:
    """Names, with settings added where several curves have the same one: first few digits, then
    all.
    """
    found = list(names)
    for digits in (3, 6, None):
        for name in {name for name in found if found.count(name) > 1}:
            places = [place for place, other in enumerate(found) if other == name]
            texts = {
                place: {k: _value_text(curves[place].settings.get(k), digits) for k in keys}
                for place in places
            }
            apart = [k for k in keys if len({texts[place][k] for place in places}) > 1]
            for place in places:
                more = ", ".join(f"{_setting(key)} = {texts[place][key]}" for key in apart)
                found[place] = ", ".join(filter(None, (names[place], more)))
    return found


def _setting(key: str) -> str:
    return WORDS_OF_SETTINGS.get(key, plain_text(key.partition(".")[2]))


def _value_text(value: Any, digits: int | None) -> str:
    """A setting's value to so many digits; None: all of it."""
    if isinstance(value, float):
        return repr(value) if digits is None else rounded(value, digits)
    text = plain_text(str(value))
    return text[:DIGEST] if digits is not None and _SHA256.fullmatch(text) else text


NAMED = {
    *("method.name", "method.sketch", "method.scaling", "method.momentum", "method.form"),
    *("method.q", "method.alpha", "method.refresh", "method.step_size_rule"),
}
"""Settings that a method's name says."""


def words_of(key: str) -> str:
    """A setting as an axis or a legend names it."""
    return WORDS_OF_SETTINGS.get(key, key.partition(".")[2].replace("_", " "))


def _name_of(curve: Curve, keys: Sequence[str], by_kind: bool) -> str:
    parts = [problem_name(curve)] if by_kind else []
    of_method = {"method.name", "method.sketch", "method.scaling", "method.momentum"} & set(keys)
    if of_method:
        parts.append(method_name(curve))
    for key in keys:
        if key in curve.settings and key not in DIGESTS and not (of_method and key in NAMED):
            value = curve.settings[key]
            value = Path(value).name if key == "problem.path" else value
            parts.append(f"{_setting(key)} = {_value_text(value, 3)}")
    return ", ".join(parts) or method_name(curve)


def with_remarks(name: str, curve: Curve, seeds: bool = True) -> str:
    """The name of a curve with how many seeds it is, and with what became of those not finished."""
    count = len(curve.runs)
    remarks = [f"{count} seeds"] if seeds and count > 1 else []
    diverged = sum(bool(run.divergence) for run in curve.runs)
    open_ended = [run.status in ("running", "stopped") for run in curve.runs if not run.divergence]
    for word, found in (("diverged", diverged), ("unfinished", sum(open_ended))):
        many = "all" if found == count else str(found)
        if found:
            remarks.append(word if count == 1 else f"{many} {word}")
    return f"{name} ({', '.join(remarks)})" if remarks else name


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
