"""Errors in the language of the caller: options of commands become arguments of functions."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from ist_mpi.errors import Fault, InputError, MismatchError

_ARGUMENTS = {"force": "force=True", "full": "full=True"}
"""Options without a value."""
_OPTION = re.compile(r"--([a-z]+)\b")


def in_python(text: str) -> str:
    """A message of a command, as Python has it: ``--force`` is ``force=True``."""
    return _OPTION.sub(lambda found: _ARGUMENTS.get(found[1], found[1]), text)


@contextmanager
def python_words() -> Iterator[None]:
    """Let errors in the body speak of arguments, not of options."""
    try:
        yield
    except InputError as error:
        faults = [Fault(*map(in_python, fault)) for fault in error.faults]
        if faults == list(error.faults):
            raise
        told = type(error)(faults)
        told.agreed = error.agreed
        raise told from None
    except MismatchError as error:
        told_so = MismatchError(in_python(str(error)))
        told_so.agreed = error.agreed
        raise told_so from None
