"""``ist-mpi bench``."""

import sys
from pathlib import Path
from typing import Annotated

import typer


def bench(
    table: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Also write all figures to this file."),
    ] = None,
    cases: Annotated[
        list[str] | None,
        typer.Option(metavar="d,n[,q]…", help="Sizes; with q, Rand-q blocks. Repeatable."),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Take seconds, not minutes: small sizes, few laps.")
    ] = False,
    exchange: Annotated[
        list[str] | None,
        typer.Option(
            metavar="EXCHANGE", help="server, replicated or serverless; repeatable; default: all."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing JSON.")] = False,
) -> None:
    """Measure rounds beside plain numpy and raw collectives.

    As mpiexec -n 2 ist-mpi bench.

    Medians over laps that take turns, quartiles in brackets. Ranks that are not needed sleep.
    """
    from ist_mpi.parallel import ranks

    comm = ranks.world()
    with ranks.abort_on_error(comm):
        from ist_mpi import bench as benches
        from ist_mpi.cli.report.benchmarks import show_bench

        options = benches.choose(comm, cases or (), exchange or (), quick, table, force)
        document = benches.bench(comm, options, lambda text: print(text, file=sys.stderr))
        if comm.rank == 0:
            if table is not None:
                benches.write(document, table)
            show_bench(document)
