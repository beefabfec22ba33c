"""What `doctor` found."""

from collections.abc import Mapping
from typing import Any

from rich.text import Text

from ist_mpi.cli.report.text import Sheet, facts_table


def health(findings: Mapping[str, Any]) -> Sheet:
    """What `doctor` found."""
    table = facts_table()
    table.row("MPI library", findings["mpi_library"] or "none")
    if findings["mpi_library"]:
        table.row("ranks", str(findings["ranks"]))
        for host, count in findings["hosts"].items():
            cores = findings["cores"][host]
            shared = f"{findings['shared_memory'][host] >> 20} MiB to share"
            table.row("host", f"{host}: {count} rank(s), {cores} usable core(s), {shared}")
        settings = ", ".join(f"{k}={v}" for k, v in findings["threads"].items()) or "none set"
        table.row("threads per rank", f"1 (pinned by the program; environment: {settings})")
    for name, version in findings["versions"].items():
        table.row(name, version or "unknown")
    for problem in findings["problems"]:
        table.row(Text("problem", style="bold red"), problem)
    if not findings["problems"]:
        table.row("problems", "none")
    return table
