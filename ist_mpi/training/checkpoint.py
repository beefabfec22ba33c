"""Checkpoints of a run on many ranks: each writes its workers' part of the state."""

from collections.abc import Mapping
from pathlib import Path

from ist_mpi.errors import CheckpointError
from ist_mpi.parallel.team import Team
from ist_mpi.store import checkpoint
from ist_mpi.store.checkpoint import Float64, writing


def save(
    team: Team,
    folder: Path,
    run_id: str,
    k: int,
    seconds: float,
    server: Mapping[str, Float64],
    workers: Mapping[str, Float64],
    log: bytes,
) -> None:
    """Write the checkpoint of round k and drop the ones before the last two; collective.

    Parameters
    ----------
    folder : Path
        ``RUN.ckpt``, on a file system that all ranks see.
    server : mapping
        The method's vectors of the server (d,), up to date on every rank.
    workers : mapping
        Its arrays of the workers: of each the rows of this rank's workers, (w, m).
    log : bytes
        The log as of this round; used on rank 0 only.

    Raises
    ------
    CheckpointError
        On every rank, if any of them cannot write; the checkpoints before are untouched.
    """
    try:
        with team.agreeing(), writing(folder):
            if team.rank == 0:
                checkpoint.begin(folder, k)
        shard = None
        with team.agreeing(), writing(folder):
            if team.last > team.first:
                mine = team.first, team.last
                shard = checkpoint.write_shard(folder, k, team.n, *mine, server, workers)
        shards = team.comm.gather(shard)
        with team.agreeing(), writing(folder):
            if team.rank == 0:
                sizes = (
                    {name: array.size for name, array in server.items()},
                    {name: array.shape[1] for name, array in workers.items()},
                )
                written = [found for found in shards if found is not None]
                checkpoint.publish(folder, run_id, k, seconds, team.n, sizes, written, log)
    except CheckpointError:
        if team.rank == 0:
            checkpoint.abandon(folder, k)
        raise
