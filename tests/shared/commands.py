"""``ist-mpi`` within the process of the tests: its exit code and its words, without a start."""

import signal
import subprocess
import sys
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from unittest import mock

import pytest

from ist_mpi.cli import main
from ist_mpi.parallel import mpi  # noqa: F401  # loaded before a command stays alone


def call(*words: str) -> subprocess.CompletedProcess[str]:
    """``ist-mpi WORDS``, on the rank that this process is.

    The output goes through real files: the watchdog writes to their descriptors. What a command
    does with SIGTERM, it does in a process of its own.
    """
    terminated = signal.getsignal(signal.SIGTERM)
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as out,
        tempfile.TemporaryFile("w+", encoding="utf-8") as err,
    ):
        with (
            redirect_stdout(out),
            redirect_stderr(err),
            mock.patch.object(sys, "argv", ["ist-mpi", *words]),
            pytest.raises(SystemExit) as caught,
        ):
            main.main()
        signal.signal(signal.SIGTERM, terminated)
        out.seek(0)
        err.seek(0)
        code = int(caught.value.code or 0)
        return subprocess.CompletedProcess(words, code, out.read(), err.read())
