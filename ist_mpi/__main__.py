"""The entry point: ``ist-mpi``, or ``python -m ist_mpi``.

A signal that asks a run to stop is noted from here on, before anything heavy is loaded, and a rank
that waits for others in vain does not wait for ever.
"""

import sys

from ist_mpi import signals, watchdog

TRAINING = ("run", "resume", "extend")
"""Commands that stop in order when they are asked to; the others just end."""


def main() -> None:
    """Run a command and end with its exit code."""
    if TRAINING and any(word in TRAINING for word in sys.argv[1:2]):
        signals.install()
        watchdog.limit(watchdog.START_SECONDS)
    from ist_mpi import cli

    cli.main()


if __name__ == "__main__":
    main()
