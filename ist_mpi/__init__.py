"""Independent Subnetwork Training on MPI, with its exact theory.

    import ist_mpi
    result = ist_mpi.run("jobs/figure1a.toml")
    result.rounds["relative_gap"]

Where things are, from the ground up (a room imports only from those above it):

    errors, partition, randomness   kinds of errors; near-equal spans; who owns which random numbers
    threads                         what runs in several threads share of the process
    kernels/                        compiled functions on plain arrays: the only numba
    registry                        names of methods, sketches and problems, and where they are
    store/                          files, whole or not at all; the run log; checkpoints as files
    config/                         what a run is: settings, read and checked
    sketches/                       C_i, a file a sketch: settings, draw, factors, law
    problems/                       f_i, a file a kind: settings, a worker's share
    parallel/                       the only mpi4py: ranks, their team, exchanges, watchdog
    exact_theory/                   what is known without running: law, step → moments → constants
    methods/                        Algorithm 1 and its relatives, a file a method
    training/                       one run: asked for, set up, the loop, record, checkpoint, resume
    verify/                         is a log what it says
    batch/                          many runs: sweeps, SLURM
    bench/                          rounds beside plain numpy and the raw collectives
    cli/                            the commands, and what they print

From ``ist-mpi run`` to Algorithm 1: `cli.run.run` makes a job and asks `training.api.results`
for its runs; `training.loop.execute` goes through `iterates`, the loop, whose rounds are
`methods.ist.IndependentSubnetworkTraining.round`.

Importing the package does not start MPI; running something does.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ist_mpi._version import __version__
from ist_mpi.errors import InputError, ISTError

if TYPE_CHECKING:
    from ist_mpi.store.log import Result, Run

__all__ = ["ISTError", "InputError", "__version__", "open_run", "run"]


def run(
    config: Any, comm: Any = None, *, out: str | Path | None = None, force: bool = False
) -> "Result":
    """Run a configuration; collective over `comm`.

    Parameters
    ----------
    config : Config, mapping or path
        A path to a TOML file, the same as nested dicts, or a `ist_mpi.config.Config`. An
        ``arrays`` problem may hold ``L`` (n, d, d), ``b`` (n, d) and ``x0`` (d,) themselves. The
        same on every rank; ranks other than 0 may give None, for what rank 0 gives.
    comm : mpi4py communicator, optional
        Default: COMM_WORLD, all ranks that were started (one without a launcher).
    out : path, optional
        Where to write the run log; default: nowhere, the result holds everything.
    force : bool
        Whether to replace a file already there.

    Returns
    -------
    Result
        What the log holds. Iterates, permutations and problem are on rank 0 only.

    Raises
    ------
    InputError
        On every rank, if the configuration, its data or `out` are wrong, or the ranks do not give
        the same; on the rank itself, if `comm` is no communicator that it belongs to.

    Examples
    --------
    >>> result = run({
    ...     "problem": {"kind": "synthetic", "d": 20, "n": 4},
    ...     "method": {"name": "ist", "step_size": 1e-3},
    ...     "run": {"rounds": 100},
    ... })
    >>> result.status
    'finished'
    """
    from ist_mpi.training import api

    return api.run(config, comm, out=out, force=force)


def open_run(path: str | Path) -> "Run":
    """Read a run log; raises InputError where it is none."""
    from ist_mpi.store import log as runlog

    return runlog.open_run(path)
