"""Compiled functions on plain arrays: the only place that knows numba.

folder      where numba keeps what it compiled: where nobody else may write
compiling   that functions are being compiled
cache       what was compiled before, as long as it is not out of date
philox      the counter-based random stream of the sketches
draws       one round's blocks from that stream
coins       a coin a round, from the same stream
factors     the diagonals of the sketches on those blocks
summation   how sums of products keep their order
matrices    products with symmetric matrices
samples     products with A_iᵀA_i/m_i + l2 I from the samples
shifts      whole models that each worker keeps, on its block
storage     what a round asks of the quadratics, whichever way they are stored
rounds      Algorithm 1: a rank's part of a round, and whole rounds alone
routes      where coordinates go between rounds when nobody holds the model
countdown   the end of a process that keeps Python to itself
model       the model taken apart, put together, and looked at
"""

import warnings

from ist_mpi.errors import Caution
from ist_mpi.kernels import cache, compiling, folder

FOLDER = folder.find()
"""Of the compiled functions: decided here, before any is loaded, whoever asks for it."""
if FOLDER.caution:
    warnings.warn(FOLDER.caution, Caution, stacklevel=2)
cache.forget_outdated(FOLDER.path)
compiling.announce()
