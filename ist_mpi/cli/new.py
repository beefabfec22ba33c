"""``ist-mpi new`` and ``ist-mpi schema``: a configuration to begin with, and to complete."""

from pathlib import Path
from typing import Annotated

import typer

from ist_mpi.errors import Fault, InputError


def new(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Of an example; without, all are listed.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Default: NAME.toml.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Write an example configuration, commented, to a file here."""
    from ist_mpi.examples import NAMES, text_of
    from ist_mpi.training import outputs

    if name is None:
        for one, words in NAMES.items():
            print(f"{one:12}{words}")
        return
    if name not in NAMES:
        raise InputError(Fault("NAME", f'"{name}"', ", ".join(f'"{one}"' for one in NAMES)))
    path = output if output is not None else Path(f"{name}.toml")
    if faults := outputs.output_faults([path], force, "--output"):
        raise InputError(faults)
    outputs.put_text(path, text_of(name), "--output")
    command = "sweep run" if name == "sweep" else "run"
    print(f"{path}: try ist-mpi {command} {path}")
    base = path.with_name("figure1a.toml")
    if name == "sweep" and not base.exists():
        outputs.put_text(base, text_of("figure1a"), "--output")
        print(f"{base}: what it varies")


def schema() -> None:
    """Print the JSON schema of configurations, for editors."""
    import json

    from ist_mpi.config.schema import schema as made

    print(json.dumps(made(), indent=1, ensure_ascii=False))
