"""What `bench` measured."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from ist_mpi.bench import tables
from ist_mpi.report.text import console, facts_table


def show_bench(document: Mapping[str, Any]) -> None:
    """Where it was measured, and what came out."""
    screen = console()
    where = facts_table()
    for name, value in tables.facts(document):
        where.add_row(name, Text(value))
    screen.print(where)
    for sheet in tables.sheets(document):
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for place, heading in enumerate(sheet.headings):
            table.add_column(heading, justify="left" if place < 2 else "right", overflow="fold")
        for row in sheet.rows:
            table.add_row(*map(Text, row))
        screen.print()
        screen.print(Text(sheet.title, style="bold"))
        screen.print(table)
    if document["notes"]:
        screen.print()
    for note in document["notes"]:
        screen.print(Text(f"note: {note}"))
