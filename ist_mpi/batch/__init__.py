"""Sweeps: many runs of one base configuration, each of them made once.

points      the runs of a sweep, and where their logs go
attempts    what remains of an attempt at a run that failed
standing    what there is of each: finished, running, failed, missing, …
cost        the time, memory and disk that they will take
pool        several at a time, here
array       the tasks of SLURM that make what is missing
"""

from ist_mpi.batch.array import Tasks, arrays
from ist_mpi.batch.attempts import attempting
from ist_mpi.batch.cost import Cost, Prediction, predict
from ist_mpi.batch.points import Plan, Point, check, plan, point
from ist_mpi.batch.pool import run_points
from ist_mpi.batch.standing import OVER, WORDS, Standing, standing_of

__all__ = [
    "OVER",
    "WORDS",
    "Cost",
    "Plan",
    "Point",
    "Prediction",
    "Standing",
    "Tasks",
    "arrays",
    "attempting",
    "check",
    "plan",
    "point",
    "predict",
    "run_points",
    "standing_of",
]
