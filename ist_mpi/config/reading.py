"""From a file, a dict or a `Config`, with overrides on top, to a resolved configuration."""

import contextlib
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ist_mpi import registry
from ist_mpi.config.faults import Labels
from ist_mpi.config.model import Config
from ist_mpi.config.tables import NAMES, validated
from ist_mpi.errors import Fault, InputError
from ist_mpi.store import files, forms

MAX_DOTS = 100
"""Of a dotted key: reading one takes time quadratic in them, and no setting has more than one."""


def load(
    source: "Config | Mapping[str, Any] | str | Path",
    overrides: Sequence[str] = (),
    setter: str = "--set",
    folder: Path | None = None,
) -> Config:
    """The resolved configuration of `source` with `overrides` (``section.key=value``) on top.

    Paths inside a file are relative to the file's folder, paths in overrides and dicts to `folder`
    (default: the current one); the resolved configuration holds absolute paths. `setter` is where
    the overrides stand, for messages.

    Raises
    ------
    InputError
        Listing every fault found.
    """
    if isinstance(source, Config):
        _check_classes(source)
        if not overrides:
            return source
        tables, label = source.to_dict(), "configuration"
        tables["problem"].pop("digest", None)
        tables["problem"] |= source.problem.arrays()
    elif isinstance(source, Mapping):
        know_classes(source)
        tables, label = _plain(source), "configuration"
    elif not isinstance(source, str | Path):
        got = f"{type(source).__name__}"
        raise InputError(Fault("configuration", got, "a Config, a mapping, or the path of a file"))
    else:
        path = Path(source)
        tables, label = read_toml(path), str(path)
        _anchor(tables, path.parent)
    faults = list(_apply(tables, overrides))
    labels = Labels(label, frozenset(text.partition("=")[0].strip() for text in overrides), setter)
    _anchor(tables, Path.cwd() if folder is None else folder)
    config, found = validated(tables, labels)
    faults += found
    if config is None or faults:
        raise InputError(dict.fromkeys(faults))
    return config


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file, or an InputError that says what is wrong with it."""
    expected = "a TOML configuration file"
    with files.opened(path, files.TOML_BYTES, expected) as file:
        try:
            contents = file.read()
            form = forms.form_of(contents[: forms.HEAD])
            if form != "text":
                raise forms.refusal(path, form, expected)
            text = contents.decode("utf-8-sig")
            if _longest_key(text) > MAX_DOTS:
                raise ValueError(f"a key of more than {MAX_DOTS} parts")
            tables = tomllib.loads(text)
        except InputError:
            raise
        except OSError as error:
            raise InputError(Fault(str(path), error.strerror or str(error), expected)) from error
        except (ValueError, RecursionError) as error:
            got = f"text that is not TOML: {error}"
            raise InputError(Fault(str(path), got, expected)) from error
    return tables


def _longest_key(text: str) -> int:
    """The most dots after a word each in what may be one dotted key."""
    pieces = re.split(r"[^\w\-.\"' \t]", text)
    return max(len(re.findall(r"[\w\-\"'][ \t]*\.", piece)) for piece in pieces)


def _plain(value: Any) -> Any:
    """A deep copy of a dict's tables, with numpy scalars and paths as plain values."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, type):
        return registry.given(value)
    return str(value) if isinstance(value, Path) else value


def know_classes(source: Any) -> None:
    """Remember the classes among the values of a configuration, as every rank has to.

    Raises
    ------
    InputError
        If two of them have one name.
    """
    if not isinstance(source, Mapping):
        return
    known: dict[str, type] = {}
    for table in source.values():
        for value in table.values() if isinstance(table, Mapping) else ():
            if isinstance(value, type) and known.setdefault(registry.given(value), value) != value:
                got = f"two classes with the name {value.__name__}"
                raise InputError(Fault("configuration", got, "a name of its own for each"))


def _check_classes(config: Config) -> None:
    """Refuse a configuration whose names have come to stand for other classes since it was made.

    On other ranks, which get the names, it would be another run.
    """
    method = type(config.method)
    now = registry.load("problems", config.problem.kind).Settings, type(config.problem)
    known = [("problem.kind", config.problem.kind, *now)]
    if method.method_class is not None:
        name, sketch = config.method.name, config.method.sketch
        known.append(("method.name", name, registry.load("methods", name), method.method_class))
        known.append(
            ("method.sketch", sketch, registry.load("sketches", sketch), method.sketch_class)
        )
    for where, name, found, then in known:
        if found is not then:
            got = f'"{name}", another class of that name than when the configuration was made'
            raise InputError(Fault(where, got, "the same class", "make the configuration anew"))


OF_DATA = ("path", "test")
"""Settings of [problem] that are paths."""


def anchored(section: str, key: str, value: Any, folder: Path) -> Any:
    """A setting whose path, if it is one of data or names a file of code, is absolute."""

    def absolute(text: str) -> str:
        path = Path(text)
        with contextlib.suppress(RuntimeError):  # no such user: the path is taken as it is
            path = path.expanduser()
        return str((folder / path).absolute())

    if not isinstance(value, str) or not value:
        return value
    if section == "problem" and key in OF_DATA:
        return absolute(value)
    if key in NAMES.get(section, {}) and registry.is_file(value) and not registry.is_given(value):
        path, _, member = value.rpartition(":")
        return f"{absolute(path)}:{member}"
    return value


def _anchor(tables: dict[str, Any], folder: Path) -> None:
    """Make the paths of data absolute, and the files of code."""
    for section, table in tables.items():
        if isinstance(table, dict):
            for key, value in table.items():
                table[key] = anchored(section, key, value, folder)


_ALTERNATIVES = {"path": ("dataset",), "dataset": ("path", "header", "target", "worker")}
"""Settings that one takes the place of when it is overridden."""


def _apply(tables: dict[str, Any], overrides: Sequence[str]) -> Iterator[Fault]:
    """Set every ``section.key=value``; the value is TOML, else a plain string."""
    for override in overrides:
        name, equals, text = override.partition("=")
        section, dot, key = (part.strip() for part in name.partition("."))
        if not (equals and dot and section and key and "." not in key):
            yield Fault(f"--set {override}", repr(override), "section.key=value")
            continue
        try:
            parsed = tomllib.loads(f"value = {text}")
            value = parsed["value"] if set(parsed) == {"value"} else text
        except (ValueError, RecursionError):
            value = text
        table = tables.setdefault(section, {})
        if isinstance(table, dict):
            table[key] = value
            if section == "problem" and key in _ALTERNATIVES:
                for other in _ALTERNATIVES[key]:
                    table.pop(other, None)
