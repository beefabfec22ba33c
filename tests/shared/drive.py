"""ist-mpi with hurried clocks, or with a fault built in, as IST_DRIVE (JSON) says.

hurry : float
    Checkpoint and commit as often as configured, at any cost, the log every so many seconds.
pause : float
    Seconds to sleep whenever the main loop looks up.
largest_file : int
    Bytes, from the main loop on; with `pause`.
start_seconds, setup_factor, grace_seconds : float
    Of the watchdog.
same_seconds : float
    Two SIGINTs closer than this are one.
rank, where, action : int, str, str
    On that rank, do that (Python code) at that place, see `PLACES` and `LOOP`, and before it write
    the time to the file `stamp`. With ``"lively": true`` the watchdog sees progress until then,
    however long the machine takes.
"""

import json
import os
import resource
import sys
import threading
import time
from pathlib import Path
from typing import Any

DRIVE: dict[str, Any] = json.loads(os.environ.get("IST_DRIVE", "{}"))
RANK = int(os.environ.get("PMI_RANK", "0"))

PLACES = {
    "reading": ("ist_mpi.training.job", "load"),
    "set-up": ("ist_mpi.training.setup", "means"),
    "opening": ("ist_mpi.training.loop", "open_log"),
    "before": ("ist_mpi.parallel.exchange", "Server.broadcast"),
    "inside": ("ist_mpi.parallel.exchange", "Server._gather"),
    "after": ("ist_mpi.training.record", "Record.look"),
    "checkpoint": ("ist_mpi.store.checkpoint", "write_shard"),
    "publish": ("ist_mpi.store.checkpoint", "_publish"),
    "commit": ("ist_mpi.store.log", "RunLog.commit"),
    "finish": ("ist_mpi.training.loop", "_shared_result"),
    "loaded": ("ist_mpi.cli.main", "main"),
}
"""Functions before which the fault strikes; ``start`` is before MPI, among the imports."""
LOOP = {"before": 20, "inside": 20, "after": 5}
"""Those of the loop, and the call in which the fault strikes; rows are looked at, not rounds."""


def strike() -> None:
    """The fault."""
    if "stamp" in DRIVE:
        Path(DRIVE["stamp"]).write_text(repr(time.time()))
    exec(DRIVE["action"], {"os": os, "sys": sys, "time": time, "stuck": stuck})


def stuck() -> None:
    """In compiled code that lets no other thread of Python's run."""
    import ctypes

    ctypes.PyDLL(None).sleep(3600)


def build_in(place: str) -> None:
    """Let the fault strike before a function."""
    import importlib

    module, path = PLACES[place]
    owner: Any = importlib.import_module(module)
    *outer, name = path.split(".")
    for part in outer:
        owner = getattr(owner, part)
    function = getattr(owner, name)
    calls = [0]

    def faulty(*arguments: Any, **named: Any) -> Any:
        calls[0] += 1
        if place not in LOOP or calls[0] == LOOP[place]:
            strike()
        return function(*arguments, **named)

    setattr(owner, name, faulty)


def main() -> None:
    """Build the fault in, hurry the clocks, and run the command."""
    from ist_mpi.__main__ import main as command
    from ist_mpi.parallel import signals, watchdog

    signals.install()
    watchdog.START_SECONDS = DRIVE.get("start_seconds", watchdog.START_SECONDS)
    watchdog.SETUP_FACTOR = DRIVE.get("setup_factor", watchdog.SETUP_FACTOR)
    watchdog.GRACE_SECONDS = DRIVE.get("grace_seconds", watchdog.GRACE_SECONDS)
    watchdog.limit(watchdog.START_SECONDS)
    signals.SAME_SECONDS = DRIVE.get("same_seconds", signals.SAME_SECONDS)
    if DRIVE.get("lively"):
        threading.Thread(target=be_lively, daemon=True).start()
    mine = "where" in DRIVE and DRIVE["rank"] == RANK
    if mine and DRIVE["where"] == "start":
        sys.meta_path.insert(0, Striking())
    elif mine:
        build_in(DRIVE["where"])
    if "hurry" in DRIVE or "pause" in DRIVE:
        hurry()
    command()


def be_lively() -> None:
    """Beat until the fault has struck, on whichever rank."""
    from ist_mpi.parallel import watchdog

    stamp = Path(DRIVE.get("stamp", "no such file"))
    while not stamp.exists():
        watchdog.beat()
        time.sleep(0.02)


class Striking:
    """An import hook that strikes where the command line is about to be loaded."""

    def find_spec(self, name: str, *_: Any) -> None:
        """Called for every import."""
        if name == "ist_mpi.cli.main":
            strike()


def hurry() -> None:
    """Set the clocks; loads MPI."""
    from ist_mpi.store import log as runlog
    from ist_mpi.training import record

    if "hurry" in DRIVE:
        record.CHECKPOINT_SHARE = runlog.COMMIT_SHARE = 1e9
        runlog.COMMIT_SECONDS = DRIVE["hurry"]
    if "pause" in DRIVE:
        look = record.Record.look

        def slow(self: Any, k: int) -> None:
            if k == 0 and "largest_file" in DRIVE:
                largest = DRIVE["largest_file"]
                resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
            time.sleep(DRIVE["pause"])
            look(self, k)

        record.Record.look = slow  # type: ignore[method-assign]  # on purpose


if __name__ == "__main__":
    main()
