"""The benchmark: what a round costs, beside what the machine and the network alone would take.

cases         what is measured, and whether it fits into memory
textbook      the loop in plain numpy
timing        laps that take turns, medians, quartiles
material      matrices, and a rank's tools on them
blocks        the kernel, its floors, numpy's block product
rounds        whole rounds, taken apart, and the raw collectives
figures       from laps to rows
links         messages and collectives of many sizes
whole         a whole run
environment   where it was measured
tables        the rows, for people

Every figure is a median over laps, with its quartiles; candidates take turns, lap by lap, and no
ratio is of figures from different runs.
"""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from threadpoolctl import threadpool_limits

from ist_mpi.bench.blocks import Source, lines_of_block
from ist_mpi.bench.cases import QUICK, TABLE, WEAK, Case, fitting, parse, weak
from ist_mpi.bench.environment import environment
from ist_mpi.bench.figures import kernel_rows, round_row, scaling_rows
from ist_mpi.bench.links import links
from ist_mpi.bench.material import bytes_needed, lay_out, make
from ist_mpi.bench.rounds import candidates, exchanges_of
from ist_mpi.bench.timing import Effort, Float64, measure, slowest
from ist_mpi.bench.whole import whole_runs
from ist_mpi.errors import Fault, InputError
from ist_mpi.parallel import ranks
from ist_mpi.parallel.rounds import KINDS
from ist_mpi.parallel.teams import Team, disband, teams, turn
from ist_mpi.training.outputs import output_faults

FORMAT, SCHEMA_VERSION = "ist_mpi.bench", 1

Watcher = Callable[[str], None]
"""Is told what is being measured."""


class Options(NamedTuple):
    """What is measured, and how thoroughly."""

    cases: tuple[Case, ...] = TABLE
    exchanges: tuple[str, ...] = ("server", "replicated", "serverless")
    share: Case | None = WEAK
    """One rank's share of the weak scaling; None: no weak scaling."""
    effort: Effort = Effort(laps=15, seconds=0.02)
    whole_laps: int = 5
    """Laps of whole runs; 0: none."""
    whole_rounds: int = 1000


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
        options = Options()
        if cases:
            try:
                options = options._replace(cases=tuple(parse(cases)))
            except InputError as error:
                faults += error.faults
        for name in exchanges:
            if name not in KINDS:
                faults.append(Fault("--exchange", repr(name), " or ".join(KINDS)))
        if faults:
            raise InputError(faults)
        if exchanges:
            options = options._replace(exchanges=tuple(dict.fromkeys(exchanges)))
        return quick(options) if hurry else options

    options: Options = ranks.on_root(comm, check)
    return options


def write(document: dict[str, Any], path: Path) -> None:
    """Write the document as JSON, whole or not at all; raises InputError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".ist-mpi-{os.getpid()}")
        temporary.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise InputError(Fault(f"--json {path}", str(error.strerror), "a writable path")) from error


def quick(options: Options) -> Options:
    """The same in seconds rather than minutes: fewer laps, small cases."""
    cases = QUICK if options.cases == TABLE else options.cases
    return options._replace(cases=cases, effort=Effort(7, 0.005), whole_laps=3, whole_rounds=300)


def bench(comm: Any, options: Options, watch: Watcher | None = None) -> dict[str, Any]:
    """Measure; the document on rank 0, an empty one elsewhere; collective.

    Raises
    ------
    LauncherError
        If the ranks are not what the launcher started.
    """
    ranks.check_launcher(comm)
    say = watch if watch is not None and comm.rank == 0 else _silent
    document: dict[str, Any] = {
        "format": FORMAT,
        "schema_version": SCHEMA_VERSION,
        "environment": environment(comm),
        "effort": options.effort._asdict(),
        "kernels": [],
        "rounds": [],
        "scaling": [],
        "links": [],
        "whole": [],
        "notes": [],
    }
    if document["environment"]["oversubscribed"]:
        document["notes"].append(
            "more ranks than cores: they take turns, and no time of several ranks is a measure"
        )
    formed = teams(comm)
    with threadpool_limits(limits=1):
        for case in options.cases:
            say(f"d = {case.d}, n = {case.n}, blocks of {case.block}")
            _measure_case(comm, formed, case, options, document)
        if options.share is not None and comm.size > 1:
            say("weak scaling")
            _measure_weak(comm, formed, options.share, options, document)
        if comm.size > 1:
            say("messages and collectives")
            document["links"] = links(comm, formed, options.effort)
        if options.whole_laps:
            say("whole runs")
            effort = options.effort._replace(laps=options.whole_laps)
            exchange, count = options.exchanges[0], options.whole_rounds
            document["whole"] = whole_runs(comm, formed, exchange, count, effort)
    disband(formed)
    return document if comm.rank == 0 else {}


def _silent(text: str) -> None:
    """Nobody listens."""


def _fitted(
    comm: Any, formed: list[Team], case: Case, options: Options, document: dict[str, Any]
) -> list[Team]:
    """The teams that the case's matrices fit into memory for; collective."""
    every = [team.size for team in formed]
    needs = {
        size: bytes_needed(case, [other for other in every if other >= size], comm.rank)
        for size in every
    }
    sizes, note = fitting(comm, needs)
    if note:
        document["notes"].append(f"d = {case.d}, n = {case.n}: {note}")
    return [team for team in formed if team.size in sizes]


def _measure_case(
    comm: Any, formed: list[Team], case: Case, options: Options, document: dict[str, Any]
) -> None:
    """Kernels, rounds and strong scaling of one case; collective."""
    able = _fitted(comm, formed, case, options, document)
    if not able:
        return
    with turn(comm):
        material = make(case, [team.size for team in able], comm.rank)
    exchanges = [exchanges_of(case, team.size, options.exchanges) for team in able]
    entered = []
    for team, names in zip(able, exchanges, strict=True):
        with turn(comm):
            entered.append(candidates(team.comm, case, material, names) if team.member else [])
    measured = measure(comm, able, entered, options.effort)
    if comm.rank > 0:
        return
    whole: list[tuple[Case, int, str, Float64]] = []
    for team, names, times in zip(able, exchanges, measured, strict=True):
        if team.size == 1:
            tools = lay_out(team.comm, case, material, "alone")
            document["kernels"] += kernel_rows(case, lines_of_block(tools, Source(tools)), times)
        for name in names:
            document["rounds"].append(round_row(team.comm, case, name, times))
            whole.append((case, team.size, name, slowest(times[f"round {name}"])))
    document["scaling"] += scaling_rows("strong", whole)


def _measure_weak(
    comm: Any, formed: list[Team], share: Case, options: Options, document: dict[str, Any]
) -> None:
    """Weak scaling: every team has a case of its own; collective."""
    whole: list[tuple[Case, int, str, Float64]] = []
    able, entered = [], []
    for team in formed:
        case = weak(team.size, share)
        if not any(one.size == team.size for one in _fitted(comm, [team], case, options, document)):
            continue
        able.append(team)
        names = exchanges_of(case, team.size, options.exchanges)
        with turn(comm):
            material = make(case, [team.size], comm.rank)
            found = candidates(team.comm, case, material, names, weak=True) if team.member else []
            entered.append(found)
    measured = measure(comm, able, entered, options.effort)
    if comm.rank > 0:
        return
    for team, times in zip(able, measured, strict=True):
        case = weak(team.size, share)
        names = exchanges_of(case, team.size, options.exchanges)
        whole += [(case, team.size, name, slowest(times[f"round {name}"])) for name in names]
    if whole:
        document["scaling"] += scaling_rows("weak", whole)
