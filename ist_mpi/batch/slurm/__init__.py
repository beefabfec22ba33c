"""Batch jobs: what is asked of SLURM, the text of the job, its way into the queue.

request     what a job asks for
script      the text that sbatch gets
queue       sbatch
arrays      the tasks that make runs of a sweep

`run.sbatch` beside these files is the job itself, which can also be submitted by hand.
"""

from ist_mpi.batch.slurm.queue import submit
from ist_mpi.batch.slurm.request import Request
from ist_mpi.batch.slurm.script import TASK, render

__all__ = ["TASK", "Request", "render", "submit"]
