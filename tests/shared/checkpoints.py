"""Checkpoints that need no run: what is in the k-th is known."""

from pathlib import Path
from typing import Any

import numpy as np

from ist_mpi.parallel.team import Team
from ist_mpi.store import checkpoint
from ist_mpi.training.checkpoint import save as save_collectively


class One:
    """A communicator of this process alone."""

    size = 1
    rank = 0

    def gather(self, value: Any) -> list[Any]:
        """Everybody's value."""
        return [value]

    allgather = gather

    def bcast(self, value: Any) -> Any:
        """Rank 0's value."""
        return value


TEAM = Team.of(One(), 3, 7)


def state(k: int) -> dict[str, np.ndarray]:
    return {"x": np.arange(7.0) + 100 * k, "momentum": np.arange(7.0) - k}


def workers(k: int) -> dict[str, np.ndarray]:
    """Of every other round, so that both versions of a checkpoint are written."""
    return {"shift": np.arange(12.0).reshape(3, 4) * k} if k % 2 == 0 else {}


def save(folder: Path, k: int) -> None:
    log = f"the log after {k} rounds".encode()
    save_collectively(TEAM, folder, "a run", k, 0.5 * k, state(k), workers(k), log)


def whole(folder: Path) -> checkpoint.Checkpoint:
    """The newest checkpoint; a failure where there is none, or it is not what was saved."""
    found, _ = checkpoint.newest(folder, "a run")
    assert found is not None
    for name, array in state(found.round).items():
        assert found.server[name].tobytes() == array.tobytes()
    for name, array in workers(found.round).items():
        assert found.workers[name].tobytes() == array.tobytes()
    assert found.log == f"the log after {found.round} rounds".encode()
    return found
