"""Files, whole or not at all: replaced at once, locked, guarded when read; the run log.

files       reading strangers' files, writing durably
locks       one writer a file
hdf5        the only h5py
log         the run log, schema version 1
provenance  where a run came from

Knows neither numba nor MPI: opening a log takes what h5py takes.
"""
