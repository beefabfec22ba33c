"""The entry point: ``ist-mpi``, or ``python -m ist_mpi``.

A signal that asks a run to stop is noted from here on, before anything heavy is loaded, and a rank
that waits for others in vain does not wait for ever.
"""

import os
import sys
import time
import traceback

from ist_mpi.parallel import signals, watchdog
from ist_mpi.parallel.launcher import launched_size, leave_parents_job

TRAINING = (["run"], ["resume"], ["extend"], ["sweep", "run"])
"""Commands that stop in order when they are asked to; the others just end."""


def main() -> None:
    """Run a command and end with its exit code."""
    words = sys.argv[1:]
    leave_parents_job()
    if any(words[: len(command)] == command for command in TRAINING):
        signals.install()
        if words[0] != "sweep" or any(word.startswith(("--index", "--serve")) for word in words):
            watchdog.limit(watchdog.START_SECONDS)  # a sweep waits for runs that have their own
    try:
        from ist_mpi.cli import main as cli
    except BaseException:
        _end_all()
        raise
    try:
        cli.main()
    except Exception:  # a SystemExit is the end of every rank
        _end_all()
        raise


def _end_all() -> None:
    """End the other ranks too: a launcher need not notice who leaves before MPI has started."""
    if (launched_size() or 1) == 1:
        return
    sys.stderr.write(traceback.format_exc())  # one write, and time for the launcher to forward it
    sys.stderr.flush()
    time.sleep(0.2)
    from ist_mpi.parallel import mpi

    if mpi.MPI is not None:
        mpi.MPI.COMM_WORLD.Abort(1)
        os._exit(1)  # it may return


if __name__ == "__main__":
    main()
