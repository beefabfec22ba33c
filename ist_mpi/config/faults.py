"""What pydantic finds wrong, in this program's words: got, expected, where."""

import difflib
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from ist_mpi.config.model import (
    ArraysProblem,
    Config,
    Log,
    Method,
    RidgeProblem,
    Run,
    Section,
    SyntheticProblem,
)
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
    whole_table = len(detail["loc"]) == (2 if detail["loc"][0] == "problem" else 1)
    return detail["type"] == "value_error" and whole_table


def fault_of(detail: Any, tables: Mapping[str, Any], labels: "Labels") -> Fault:
    """One of pydantic's findings in this program's words."""
    location = [str(part) for part in detail["loc"]]
    if location[0] == "problem" and len(location) > 1:
        del location[1]  # the tag of the union, which is not a name in the file
    location = location[:2]  # without the branch of an optional value
    model = _model(location[0], tables)
    where = labels.where(".".join(location))
    kind = detail["type"]
    if kind == "missing":
        return Fault(where, "nothing", _allowed(model, location), "it is required")
    if kind == "extra_forbidden":
        known = (
            list(model.model_fields) if len(location) == 2 and model else list(Config.model_fields)
        )
        known = [name for name in known if name not in _HIDDEN]
        near = difflib.get_close_matches(location[-1], known, n=1)
        remedy = f"did you mean {near[0]}?" if near else ""
        return Fault(where, "an unknown name", f"one of {', '.join(known)}", remedy)
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        tag = tables["problem"].get("kind") if isinstance(tables["problem"], dict) else None
        got = "nothing" if tag is None else _shown(tag)
        return Fault(labels.where("problem.kind"), got, '"synthetic", "ridge" or "arrays"')
    if kind == "value_error":
        _, got, expected = detail["ctx"]["error"].args
        return Fault(where, got, expected)
    if len(location) == 1:
        return Fault(where, _shown(detail["input"]), f"a table [{location[0]}]")
    return Fault(where, _shown(detail["input"]), _allowed(model, location))


_HIDDEN = {"digest"}


def _model(section: str, tables: Mapping[str, Any]) -> type[Section] | None:
    if section == "problem":
        table = tables.get("problem")
        kind = table.get("kind") if isinstance(table, Mapping) else None
        models: dict[Any, type[Section]] = {
            "synthetic": SyntheticProblem,
            "ridge": RidgeProblem,
            "arrays": ArraysProblem,
        }
        return models.get(kind) if isinstance(kind, str) else None
    others: dict[str, type[Section]] = {"method": Method, "run": Run, "log": Log}
    return others.get(section)


def _allowed(model: type[Section] | None, location: list[str]) -> str:
    """What a setting may be, from its field's description."""
    if len(location) == 1:
        return f"a table [{location[0]}]"
    field = model.model_fields.get(location[1]) if model else None
    if field is None:
        return "a valid value"
    if field.description:
        return field.description
    for choice in getattr(field.annotation, "__args__", ()):
        for note in getattr(choice, "__metadata__", ()):
            if getattr(note, "description", None):
                return str(note.description)
    return "a valid value"


def _shown(value: Any) -> str:
    """A short picture of a wrong value."""
    kind = type(value).__name__
    try:
        text = repr(value) if not isinstance(value, str) else f'"{value}"'
    except (ValueError, RecursionError):  # an integer of thousands of digits, tables in tables
        return f"a value too long to show ({kind})"
    shown = text if len(text) <= 60 else text[:57] + "…"
    plain = type(value) is int or (isinstance(value, float) and math.isfinite(value))
    return shown if plain else f"{shown} ({kind})"
