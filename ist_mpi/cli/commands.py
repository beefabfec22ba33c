"""The commands: ``ist-mpi run``, ``resume``, ``watch``, ``theory``, ``verify`` and the others.

Exit codes: 0 finished; 1 a bug, or a run that diverged; 2 wrong input; 65 a log or checkpoint that
is damaged or of another run; 73 another run is writing the log; 74 an input or output error after
the start; 75 stopped with a checkpoint; 130 interrupted. Under a launcher all ranks run this; rank
0 speaks, and all end with the same code.
"""

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack, redirect_stdout
from pathlib import Path
from typing import Annotated, Any

import typer

from ist_mpi._version import __version__
from ist_mpi.batch import slurm
from ist_mpi.cli import sweep as cli_sweep
from ist_mpi.cli.messages import code_of, progress, say, say_done, show, warn
from ist_mpi.cli.options import of_slurm
from ist_mpi.cli.streams import guarded, unheard
from ist_mpi.errors import Fault, InputError, ISTError, collecting, printable
from ist_mpi.parallel import launcher
from ist_mpi.store.files import as_word

INTERRUPTED = 130
"""Exit code after a second Ctrl-C, as shells have it."""

app = typer.Typer(
    name="ist-mpi",
    help="Independent Subnetwork Training on MPI: train, look at runs, check the installation.",
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(cli_sweep.app, name="sweep")


CodeOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="The Python file of the method, sketch or problem that the log names, if it names "
        "one; it is run only if it is the file that the log was made with.",
    ),
]


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"ist-mpi {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
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
        typer.Option("--dry-run", help="Print what would run and what it needs; run nothing."),
    ] = False,
    seeds: Annotated[
        str | None,
        typer.Option(
            metavar="A:B",
            help="Run with seeds A, …, B-1 on one problem, one log each (name-seedA.h5, …).",
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Continue logs that exist and are not finished; leave finished ones alone.",
        ),
    ] = False,
    only_compile: Annotated[
        bool,
        typer.Option(
            "--compile",
            help="Run nothing; fill numba's cache with what the run needs, in one process.",
        ),
    ] = False,
) -> None:
    """Train on all ranks that were started: mpiexec -n 4 ist-mpi run CONFIG.toml

    An existing file is never replaced without --force. SIGTERM, SIGUSR1 and Ctrl-C stop the run
    with a checkpoint. Exit codes: 0 finished, also by tolerance; 1 diverged, or a bug; 2 wrong
    input, nothing was run; 65 a log or checkpoint that is damaged or of another run; 73 another
    run is writing the log; 74 the disk failed; 75 stopped with a checkpoint: run with --resume.
    """
    if resume and force:
        raise typer.BadParameter("--resume and --force do not go together")
    if only_compile:
        _compile(config, override or ())
        return
    from ist_mpi.parallel import ranks

    comm = ranks.world()
    with ranks.abort_on_error(comm):
        from ist_mpi.cli.report.plans import show_plan
        from ist_mpi.training import api
        from ist_mpi.training import job as jobs

        path = out if out is not None else Path("results") / f"{config.stem}.h5"
        going_on: jobs.GoingOn = "resume" if resume else "no"
        job, problem = jobs.open_job(comm, config, override or (), path, seeds, force, going_on)
        speaks = comm.rank == 0
        warn(comm, job.config.cautions())
        if dry_run:
            checked = api.rehearse(comm, job, problem)
            if speaks:
                logs = list(job.outs.values())
                show_plan(job.config, job.facts, job.budget, logs, comm.size, checked)
            return
        with progress(comm, config.stem, job) as watch:
            runs = api.results(comm, job, problem, force, watch, going_on, say)
            del problem  # so that only `results` has it, and can let go of it
            code = show(comm, job, runs)
    raise typer.Exit(code)


REHEARSED = 10**7
"""Largest n d² for which `submit` makes the matrices: a login node is no place to compute."""


@app.command()
@of_slurm
def submit(
    config: Annotated[Path, typer.Argument(help="The configuration, a TOML file.")],
    override: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SECTION.KEY=VALUE", help="As for run. Repeatable."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The log, as for run.")] = None,
    seeds: Annotated[str | None, typer.Option(metavar="A:B", help="As for run.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything and print the job; submit nothing.")
    ] = False,
    **asked: Any,
) -> None:
    """Put a run into SLURM's queue: ist-mpi submit CONFIG.toml --nodes 2 --ntasks-per-node 4

    Everything that can be checked here is checked before it queues. The job goes on with a log that
    exists, and queues itself again with a checkpoint before its time is up. Exit code 2: wrong
    input, or sbatch refused; nothing is in the queue.
    """
    launcher.stay_alone()
    from ist_mpi.parallel import ranks
    from ist_mpi.training import api
    from ist_mpi.training import job as jobs

    faults: list[Fault] = []
    request, job, problem = None, None, None
    with collecting(faults):
        request = slurm.Request(**asked)
    log = out if out is not None else Path("results") / f"{config.stem}.h5"
    size = request.ranks if request is not None else 1
    with collecting(faults):
        job, problem = jobs.checked(config, size, override or (), log, seeds, going_on="resume")
        api.rehearse(ranks.world_if_any(), job, problem, REHEARSED)
    if request is None or job is None or faults:
        raise InputError(faults)
    warn(ranks.world_if_any(), job.config.cautions())
    for path, status in job.done:
        say(f"{path}: {status} already, nothing to submit")
    if not job.outs:
        return
    settings = [word for text in override or () for word in ("--set", text)]
    seeded = ["--seeds", seeds] if seeds is not None else []
    command = ["run", as_word(config), *settings, "--out", as_word(log), *seeded, "--resume"]
    text = slurm.render(request, command)
    if dry_run:
        print(text, end="")
        return
    print(f"Submitted batch job {slurm.submit(text)}")


def _compile(config: Path, overrides: Sequence[str]) -> None:
    """Fill the cache of compiled functions; without MPI, which may not start in one process."""
    launcher.stay_alone()
    from ist_mpi.store.files import own_cache

    own_cache()
    from ist_mpi.config import load
    from ist_mpi.training import compiling  # it loads what is in the cache

    compiling.compile_for(load(config, overrides))


@app.command()
def resume(
    log: Annotated[Path, typer.Argument(help="The log of a run that stopped.")],
    code: CodeOption = None,
) -> None:
    """Continue a run that was stopped or killed, on any number of ranks.

    It starts from the newest whole checkpoint, with the configuration in the log. Exit codes as
    for run.
    """
    _go_on(log, None, code)


@app.command()
def extend(
    log: Annotated[Path, typer.Argument(help="The log of a finished run.")],
    rounds: Annotated[
        int, typer.Option(min=1, metavar="N", help="The new total number of rounds.")
    ],
    code: CodeOption = None,
) -> None:
    """Continue a finished run beyond its end, to N rounds in all. Exit codes as for run."""
    _go_on(log, rounds, code)


def _go_on(log: Path, rounds: int | None, code: Path | None) -> None:
    """Resume an unfinished run, or extend a finished one."""
    from ist_mpi.parallel import ranks

    comm = ranks.world()
    with ranks.abort_on_error(comm):
        from ist_mpi.training import api
        from ist_mpi.training import job as jobs

        over = jobs.status_if_over(comm, log) if rounds is None else None
        if over is None:
            job, problem = jobs.reopen(comm, log, rounds, code)
            warn(comm, [])
            going_on: jobs.GoingOn = "resume" if rounds is None else "extend"
            with progress(comm, log.stem, job) as watch:
                runs = api.results(comm, job, problem, False, watch, going_on, say)
                del problem
                ended = show(comm, job, runs)
        else:
            say_done(comm, log, over)
            ended = code_of([over])
    raise typer.Exit(ended)


@app.command()
def theory(
    config: Annotated[Path, typer.Argument(help="The configuration, a TOML file.")],
    override: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SECTION.KEY=VALUE", help="As for run. Repeatable."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    rounds: Annotated[
        int | None, typer.Option(min=0, metavar="K", help="With --csv: write rounds 0 to K.")
    ] = None,
    table: Annotated[
        Path | None, typer.Option("--csv", help="Write the exact expected trajectory to this file.")
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Leave nothing out, even what takes minutes.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing CSV.")] = False,
) -> None:
    """Show what theory predicts: constants, the limit, step sizes to try, and a verdict.

    MPI is optional: mpiexec -n 2 ist-mpi theory CONFIG.toml shares the work.
    """
    from ist_mpi.parallel import ranks

    if (rounds is None) != (table is None):
        raise typer.BadParameter("--rounds and --csv go together")
    comm = ranks.world_if_any()
    with ranks.abort_on_error(comm):
        from ist_mpi.cli.report.text import to_json
        from ist_mpi.cli.report.theory import show_foresight
        from ist_mpi.training import foresight

        wanted = as_json or table is None
        found = foresight.foresee(
            comm, config, override or (), rounds, full, table, force, constants=wanted
        )
        if comm.rank != 0:
            return
        if found.trajectory is not None and table is not None:
            foresight.write_csv(found.trajectory, table)
        if as_json:
            print(to_json(foresight.to_document(found)))
        elif table is None:
            show_foresight(found)
        else:
            print(printable(f"expected trajectory: {table}"))


@app.command()
def bench(
    table: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Also write all figures to this file."),
    ] = None,
    cases: Annotated[
        list[str] | None,
        typer.Option(metavar="d,n[,q]…", help="Sizes; with q, Rand-q blocks. Repeatable."),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Take seconds, not minutes: small sizes, few laps.")
    ] = False,
    exchange: Annotated[
        list[str] | None,
        typer.Option(help="server, replicated or serverless; repeatable; default: all."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing JSON.")] = False,
) -> None:
    """Measure rounds beside plain numpy and the raw collectives: mpiexec -n 2 ist-mpi bench

    Medians over laps that take turns, quartiles in brackets. Ranks that are not needed sleep.
    """
    from ist_mpi.parallel import ranks

    comm = ranks.world()
    with ranks.abort_on_error(comm):
        from ist_mpi import bench as benches
        from ist_mpi.cli.report.benchmarks import show_bench

        options = benches.choose(comm, cases or (), exchange or (), quick, table, force)
        document = benches.bench(comm, options, lambda text: print(text, file=sys.stderr))
        if comm.rank == 0:
            if table is not None:
                benches.write(document, table)
            show_bench(document)


@app.command()
def info(
    log: Annotated[Path, typer.Argument(help="A run log.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what ran, where, how it ended, and the last metrics."""
    launcher.stay_alone()
    from ist_mpi.cli.report import runs, text
    from ist_mpi.store import log as runlog

    found = runlog.open_run(log)
    if as_json:
        print(runs.info_json(found))
    else:
        text.console().print(runs.info(found))


@app.command()
def watch(
    log: Annotated[Path, typer.Argument(help="The log of a run, which need not exist yet.")],
    interval: Annotated[
        float, typer.Option(min=0.1, max=86400, metavar="SECONDS", help="Time between two looks.")
    ] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Look once, and end.")] = False,
    follow: Annotated[
        bool,
        typer.Option(
            "--follow", help="When the run stops or is killed, wait for it to be resumed."
        ),
    ] = False,
) -> None:
    """Follow another process's run, here or on a shared file system, until it ends.

    It only reads. Exit codes are the run's: 0 finished, 1 failed, 75 stopped or killed; 0 also
    for a run that goes on, with --once; 65 a damaged log; 130 after Ctrl-C.
    """
    launcher.stay_alone()
    # A view leaves a terminal as it found it, also when it is asked to end.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        from ist_mpi.cli.report import live
        from ist_mpi.training import watching

        moment = live.follow(watching.Watch(log), interval, once, follow)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)  # past typer, and in silence: this is how one leaves
    except BrokenPipeError:  # whoever read along has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    if moment.state in watching.EXIT_CODES:
        raise typer.Exit(watching.EXIT_CODES[moment.state])
    if moment.run is None:
        raise typer.Exit(2)


@app.command()
def verify(
    logs: Annotated[list[Path], typer.Argument(help="Run logs.")],
    replay: Annotated[
        bool,
        typer.Option(
            "--replay/--no-replay",
            help="Repeat the runs from their blocks or seeds, and compare.",
        ),
    ] = True,
    seconds: Annotated[
        float, typer.Option(min=0, help="Longest replay of a log; a longer one is not judged.")
    ] = 60.0,
    code: CodeOption = None,
) -> None:
    """Judge run logs: each alone, and 20 seeds or more of one configuration against theory.

    Exit code 1 if anything failed. What could not be judged is listed with the reason.
    """
    launcher.stay_alone()
    from ist_mpi import verify as verification
    from ist_mpi.cli.report.judgement import show_findings

    found = verification.verify(logs, replay=replay, seconds=seconds, code=code)
    show_findings(found)
    if found.failed:
        raise typer.Exit(1)


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check the installation: MPI, ranks and hosts, threads against cores, libraries.

    Alone, or under a launcher to see what the ranks see: mpiexec -n 4 ist-mpi doctor
    """
    from ist_mpi.cli import doctor as doctors
    from ist_mpi.cli.report import text
    from ist_mpi.cli.report.health import health

    findings = doctors.examine()
    if as_json:
        print(text.to_json(findings))
    else:
        text.console().print(health(findings))
    if findings["problems"] and findings.get("launched") not in (None, findings.get("ranks")):
        raise typer.Exit(2)


def main() -> None:
    """The entry point: run a command and end with its exit code, the same on every rank."""
    first = launcher.launched_rank() == 0
    with ExitStack() as silence:
        if not first:
            nowhere = silence.enter_context(Path(os.devnull).open("w"))
            silence.enter_context(redirect_stdout(nowhere))
        code, message = _outcome()
    if message and first:
        with unheard():
            print("\n".join(map(printable, message.split("\n"))), file=sys.stderr, flush=True)
    sys.exit(code)


def _outcome() -> tuple[int, str]:
    """The exit code, and what to say about it."""
    try:
        with guarded():
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
