"""Everything that crosses ranks; with the entry point the only place that knows MPI.

mpi         the MPI library itself
ranks       who is there; an error on one rank is an error on all, or ends the job
team        workers over ranks, their data dealt out, sums in worker order
nodes       memory that the ranks of a host share
exchange    broadcast, scatter and gather of a round: alone, server, replicated
serverless  the same where nobody holds the model
connect     the exchanges by name
raw         the collectives with nothing else, to be timed
split       some ranks at work while the others sleep

Every function takes a communicator. Set-up may pickle; the loop uses buffer collectives only.
"""
