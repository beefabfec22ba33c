"""The problem of one run, kept for the next that has the same one: for processes that make many."""

from collections.abc import Callable
from pathlib import Path

from ist_mpi import problems, registry
from ist_mpi.config import Problem
from ist_mpi.parallel.nodes import SharedArray
from ist_mpi.parallel.team import Team
from ist_mpi.problems.quadratic import LocalQuadratics
from ist_mpi.problems.source import Facts, Source
from ist_mpi.training.budget import kept_bytes

LARGEST = 2**28
"""Bytes of a problem, at most: what is larger is made anew, and leaves its memory to the next."""

Laid = tuple[LocalQuadratics, SharedArray | None]
"""This rank's workers' quadratics, and the memory that they share with others."""


class Kept:
    """The last problem that was opened, on rank 0, and laid out, on every rank."""

    def __init__(self) -> None:
        self._asked: object = None
        self._source: Source | None = None
        self._laid: Laid | None = None
        self._laid_source: Source | None = None

    def load(self, problem: Problem) -> Source:
        """`problems.load`, unless it is the problem of before, in files of before; on rank 0."""
        asked = _identity(problem)
        if asked is None or asked != self._asked or self._source is None:
            self._source = None
            self._source = problems.load(problem)
            self._asked = asked
        return self._source

    def quadratics(
        self, team: Team, facts: Facts, source: Source | None, lay: Callable[[], Laid]
    ) -> Laid:
        """Those of the source, by `lay` where they are not here yet; collective.

        The memory that comes with them is the caller's to free: None, where it is kept.
        """
        same = team.on_root(lambda: source is not None and source is self._laid_source)
        if same and self._laid is not None:
            return self._laid[0], None
        self.forget()
        laid = lay()
        if kept_bytes(facts) * (1 if facts.homogeneous else facts.n) + facts.data_bytes > LARGEST:
            return laid
        self._laid, self._laid_source = laid, source
        return laid[0], None

    def forget(self) -> None:
        """Let go of what is laid out; collective."""
        if self._laid is not None and self._laid[1] is not None:
            self._laid[1].free()
        self._laid = self._laid_source = None


def _identity(problem: Problem) -> object:
    """What has to be the same for a problem to be; None where that cannot be told."""
    path = getattr(problem, "path", None)
    if problem.kind not in registry.BUILT_IN["problems"] or problem.arrays():
        return None
    stamp = None
    if path is not None:
        try:
            found = Path(path).stat()
        except OSError:
            return None
        stamp = (found.st_ino, found.st_size, found.st_mtime_ns)
    return problem, stamp
