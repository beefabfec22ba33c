"""Instruments beyond what `ist-mpi bench` tells a user.

links        measures messages and collectives of many sizes, for a benchmark: a script
floors       measures block products beside what the memory would take: a script
cost         T(p, n, d), fitted to a benchmark
prediction   what the fit looks like, and where it leads: `scaling.py --predict`
"""
