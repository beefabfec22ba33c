"""What theory is at, and what it has found so far, for whoever listens: cheap things come first."""

import logging
from collections.abc import Iterator, Mapping, Sequence

LOGGER = logging.getLogger(__name__)
FOUND = logging.getLogger(f"{__name__}.found")
"""Of constants, a message each, as soon as they are known."""


def stages(words: Sequence[str]) -> Iterator[None]:
    """Say what is computed next, and how much there is, each time this is asked to go on."""
    for place, what in enumerate(words, start=1):
        LOGGER.info("theory, %d of %d: %s", place, len(words), what)
        yield


def tell(found: Mapping[str, float | None]) -> None:
    """Say what constants are."""
    for name, value in found.items():
        if value is not None:
            FOUND.info("%s = %.6g", name, value)
