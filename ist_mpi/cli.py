"""The commands: ``ist-mpi run``, ``theory``, ``verify``, ``info``, ``doctor``.

Exit codes: 0 finished, 1 bug or diverged run, 2 wrong input, 130 interrupted (Ctrl-C). Under a
launcher all ranks run this; rank 0 speaks, and all end with the same code.
"""

import os
import sys
from contextlib import ExitStack, nullcontext, redirect_stdout
from pathlib import Path
from typing import Annotated

import typer

from ist_mpi._version import __version__
from ist_mpi.errors import ISTError
from ist_mpi.launcher import launched_rank

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
) -> None:
    """Train, on all ranks that were started: mpiexec -n 4 ist-mpi run CONFIG.toml

    The log never replaces a file unless --force is given. Exit code 0: finished, also by
    tolerance; 1: diverged, or a bug; 2: wrong input, nothing was run.
    """
    from ist_mpi.exchange import ranks

    comm = ranks.world()
    with ranks.abort_on_error(comm):
        from ist_mpi import api, report

        path = out if out is not None else Path("results") / f"{config.stem}.h5"
        job, problem = api.open_job(comm, config, override or (), path, seeds, force)
        speaks = comm.rank == 0
        if speaks:
            for caution in job.config.cautions():
                print(f"ist-mpi: caution: {caution}", file=sys.stderr)
        if dry_run:
            checked = api.rehearse(comm, job, problem)
            if speaks:
                logs = list(job.outs.values())
                report.show_plan(job.config, job.facts, job.budget, logs, comm.size, checked)
            return
        label, rounds = config.stem, job.config.run.rounds
        failed = 0
        with report.ProgressReport(label, rounds) if speaks else nullcontext() as watch:
            runs = api.results(comm, job, problem, force=force, watch=watch)
            del problem
            for result in runs:
                failed += result.status == "failed"
                if speaks:
                    report.show_outcome(result)
    if failed:
        raise typer.Exit(1)


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
        return 130, "ist-mpi: interrupted"
    return (code if isinstance(code, int) else 0), ""
