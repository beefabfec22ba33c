"""The files of a figure: pictures, and the table of what is drawn.

A picture says in itself that it is one of these; what says so is drawn anew, and nothing else that
is there is replaced unasked.
"""

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ist_mpi.errors import Fault, InputError
from ist_mpi.store import files
from ist_mpi.training.outputs import read_faults

_MAKER = "a figure of ist_mpi"
FORMATS = {".pdf": {"Creator": _MAKER}, ".png": {"Software": _MAKER}, ".svg": {"Creator": _MAKER}}
"""How a picture's name ends, and what is noted in it."""


def save(
    figure: Any,
    table: str,
    output: Path,
    beside: bool,
    force: bool,
    read: Iterable[Path] = (),
) -> None:
    """Write `output`, and NAME.csv, whose first line is the same for all figures.

    Parameters
    ----------
    beside : bool
        Write NAME.pdf and NAME.png too.
    force : bool
        Replace whatever is there, but for what was read.
    read : paths
        What the figure is made of.

    Raises
    ------
    InputError
        If `output` has another ending, or a file is there that is no figure's, or that was read;
        nothing is written.
    """
    if output.suffix not in FORMATS:
        raise InputError(Fault(str(output), repr(output.suffix), f"one of {', '.join(FORMATS)}"))
    pictures = {output, *(output.with_suffix(end) for end in (".pdf", ".png") if beside)}
    header = table.partition("\n")[0]
    marks = {path: _MAKER for path in sorted(pictures)} | {output.with_suffix(".csv"): header}
    if faults := read_faults(marks, read, "--output"):
        raise InputError(faults)
    if not force:
        expected = "a name that is free, or that of an earlier figure"
        got = "a file that is no figure of ist_mpi, and is not replaced"
        taken = [path for path, mark in marks.items() if path.exists() and not _has(path, mark)]
        if taken:
            raise InputError([Fault(str(path), got, expected) for path in taken])
    output.parent.mkdir(parents=True, exist_ok=True)
    for path in marks:
        if path in pictures:
            drawn = io.BytesIO()
            end = path.suffix
            figure.savefig(drawn, format=end[1:], dpi=160, metadata=FORMATS[end])
            files.replace(path, drawn.getbuffer())
        else:
            files.replace(path, table.encode())


def _has(path: Path, mark: str) -> bool:
    return path.is_file() and mark.encode() in path.read_bytes()
