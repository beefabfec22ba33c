"""The options of the commands that submit jobs: what is asked of SLURM."""

from typing import Annotated

import typer

Nodes = Annotated[int, typer.Option(help="Nodes of the job.")]
RanksPerNode = Annotated[int, typer.Option("--ntasks-per-node", help="Ranks per node.")]
CpusPerTask = Annotated[int, typer.Option(help="CPUs per rank.")]
Time = Annotated[str, typer.Option(help="Time limit: 1:00:00, 2-12, or minutes.")]
Account = Annotated[
    str, typer.Option(help="The account to charge; default: SBATCH_ACCOUNT, or the site's.")
]
Partition = Annotated[str, typer.Option(help="Default: SBATCH_PARTITION, or the site's.")]
JobLauncher = Annotated[
    str,
    typer.Option("--launcher", envvar="IST_LAUNCHER", help="srun or mpiexec, inside the job."),
]
MpiType = Annotated[
    str,
    typer.Option("--mpi", envvar="IST_MPI", help="srun's MPI type: pmi2 (MPICH, Intel MPI), pmix."),
]
SignalSeconds = Annotated[
    int, typer.Option("--signal", help="Stop with a checkpoint this many seconds before the limit.")
]
SbatchOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--sbatch", metavar="--OPTION=VALUE", help="Another option of sbatch. Repeatable."
    ),
]
