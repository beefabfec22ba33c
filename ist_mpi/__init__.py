"""Independent Subnetwork Training on MPI, with its exact theory.

    import ist_mpi
    result = ist_mpi.run("jobs/figure1a.toml")
    result.rounds["relative_gap"]

Where things are, from the ground up (a module imports only from those above it):

    errors        what can go wrong, in words
    streams       what cannot be printed
    files         what others wrote, within limits; what we write, safe from power cuts
    launcher      how many were started, and which of them this is
    partition     near-equal spans
    randomness    who owns which random numbers
    progress      where a run stands
    pace          how many rounds between two looks
    signals       requests to stop
    watchdog      an end to what makes no progress
    locks         one run at a time for a log
    config/       what a run is
    kernels/      compiled functions on plain arrays
    hdf5/         files, whole or not at all; of others, what is asked for
    sketches      C_i: the blocks of a round
    problems/     f_i: where the quadratics come from
    exchange/     what crosses ranks
    operators     L̄, in slabs or as the workers' products
    krylov        systems and eigenvalues from products alone
    diagonals     the blocks on a matrix's diagonal
    theory        M, m, x∞
    grouped       terms of the following, where coordinates move in groups
    moments       E[B̄ A B̄], E[B̄ x cᵀ], E[c cᵀ]
    recursions    θ, stability, exact expectations
    matrix_free   x* and x∞ of problems too large for d × d matrices
    objective     f: its minimiser, its measurements
    estimates     extreme eigenvalues of what is too large to be dense
    constants     the constants of theory for a run
    methods/      the round: Algorithm 1 and its baselines
    runlog        the log: one writer, one reader
    provenance    versions, hosts, commit
    checkpoint    the state of a run, written and read
    verify/       judges run logs
    budget        what a run needs before it starts
    experiment    all of it put together once
    choice        which exchange
    opening       the log as it begins
    record        what is seen of a run, and when it ends
    runner        the main loop
    continuation  where a run goes on
    outputs       where logs go, and whether they can
    jobs          a run as asked for, checked before it begins
    api           run()
    doctor        the health of an installation
    verdict       theory in plain words
    compiling     compiled functions before they are needed
    watching      what to say of a log while it grows
    slurm/        batch jobs
    foresight     the theory command
    bench/        the bench command: rounds beside plain numpy and the raw collectives
    sweep/        many runs, each of them made once
    report/       what people read
    telling       what the commands that train say
    cli_options   options that commands share
    cli_sweep     the commands of a sweep
    cli           the commands

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
        ``arrays`` problem may hold ``L`` (n, d, d), ``b`` (n, d) and ``x0`` (d,) themselves.
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
        On every rank, if the configuration, its data or `out` are wrong.

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
