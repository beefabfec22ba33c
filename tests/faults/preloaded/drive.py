"""Runs commands in forks of one process into which faults.c is preloaded.

Standard input has a line of JSON for each: folder, how, at (-1: only count), words; standard output
gets one: code (negative: a signal), count, out, err. Whoever forks has loaded everything, so that a
command takes as long as it takes, and what fails is what it does with its own files.
"""

import ctypes
import json
import os
import sys
import tempfile
from typing import Any

from ist_mpi import verify as _verify  # noqa: F401 (loaded before the forks)
from ist_mpi.batch import points as _points  # noqa: F401
from ist_mpi.cli import main as command
from ist_mpi.cli.report import live as _live  # noqa: F401
from ist_mpi.store import log as runlog
from ist_mpi.training import api as _api  # noqa: F401
from ist_mpi.training import foresight as _foresight  # noqa: F401
from ist_mpi.training import record


def fault() -> Any:
    """The preloaded library."""
    return ctypes.CDLL(None)


def child(order: dict[str, Any], out: int, err: int, count: int) -> None:
    """Arm the fault and run the command."""
    os.chdir(order["folder"])
    os.dup2(out, 1)
    os.dup2(err, 2)
    sys.argv = ["ist-mpi", *order["words"]]
    code: Any = 99
    at = order["at"] if order["at"] >= 0 else 2**31 - 1
    fault().fault_arm(order["folder"].encode(), order["how"], at)
    try:
        command.main()
    except SystemExit as end:
        code = end.code
    except BaseException:
        import traceback

        traceback.print_exc()
    many = fault().fault_count()
    fault().fault_arm(b"", 0, -1)
    sys.stdout.flush()
    sys.stderr.flush()
    os.write(count, str(many).encode())
    os._exit(int(code or 0))


def main() -> None:
    """One order after another."""
    record.CHECKPOINT_SHARE = runlog.COMMIT_SHARE = 1e9  # as often as configured, at any cost
    runlog.COMMIT_SECONDS = 0.0
    for line in sys.stdin:
        with (
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as err,
            tempfile.TemporaryFile() as count,
        ):
            process = os.fork()
            if process == 0:
                child(json.loads(line), out.fileno(), err.fileno(), count.fileno())
            code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
            said = []
            for file in (out, err, count):
                file.seek(0)
                said.append(file.read().decode(errors="replace"))
            found = {"code": code, "out": said[0], "err": said[1], "count": int(said[2] or 0)}
            print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
