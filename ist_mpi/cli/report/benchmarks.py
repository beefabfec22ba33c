"""What `bench` measured."""

from collections.abc import Mapping
from typing import Any

from rich.text import Text

from ist_mpi.bench import tables
from ist_mpi.cli.report.text import Sheet, console, facts_table


def show_bench(document: Mapping[str, Any]) -> None:
    """Where it was measured, and what came out."""
    screen = console()
    where = facts_table()
    for name, value in tables.facts(document):
        where.row(name, Text(value))
    screen.print(where)
    for sheet in tables.sheets(document):
        table = Sheet()
        for place, heading in enumerate(sheet.headings):
            table.add_column(heading, justify="left" if place < 2 else "right", overflow="fold")
        for row in sheet.rows:
            table.row(*map(Text, row))
        screen.print()
        screen.print(Text(sheet.title, style="bold"))
        screen.print(table)
    if document["notes"]:
        screen.print()
    for note in document["notes"]:
        screen.print(Text(f"note: {note}"))
