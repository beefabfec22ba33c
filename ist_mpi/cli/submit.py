"""``ist-mpi submit``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ist_mpi.batch import slurm
from ist_mpi.cli import options
from ist_mpi.cli.messages import say, warn
from ist_mpi.cli.options import of_slurm
from ist_mpi.errors import Fault, InputError, collecting
from ist_mpi.parallel import launcher
from ist_mpi.store.files import as_word

REHEARSED = 10**7
"""Largest n d² for which `submit` makes the matrices: a login node is no place to compute."""


@of_slurm
def submit(
    config: options.Config,
    override: options.Set = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="The log, as for run.")] = None,
    seeds: Annotated[str | None, typer.Option(metavar="A:B", help="As for run.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything and print the job; submit nothing.")
    ] = False,
    **asked: Any,
) -> None:
    """Put a run into SLURM's queue.

    As ist-mpi submit CONFIG.toml --nodes 2 --ntasks-per-node 4.

    Everything that can be checked here is checked before it queues. The job goes on with a log that
    exists, and queues itself again with a checkpoint before its time is up. Exit code 2: wrong
    input, or sbatch refused; nothing is in the queue.
    """
    launcher.stay_alone()
    from ist_mpi.parallel import ranks
    from ist_mpi.training import api
    from ist_mpi.training import job as jobs

    faults: list[Fault] = []
    request, job, problem = None, None, None
    with collecting(faults):
        request = slurm.Request(**asked)
    log = out if out is not None else Path("results") / f"{config.stem}.h5"
    size = request.ranks if request is not None else 1
    with collecting(faults):
        job, problem = jobs.checked(config, size, override or (), log, seeds, going_on="resume")
        api.rehearse(ranks.world_if_any(), job, problem, REHEARSED)
        faults += jobs.disk_faults(job)
    if request is None or job is None or faults:
        raise InputError(faults)
    warn(ranks.world_if_any(), job.config.cautions())
    for path, status in job.done:
        say(f"{path}: {status} already, nothing to submit")
    if not job.outs:
        return
    settings = [word for text in override or () for word in ("--set", text)]
    seeded = ["--seeds", seeds] if seeds is not None else []
    command = ["run", as_word(config), *settings, "--out", as_word(log), *seeded, "--resume"]
    text = slurm.render(request, command)
    if dry_run:
        print(text, end="")
        return
    print(f"Submitted batch job {slurm.submit(text)}")
