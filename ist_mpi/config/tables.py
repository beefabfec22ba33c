"""Plain tables to a `Config`: each by the class that its method, sketch or problem declares."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from ist_mpi import registry
from ist_mpi.config.faults import Labels, fault_of, is_rule, shown, unknown_name
from ist_mpi.config.model import (
    CODE,
    Config,
    Log,
    Problem,
    Run,
    UnknownMethod,
    method_class,
    settings_of,
)
from ist_mpi.config.types import Section
from ist_mpi.errors import Fault, InputError

SECTIONS = ("problem", "method", "run", "log")
REQUIRED = ("problem", "method", "run")

NAMES = {"problem": {"kind": "problems"}, "method": {"name": "methods", "sketch": "sketches"}}
"""The settings that name code, and the rooms of what they name."""


def validated(tables: dict[str, Any], labels: Labels) -> tuple[Config | None, list[Fault]]:
    """The configuration of plain tables, or None, and every fault found."""
    faults: list[Fault] = []
    made: dict[str, Any] = {}
    classes: dict[str, type[Section] | None] = {"run": Run, "log": Log}
    broken = False
    for section in SECTIONS:
        values = tables.get(section, {} if section in REQUIRED else None)
        if values is None:
            continue
        if not isinstance(values, Mapping):
            faults.append(Fault(labels.where(section), shown(values), f"a table [{section}]"))
            continue
        if section in NAMES:
            classes[section], found = _class_of(section, values, labels)
            faults += found
            values = _with_digests(section, values)
        kind = classes[section]
        if kind is None:
            continue
        if section == "method":
            values = {**_defaults(classes.get("problem"), kind), **values}
        try:
            made[section] = kind.model_validate(values)
        except ValidationError as error:
            broken = True
            details = [detail for detail in error.errors() if not is_rule(detail)]
            faults += [fault_of(detail, section, kind, labels) for detail in details]
    faults += [unknown_name(name, Config, labels) for name in tables if name not in SECTIONS]
    if broken or faults:
        for section in ("problem", "method"):
            kind, values = classes.get(section), tables.get(section, {})
            if kind is not None and isinstance(values, Mapping):
                faults += [
                    Fault(labels.where(f"{section}.{key}"), got, expected)
                    for key, got, expected in kind.broken_rules(values)
                ]
        return None, faults
    config = Config(**made)
    misfits = config.problem.misfits(config.method)
    faults = [Fault(labels.where(f"method.{key}"), *rule) for key, *rule in misfits]
    return None if faults else config, faults


def _defaults(problem: Any, method: Any) -> Mapping[str, Any]:
    """What a kind of problem says of the settings of a method, where both are known."""
    known = problem is not None and method.method_class is not None
    return problem.method_defaults(method) if known else {}


def _class_of(
    section: str, values: Mapping[str, Any], labels: Labels
) -> tuple[type[Section] | None, list[Fault]]:
    """The class of a table whose settings say what it is, and what is wrong with those."""
    if section == "problem":
        kind = values.get("kind")
        if isinstance(kind, str):
            try:
                made = registry.load("problems", kind)
                return settings_of(made, Problem, "problem.kind"), []
            except InputError as error:
                return None, [_named(error.faults[0], "problem.kind", kind, labels)]
        got = "nothing" if kind is None else shown(kind)
        return None, [Fault(labels.where("problem.kind"), got, registry.allowed("problems"))]
    faults = []
    names: dict[str, str] = {"sketch": "permutation"}
    for key, room in NAMES["method"].items():
        name = values.get(key, names.get(key))
        if not isinstance(name, str):
            continue  # the table's own check says it
        try:
            found = registry.load(room, name)
            names[key] = name
        except InputError as error:
            faults.append(_named(error.faults[0], f"method.{key}", name, labels))
            continue
        if key == "name" and getattr(found, "sketch", None) is not None:
            names["sketch"] = found.sketch  # whatever is written for it is ignored
            break
    if faults or "name" not in names or not isinstance(values.get("sketch", ""), str):
        return UnknownMethod, faults
    try:
        return method_class(names["name"], names["sketch"]), []
    except InputError as error:
        return None, [fault._replace(where=labels.where(fault.where)) for fault in error.faults]


def _named(fault: Fault, key: str, name: str, labels: Labels) -> Fault:
    """The fault of a name that stands for nothing, where it was written."""
    got = shown(name) if fault.got == f'"{name}"' and not registry.is_file(name) else fault.got
    return fault._replace(where=labels.where(key), got=got)


def _with_digests(section: str, values: Mapping[str, Any]) -> Mapping[str, Any]:
    """With the digest of each file of code that a table names, installed packages' too."""
    found = {}
    for key, room in NAMES[section].items():
        name = values.get(key)
        path = None
        if isinstance(name, str):
            with contextlib.suppress(InputError):  # what it is, is told elsewhere
                path = registry.source_of(room, name)
        if path is not None:
            found[CODE[section][key]] = registry.digest(path)
    return {**values, **found} if found else values


Code = Path | Sequence[Path] | None
"""The files that a log's methods, sketches and problems come from, if they are in files."""


class Named(NamedTuple):
    """A setting of a log that names code which is not of this package."""

    section: str
    key: str
    name: str
    digest_key: str
    digest: str | None


def named_code(tables: Mapping[str, Any]) -> Iterator[Named]:
    """Each setting that names code which is not of this package: in a file, or installed."""
    for section, keys in NAMES.items():
        table: Any = tables.get(section)
        for key, room in keys.items() if isinstance(table, Mapping) else ():
            name = table.get(key)
            if isinstance(name, str) and name not in registry.BUILT_IN[room]:
                yield Named(section, key, name, CODE[section][key], table.get(CODE[section][key]))


def with_code(tables: dict[str, Any], code: Code, what: str) -> dict[str, Any]:
    """The tables of a log, which is no program: the code that it names is brought from outside.

    Parameters
    ----------
    code : Path, sequence of Path, or None
        The files to take it from; the digest of one must be the one in the log.
    what : str
        The log, for messages.

    Raises
    ------
    InputError
        If the log names code in a file, and none of these is that file; or code of a package that
        is not installed.
    """
    files = [code] if isinstance(code, Path) else list(code or ())
    for named in list(named_code(tables)):
        where = f"{named.section}.{named.key} in {what}"
        if not registry.is_file(named.name):
            _check_installed(named, where)
            continue
        path, _, member = named.name.rpartition(":")
        if named.digest is None:
            got = f"{member}, a class that no file had, and that is gone"
            raise InputError(Fault(where, got, "code in a file"))
        if not files:
            raise InputError(
                Fault(
                    where,
                    f"code in {path}, which a log does not bring",
                    "its file",
                    "--code FILE names it; it is run only if it is what the log was made with",
                )
            )
        same = next((file for file in files if registry.digest(file) == named.digest), None)
        if same is None:
            got = f"{', '.join(map(str, files))}, which is not the file that the log was made with"
            raise InputError(Fault(where, got, f"SHA-256 {named.digest}"))
        table = tables[named.section]
        tables[named.section] = {**table, named.key: f"{same.absolute()}:{member}"}
    return tables


def _check_installed(named: Named, where: str) -> None:
    """Refuse a name of a package that is not installed, or is another than it was."""
    room = NAMES[named.section][named.key]
    try:
        path = registry.source_of(room, named.name)
    except InputError as error:
        raise InputError(error.faults[0]._replace(where=where)) from error
    if path is None:
        remedy = "install the package that the run was made with"
        raise InputError(Fault(where, f'"{named.name}"', registry.allowed(room), remedy))
    if named.digest is not None and registry.digest(path) != named.digest:
        got = f'"{named.name}" of {path}, which is not what the log was made with'
        raise InputError(Fault(where, got, f"SHA-256 {named.digest}"))
