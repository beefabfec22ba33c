"""The commands of a sweep: ``ist-mpi sweep plan``, ``run``, ``status`` and ``submit``."""

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from ist_mpi.batch import slurm
from ist_mpi.cli import one_run, options
from ist_mpi.cli.group import Group
from ist_mpi.cli.messages import STOPPED, say, waiting
from ist_mpi.cli.options import of_slurm
from ist_mpi.errors import Fault, InputError, LockedError, collecting
from ist_mpi.parallel import launcher

app = typer.Typer(cls=Group, help="Many runs of one configuration, each made once.")

File = Annotated[Path, typer.Argument(metavar="SWEEP.toml", help="The sweep.")]
Folder = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Where the logs are: results/runs, or beside a sweep that --grid made; sweeps that "
        "share it share their runs.",
        show_default=False,
    ),
]
Jobs = Annotated[int, typer.Option(min=1, metavar="J", help="Runs at a time.")]
Ranks = Annotated[
    int, typer.Option(min=1, metavar="P", help="Ranks of each run, started by mpiexec.")
]
Everything = Annotated[bool, typer.Option("--all", help="Show every point in the table.")]


@app.command()
def plan(
    sweep: File,
    folder: Folder = None,
    jobs: Jobs = 1,
    ranks: Ranks = 1,
    everything: Everything = False,
) -> None:
    """List the runs, how far they are, and what to expect.

    That is time, memory and disk, of runs that are not over.

    Everything is checked as before a run, data included; nothing is run or written.
    """
    launcher.stay_alone()
    from ist_mpi.batch import cost, points, status
    from ist_mpi.cli.report import sweeps as report

    with waiting():
        found = points.plan(sweep, folder)
        facts = points.check(found)
        statuses = status.statuses_of(found)
        costs, basis = cost.predict(found, facts, statuses, ranks)
    _caution(found)
    report.show_plan(found, statuses, costs, basis, jobs, everything)


@app.command("status")
def show_status(
    sweep: File,
    folder: Folder = None,
    everything: Everything = False,
    as_json: options.Json = False,
) -> None:
    """Show what is finished, running, stopped, failed, missing.

    A run counts as running while a process holds its lock; one that is gone holds none.
    """
    launcher.stay_alone()
    from ist_mpi.batch import points, status
    from ist_mpi.cli.report import sweeps as report

    with waiting():
        found = points.plan(sweep, folder)
        statuses = status.statuses_of(found)
    if as_json:
        report.print_json(found, statuses)
    else:
        report.show_status(found, statuses, everything)


@app.command("table")
def show_table(
    sweep: Annotated[
        Path, typer.Argument(metavar="SWEEP.toml", help="The sweep, or a folder of logs.")
    ],
    folder: Folder = None,
    to: Annotated[
        float, typer.Option(metavar="GAP", help="The relative gap of the rounds and floats shown.")
    ] = 1e-6,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write the table to this file.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Show a line a run: settings, last gap, limit, floats.

    With the rounds and floats that a gap took. Floats are up and down, of a worker. Empty: there is
    none, or it was not reached.
    """
    launcher.stay_alone()
    from ist_mpi.batch import table
    from ist_mpi.cli.report import sweeps as report
    from ist_mpi.training import outputs

    if faults := outputs.output_faults([csv], force, "--csv"):
        raise InputError(faults)
    with waiting():
        found = table.members(sweep, folder)
        rows = table.rows(found, to)
    if csv is not None:
        if faults := outputs.read_faults([csv], [sweep, *(one.log for one in found)], "--csv"):
            raise InputError(faults)
        outputs.put_text(csv, table.as_csv(rows), "--csv")
    else:
        report.show_table(rows)


@app.command()
def run(
    sweep: File,
    folder: Folder = None,
    index: Annotated[
        int | None,
        typer.Option(
            min=0, metavar="I", help="Run only this point, on the ranks that were started."
        ),
    ] = None,
    jobs: Jobs = 1,
    ranks: Ranks = 1,
    grid: Annotated[
        list[str] | None,
        typer.Option(
            "--grid",
            metavar="SECTION.KEY=VALUES",
            help="The argument is a configuration, and this an axis: 1,2,3 or A:B (the integers A, "
            "…, B-1) or log:A:B:N or linear:A:B:N. Repeatable; a file of the sweep is put into the "
            "folder.",
        ),
    ] = None,
    missing: Annotated[
        bool,
        typer.Option("--missing", help="Neither mention what is over nor count it as a failure."),
    ] = False,
    offset: Annotated[int, typer.Option(min=0, hidden=True)] = 0,
    expected: Annotated[str, typer.Option("--expect", hidden=True)] = "",
    only_compile: Annotated[bool, typer.Option("--compile", hidden=True)] = False,
    serve: Annotated[bool, typer.Option("--serve", hidden=True)] = False,
) -> None:
    """Run what is not over yet, a few at a time.

    That is what is missing, was stopped or killed, or has failed. What is finished or has diverged
    is never made again. A run that fails does not stop the others. SIGTERM, SIGUSR1, SIGHUP and
    Ctrl-C stop all with checkpoints. Exit codes: 0 all are finished; 1 some failed or diverged; 2
    wrong input, nothing was run; 73 others are at work on some; 75 stopped: run again. With --index
    those of run.
    """
    if grid:
        if index is not None:
            raise typer.BadParameter("--index does not go with --grid")
        launcher.stay_alone()
        sweep = _of_grid(sweep, grid, folder)
    if serve:
        one_run.serve(sweep, folder, expected)
        return
    if index is not None:
        if jobs > 1 or ranks > 1 or missing:
            raise typer.BadParameter("--index does not go with --jobs, --ranks or --missing")
        if only_compile:
            one_run.compile_for(sweep, folder, index + offset)
            return
        raise typer.Exit(one_run.make(sweep, folder, index + offset, expected))
    if (launcher.launched_size() or 1) > 1:
        got, remedy = "no --index under a launcher", "or without the launcher, and with --ranks"
        raise InputError(Fault("sweep run", got, "--index I: one run on all ranks", remedy))
    raise typer.Exit(_run_all(sweep, folder, jobs, ranks, missing))


def _of_grid(config: Path, axes: Sequence[str], folder: Path | None) -> Path:
    """The file of a sweep that is given by its base and its axes."""
    from ist_mpi.batch import grid, points
    from ist_mpi.config import load
    from ist_mpi.training import outputs

    folder = points.RUNS if folder is None else folder
    found = grid.parsed(axes)
    base = load(config)
    if faults := outputs.output_faults([folder / "any.h5"], True, "--folder"):
        raise InputError(faults)
    with waiting():
        path = grid.planned(base, found, folder, axes).sweep.path
    say(f"the sweep is {path}: status, table and run take it")
    return path


def _run_all(sweep: Path, folder: Path | None, jobs: int, ranks: int, missing: bool) -> int:
    """Make all runs that are to be made, some at a time; the exit code."""
    launcher.stay_alone()  # the runs have MPI, each its own
    from ist_mpi.batch import pool, status
    from ist_mpi.cli.report import sweeps as report

    with waiting():
        found = _checked(sweep, folder)
    _caution(found)
    before = status.statuses_of(found)
    indices = set(status.to_be_made(before))
    wanted = [point for point in found.points if point.index in indices]
    passed = [] if missing else [s.state for i, s in before.items() if i not in indices]
    if passed:
        say(f"{sweep}: already {report.counted(passed)}")
    cores = len(os.sched_getaffinity(0))
    if (count := min(jobs, len(wanted)) * ranks) > cores:
        say(f"caution: {count} ranks at a time on {cores} usable core(s)")
    with waiting():
        after = pool.run_points(wanted, pool.command(found), jobs, ranks, report.show_end)
    states = [status.state for status in after] + passed
    say(f"{sweep}: {report.counted(states)}")
    return _exit_code(set(states))


def _exit_code(states: set[str]) -> int:
    from ist_mpi.parallel import signals

    if signals.requested() and {"stopped", "missing"} & states:
        return STOPPED
    if {"failed", "killed", "diverged", "missing"} & states:
        return 1
    if "stopped" in states:
        return STOPPED
    return LockedError.exit_code if "running" in states else 0


@app.command()
@of_slurm
def submit(
    sweep: File,
    folder: Folder = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, metavar="J", help="At most this many tasks at a time.")
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Check everything and print the array; submit nothing."),
    ] = False,
    **asked: Any,
) -> None:
    """Put what is not over yet into SLURM's queue.

    That is an array, a task a run, of what is missing, was stopped or killed, or has failed. The
    resources are those of one task. A task's number is its point's; where SLURM's MaxArraySize is
    too small for that there are several arrays. Everything that can be checked here is checked
    before it queues.
    """
    launcher.stay_alone()
    from ist_mpi.batch import pool, status
    from ist_mpi.batch.slurm import arrays

    faults: list[Fault] = []
    request, found = None, None
    with collecting(faults):
        asked["name"] = asked["name"] or re.sub(r"\W", "-", sweep.stem, flags=re.ASCII)
        request = slurm.Request(**asked)
    with collecting(faults), waiting():
        found = _checked(sweep, folder)
    if request is None or found is None or faults:
        raise InputError(faults)
    _caution(found)
    wanted = status.to_be_made(status.statuses_of(found))
    if not wanted:
        say(f"{sweep}: nothing to submit, every run is over or running")
        return
    for tasks in arrays.arrays(wanted, arrays.max_array_size(), jobs):
        words = [*pool.command(found), "--index", slurm.TASK]
        words += ["--offset", str(tasks.offset)] if tasks.offset else []
        text = slurm.render(replace(request, array=tasks.text), words)
        if dry_run:
            print(text, end="")
        else:
            number = slurm.submit(text)
            print(f"Submitted batch job {number}: {tasks.size} runs, tasks {tasks.text}")


def _checked(sweep: Path, folder: Path | None) -> Any:
    """The runs of a sweep whose problems can be opened, and whose logs can be put there.

    Raises InputError with every fault of every point, or else of the folder.
    """
    from ist_mpi.batch import points
    from ist_mpi.training import outputs

    found = points.plan(sweep, folder)
    points.check(found)
    if faults := outputs.output_faults([found.folder / "any.h5"], True, "--folder"):
        raise InputError(faults)
    return found


def _caution(found: Any) -> None:
    """Say what is allowed but seldom meant, once for all points."""
    for caution in dict.fromkeys(text for p in found.points for text in p.config.cautions()):
        say(f"caution: {caution}")
