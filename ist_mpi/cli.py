"""The commands: ``ist-mpi run``, ``resume``, ``theory``, ``verify``, ``info`` and the others.

Exit codes: 0 finished; 1 a bug, or a run that diverged; 2 wrong input; 65 a log or checkpoint that
is damaged or of another run; 73 another run is writing the log; 74 an input or output error after
the start; 75 stopped with a checkpoint; 130 interrupted. Under a launcher all ranks run this; rank
0 speaks, and all end with the same code.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, nullcontext, redirect_stdout
from pathlib import Path
from typing import Annotated, Any

import typer

from ist_mpi._version import __version__
from ist_mpi.errors import ISTError
from ist_mpi.launcher import launched_rank

INTERRUPTED = 130
"""Exit code after a second Ctrl-C, as shells have it."""
STOPPED = 75
"""Exit code of a run that was stopped and can go on."""

app = typer.Typer(
    name="ist-mpi",
    help="Independent Subnetwork Training on MPI: train, look at runs, check the installation.",
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"ist-mpi {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show it.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command()
def run(
    config: Annotated[Path, typer.Argument(help="The configuration, a TOML file.")],
    override: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="SECTION.KEY=VALUE",
            help="Override a setting; the value is TOML, else a plain string. Repeatable.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="The log; default: results/<name of the configuration>.h5."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing log.")] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print what would run and its needs, run nothing."),
    ] = False,
    seeds: Annotated[
        str | None,
        typer.Option(
            metavar="A:B",
            help="Run the run seeds A, …, B-1, one log each (name-seedA.h5, …), on one problem.",
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on with logs that exist and are not finished; leave the finished alone.",
        ),
    ] = False,
) -> None:
    """Train, on all ranks that were started: mpiexec -n 4 ist-mpi run CONFIG.toml

    The log never replaces a file unless --force is given. SIGTERM, SIGUSR1 and Ctrl-C stop the run
    with a checkpoint. Exit codes: 0 finished, also by tolerance; 1 diverged, or a bug; 2 wrong
    input, nothing was run; 65 a log or checkpoint that is damaged or of another run; 73 another
    run is writing the log; 74 the disk failed; 75 stopped with a checkpoint: run with --resume.
    """
    from ist_mpi.exchange import ranks

    if resume and force:
        raise typer.BadParameter("--resume and --force do not go together")
    comm = ranks.world()
    with ranks.abort_on_error(comm):
        from ist_mpi import api, report

        path = out if out is not None else Path("results") / f"{config.stem}.h5"
        going_on: api.GoingOn = "resume" if resume else "no"
        job, problem = api.open_job(comm, config, override or (), path, seeds, force, going_on)
        speaks = comm.rank == 0
        if speaks:
            for caution in job.config.cautions():
                _say(f"caution: {caution}")
        if dry_run:
            checked = api.rehearse(comm, job, problem)
            if speaks:
                logs = list(job.outs.values())
                report.show_plan(job.config, job.facts, job.budget, logs, comm.size, checked)
            return
        with _progress(comm, config.stem, job) as watch:
            runs = api.results(comm, job, problem, force, watch, going_on, _say)
            del problem  # so that only `results` has it, and can let go of it
            code = _show(comm, job, runs)
    raise typer.Exit(code)


@app.command()
def resume(log: Annotated[Path, typer.Argument(help="The log of a run that stopped.")]) -> None:
    """Go on with a run that was stopped or killed, on any number of ranks.

    From its newest whole checkpoint, with the configuration in the log. Exit codes as for run.
    """
    _go_on(log, None)


@app.command()
def extend(
    log: Annotated[Path, typer.Argument(help="The log of a finished run.")],
    rounds: Annotated[
        int, typer.Option(min=1, metavar="N", help="The new number of rounds, in all.")
    ],
) -> None:
    """Go on with a finished run beyond its end, up to N rounds in all. Exit codes as for run."""
    _go_on(log, rounds)


def _go_on(log: Path, rounds: int | None) -> None:
    """Resume an unfinished run, or extend a finished one."""
    from ist_mpi.exchange import ranks

    comm = ranks.world()
    with ranks.abort_on_error(comm):
        from ist_mpi import api

        over = api.status_if_over(comm, log) if rounds is None else None
        if over is None:
            job, problem = api.reopen(comm, log, rounds)
            going_on: api.GoingOn = "resume" if rounds is None else "extend"
            with _progress(comm, log.stem, job) as watch:
                runs = api.results(comm, job, problem, False, watch, going_on, _say)
                del problem
                code = _show(comm, job, runs)
        else:
            _say_done(comm, log, over)
            code = _code_of([over])
    raise typer.Exit(code)


def _progress(comm: Any, label: str, job: Any) -> Any:
    """The progress shown on rank 0, as a context."""
    from ist_mpi import report

    return report.ProgressReport(label, job.config.run.rounds) if comm.rank == 0 else nullcontext()


def _show(comm: Any, job: Any, runs: Iterator[Any]) -> int:
    """Make the runs of a job and show what came out; the exit code; collective."""
    from ist_mpi import report

    statuses = [status for _, status in job.done]
    for log, status in job.done:
        _say_done(comm, log, status)
    for result in runs:
        statuses.append(result.status)
        if comm.rank == 0:
            report.show_outcome(result)
    return _code_of(statuses)


def _say_done(comm: Any, log: Path, status: str) -> None:
    if comm.rank == 0:
        _say(f"{log}: {status} already, nothing to do")


def _code_of(statuses: Sequence[str]) -> int:
    """The exit code of a job whose runs ended so."""
    if "stopped" in statuses:
        return STOPPED
    return 1 if "failed" in statuses else 0


def _say(text: str) -> None:
    """A line for people, beside what the command prints."""
    print(f"ist-mpi: {text}", file=sys.stderr, flush=True)


@app.command()
def theory(
    config: Annotated[Path, typer.Argument(help="The configuration, a TOML file.")],
    override: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SECTION.KEY=VALUE", help="As for run. Repeatable."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    rounds: Annotated[
        int | None, typer.Option(min=0, metavar="K", help="With --csv: rows for rounds 0 to K.")
    ] = None,
    table: Annotated[
        Path | None, typer.Option("--csv", help="Write the exact expected trajectory there.")
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Also what takes minutes: nothing is left out.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing CSV.")] = False,
) -> None:
    """Say what theory knows: constants, the limit, step sizes to try, and a verdict.

    Needs no MPI; with it, mpiexec -n 2 ist-mpi theory CONFIG.toml shares the work.
    """
    from ist_mpi.exchange import ranks

    if (rounds is None) != (table is None):
        raise typer.BadParameter("--rounds and --csv go together")
    comm = ranks.world_if_any()
    with ranks.abort_on_error(comm):
        from ist_mpi import foresight, report

        wanted = as_json or table is None
        found = foresight.foresee(
            comm, config, override or (), rounds, full, table, force, constants=wanted
        )
        if comm.rank != 0:
            return
        if found.trajectory is not None and table is not None:
            foresight.write_csv(found.trajectory, table)
        if as_json:
            print(report.to_json(foresight.to_document(found)))
        elif table is None:
            report.show_foresight(found)
        else:
            print(f"expected trajectory: {table}")


@app.command()
def bench(
    table: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write all figures there.")
    ] = None,
    cases: Annotated[
        list[str] | None,
        typer.Option(metavar="d,n[,q]…", help="Sizes; with q Rand-q blocks. Repeatable."),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Seconds in place of minutes: small sizes, few laps.")
    ] = False,
    exchange: Annotated[
        list[str] | None,
        typer.Option(help="server, replicated or serverless; repeatable; default: all."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing JSON.")] = False,
) -> None:
    """Measure kernels, rounds and scaling beside their floors: mpiexec -n 2 ist-mpi bench

    Medians over laps that take turns, quartiles in brackets. Ranks that are not needed sleep.
    """
    from ist_mpi.exchange import ranks

    comm = ranks.world()
    with ranks.abort_on_error(comm):
        from ist_mpi import bench as benches
        from ist_mpi import report

        options = benches.choose(comm, cases or (), exchange or (), quick, table, force)
        document = benches.bench(comm, options, lambda text: print(text, file=sys.stderr))
        if comm.rank == 0:
            if table is not None:
                benches.write(document, table)
            report.show_bench(document)


@app.command()
def info(
    log: Annotated[Path, typer.Argument(help="A run log.")],
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Say what ran, where, how it ended, and the last metrics."""
    from ist_mpi import report, runlog

    found = runlog.open_run(log)
    if as_json:
        print(report.info_json(found))
    else:
        report.console().print(report.info(found))


@app.command()
def verify(
    logs: Annotated[list[Path], typer.Argument(help="Run logs.")],
    replay: Annotated[
        bool,
        typer.Option(
            "--replay/--no-replay",
            help="Make the runs again from their blocks or seeds, and compare.",
        ),
    ] = True,
    seconds: Annotated[
        float, typer.Option(min=0, help="Longest replay of a log; a longer one is not judged.")
    ] = 60.0,
) -> None:
    """Judge run logs: each alone, and 20 seeds or more of one configuration against theory.

    Exit code 1 if anything failed. What could not be judged is listed with the reason.
    """
    from ist_mpi import report
    from ist_mpi import verify as verification

    found = verification.verify(logs, replay=replay, seconds=seconds)
    report.show_findings(found)
    if found.failed:
        raise typer.Exit(1)


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Check the installation: MPI, ranks and hosts, threads against cores, libraries.

    Alone, or under a launcher to see what the ranks see: mpiexec -n 4 ist-mpi doctor
    """
    from ist_mpi import doctor as doctors
    from ist_mpi import report

    findings = doctors.examine()
    if as_json:
        print(report.to_json(findings))
    else:
        report.console().print(report.health(findings))
    if findings["problems"] and findings.get("launched") not in (None, findings.get("ranks")):
        raise typer.Exit(2)


def main() -> None:
    """The entry point: run a command and end with its exit code, the same on every rank."""
    first = launched_rank() == 0
    with ExitStack() as silence:
        if not first:
            nowhere = silence.enter_context(Path(os.devnull).open("w"))
            silence.enter_context(redirect_stdout(nowhere))
        code, message = _outcome()
    if message and first:
        print(message, file=sys.stderr, flush=True)
    sys.exit(code)


def _outcome() -> tuple[int, str]:
    """The exit code, and what to say about it."""
    try:
        code = app(standalone_mode=False)
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)
        hint = f" (try {context.command_path} --help)" if context is not None else ""
        return 2, f"ist-mpi: {error.format_message().rstrip()}{hint}"
    except typer.Abort:
        return 1, "ist-mpi: aborted"
    except ISTError as error:
        return error.exit_code, f"ist-mpi: {error}"
    except KeyboardInterrupt:
        code = INTERRUPTED
    if code == INTERRUPTED:  # typer makes this of a KeyboardInterrupt
        return code, "ist-mpi: interrupted"
    return (code if isinstance(code, int) else 0), ""
