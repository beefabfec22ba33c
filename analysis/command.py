"""What the scripts' command lines share."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import ist_mpi
from ist_mpi.cli.streams import guarded
from ist_mpi.errors import ReadError
from ist_mpi.store import files


def parser_of(
    text: str | None, metavar: str = "RUN.h5", kind: str = "run logs"
) -> argparse.ArgumentParser:
    """A command line with files and ``-o``; the first line of `text` describes it."""
    parser = argparse.ArgumentParser(
        description=(text or "").partition("\n")[0],
        allow_abbrev=False,
        fromfile_prefix_chars="@",
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar=metavar, help=kind)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help=".pdf, .png or .svg; a .pdf, a .png and a .csv of what is drawn are put beside it",
    )
    return parser


def finish(script: str, output: Path, draw: Callable[[], str]) -> int:
    """Draw, say where the figure is and what it shows; returns the exit code.

    What the figure shows also goes into NAME.txt beside it.
    """
    try:
        text, table = output.with_suffix(".txt"), output.with_suffix(".csv")
        if text.exists() and not table.exists():
            raise ValueError(f"{text} is of no earlier figure and is not replaced; choose a name")
        finding = draw()
        if finding:
            files.replace(text, f"{finding}\n".encode())
    except (ist_mpi.ISTError, OSError, ValueError) as error:
        print(f"{script}: {' '.join(str(error).split())}", file=sys.stderr)
        wrong = not isinstance(error, OSError) or error.errno in files.SAYING
        return 2 if wrong else ReadError.exit_code
    try:
        with guarded():
            print(f"figure: {output}")
            if finding:
                print(finding)
    except ist_mpi.ISTError as error:
        if str(error):
            print(f"{script}: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def main_of(
    script: str, text: str | None, draw: Callable[[Sequence[Path], Path], str]
) -> Callable[..., int]:
    """The command of a script that takes run logs and ``-o`` only: main(arguments=None)."""

    def main(arguments: Sequence[str] | None = None) -> int:
        options = parser_of(text).parse_args(arguments)
        return finish(script, options.output, lambda: draw(options.runs, options.output))

    return main
