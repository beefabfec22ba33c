"""The JSON schema of a configuration, for editors: what `ist-mpi schema` prints."""

from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from ist_mpi import registry
from ist_mpi.config.model import Log, Run, method_class
from ist_mpi.config.types import Section

DIALECT = "https://json-schema.org/draft/2020-12/schema"
FOREIGN = r"\.py:[A-Za-z_]\w*$"
"""A name of code in a file, about whose settings nothing is known here."""
SET_BY_THE_PROGRAM = "set by the program"
OF_PYTHON = "of Python only"


def schema() -> dict[str, Any]:
    """Of the tables [problem], [method], [run] and [log], with all that is built in."""
    problems = [
        _named(registry.load("problems", kind).Settings, "kind", kind)
        for kind in registry.BUILT_IN["problems"]
    ]
    methods = [_method(name) for name in registry.BUILT_IN["methods"]]
    return {
        "$schema": DIALECT,
        "title": "A configuration of ist_mpi",
        "type": "object",
        "properties": {
            "problem": {"anyOf": [*problems, _foreign("kind")]},
            "method": {"anyOf": [*methods, _foreign("name"), _foreign("sketch")]},
            "run": _table(Run),
            "log": _table(Log),
        },
        "required": ["problem", "method", "run"],
        "additionalProperties": False,
    }


def _method(name: str) -> dict[str, Any]:
    """The table of a method, with what any of its sketches adds."""
    method = registry.load("methods", name)
    fit = getattr(method, "sketches", None) or registry.BUILT_IN["sketches"]
    sketches = [method.sketch] if method.sketch is not None else list(fit)
    tables = [_named(method_class(name, sketch), "name", name) for sketch in sketches]
    made = tables[0]
    for table in tables[1:]:
        made["properties"] = {**table["properties"], **made["properties"]}
        made["required"] = [key for key in made["required"] if key in table["required"]]
    made["properties"]["sketch"] = {"enum": sketches}
    return made


def _named(kind: type[Section], key: str, name: str) -> dict[str, Any]:
    """A table whose name is known."""
    table = _table(kind)
    table["properties"][key] = {"const": name}
    return table


def _table(kind: type[Section]) -> dict[str, Any]:
    """A table, without what a program sets in it."""
    found = kind.model_json_schema(schema_generator=_Generator)
    properties = {
        key: {name: value for name, value in of.items() if name != "title"}
        for key, of in found.get("properties", {}).items()
        if of.get("description") != SET_BY_THE_PROGRAM and OF_PYTHON not in str(of)
    }
    required = [key for key in found.get("required", ()) if key in properties]
    table = {"type": "object", "properties": properties, "required": required}
    return {**table, "additionalProperties": False}


class _Generator(GenerateJsonSchema):
    """Marks what only a Python program can put in, and JSON has no words for."""

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> dict[str, Any]:
        return {"description": OF_PYTHON}


def _foreign(key: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {key: {"type": "string", "pattern": FOREIGN}},
        "required": [key],
    }
