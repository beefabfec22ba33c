"""The command ``ist-mpi``: its subcommands, a file each, and the codes that they end with.

Exit codes: 0 finished; 1 a bug, or a run that diverged; 2 wrong input; 65 a log or checkpoint that
is damaged or of another run; 73 another run is writing the log; 74 an input or output error after
the start; 75 stopped with a checkpoint; 130 interrupted; 141 nobody reads what it prints.
Under a launcher all ranks run this; rank 0 speaks, and all end with the same code.
"""

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from pathlib import Path
from typing import Annotated, Any

import typer

from ist_mpi._version import __version__
from ist_mpi.cli import sweep
from ist_mpi.cli.bench import bench
from ist_mpi.cli.doctor import doctor
from ist_mpi.cli.group import Group
from ist_mpi.cli.info import info
from ist_mpi.cli.messages import INTERRUPTED, say
from ist_mpi.cli.new import new, schema
from ist_mpi.cli.plot import plot, report
from ist_mpi.cli.resume import extend, resume
from ist_mpi.cli.run import run
from ist_mpi.cli.streams import guarded, unheard
from ist_mpi.cli.submit import submit
from ist_mpi.cli.theory import theory
from ist_mpi.cli.verify import verify
from ist_mpi.cli.watch import watch
from ist_mpi.errors import Caution, ISTError, failure_of, printable
from ist_mpi.parallel import launcher

WIDEST_HELP = 120
"""Columns; a narrower terminal's are what it has."""
WIDEST_COMPLETION = "10000"
"""Columns of what a shell is told of a word."""

app = typer.Typer(
    name="ist-mpi",
    cls=Group,
    help="Independent Subnetwork Training on MPI: train, look at runs, check the installation.",
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": WIDEST_HELP},
)
COMMANDS = (
    *(new, run, resume, extend, theory, plot, report, info, watch, verify),
    *(submit, bench, doctor, schema),
)
for command in COMMANDS:
    app.command()(command)
app.add_typer(sweep.app, name="sweep")


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


def main() -> None:
    """The entry point: run a command and end with its exit code, the same on every rank."""
    first = launcher.launched_rank() == 0
    if "_IST_MPI_COMPLETE" in os.environ:  # a shell takes every line for a word
        os.environ["COLUMNS"] = WIDEST_COMPLETION
    with ExitStack() as silence:
        if not first:
            nowhere = silence.enter_context(Path(os.devnull).open("w"))
            silence.enter_context(redirect_stdout(nowhere))
        code, message = _outcome()
    if message and first:
        with unheard():
            print("\n".join(map(printable, message.split("\n"))), file=sys.stderr, flush=True)
    sys.exit(code)


@contextmanager
def _cautions() -> Iterator[None]:
    """Cautions as one line of rank 0's; other warnings as they are."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", Caution)
        usual = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *rest: Any) -> None:
            if not issubclass(category, Caution):
                usual(message, category, *rest)
            elif launcher.launched_rank() == 0:
                say(f"caution: {message}")

        warnings.showwarning = show  # type: ignore[assignment]  # of typeshed: rest by name
        yield


def _outcome() -> tuple[int, str]:
    """The exit code, and what to say about it."""
    try:
        with guarded(), _cautions():
            code = app(standalone_mode=False, prog_name="ist-mpi")
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)
        hint = f" (try {context.command_path} --help)" if context is not None else ""
        return 2, f"ist-mpi: {error.format_message().rstrip()}{hint}"
    except typer.Abort:
        return 1, "ist-mpi: aborted"
    except (ISTError, OSError) as error:
        if (failure := failure_of(error)) is None:
            raise
        return failure[0], f"ist-mpi: {failure[1]}" if failure[1] else ""
    except KeyboardInterrupt:
        code = INTERRUPTED
    if code == INTERRUPTED:  # typer makes this of a KeyboardInterrupt
        return code, "ist-mpi: interrupted"
    return (code if isinstance(code, int) else 0), ""
