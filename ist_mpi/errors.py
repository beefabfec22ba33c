"""The errors of the package: what was got, what is allowed, where, and what to do about it.

Every error is an `ISTError` and also the builtin that a caller would expect, and carries the exit
code with which the program ends when it is not caught.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple


class Fault(NamedTuple):
    """One thing that is wrong with an input."""

    where: str
    """The setting, file or command-line option, e.g. ``problem.n``."""
    got: str
    expected: str
    remedy: str = ""

    def __str__(self) -> str:
        text = f"{self.where}: got {self.got}; expected {self.expected}"
        return printable(f"{text} ({self.remedy})" if self.remedy else text)


def printable(text: str) -> str:
    """One line, whatever is in the names and values that a text quotes: no control characters."""
    if text.isprintable():
        return text
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text
    )


def apart(one: float, other: float, least: int = 6) -> tuple[str, str]:
    """Two different numbers, with as many digits, `least` or more, as it takes to see it."""
    for digits in range(least, 17):
        if f"{one:.{digits}g}" != f"{other:.{digits}g}":
            return f"{one:.{digits}g}", f"{other:.{digits}g}"
    return f"{one:.17g}", f"{other:.17g}"


SHOWN = 50
"""Of the faults found in an input, those that its message lists."""


class ISTError(Exception):
    """Base class of every error that this package raises on purpose."""

    exit_code = 1
    agreed = False
    """Whether all ranks raise it together, so that the job can end in order."""


class InputError(ISTError, ValueError):
    """A configuration, data file or output path that cannot be run; lists every fault found."""

    exit_code = 2

    def __init__(self, faults: Iterable[Fault] | Fault) -> None:
        self.faults = (faults,) if isinstance(faults, Fault) else tuple(faults)
        super().__init__(self.faults)

    def __str__(self) -> str:
        if len(self.faults) == 1:
            return str(self.faults[0])
        lines = "".join(f"\n  - {fault}" for fault in self.faults[:SHOWN])
        more = len(self.faults) - SHOWN
        rest = f"\n  - and {more} more" if more > 0 else ""
        return f"{len(self.faults)} problems:{lines}{rest}"


class DamagedError(InputError):
    """A file that this program wrote, as a run log, and that is damaged or another than it says."""

    exit_code = 65


class LauncherError(ISTError, RuntimeError):
    """The ranks are not what the launcher started, or no MPI library can be loaded."""

    exit_code = 2


class SubmitError(ISTError, OSError):
    """SLURM did not take a job; nothing was queued."""

    exit_code = 2


class DrawError(ISTError, RuntimeError):
    """A sketch of one's own drew, in a run, what is no blocks or not what it says of them."""


class LogError(ISTError, OSError):
    """A run log could not be written after the run had started."""

    exit_code = 74


class OutputError(ISTError, OSError):
    """Standard output, or a file that was asked for, could not be written to."""

    exit_code = 74


class UnreadError(OutputError):
    """Whoever read standard output has seen enough, as ``head``: an end without a word."""

    exit_code = 141
    """128 + SIGPIPE, as shells have it."""


class CheckpointError(ISTError, OSError):
    """A checkpoint could not be written, or not be read now; those that are there are untouched."""

    exit_code = 74


class ReadError(ISTError, OSError):
    """The disk, or a file server, failed while a file was read; what it holds is not known."""

    exit_code = 74


class LockedError(ISTError, OSError):
    """Another run is writing the same log."""

    exit_code = 73


class MismatchError(ISTError, ValueError):
    """A log or checkpoint that does not belong to the run that is to go on."""

    exit_code = 65


class Caution(UserWarning):
    """What is allowed but should be known; the commands show it as one line."""


def failure_of(error: BaseException) -> tuple[int, str] | None:
    """The exit code and the line of an error of input or output; None for any other.

    Also of those that nobody has given a name: they are no bug, and a traceback is no help.
    """
    if isinstance(error, ISTError):
        return error.exit_code, str(error)
    if not isinstance(error, OSError) or isinstance(error, BrokenPipeError):
        return None
    words = [str(error.filename)] if error.filename is not None else []
    return ReadError.exit_code, printable(": ".join([*words, error.strerror or str(error)]))


@contextmanager
def collecting(faults: list[Fault]) -> Iterator[None]:
    """Add the faults of an InputError in the body to a list, and go on."""
    try:
        yield
    except InputError as error:
        faults += error.faults
