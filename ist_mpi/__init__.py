"""Independent Subnetwork Training on MPI, with its exact theory.

    import ist_mpi

    result = ist_mpi.run(
        problem={"kind": "synthetic", "n": 10, "d": 100},
        method={"name": "ist", "step_size": "default"},
        rounds=1000,
    )
    result                                   # measured beside predicted
    result.rounds["relative_gap"]            # columns, numpy
    result.to_dataframe(), result.plot()     # pandas, matplotlib

    theory = ist_mpi.theory(problem=…, method=…)
    theory.stable_step_size_limit            # γ_max
    theory.expectation(1000)["gap"]          # E f(x^k) − f*, exactly

    sweep = ist_mpi.sweep("base.toml", {"method.step_size": [1e-4, 1e-3]}, jobs=2)
    sweep.table(to=1e-6)

    run        train a configuration: a file, a dict, or keywords; on all ranks that were started
    theory     what is exactly known of a configuration, without running it
    open_run   read the log of a run
    sweep      many runs of one configuration, some at a time
    open_sweep the runs of a sweep, or a folder of logs, as they are

Importing the package does not start MPI; running something does.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ist_mpi._version import __version__
from ist_mpi.errors import InputError, ISTError

if TYPE_CHECKING:
    from ist_mpi.library.result import Result
    from ist_mpi.library.sweeps import Sweep
    from ist_mpi.library.theory import Theory
    from ist_mpi.training.progress import Look

__all__ = [
    "ISTError",
    "InputError",
    "__version__",
    "open_run",
    "open_sweep",
    "run",
    "sweep",
    "theory",
]


def __dir__() -> list[str]:
    return __all__


def run(
    config: Any = None,
    comm: Any = None,
    *,
    out: str | Path | None = None,
    force: bool = False,
    progress: bool | None = None,
    callback: "Callable[[Look], Any] | None" = None,
    **settings: Any,
) -> "Result":
    """Run a configuration; collective over `comm`.

    Parameters
    ----------
    config : Config, mapping or path, optional
        A path to a TOML file, the same as nested dicts, or a `ist_mpi.config.Config`. An
        ``arrays`` problem may hold ``L`` (n, d, d), ``b`` (n, d) and ``x0`` (d,) themselves. The
        same on every rank; ranks other than 0 may give None, for what rank 0 gives.
    comm : mpi4py communicator, optional
        Default: COMM_WORLD, all ranks that were started (one without a launcher).
    out : path, optional
        Where to write the run log; default: nowhere, the result holds everything.
    force : bool
        Whether to replace a file already there.
    progress : bool, optional
        Whether rank 0 shows how far the run is (stderr); default: on a terminal.
    callback : callable, optional
        Called on rank 0 with every logged round: a `Look` with ``round``, ``rounds``, ``row`` (the
        columns) and ``x`` (d,). What it returns stops the run if it is true: status "stopped",
        with a checkpoint where there is a log.
    **settings
        ``problem``, ``method``, ``run`` and ``log``: tables, on top of `config`; in place of the
        first two a word is a problem's kind, or a method's name. Anything else is a setting of
        ``run``: ``rounds=500``, ``seed=3``.

    Returns
    -------
    Result
        What the log holds. Iterates, permutations and problem are on rank 0 only. A run that
        diverged warns; its status is "failed" if its model is not finite.

    Raises
    ------
    InputError
        On every rank, if the configuration, its data or `out` are wrong, or the ranks do not give
        the same; on the rank itself, if `comm` is no communicator that it belongs to.

    Examples
    --------
    >>> result = run(
    ...     problem={"kind": "synthetic", "d": 20, "n": 4},
    ...     method={"name": "ist", "step_size": 1e-3},
    ...     rounds=100,
    ... )
    >>> result.status
    'finished'
    """
    from ist_mpi.library import running

    return running.run(
        config,
        comm,
        out=out,
        force=force,
        progress=progress,
        callback=callback,
        **settings,
    )


def theory(
    config: Any = None,
    comm: Any = None,
    *,
    full: bool = False,
    L: Any = None,
    b: Any = None,
    X: Any = None,
    y: Any = None,
    **settings: Any,
) -> "Theory":
    """What is exactly known of a configuration, as ``ist-mpi theory`` finds it; collective.

    Parameters
    ----------
    config, comm, **settings
        As for `run`; the rounds do not matter.
    full : bool
        Whether to leave nothing out, even what takes minutes.
    L, b : array_like, optional
        Quadratics in place of a problem: shapes (n, d, d) and (n, d).
    X, y : array_like, optional
        Samples (m, d) and targets (m,) of ridge regression; `problem` then has the rest.

    Returns
    -------
    Theory
        ``theta``, ``step_size_limit``, ``stable_step_size_limit``, ``x_star``, ``fixed_point``,
        ``limit_gap``, …, ``rounds_to(tolerance)``, ``expectation(rounds)``, and ``why``: the
        reasons for what is None.

    Raises
    ------
    InputError
        On every rank, if the configuration or its data are wrong.

    Examples
    --------
    >>> import numpy as np
    >>> found = theory(
    ...     L=[np.diag([1.0, 3.0]), np.diag([2.0, 1.0])],
    ...     b=np.ones((2, 2)),
    ...     method={"name": "ist", "step_size": 0.05},
    ... )
    >>> found.stable_step_size_limit > 0
    True
    """
    from ist_mpi.library import theory as library

    return library.theory(config, comm, full=full, L=L, b=b, X=X, y=y, **settings)


def open_run(path: str | Path) -> "Result":
    """Read a run log.

    Raises
    ------
    InputError
        If there is none, or it is damaged.
    """
    from ist_mpi.library import result

    return result.open_run(path)


def open_sweep(path: str | Path, folder: str | Path | None = None) -> "Sweep":
    """The runs of a sweep, as they are now.

    Parameters
    ----------
    path : path
        A sweep file; or a folder, for all the logs in it.
    folder : path, optional
        Where the logs of a sweep file are; default: beside a file that `sweep` or ``--grid`` made,
        of any other in results/runs.

    Returns
    -------
    Sweep
        ``runs``, and ``table(to=1e-6)``: a DataFrame with a row for every run.

    Raises
    ------
    InputError
        With every fault of the sweep and its points.
    """
    from ist_mpi.library import sweeps

    return sweeps.open_sweep(path, folder)


def sweep(
    base: Any,
    grid: Mapping[str, Any],
    *,
    jobs: int = 1,
    folder: str | Path = "results/runs",
    progress: bool | None = None,
) -> "Sweep":
    """Make the runs of a grid that are not there yet, `jobs` at a time.

    Parameters
    ----------
    base : Config, mapping or path
    grid : mapping
        Values by ``section.key``: a list or array; ``"0:5"`` for 0 … 4; or a range as a sweep file
        has it, ``{"from": 1e-6, "to": 1e-4, "count": 5, "log": True}``. Every combination is run.
    jobs : int
    folder : path
        Where the logs go, with the sweep as a file that ``ist-mpi sweep`` takes.
    progress : bool, optional
        Whether to say how each run has ended (stderr); default: on a terminal.

    Returns
    -------
    Sweep
        A run that failed does not stop the others: its row says so.

    Raises
    ------
    InputError
        With every fault of every point, before the first run.
    """
    from ist_mpi.library import sweeps

    return sweeps.sweep(base, grid, jobs=jobs, folder=folder, progress=progress)
