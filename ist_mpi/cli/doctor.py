"""``ist-mpi doctor``: the health of an installation: MPI, ranks, threads, cores, libraries."""

from collections import Counter
from typing import Any

import typer

from ist_mpi.cli import options
from ist_mpi.errors import LauncherError
from ist_mpi.parallel.launcher import launched_size


def doctor(
    as_json: options.Json = False,
) -> None:
    """Check the installation.

    MPI, ranks and hosts, threads against cores, libraries. Alone, or under a launcher to see what
    the ranks see: mpiexec -n 4 ist-mpi doctor
    """
    from ist_mpi.cli.report import text
    from ist_mpi.cli.report.health import health

    findings = examine()
    if as_json:
        print(text.to_json(findings))
    else:
        text.console().print(health(findings))
    if findings["problems"] and findings.get("launched") not in (None, findings.get("ranks")):
        raise typer.Exit(2)


def examine() -> dict[str, Any]:
    """What is installed and how the ranks were started; collective over all ranks.

    Returns
    -------
    dict
        Plain values: versions, mpi_library, ranks, hosts, …, and `problems`, a list of sentences.
    """
    from ist_mpi import kernels
    from ist_mpi.parallel import nodes, ranks
    from ist_mpi.store import provenance

    findings: dict[str, Any] = {"versions": provenance.versions(), "problems": []}
    problems: list[str] = findings["problems"]
    problems += [kernels.FOLDER.caution] if kernels.FOLDER.caution else []
    try:
        comm = ranks.world()
    except LauncherError as error:
        findings["mpi_library"] = None
        problems.append(str(error))
        return findings
    with ranks.abort_on_error(comm):
        census = ranks.census(comm)
    findings |= {
        "mpi_library": ranks.mpi_version(),
        "ranks": comm.size,
        "launched": launched_size(),
        "hosts": dict(Counter(rank.host for rank in census)),
        "cores": ranks.cores(census),
        "threads": census[0].threads,
        "threads_per_rank": 1,
        "numba_cache": str(kernels.FOLDER.path),
    }
    try:
        ranks.check_launcher(comm)
    except LauncherError as error:
        problems.append(f"the ranks are singletons: {error}")
    problems += ranks.crowded(census)
    findings["shared_memory"] = nodes.rooms(comm)
    problems += [
        f"{host} has {room >> 20} MiB free for what its ranks share ({nodes.PLACE}): a matrix that "
        "all workers have, and that is larger, is copied for every rank"
        for host, room in findings["shared_memory"].items()
        if room < nodes.PLENTY
    ]
    wide = {name: value for name, value in census[0].threads.items() if value != "1"}
    if comm.size > 1 and wide:
        settings = ", ".join(f"{name}={value}" for name, value in wide.items())
        problems.append(f"{settings}: set to 1 under MPI (the program pins its own threads anyway)")
    return findings
