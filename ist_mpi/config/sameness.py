"""Whether two processes were given the same configuration."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ist_mpi.config.model import Config
from ist_mpi.config.reading import read_toml
from ist_mpi.errors import InputError


def as_given(source: Any) -> dict[str, str]:
    """A digest of every setting of a configuration as it was given, by its name.

    A file is known by its path, whose name is empty: it need not exist for every process.
    """
    if isinstance(source, Config):
        tables = source.to_dict()
        tables["problem"] |= source.problem.arrays()
        return _settings(tables)
    if isinstance(source, Mapping):
        return _settings(source)
    return {"": _digest(source)}


def as_read(source: Any) -> dict[str, str]:
    """The same, of a file by its settings where it can be read."""
    if isinstance(source, str | Path):
        try:
            return _settings(read_toml(Path(source)))
        except InputError:
            pass
    return as_given(source)


def of_options(options: Mapping[str, Any]) -> dict[str, str]:
    """A digest of each of what else a run is asked for with, by name."""
    return {name: _digest(value) for name, value in options.items()}


def _settings(tables: Mapping[Any, Any]) -> dict[str, str]:
    found = {}
    for section, table in tables.items():
        inner = table if isinstance(table, Mapping) else {"": table}
        for key, value in inner.items():
            found[f"{section}.{key}".rstrip(".")] = _digest(value)
    return found


def _digest(value: Any) -> str:
    state = hashlib.blake2b(digest_size=16)
    _feed(state, value)
    return state.hexdigest()


def _feed(state: Any, value: Any) -> None:
    """Add a value by its kind and contents; of what this package does not know, only its kind."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray) and value.dtype == object:
        value = value.tolist()
    if isinstance(value, np.ndarray):
        state.update(f"array {value.dtype.str} {value.shape} ".encode())
        state.update(np.ascontiguousarray(value).reshape(-1).view(np.uint8))
    elif isinstance(value, Mapping):
        for key in sorted(value, key=str):
            state.update(f"{{{key}: ".encode())
            _feed(state, value[key])
    elif isinstance(value, list | tuple):
        state.update(f"[{len(value)} ".encode())
        for item in value:
            _feed(state, item)
    elif isinstance(value, str | Path):
        state.update(f"text {str(value)!r} ".encode(errors="backslashreplace"))
    elif isinstance(value, bool | int | float) or value is None:
        state.update(f"{value!r} ".encode())
    elif hasattr(value, "tocsr"):  # sparse, and a frame below: nothing that makes one is imported
        rows = value.tocsr()
        state.update(f"sparse {rows.shape} ".encode())
        for part in (rows.data, rows.indices.astype(np.int64), rows.indptr.astype(np.int64)):
            _feed(state, part)
    elif hasattr(value, "columns") and hasattr(value, "to_numpy"):
        _feed(state, [str(name) for name in value.columns])
        _feed(state, value.to_numpy())
    elif isinstance(value, type):
        state.update(f"class {value.__module__}.{value.__qualname__} ".encode())
    else:
        state.update(f"{type(value).__name__} ".encode())
