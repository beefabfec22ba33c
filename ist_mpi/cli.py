"""The commands: ``ist-mpi run``, ``info``, ``doctor``.

Exit codes: 0 finished, 1 bug or diverged run, 2 wrong input. Under a launcher all ranks run this;
rank 0 speaks, and all end with the same code.
"""

import os
import sys
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import Annotated, Any

import typer

from ist_mpi._version import __version__
from ist_mpi.doctor import environment_rank
from ist_mpi.errors import Fault, InputError, ISTError
from ist_mpi.randomness import MAX_SEED

MAX_SEEDS = 100_000
"""Most runs of one --seeds: their logs are checked before the first starts."""

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
    from ist_mpi import api, budget, report
    from ist_mpi.exchange import ranks

    comm = ranks.world()
    speaks = comm.rank == 0
    path = out if out is not None else Path("results") / f"{config.stem}.h5"
    with ranks.abort_on_error(comm):
        chosen = ranks.on_root(comm, lambda: _seed_range(seeds))
        opened = api.open_job(comm, config, override or (), path, chosen, force)
        job = opened[0]
        screen = report.console()
        if speaks:
            for caution in job.config.cautions():
                print(f"ist-mpi: caution: {caution}", file=sys.stderr)
        if dry_run:
            if speaks:
                needed = budget.seconds_per_round(job.config, job.facts.n, job.facts.d, comm.size)
                screen.print(report.toml_text(job.config.to_toml()))
                outs = [str(log) for log in job.outs.values()]
                screen.print(report.plan(job.config, job.budget, needed, comm.size, outs))
            return
        failed = 0
        label, rounds = config.stem, job.config.run.rounds
        with report.ProgressReport(label, rounds) if speaks else nullcontext() as watch:
            for result in api.results(comm, *opened, force=force, watch=watch):
                failed += result.status == "failed"
                if speaks:
                    screen.print(report.summary(result))
                    if result.status == "failed":
                        print(f"ist-mpi: {result.stop_reason}", file=sys.stderr)
    if failed:
        raise typer.Exit(1)


def _seed_range(text: str | None) -> range | None:
    if text is None:
        return None
    first, colon, last = text.partition(":")
    expected = f"A:B with 0 ≤ A < B ≤ {MAX_SEED}, at most {MAX_SEEDS} seeds"
    fault = Fault("--seeds", repr(text[:60]), expected)
    if not (colon and _is_seed(first) and _is_seed(last)):
        raise InputError(fault)
    seeds = range(int(first), int(last))
    if not 1 <= len(seeds) <= MAX_SEEDS:
        raise InputError(fault)
    return seeds


def _is_seed(word: str) -> bool:
    return word.isascii() and word.isdecimal() and len(word) < 20 and int(word) <= MAX_SEED


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
    first = environment_rank() == 0
    silence: Any = nullcontext() if first else redirect_stdout(open(os.devnull, "w"))  # noqa: SIM115
    with silence:
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
    return (code if isinstance(code, int) else 0), ""
