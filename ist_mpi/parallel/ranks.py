"""Who is there, and all ranks or none: the launcher, agreement on errors, the end of a job."""

import os
import platform
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np

from ist_mpi.errors import (
    DamagedError,
    Fault,
    InputError,
    ISTError,
    LauncherError,
    UnreadError,
    failure_of,
)
from ist_mpi.parallel.launcher import launched_size, started_by_srun
from ist_mpi.parallel.mpi import MPI, Solo, required
from ist_mpi.parallel.watchdog import START_SECONDS, Awake

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""


def world() -> Any:
    """COMM_WORLD: all ranks that the launcher started, or this process alone.

    Raises
    ------
    LauncherError
        If no MPI library can be loaded.
    """
    required()
    return MPI.COMM_WORLD


def world_if_any() -> Any:
    """COMM_WORLD, or where there is no MPI library this process alone."""
    return Solo() if MPI is None else world()


def communicator(comm: Any = None) -> Any:
    """A communicator that a user's program gave, or the world; not collective.

    What that program does not catch from now on ends all ranks.

    Raises
    ------
    LauncherError
        If no MPI library can be loaded.
    InputError
        If it is none of a group of ranks that this one belongs to.
    """
    everybody = world()
    _end_all_on_uncaught()
    if comm is None:
        return everybody
    got = f"a {type(comm).__name__}"
    if isinstance(comm, MPI.Comm):
        if comm == MPI.COMM_NULL:
            got = "COMM_NULL, as on ranks that do not belong to a communicator, or after its end"
        elif comm.Is_inter():
            got = "an intercommunicator"
        else:
            return comm
    remedy = "None: all ranks"
    raise InputError(Fault("comm", got, "an mpi4py communicator of ranks with this one", remedy))


def check_launcher(comm: Any) -> None:
    """Refuse ranks that the launcher started together but that do not know each other.

    Raises
    ------
    LauncherError
        With what to do about it.
    """
    expected = launched_size()
    alone = MPI is None or MPI.COMM_WORLD.size == 1
    if expected is not None and comm.size < expected and alone:
        why = f"mpiexec belongs to another MPI than {mpi_version()}"
        remedy = "use the mpiexec next to this python"
        if started_by_srun():
            why = f"what started them does not speak the protocol of {mpi_version()}"
            remedy = (
                "use srun --mpi=pmi2 (MPICH, Intel MPI) or --mpi=pmix (Open MPI), of those that "
                "srun --mpi=list shows, or inside the job the mpiexec next to this python"
            )
        raise LauncherError(
            f"the launcher started {expected} ranks, but each of them is alone: {why}; {remedy}"
        )


def mpi_version() -> str:
    """The MPI library, in a few words."""
    if MPI is None:
        return "none"
    text = MPI.Get_library_version().strip("\0 \n").replace("\t", " ")
    lines = [" ".join(line.split()) for line in text.splitlines()]
    return lines[0].partition(",")[0]


def hosts(comm: Any) -> list[str]:
    """The host of every rank, on every rank; collective."""
    return list(comm.allgather(platform.node()))


def agree(comm: Any, error: ISTError | None = None) -> None:
    """Raise the first rank's error on every rank, or return on every rank; collective.

    Faults of several ranks (each found something wrong with its own workers' data) are joined, to a
    DamagedError if one of them is.
    """
    errors = [found for found in comm.allgather(error) if found is not None]
    if not errors:
        return
    inputs = [found for found in errors if isinstance(found, InputError)]
    agreed: ISTError = errors[0]
    if len(inputs) == len(errors):
        seen: dict[Fault, None] = {fault: None for found in inputs for fault in found.faults}
        damaged = any(isinstance(found, DamagedError) for found in inputs)
        agreed = DamagedError(seen) if damaged else InputError(seen)
    agreed.agreed = True
    raise agreed


def on_root(comm: Any, function: Callable[[], Any]) -> Any:
    """``function()`` on rank 0, its result on every rank, its ISTError too; collective."""
    result, error = None, None
    if comm.rank == 0:
        try:
            result = function()
        except ISTError as found:
            error = found
    agree(comm, error)
    return comm.bcast(result)


class Decision(NamedTuple):
    """How a run goes on: rank 0 says how far, any rank may object."""

    stop: int
    """The round to go on to."""
    due: bool
    """Whether a checkpoint is."""
    signal: int = 0
    """The signal that asks to stop, the largest of any rank; 0: none."""
    failed: bool = False
    """Whether a rank has an error to tell."""


def decide(comm: Any, mine: Decision) -> Decision:
    """Rank 0's `stop` and `due`, and what any rank objects, on every rank; collective.

    One small message.
    """
    if comm.size == 1:
        return mine
    words = np.array(mine, dtype=np.int64)
    if comm.rank > 0:
        words[:2] = -1
    comm.Allreduce(MPI.IN_PLACE, [words, MPI.INT64_T], op=MPI.MAX)
    return Decision(int(words[0]), bool(words[1]), int(words[2]), bool(words[3]))


def from_root(comm: Any, number: int) -> int:
    """Rank 0's number ≥ 0, on every rank; collective."""
    return decide(comm, Decision(number, False)).stop


@contextmanager
def agreeing(comm: Any) -> Iterator[None]:
    """Let a rank's ISTError in the body be raised on every rank; the body has no collectives."""
    error = None
    try:
        yield
    except ISTError as found:
        error = found
    agree(comm, error)


@contextmanager
def abort_on_error(comm: Any) -> Iterator[None]:
    """End the whole job when one rank fails alone, with that rank's message.

    The job is all of MPI's ranks, also those that a larger program uses for something else. An
    error on which the ranks agreed passes through: all of them raise it and can end in order.
    """
    try:
        yield
    except BaseException as error:
        if comm.size == 1 or getattr(error, "agreed", False):
            raise
        code, text = 1, traceback.format_exc()
        if (failure := failure_of(error)) is not None:
            code, text = failure[0], f"{failure[1]}\n"
        if isinstance(error, KeyboardInterrupt):
            code, text = INTERRUPTED, "interrupted\n"
        # Where all fail at once, as when all are interrupted, the first speaks for all.
        time.sleep(min(0.25 * comm.rank, 2.0))
        # One write, so that the message of this rank is not mixed with another's.
        if not isinstance(error, UnreadError):
            sys.stderr.write(f"ist-mpi: rank {comm.rank} of {comm.size} failed: {text}")
        sys.stderr.flush()
        time.sleep(0.2)  # the launcher forwards the text before it hears of the end
        comm.Abort(code)
        os._exit(code)  # it may return, and what follows must not happen


_in_use: dict[int, int] = {}
"""Threads by the communicators, of several ranks, that their runs use."""


@contextmanager
def alone_on(comm: Any) -> Iterator[None]:
    """No other thread's run uses the communicator in the body: ranks would mistake one for another.

    Raises
    ------
    InputError
        On this rank.
    """
    handle, thread = MPI._handleof(comm), threading.get_ident()
    outer = _in_use.get(handle) == thread  # a run within a run
    beside = comm.size > 1 and any(other != thread for other in list(_in_use.values()))
    if beside and MPI.Query_thread() < MPI.THREAD_MULTIPLE:
        got, expected = "another run in another thread", "one at a time, as MPI was initialized"
        raise InputError(Fault("run", got, expected, "MPI.THREAD_MULTIPLE allows several"))
    if comm.size > 1 and _in_use.setdefault(handle, thread) != thread:
        got, expected = "a communicator that a run in another thread uses", "one for each thread"
        raise InputError(Fault("comm", got, expected, "comm.Dup(), before the threads begin"))
    try:
        yield
    finally:
        if not outer:
            _in_use.pop(handle, None)


MISSING_SECONDS = 30.0
"""Ranks that have waited so long for others say so."""


def meet(comm: Any, what: str = "ist_mpi.run") -> None:
    """Wait until all ranks of a communicator have called a function; collective.

    Who calls alone is told, and does not wait for ever.

    Raises
    ------
    LauncherError
        On a rank whose patience is over.
    """
    if comm.size == 1:
        return
    request, waited = comm.Ibarrier(), Awake(MISSING_SECONDS / 10)
    pause, told = 1e-5, False
    missing = f"not every rank of the communicator has called {what}, which all have to"
    while not request.Test():
        time.sleep(pause)
        pause = min(2 * pause, 0.01)
        seconds = waited.seconds()
        if seconds > MISSING_SECONDS and not told:
            told = True
            if comm.rank < 2:  # the second, where the first is who is missing
                sys.stderr.write(f"ist-mpi: rank {comm.rank} of {comm.size} waits: {missing}\n")
                sys.stderr.flush()
        if seconds > START_SECONDS:
            raise LauncherError(f"no end of waiting after {START_SECONDS:g} s: {missing}")


_ends_all = [False]


def _end_all_on_uncaught() -> None:
    """From now on an exception that nobody catches ends all ranks, as under ``python -m mpi4py``.

    Else a rank that leaves with its traceback leaves the others waiting for it. An error on which
    the ranks agreed ends each of them in order.
    """
    if _ends_all[0] or MPI.COMM_WORLD.size == 1:
        return
    _ends_all[0] = True
    before = sys.excepthook

    def end_all(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        before(kind, error, trace)
        if getattr(error, "agreed", False) or not MPI.Is_initialized() or MPI.Is_finalized():
            return
        sys.stderr.flush()
        time.sleep(0.2)  # the launcher forwards the text before it hears of the end
        MPI.COMM_WORLD.Abort(1)

    sys.excepthook = end_all


class Ranks(NamedTuple):
    """One rank as `doctor` reports it."""

    host: str
    cpus: int
    """The CPUs that it may use, one bit each."""
    threads: dict[str, str]


def census(comm: Any) -> list[Ranks]:
    """Host, usable CPUs and thread settings of every rank, on every rank; collective."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    threads = {name: os.environ[name] for name in names if name in os.environ}
    cpus = sum(1 << cpu for cpu in os.sched_getaffinity(0))
    return list(comm.allgather(Ranks(platform.node(), cpus, threads)))


def cores(census: Sequence[Ranks]) -> dict[str, int]:
    """How many CPUs the ranks of each host may use together: each may be bound to its own."""
    together: dict[str, int] = {}
    for rank in census:
        together[rank.host] = together.get(rank.host, 0) | rank.cpus
    return {host: cpus.bit_count() for host, cpus in together.items()}


def crowded(census: Sequence[Ranks]) -> list[str]:
    """What to tell the user of hosts that have more ranks than CPUs for them."""
    on_host = Counter(rank.host for rank in census)
    return [
        f"{host} is oversubscribed: {on_host[host]} ranks on {count} usable core(s); results stay "
        "the same, but waiting ranks take time from working ones"
        for host, count in cores(census).items()
        if on_host[host] > count
    ]
