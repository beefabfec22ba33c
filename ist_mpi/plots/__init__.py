"""Pictures of run logs: what `ist-mpi plot` and the scripts of analysis/ draw with.

drawing       how a figure looks, and the table of what it shows
words         of figures: quantities, numbers, lists
curves        run logs grouped into curves, and their names
convergence   any column against rounds, floats or time
page          one page about runs

matplotlib is loaded when something is drawn.
"""
