"""How commands are shown in help, and by the completion of shells: as they are typed."""

from typing import Any

from typer.core import TyperArgument, TyperGroup


class Group(TyperGroup):
    """Commands whose sentences are whole, and whose arguments are words: ``RUN.h5…``.

    Typer cuts what a shell shows of a command after 45 signs, and adds the type and braces of
    every argument.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for command in self.commands.values():
            command.short_help = command.get_short_help_str(limit=1000)
            for parameter in command.params:
                if isinstance(parameter, TyperArgument):
                    _show_plainly(parameter)


def _show_plainly(argument: Any) -> None:
    word = argument.metavar or argument.name.upper()
    argument.display_type = lambda _: ""
    argument.get_usage_pieces = lambda _: [word if argument.required else f"[{word}]"]
