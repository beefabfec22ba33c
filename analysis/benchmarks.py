"""Reads what `ist-mpi bench --json` wrote."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

FORMAT, SCHEMA_VERSION = "ist_mpi.bench", 2

Row = dict[str, Any]


def open_benchmarks(paths: Iterable[Path]) -> list[Row]:
    """The documents; raises ValueError where a file is none."""
    return [_read(path) for path in paths]


def _read(path: Path) -> Row:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not a JSON file ({error})") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ValueError(f"{path}: not written by ist-mpi bench --json")
    version = document.get("schema_version")
    if version != SCHEMA_VERSION:
        raise ValueError(f"{path}: schema version {version}; this script reads {SCHEMA_VERSION}")
    missing = [name for name in ("environment", "rounds") if name not in document]
    if missing:
        raise ValueError(f"{path}: lacks {', '.join(missing)}")
    if not document["rounds"]:
        raise ValueError(f"{path}: a benchmark without a case: nothing to draw")
    return document


def median(row: Row, name: str) -> float:
    """A measured time, in seconds."""
    return float(row["seconds"][name]["median"])


def place(document: Row) -> str:
    """Where it was measured, in a few words."""
    where = document["environment"]
    hosts = len(where["hosts"])
    cores = sum(where["cores"].values())
    many = "1 host" if hosts == 1 else f"{hosts} hosts"
    return f"{where['processor']}, {many}, {cores} cores, {where['ranks']} ranks"


def crowded(document: Row, p: int) -> bool:
    """Whether so many ranks share cores, so that their times say nothing.

    The first ranks of a job fill its hosts as the launcher dealt them; with one rank a core or
    less on every host no part of them is crowded.
    """
    where = document["environment"]
    return bool(where["oversubscribed"] and p > min(where["cores"].values()))
