"""Settings of the whole process, changed for a while: runs in several threads share them."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from threading import Lock
from typing import Any


class Shared:
    """A context of the process: whoever comes first enters it, whoever goes last leaves it.

    Parameters
    ----------
    enter : callable
        Makes the context, anew each time.
    """

    def __init__(self, enter: Callable[[], AbstractContextManager[Any]]) -> None:
        self._enter, self._lock, self._inside = enter, Lock(), 0
        self._context: AbstractContextManager[Any] | None = None

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """The context, as of a ``with``."""
        with self._lock:
            if self._inside == 0:
                context = self._enter()
                context.__enter__()
                self._context = context
            self._inside += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if self._inside == 0 and self._context is not None:
                    self._context.__exit__(None, None, None)


def _limited() -> AbstractContextManager[Any]:
    from threadpoolctl import threadpool_limits  # not to be loaded by who only reads logs

    limits: AbstractContextManager[Any] = threadpool_limits(limits=1)
    return limits


one_thread = Shared(_limited)
"""Linear algebra on one thread, also where another run ends meanwhile: else bits would change."""
