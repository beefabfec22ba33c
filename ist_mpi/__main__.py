"""``python -m ist_mpi`` is ``ist-mpi``."""

from ist_mpi.cli import main

main()
