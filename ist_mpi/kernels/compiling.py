"""That functions are being compiled, said to whoever listens to this module's logger."""

import logging
from typing import Any

from numba.core import event

LOGGER = logging.getLogger(__name__)


class _Listener(event.Listener):  # type: ignore[misc]  # numba has no types
    """Logs the beginning and the end of what is compiled; functions may compile others."""

    def __init__(self) -> None:
        self._depth = 0

    def on_start(self, event: Any) -> None:
        """A function begins."""
        self._depth += 1
        LOGGER.info("compiling for this processor, once and for all")

    def on_end(self, event: Any) -> None:
        """A function is there."""
        self._depth -= 1
        if self._depth == 0:
            LOGGER.info("")


def announce() -> None:
    """Say so from now on."""
    event.register("numba:compile", _Listener())
