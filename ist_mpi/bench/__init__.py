"""The benchmark: what a round costs, beside plain numpy and the raw collectives.

cases         sizes, and how they are written
rounds        what is timed of a case
textbook      the loop in plain numpy
timing        laps that take turns
environment   where it was measured

Every figure is a median over laps, with its quartiles; candidates take turns, lap by lap, and no
ratio is of figures from different runs. Rounds are those of runs: prepared and made as they are.
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from ist_mpi import problems
from ist_mpi.bench.cases import QUICK, TABLE, Case, parse
from ist_mpi.bench.environment import environment
from ist_mpi.bench.rounds import candidates, exchanges_of, row
from ist_mpi.bench.timing import Candidate, Effort, measure
from ist_mpi.errors import Fault, InputError
from ist_mpi.parallel import ranks
from ist_mpi.parallel.exchange import KINDS
from ist_mpi.parallel.split import first_ranks, others_asleep, rank_counts
from ist_mpi.threads import one_thread
from ist_mpi.training.budget import estimate, size_text
from ist_mpi.training.outputs import output_faults, put_text
from ist_mpi.training.setup import Experiment, facts_of, prepare

FORMAT, SCHEMA_VERSION = "ist_mpi.bench", 2
EFFORT, HURRIED = Effort(laps=15, seconds=0.02), Effort(laps=7, seconds=0.005)


class Options(NamedTuple):
    """What is measured, and how thoroughly."""

    cases: tuple[Case, ...] = TABLE
    exchanges: tuple[str, ...] = tuple(KINDS)
    effort: Effort = EFFORT


def choose(
    comm: Any,
    cases: Sequence[str],
    exchanges: Sequence[str],
    hurry: bool,
    path: Path | None,
    force: bool,
) -> Options:
    """The options that a command line means, and whether the file can be written; collective.

    Raises
    ------
    InputError
        On every rank, with every fault found.
    """

    def check() -> Options:
        faults = output_faults([path], force, "--json")
        chosen: tuple[Case, ...] = QUICK if hurry else TABLE
        if cases:
            try:
                chosen = tuple(parse(cases))
            except InputError as error:
                faults += error.faults
        for name in exchanges:
            if name not in KINDS:
                faults.append(Fault("--exchange", repr(name), " or ".join(KINDS)))
        if faults:
            raise InputError(faults)
        names = tuple(dict.fromkeys(exchanges)) or tuple(KINDS)
        return Options(chosen, names, HURRIED if hurry else EFFORT)

    options: Options = ranks.on_root(comm, check)
    return options


def write(document: dict[str, Any], path: Path) -> None:
    """Write the document as JSON, whole or not at all; raises OutputError."""
    put_text(path, json.dumps(document, indent=1) + "\n", "--json")


def bench(
    comm: Any, options: Options, watch: Callable[[str], None] = lambda text: None
) -> dict[str, Any]:
    """Measure; the document on rank 0, an empty one elsewhere; collective.

    `watch` is told on rank 0 what is being measured.

    Raises
    ------
    LauncherError
        If the ranks are not what the launcher started.
    InputError
        On every rank, if a case cannot be prepared, as a run of it could not.
    """
    ranks.check_launcher(comm)
    where, notes = environment(comm)
    rows: list[dict[str, Any]] = []
    with one_thread():
        for case in options.cases:
            if comm.rank == 0:
                watch(f"d, n = {case}")
            sizes, note = _fitting(comm, case)
            notes += [f"d, n = {case}: {note}"] if note else []
            rows += _measure(comm, case, sizes, options)
    if comm.rank > 0:
        return {}
    return {
        "format": FORMAT,
        "schema_version": SCHEMA_VERSION,
        "environment": where,
        "effort": options.effort._asdict(),
        "rounds": rows,
        "notes": notes,
    }


def _fitting(comm: Any, case: Case) -> tuple[list[int], str]:
    """How many ranks at a time fit into memory, all of them at once; collective.

    The fewest are given up first. The second is what was given up, and why; empty if nothing.
    """
    config = case.config
    facts = ranks.on_root(comm, lambda: facts_of(config, problems.load(config.problem)))
    hosts = ranks.hosts(comm)
    free = dict(zip(hosts, comm.allgather(psutil.virtual_memory().available), strict=True))
    needed: Counter[str] = Counter()
    fitting: list[int] = []
    for size in reversed(rank_counts(comm.size)):
        budget = estimate(config, facts, size)
        for rank, host in enumerate(hosts[:size]):
            needed[host] += budget.memory_root if rank == 0 else budget.memory
        for host in hosts:
            if needed[host] > free[host]:
                short = f"{size_text(needed[host])} wanted, {size_text(free[host])} free"
                return fitting, f"p ≤ {size} left out, memory is short: {short}"
        fitting.insert(0, size)
    return fitting, ""


def _measure(comm: Any, case: Case, sizes: list[int], options: Options) -> list[dict[str, Any]]:
    """The rows of a case, on rank 0; collective."""
    config = case.config
    parts = [first_ranks(comm, size) for size in sizes]
    experiments: list[Experiment] = []
    names: list[list[str]] = []
    entered: list[list[Candidate]] = [[] for _ in parts]
    for part, found in zip(parts, entered, strict=True):
        with ranks.agreeing(comm), others_asleep(comm):
            if part is not None:
                source = problems.load(config.problem)
                experiment = prepare(part, config, facts_of(config, source), source, "none")
                experiments.append(experiment)
                names.append(exchanges_of(experiment, options.exchanges))
                found += candidates(case, experiment, names[-1])
    measured = measure(comm, parts, entered, options.effort)
    for one in (one for found in entered for one in found):
        one.close()
    for experiment in experiments:
        experiment.free()
        experiment.comm.Free()
    if comm.rank > 0:
        return []
    fewest = measured[0] if sizes[:1] == [1] else None
    return [
        row(case, size, name, times, fewest)
        for size, exchanges, times in zip(sizes, names, measured, strict=True)
        for name in exchanges
    ]
