"""``ist-mpi theory``."""

from pathlib import Path
from typing import Annotated

import typer

from ist_mpi.cli import options
from ist_mpi.cli.messages import waiting
from ist_mpi.errors import printable


def theory(
    config: options.Config,
    override: options.Set = None,
    as_json: options.Json = False,
    rounds: Annotated[
        int | None, typer.Option(min=0, metavar="K", help="With --csv: write rounds 0 to K.")
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option(
            "--csv", metavar="FILE", help="Write the exact expected trajectory to this file."
        ),
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Leave nothing out, even what takes minutes.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing CSV.")] = False,
) -> None:
    """Show what is predicted: constants, limits, a verdict.

    MPI is optional: mpiexec -n 2 ist-mpi theory CONFIG.toml shares the work.
    """
    from ist_mpi.parallel import ranks

    if (rounds is None) != (table is None):
        raise typer.BadParameter("--rounds and --csv go together")
    comm = ranks.world_if_any()
    with ranks.abort_on_error(comm), waiting(comm.rank):
        from ist_mpi.cli.report.text import to_json
        from ist_mpi.cli.report.theory import show_foresight
        from ist_mpi.training import foresight

        wanted = as_json or table is None
        found = foresight.foresee(
            comm, config, override or (), rounds, full, table, force, constants=wanted
        )
        if comm.rank == 0 and found.trajectory is not None and table is not None:
            foresight.write_csv(found.trajectory, table)
    if comm.rank != 0:
        return
    if as_json:
        print(to_json(foresight.to_document(found)))
    elif table is None:
        show_foresight(found)
    else:
        print(printable(f"expected trajectory: {table}"))
