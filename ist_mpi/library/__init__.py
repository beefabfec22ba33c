"""What Python programs use: runs, theory and sweeps, and what comes back.

running   `ist_mpi.run`
theory    `ist_mpi.theory`
sweeps    `ist_mpi.sweep` and `ist_mpi.open_sweep`
result    a run as programs and notebooks want it
arguments what is given, checked
words     errors in the language of the caller
"""
