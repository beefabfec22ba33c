"""Arguments and options that several commands have, each once; those of SLURM's requests too."""

import inspect
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from ist_mpi.batch.slurm.request import Request

Config = Annotated[Path, typer.Argument(metavar="CONFIG.toml", help="The configuration.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SECTION.KEY=VALUE", help="As for run. Repeatable."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Code = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FILE",
        help="The Python file of the method, sketch or problem that the log names, if it names "
        "one; it is run only if it is the file that the log was made with. May be given again.",
    ),
]

Command = TypeVar("Command", bound=Callable[..., None])


def of_slurm(command: Command) -> Command:
    """Let a command have every option of a `Request`, in place of its ``**asked``."""
    signature = inspect.signature(command)
    own = list(signature.parameters.values())[:-1]
    options = []
    for field in fields(Request):
        if field.metadata:
            settings: dict[str, Any] = dict(field.metadata)
            names = [settings.pop("name")] if "name" in settings else []
            kind = field.type if field.type in (int, str) else list[str]
            settings.setdefault("metavar", field.name.upper())
            options.append(
                inspect.Parameter(
                    field.name,
                    inspect.Parameter.KEYWORD_ONLY,
                    default=field.default,
                    annotation=Annotated[kind, typer.Option(*names, **settings)],
                )
            )
    command.__signature__ = signature.replace(parameters=[*own, *options])  # type: ignore[attr-defined]  # typer reads it
    return command
