"""What `bench` measured: medians, and quartiles in brackets."""

from collections.abc import Mapping
from typing import Any

from rich.text import Text

from ist_mpi.cli.report.text import Sheet, console, facts_table, show_sheet

COLUMNS = (
    ("round, µs", "seconds", "round"),
    ("kernel", "seconds", "kernel"),
    ("raw collectives", "seconds", "raw"),
    ("numpy loop", "seconds", "textbook"),
    ("kernel/round", "ratios", "kernel_over_round"),
    ("round/(kernel + raw)", "ratios", "round_over_parts"),
    ("speedup", "ratios", "speedup"),
    ("numpy loop/round", "ratios", "textbook_over_round"),
)


def show_bench(document: Mapping[str, Any]) -> None:
    """Where it was measured, and what came out."""
    screen = console()
    where = facts_table()
    for name, value in _facts(document):
        where.row(name, Text(value))
    screen.print(where)
    table = Sheet()
    for place, heading in enumerate(("d, n", "p", "exchange", *(name for name, *_ in COLUMNS))):
        table.add_column(heading, justify="left" if place in (0, 2) else "right")
    for row in document["rounds"]:
        rand = f", Rand-{row['q']}" if row["rand"] else ""
        cells = [_figure(row[kind].get(name), kind) for _, kind, name in COLUMNS]
        table.row(f"{row['d']}, {row['n']}{rand}", str(row["p"]), row["exchange"], *cells)
    screen.print()
    screen.print(Text("Rounds, µs, the slowest rank's; numpy's on one core", style="bold"))
    show_sheet(screen, table, "--json FILE has all")
    for note in document["notes"]:
        screen.print(Text(f"note: {note}"))


def _facts(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    where, effort = document["environment"], document["effort"]
    hosts = ", ".join(
        f"{host}: {count} rank(s), {where['cores'][host]} core(s), "
        f"load average {where['load_average'][host]:.2f} before"
        for host, count in where["hosts"].items()
    )
    return [
        ("processor", where["processor"]),
        ("hosts", hosts),
        ("MPI library", where["mpi_library"]),
        ("versions", ", ".join(f"{k} {v}" for k, v in where["versions"].items() if v)),
        ("laps", f"{effort['laps']} of about {1e3 * effort['seconds']:.0f} ms, taking turns"),
    ]


def _figure(one: Mapping[str, float] | None, kind: str) -> str:
    """Microseconds, or a ratio; empty where there is none."""
    if one is None:
        return ""
    scale = 1e6 if kind == "seconds" else 1.0
    median, low, high = (_digits(scale * one[part]) for part in ("median", "low", "high"))
    return f"{median} [{low}, {high}]"


def _digits(value: float) -> str:
    """Three significant digits, without exponents where people do not need them."""
    if value >= 1:
        return f"{value:.{max(0, 3 - len(str(int(value))))}f}"
    return f"{value:.2g}"
