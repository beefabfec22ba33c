"""What `verify` found."""

from collections import Counter

from rich.text import Text

from ist_mpi.cli.report.text import Sheet, console, show_sheet
from ist_mpi.verify import Report


def show_findings(found: Report) -> None:
    """What failed and what was not judged, each in a row; of what is in order the count."""
    table = Sheet()
    for heading in ("verdict", "check", "log", "seen", "allowed, or why not judged"):
        table.add_column(heading)
    alike: dict[tuple[str, ...], list[str]] = {}
    for row in found.rows:
        if row.verdict != "ok":
            key = (row.verdict, row.check, row.seen, row.allowed)
            alike.setdefault(key, []).append(row.subject)
    for (judged, check, seen, allowed), logs in alike.items():
        style = "bold red" if judged == "failed" else ""
        subject = logs[0] if len(logs) == 1 else f"{logs[0]} (and {len(logs) - 1} more like it)"
        table.row(Text(judged, style=style), *map(Text, (check, subject, seen, allowed)))
    screen = console()
    if table.row_count:
        show_sheet(screen, table, "a wider terminal shows all")
    counts = Counter(row.verdict for row in found.rows)
    words = [f"{counts[kind]} {kind}" for kind in ("ok", "failed", "not judged")]
    screen.print(Text(", ".join(words)))
