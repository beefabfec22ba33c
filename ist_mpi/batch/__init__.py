"""Sweeps: many runs of one base configuration, each of them made once; and SLURM.

sweep_file  what a sweep file says, and axes, its lists of values
points      the runs of a sweep, and where their logs go
attempts    what remains of an attempt at a run that failed
status      what there is of each: finished, running, failed, missing, …
cost        the time, memory and disk that they will take
pool        several at a time, here
slurm       jobs, and arrays whose tasks make what is missing
"""
