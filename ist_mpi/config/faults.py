"""What pydantic finds wrong, in this program's words: got, expected, where."""

import difflib
import math
from typing import Any, NamedTuple

from ist_mpi import registry
from ist_mpi.config.types import Section
from ist_mpi.errors import Fault


class Labels(NamedTuple):
    """Where settings came from."""

    source: str
    """The file, or "configuration" for a dict."""
    overridden: frozenset[str]
    """The keys, ``section.key``, that were set over it."""
    setter: str = "--set"
    """Where those stand."""

    def where(self, key: str) -> str:
        """What to call a setting in a message."""
        return f"{key} in {self.setter if key in self.overridden else self.source}"


def is_rule(detail: Any) -> bool:
    """Whether a finding is a broken rule between settings, which `broken_rules` lists."""
    return bool(detail["type"] == "value_error" and not detail["loc"])


def fault_of(detail: Any, section: str, model: type[Section], labels: Labels) -> Fault:
    """One of pydantic's findings in a table, in this program's words."""
    key = str(detail["loc"][0])  # without the branch of an optional value
    where = labels.where(f"{section}.{key}")
    kind = detail["type"]
    if kind == "missing":
        return Fault(where, "nothing", _allowed(model, section, key), "it is required")
    if kind == "extra_forbidden":
        return unknown_name(f"{section}.{key}", model, labels)
    if kind == "value_error":
        _, got, expected = detail["ctx"]["error"].args
        return Fault(where, got, expected)
    return Fault(where, shown(detail["input"]), _allowed(model, section, key))


def unknown_name(key: str, model: type[Section], labels: Labels) -> Fault:
    """A setting, or a table, that there is not."""
    known = [name for name in model.model_fields if name not in _HIDDEN]
    near = difflib.get_close_matches(key.rpartition(".")[2], known, n=1)
    remedy = f"did you mean {near[0]}?" if near else ""
    return Fault(labels.where(key), "an unknown name", f"one of {', '.join(known)}", remedy)


_HIDDEN = {"digest", "code", "sketch_code"}

_NAMES = {"method.name": "methods", "method.sketch": "sketches", "problem.kind": "problems"}


def _allowed(model: type[Section], section: str, key: str) -> str:
    """What a setting may be, from its field's description."""
    if f"{section}.{key}" in _NAMES:
        return registry.allowed(_NAMES[f"{section}.{key}"])
    field = model.model_fields.get(key)
    if field is None:
        return "a valid value"
    if field.description:
        return field.description
    for choice in getattr(field.annotation, "__args__", ()):
        for note in getattr(choice, "__metadata__", ()):
            if getattr(note, "description", None):
                return str(note.description)
    return "a valid value"


def shown(value: Any) -> str:
    """A short picture of a wrong value."""
    kind = type(value).__name__
    try:
        text = repr(value) if not isinstance(value, str) else f'"{value}"'
    except (ValueError, RecursionError):  # an integer of thousands of digits, tables in tables
        return f"a value too long to show ({kind})"
    shown = text if len(text) <= 60 else text[:57] + "…"
    plain = type(value) is int or (isinstance(value, float) and math.isfinite(value))
    return shown if plain else f"{shown} ({kind})"
