"""``ist-mpi plot`` and ``ist-mpi report``."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

from ist_mpi.cli.messages import waiting
from ist_mpi.errors import Fault, InputError

LOGGER = logging.getLogger(__name__)
Runs = Annotated[
    list[Path],
    typer.Argument(metavar="RUN.h5…", help="Logs, folders of logs, or sweeps (SWEEP.toml)."),
]


def plot(
    runs: Runs,
    x: Annotated[
        Literal["rounds", "floats", "floats_up", "seconds"], typer.Option("--x", help="Across.")
    ] = "rounds",
    y: Annotated[
        Literal[
            "gap",
            "relative_gap",
            "distance_to_solution",
            "distance_to_fixed_point",
            "gradient_norm_squared",
            "gradient_norm_squared_w",
            "value",
            "submodel_gap",
            "train_loss",
            "train_accuracy",
            "test_loss",
            "test_accuracy",
        ]
        | None,
        typer.Option(
            "--y",
            metavar="COLUMN",
            help="Up: gap, relative_gap, value, distance_to_solution, distance_to_fixed_point, "
            "gradient_norm_squared or gradient_norm_squared_w; where a problem measures them "
            "submodel_gap, train_loss, train_accuracy, test_loss and test_accuracy. Default: of "
            "relative_gap, gap, train_loss and value the first that all logs have.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help=".pdf, .png or .svg; default: the log's name, or plot.png; with --theory "
            "NAME-theory.png. A .csv of what is drawn is put beside it.",
        ),
    ] = None,
    title: Annotated[str, typer.Option(metavar="TEXT", help="Above the picture.")] = "",
    theory: Annotated[
        bool,
        typer.Option(
            "--theory",
            help="Dot the exact expectation of NAME.csv (theory --rounds K --csv NAME.csv) on top "
            "of each NAME.h5.",
        ),
    ] = False,
    log_x: Annotated[bool, typer.Option("--log-x", help="A logarithmic axis across.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace what is no earlier figure too.")
    ] = False,
    folder: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Where the logs of sweeps are.", show_default=False),
    ] = None,
) -> None:
    """Draw how runs converge, with what is predicted of them.

    Runs that differ in nothing but the seed are one curve: their median, and a band from the lower
    to the upper decile. Many values of one setting are a scale of colours.
    """
    from ist_mpi.parallel import launcher

    launcher.stay_alone()
    try:
        with waiting():
            logs = _logs(runs, folder)
            if output is None:  # with its table beside it, which is not that of theory
                stem = logs[0].stem if len(logs) == 1 else "plot"
                output = Path(f"{stem}-theory.png" if theory else f"{stem}.png")
            with _matplotlib():
                from ist_mpi.plots import convergence
            across = {"rounds": "round"}.get(x, x)
            words = convergence.draw(
                logs, across, y, title, theory, output, log_x, beside=False, force=force
            )
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(Fault("plot", str(error), "what can be drawn")) from error
    print(f"figure: {output}\n{words}")


def report(
    runs: Runs,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The page.")
    ] = Path("report.html"),
    title: Annotated[str, typer.Option(metavar="TEXT", help="Of the page.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    folder: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Where the logs of sweeps are.", show_default=False),
    ] = None,
) -> None:
    """Write one page about runs: report.html.

    Figures, what was measured beside what is predicted, configurations, constants. It needs no
    other file and no network.
    """
    from ist_mpi.parallel import launcher

    launcher.stay_alone()
    with waiting():
        from ist_mpi.training import outputs

        if faults := outputs.output_faults([output], force, "--output"):
            raise InputError(faults)
        logs = _logs(runs, folder)
        if faults := outputs.read_faults([output], logs, "--output"):
            raise InputError(faults)
        with _matplotlib():
            from ist_mpi.plots.page import page
        outputs.put_text(output, page(logs, title), "--output")
    print(f"report: {output}")


@contextmanager
def _matplotlib() -> Iterator[None]:
    """Say what is to be done where what draws is not installed."""
    try:
        yield
    except ImportError as error:
        remedy = 'python -m pip install "ist_mpi[plot]"'
        fault = Fault("matplotlib", "not installed", "the library matplotlib", remedy)
        raise InputError(fault) from error


def _logs(paths: list[Path], folder: Path | None) -> list[Path]:
    """The logs that these are, or have, each once; InputError where there are none."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            if not (there := sorted(path.glob("*.h5"))):
                raise InputError(Fault(str(path), "no logs", "a folder of *.h5"))
            found += there
        elif path.suffix == ".toml":
            from ist_mpi.batch import table

            LOGGER.info("looking for the logs of %s", path)
            found += [one.log for one in table.members(path, folder) if one.whole]
        else:
            found.append(path)
    if not found:
        raise InputError(Fault(str(paths[0]), "no logs yet", "runs that have begun"))
    once: dict[Path, Path] = {}
    for path in found:
        once.setdefault(path.resolve(), path)
    return list(once.values())
