"""Standard output and standard error that cannot be written to: a full disk, a closed terminal.

What a command is asked for and cannot print is an error of input and output; what it says
meanwhile, its progress and its warnings, is worth no run.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import Any

from ist_mpi.errors import OutputError, UnreadError


class _Stream:
    """A text stream as it is, but for what happens when it cannot be written to.

    A γ that its encoding does not have is written as ``\\u03b3``.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        if hasattr(stream, "reconfigure"):  # not where a program has put its own in place
            stream.reconfigure(errors="backslashreplace")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """As of any text stream."""
        try:
            return int(self._stream.write(text))
        except OSError as error:
            self._failed(error)
            return len(text)

    def flush(self) -> None:
        """As of any text stream."""
        try:
            self._stream.flush()
        except OSError as error:
            self._failed(error)

    def _failed(self, error: OSError) -> None:
        """Let go of what is still to be written, else the interpreter fails at its end."""
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), self._stream.fileno())


class _Output(_Stream):
    """Standard output: what was asked for."""

    def _failed(self, error: OSError) -> None:
        super()._failed(error)
        if isinstance(error, BrokenPipeError):
            raise UnreadError from error
        text = f"standard output cannot be written: {error.strerror or error}"
        raise OutputError(text) from error


@contextmanager
def guarded() -> Iterator[None]:
    """Standard output and error with what to do about failures, and flushed at the end.

    Raises
    ------
    OutputError
        If standard output cannot be written to; UnreadError where nobody reads it any more.
    """
    if sys.stdout is None:  # closed from the start: nobody listens
        with unheard():
            yield
        return
    with unheard(), redirect_stdout(_Output(sys.stdout)):
        try:
            yield
        except BaseException:
            with suppress(OutputError):  # the first error is the one to tell
                sys.stdout.flush()
            raise
        sys.stdout.flush()


@contextmanager
def unheard() -> Iterator[None]:
    """Standard error whose lines are dropped where it cannot be written to."""
    if sys.stderr is None:
        yield
        return
    with redirect_stderr(_Stream(sys.stderr)):
        yield
