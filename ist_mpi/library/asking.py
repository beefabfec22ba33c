"""A configuration from what a program gives: a file, a dict, keywords, or arrays."""

import os
from collections.abc import Mapping
from typing import Any

from ist_mpi.config import Config, load
from ist_mpi.config.model import Run
from ist_mpi.errors import Fault, InputError

TABLES = ("problem", "method", "run", "log")
KEYS = {"problem": "kind", "method": "name"}
"""What a table is named by, where a word stands for it."""


def configuration(
    config: Any, settings: Mapping[str, Any], rounds: int | None = None, **arrays: Any
) -> Any:
    """The configuration that keywords say, on top of `config`.

    Parameters
    ----------
    config : Config, mapping, path or None
    settings : mapping
        Tables by name (a word is a problem's kind or a method's name), and settings of [run].
    rounds : int, optional
        Where neither says how many.
    **arrays
        Those that are not None are the data of the problem: ``L``, ``b``, or ``X``, ``y``.

    Raises
    ------
    InputError
        If a keyword is none, or `config` is a file that is none.
    """
    given = {name: array for name, array in arrays.items() if array is not None}
    known = set(Run.model_fields)
    unknown = sorted(set(settings) - {*TABLES, *known})
    if unknown:
        expected = f"{', '.join(TABLES)}, or settings of run: {', '.join(sorted(known))}"
        raise InputError([Fault(name, "an unknown keyword", expected) for name in unknown])
    tables = _tables(config) if settings or given or rounds is not None else None
    if tables is None:
        return config
    for name in TABLES:
        table = settings.get(name, {})
        if name in KEYS and not isinstance(table, Mapping):
            table = {KEYS[name]: table}
        tables[name] = _merged(tables.get(name), table)
    defaults = {} if rounds is None else {"rounds": rounds}
    own = {name: value for name, value in settings.items() if name not in TABLES}
    tables["run"] = _merged(defaults, _merged(tables["run"], own))
    if given:
        kind = "ridge" if "X" in given else "arrays"
        tables["problem"] = _merged({"kind": kind}, _merged(tables["problem"], given))
    return tables


def _tables(config: Any) -> dict[str, Any] | None:
    """The tables of a configuration, to be added to; None where it is none that has any."""
    if isinstance(config, Config | str | os.PathLike):
        read = config if isinstance(config, Config) else load(os.fspath(config))
        tables = read.to_dict()
        tables["problem"].pop("digest", None)
        tables["problem"] |= read.problem.arrays()
        return tables
    if config is None:
        return {}
    return dict(config) if isinstance(config, Mapping) else None


def _merged(table: Any, more: Any) -> Any:
    """A table with more in it; what is none is left for the configuration to refuse."""
    if table is None:
        return dict(more) if isinstance(more, Mapping) else more
    if not (isinstance(table, Mapping) and isinstance(more, Mapping)):
        return table if isinstance(more, Mapping) else more
    return {**table, **more}
