"""What a run would be and need, for a dry run."""

from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from ist_mpi.cli.report.text import console, duration, facts_table
from ist_mpi.config import Config
from ist_mpi.problems.source import Facts
from ist_mpi.training.budget import Budget, seconds_per_round, size_text

KEPT = {
    "matrix": "L_i",
    "dense": "samples, dense",
    "sparse": "samples, sparse",
    "functions": "their functions",
}


def show_plan(
    config: Config, facts: Facts, needs: Budget, logs: Sequence[object], ranks: int, checked: bool
) -> None:
    """What a run would be and need; `checked`: whether the workers' matrices were looked at."""
    seconds = seconds_per_round(config, facts, ranks)
    table = facts_table()
    table.row("ranks", str(ranks))
    table.row("workers keep", f"{KEPT[facts.stored.kind]}, {facts.stored.precision}")
    table.row("memory per rank", size_text(needs.memory))
    table.row("memory of rank 0", size_text(needs.memory_root))
    if needs.shared:
        table.row("memory that a host's ranks share", size_text(needs.shared))
    if needs.theory:
        table.row("memory for constants, per rank", size_text(needs.theory))
    table.row("floats per worker", f"{needs.floats_up:.0f} up, {needs.floats_down:.0f} down")
    total = seconds * config.run.rounds * len(logs)
    table.row("time, roughly", f"{duration(total)} ({1e6 * seconds:.0f} µs a round)")
    for log in logs:
        exists = ", exists: with --force only" if Path(str(log)).exists() else ""
        table.row("log", f"{log}, {size_text(needs.log)}{exists}")
    matrices = "checked" if checked else "not checked: large; the run itself will check them"
    table.row("the workers' matrices", matrices)
    screen = console()
    screen.print(Text(config.to_toml()))
    screen.print(table)
