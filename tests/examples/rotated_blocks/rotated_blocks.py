"""A sketch of one's own: a fixed partition whose blocks are handed round at random."""

import numpy as np

from ist_mpi.sketches import Finite, Sketch


class RotatedBlocks(Sketch):
    """Worker i takes block (i + s_k) mod n of a fixed partition, s_k uniform on 0 … n − 1."""

    disjoint = True

    def __init__(self, method, n, d):
        super().__init__(method, n, d)
        self.parts = np.array_split(np.arange(d), n)
        self.largest, self.total = len(self.parts[0]), d

    @staticmethod
    def sums_to_identity(method):
        """(1/n) Σ C_i = I, with C_i = n P_i."""
        return True

    def draw(self, k, rng):
        """The blocks of round k: rng is made of (run seed, k) alone."""
        return self.rotated(int(rng.integers(self.n)))

    def rotated(self, s):
        """pi, offsets, C and A of shift s."""
        blocks = [self.parts[(i + s) % self.n] for i in range(self.n)]
        offsets = np.cumsum([0] + [len(block) for block in blocks])
        return (
            np.concatenate(blocks),
            offsets,
            np.full(self.d, float(self.n)),
            np.full(self.d, 1.0 / self.n),
        )

    def law(self):
        """n draws with the same probability: all of the exact theory follows."""
        return Finite([(1.0 / self.n, *self.rotated(s)) for s in range(self.n)])
