"""Batch jobs: what is asked of SLURM, the text of the job, its way into the queue.

request     what a job asks for
script      the text that sbatch gets
queue       sbatch
limits      what the cluster allows

`run.sbatch` beside these files is the job itself, which can also be submitted by hand.
"""

from ist_mpi.batch.slurm.limits import max_array_size
from ist_mpi.batch.slurm.queue import submit
from ist_mpi.batch.slurm.request import Request
from ist_mpi.batch.slurm.script import TASK, render

__all__ = ["TASK", "Request", "max_array_size", "render", "submit"]
