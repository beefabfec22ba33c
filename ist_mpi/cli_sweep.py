"""The commands of a sweep: ``ist-mpi sweep plan``, ``run``, ``status`` and ``submit``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from ist_mpi.errors import Fault, InputError
from ist_mpi.launcher import launched_size
from ist_mpi.telling import STOPPED, progress, say, show

LOCKED = 73
"""Exit code where another process is at work on what was asked for."""

app = typer.Typer(
    help="Many runs of one configuration, each of them made once: SWEEP.toml has a base and a grid."
)

File = Annotated[Path, typer.Argument(metavar="SWEEP.toml", help="The sweep.")]
Folder = Annotated[
    Path, typer.Option(help="Where the logs are; sweeps that share it share their runs.")
]
Jobs = Annotated[int, typer.Option(min=1, metavar="J", help="Runs at a time.")]
Ranks = Annotated[int, typer.Option(min=1, metavar="P", help="Ranks of each run, by mpiexec.")]
Everything = Annotated[bool, typer.Option("--all", help="Every point in the table.")]
RUNS = Path("results/runs")


@app.command()
def plan(
    sweep: File,
    folder: Folder = RUNS,
    jobs: Jobs = 1,
    ranks: Ranks = 1,
    everything: Everything = False,
) -> None:
    """List the runs, what there is of them already, and the time, memory and disk to expect.

    Problems are opened and everything is checked as before a run; nothing is run or written.
    """
    from ist_mpi import report
    from ist_mpi import sweep as sweeps

    found = sweeps.plan(sweep, folder)
    facts = sweeps.check(found)
    standings = _standings(found)
    prediction = sweeps.predict(found, facts, standings, ranks)
    _caution(found)
    report.show_sweep_plan(found, standings, prediction, jobs, everything)


@app.command()
def status(
    sweep: File,
    folder: Folder = RUNS,
    everything: Everything = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Say what is finished, running, stopped, failed and missing, and why.

    Whether a run is running its lock tells, which a process that is gone does not hold.
    """
    from ist_mpi import report
    from ist_mpi import sweep as sweeps

    found = sweeps.plan(sweep, folder)
    standings = _standings(found)
    if as_json:
        print(report.to_json(report.sweep_document(found, standings)))
    else:
        report.show_sweep_status(found, standings, everything)


@app.command()
def run(
    sweep: File,
    folder: Folder = RUNS,
    index: Annotated[
        int | None,
        typer.Option(
            min=0, metavar="I", help="Only this point, on the ranks that were started, as run does."
        ),
    ] = None,
    jobs: Jobs = 1,
    ranks: Ranks = 1,
    missing: Annotated[
        bool,
        typer.Option("--missing", help="Say nothing of what is over, nor count it as a failure."),
    ] = False,
    offset: Annotated[int, typer.Option(min=0, hidden=True)] = 0,
    expected: Annotated[str, typer.Option("--expect", hidden=True)] = "",
) -> None:
    """Make the runs that are not over: missing, stopped, killed or failed; a few at a time.

    What is finished or has diverged is never made again. A run that fails does not stop the
    others. SIGTERM, SIGUSR1 and Ctrl-C stop all of them with checkpoints. Exit codes: 0 all are
    finished; 1 some failed or diverged; 2 wrong input, nothing was run; 73 others are at work on
    some; 75 stopped: run again. With --index those of run.
    """
    if index is not None:
        if jobs > 1 or ranks > 1 or missing:
            raise typer.BadParameter("--index does not go with --jobs, --ranks or --missing")
        raise typer.Exit(_run_one(sweep, folder, index + offset, expected))
    if (launched_size() or 1) > 1:
        got, remedy = "no --index under a launcher", "or without the launcher, and with --ranks"
        raise InputError(Fault("sweep run", got, "--index I: one run on all ranks", remedy))
    raise typer.Exit(_run_all(sweep, folder, jobs, ranks, missing))


def _run_one(sweep: Path, folder: Path, index: int, expected: str) -> int:
    """Make one run on all ranks, or go on with it; the exit code; collective."""
    from ist_mpi.exchange import ranks

    comm = ranks.world()
    with ranks.abort_on_error(comm):
        from ist_mpi import api
        from ist_mpi import sweep as sweeps

        ranks.check_launcher(comm)
        point = ranks.on_root(comm, lambda: sweeps.point(sweep, index, folder, expected))
        with sweeps.attempting(comm, point):
            job, problem = api.open_job(comm, point.config, out=point.log, going_on="resume")
            for caution in job.config.cautions() if comm.rank == 0 else ():
                say(f"caution: {caution}")
            with progress(comm, f"{sweep.stem} {index}", job) as watch:
                runs = api.results(comm, job, problem, False, watch, "resume", say, held=True)
                del problem
                return show(comm, job, runs)


def _run_all(sweep: Path, folder: Path, jobs: int, ranks: int, missing: bool) -> int:
    """Make all runs that are to be made, some at a time; the exit code."""
    from ist_mpi import report
    from ist_mpi import sweep as sweeps

    found = sweeps.plan(sweep, folder)
    sweeps.check(found)
    _caution(found)
    before = _standings(found)
    passed = (*sweeps.OVER, "running")
    wanted = [point for point in found.points if before[point.index].word not in passed]
    words = [standing.word for standing in before.values() if standing.word in passed]
    if not missing and words:
        over = [f"{words.count(word)} {word}" for word in sweeps.WORDS if word in words]
        say(f"{sweep}: already {', '.join(over)}")
    ended = 0

    def tell(point: Any, standing: Any) -> None:
        nonlocal ended
        ended += 1
        report.show_sweep_end(point, standing, ended, len(wanted))

    command = ["sweep", "run", str(sweep), "--folder", str(folder), "--expect", found.sweep.digest]
    after = sweeps.run_points(wanted, command, jobs, ranks, tell)
    words = [standing.word for standing in after] + ([] if missing else words)
    say(f"{sweep}: " + ", ".join(f"{words.count(w)} {w}" for w in sweeps.WORDS if w in words))
    return _exit_code(words)


def _exit_code(words: list[str]) -> int:
    from ist_mpi import signals

    if signals.requested():
        return STOPPED
    if {"failed", "killed", "diverged", "missing"} & set(words):
        return 1
    if "stopped" in words:
        return STOPPED
    return LOCKED if "running" in words else 0


def _standings(found: Any) -> Mapping[int, Any]:
    """What there is of each run."""
    from ist_mpi import sweep as sweeps

    return {point.index: sweeps.standing_of(point) for point in found.points}


def _caution(found: Any) -> None:
    """What is allowed but seldom meant, once for all points; and which are left out."""
    for caution in dict.fromkeys(text for p in found.points for text in p.config.cautions()):
        say(f"caution: {caution}")
