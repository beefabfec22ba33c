"""The blocks of a round, with their factors."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Int32 = NDArray[np.int32]
Float64 = NDArray[np.float64]


class Blocks(NamedTuple):
    """The blocks S_i of some workers in a round, and the diagonals of C_i and A_i on them."""

    pi: Int32
    """Shape (t,): S_i = pi[offsets[i] − offsets[0]:offsets[i + 1] − offsets[0]], sorted."""
    offsets: Int32
    """Shape (workers + 1,); a rank's own need not start at 0."""
    C: Float64
    """Shape (t,)."""
    A: Float64
    """Shape (t,)."""
