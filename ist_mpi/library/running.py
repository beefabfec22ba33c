"""`ist_mpi.run`: a run from a program or a notebook."""

import sys
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from ist_mpi.cli.report.progress import ProgressReport
from ist_mpi.library.arguments import flag, function, path_of
from ist_mpi.library.asking import configuration
from ist_mpi.library.result import Result
from ist_mpi.library.words import python_words
from ist_mpi.parallel import ranks
from ist_mpi.training import api
from ist_mpi.training.progress import Look


def run(
    config: Any = None,
    comm: Any = None,
    *,
    out: str | Path | None = None,
    force: bool = False,
    progress: bool | None = None,
    callback: Callable[[Look], Any] | None = None,
    **settings: Any,
) -> Result:
    """See `ist_mpi.run`."""
    comm = ranks.communicator(comm)
    with ranks.abort_on_error(comm), ranks.alone_on(comm):
        ranks.meet(comm)
        with ranks.agreeing(comm):
            source = configuration(config, settings)
            force = flag("force", force)
            progress = None if progress is None else flag("progress", progress)
            callback = None if callback is None else function("callback", callback)
            out = None if out is None else path_of("out", out)
    speaks = comm.rank == 0
    shown = sys.stderr.isatty() if progress is None else progress
    bar = ProgressReport("run") if shown and speaks else nullcontext()
    with python_words(), bar as watch:
        found = api.run(source, comm, out=out, force=force, watch=watch, callback=callback)
    if found.divergence and speaks:
        warnings.warn(found.divergence, stacklevel=3)
    return Result.of(found)
