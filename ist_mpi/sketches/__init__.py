"""The sketches C_i, a file each: which coordinates each worker gets, and with what factors.

Every C_i is diagonal: zero outside worker i's block S_i. A round draws the blocks; with them come
the diagonals of C_i and of the A_i with which the server adds the pieces up, Σ_i A_i w_i (mostly
A_i = I/n).

permutation   disjoint near-equal blocks; at n > d one coordinate each, eqs. (7) and (23)
rand          a uniform q-subset for every worker, eq. (4)
units         a permutation of what stands for several coordinates each, as neurons do
identity      all coordinates for every worker
sketch        what a sketch is
law           what exact theory has to know of its draws
blocks        of a round, with their factors
drawing       room for the blocks of a round, and where they are drawn
own           draws of a sketch of one's own, held against what it says of them
"""

from typing import Any

from ist_mpi.config import Method
from ist_mpi.sketches.blocks import Blocks
from ist_mpi.sketches.drawing import Drawing, drawing_of, has_kernel
from ist_mpi.sketches.law import Exchangeable, Finite
from ist_mpi.sketches.own import check_own
from ist_mpi.sketches.sketch import Sketch
from ist_mpi.sketches.units import Units

__all__ = [
    "Blocks",
    "Drawing",
    "Exchangeable",
    "Finite",
    "Sketch",
    "Units",
    "drawing_of",
    "has_kernel",
    "sketch_of",
]


def sketch_of(method: Method, n: int, d: int, units: Units | None = None) -> Any:
    """The configured sketch for n workers and d coordinates, which may belong to units.

    Raises
    ------
    InputError
        If it does not fit them, or is one of one's own and says nothing usable of itself.
    """
    kind = type(method).sketch_class
    made = kind(method, n, d) if units is None else kind.over(units, method, n, d)
    if not has_kernel(made):
        check_own(made, n, d)
    return made
