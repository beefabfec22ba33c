"""Quadratics f_i(x) = ½ xᵀ L_i x − b_iᵀ x + constant, eq. (12), and a rank's share of them."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ist_mpi.kernels import rounds, storage
from ist_mpi.kernels.matrices import Matrices
from ist_mpi.kernels.samples import DenseSamples, SparseSamples
from ist_mpi.problems import digest, samples
from ist_mpi.problems.source import (
    AS_MATRICES,
    Accepted,
    Quadratic,
    SamplesShare,
    Share,
    Stored,
)
from ist_mpi.sketches.blocks import Blocks

Float64 = NDArray[np.float64]
GATHERED = 2**20
"""Most entries of a block that is copied for several local steps: 8 MiB."""


@dataclass(frozen=True)
class LocalQuadratics:
    """The quadratics of one rank's workers, each distinct one once.

    A homogeneous problem has one matrix for all workers: u = 1.
    """

    compiled = True

    storage: Matrices | DenseSamples | SparseSamples
    """b (u, d), which (m,): the quadratic of each worker; and L (u, d, d), or the samples."""
    constant: Float64
    """Shape (u,)."""
    homogeneous: bool
    """Whether all workers of all ranks have the same quadratic."""
    digests: tuple[str, ...] = ()
    """What each distinct quadratic is made of."""
    notes: tuple[str, ...] = ()
    """What the user should know of them."""

    @property
    def index(self) -> NDArray[np.int64]:
        """Shape (m,): which quadratic each of the rank's workers has."""
        return self.storage.which

    @property
    def b(self) -> Float64:
        """Shape (u, d)."""
        return self.storage.b

    @property
    def kind(self) -> str:
        """How they are kept: "matrix", "dense" or "sparse"."""
        kinds = {Matrices: "matrix", DenseSamples: "dense", SparseSamples: "sparse"}
        return kinds[type(self.storage)]

    @property
    def least(self) -> float:
        """A number that no eigenvalue of an L_i is below."""
        return 0.0 if isinstance(self.storage, Matrices) else self.storage.l2

    def diagonal(self, u: int) -> Float64:
        """Diag(L) of the rank's distinct quadratic u, shape (d,)."""
        if isinstance(self.storage, Matrices):
            return np.diagonal(self.storage.L[u]).astype(np.float64)
        return samples.diagonal(self.storage, u)

    @property
    def diagonals(self) -> Float64:
        """Diag(L_i) of the distinct quadratics, shape (u, d)."""
        found = np.empty_like(self.b)
        for u in range(len(found)):
            found[u] = self.diagonal(u)
        return found

    def matrix(self, u: int) -> Float64:
        """L of the rank's distinct quadratic u, shape (d, d); may be the stored array itself."""
        if isinstance(self.storage, Matrices):
            return np.asarray(self.storage.L[u], dtype=np.float64)
        return samples.matrix(self.storage, u)

    def product(self, u: int, x: Float64) -> Float64:
        """L x of the rank's distinct quadratic u for a whole x (d,); no d × d matrix is formed."""
        out = np.empty(x.size)
        storage.product(self.storage, u, x, out, self.room(x.size, 1)[0])
        return out

    def groups_product(self, u: int, x: Float64, g: int) -> Float64:
        """BD(L) x of the rank's distinct quadratic u, x (d,), from the g × g diagonal blocks of L.

        No block is formed; groups are of g consecutive coordinates, g a divisor of d.
        """
        out = np.empty(x.size)
        storage.product_in_groups(self.storage, u, g, x, out, self.room(x.size, 1)[0])
        return out

    def room(self, q: int, steps: int) -> tuple[Float64, bool]:
        """Scratch for `steps` local steps on blocks of q, and whether to prepare each block.

        A block of a matrix that is used several times is gathered once, if the copy stays in the
        cache; products with samples need a number for each sample.
        """
        if not isinstance(self.storage, Matrices):
            return np.empty(int(self.storage.samples.max(initial=0))), False
        half = q * (q + 1) // 2
        ready = steps > 1 and half <= GATHERED
        return np.empty(half if ready else 0), ready

    @cached_property
    def _room(self) -> Float64:
        """Scratch for one product."""
        return self.room(0, 1)[0]

    def open_round(self, seed: int, k: int) -> None:
        """Nothing here is left to chance; see `LocalFunctions.open_round`."""

    def gradients(self, x: Float64, S: Blocks) -> Float64:
        """The coordinates S_i of ∇f_i(x), shape (t,), for each of this rank's workers."""
        out = np.empty(S.pi.size)
        storage.gradients(self.storage, S.pi, S.offsets, x, out, self._room)
        return out

    def differences(self, x: Float64, y: Float64, S: Blocks) -> Float64:
        """The coordinates S_i of ∇f_i(x) − ∇f_i(y) = L_i (x − y), shape (t,), read once."""
        out = np.empty(S.pi.size)
        storage.gradients(self._without_b, S.pi, S.offsets, x - y, out, self._room)
        return out

    @cached_property
    def _without_b(self) -> Matrices | DenseSamples | SparseSamples:
        """The quadratics xᵀ L_i x / 2."""
        return self.storage._replace(b=np.zeros_like(self.b))

    def gradients_apart(self, X: Float64, S: Blocks) -> Float64:
        """The same at a model of each worker's own, X (m, d)."""
        out = np.empty(S.pi.size)
        storage.gradients_apart(self.storage, S.pi, S.offsets, X, out, self._room)
        return out

    def whole_gradients(self, x: Float64) -> Float64:
        """∇f_i(x) of this rank's workers, (m, d), at one model (d,) or at one each (m, d)."""
        out = np.empty((self.index.size, x.shape[-1]))
        for i, u in enumerate(self.index):
            out[i] = self.product(int(u), x if x.ndim == 1 else x[i]) - self.b[u]
        return out

    def changes(self, h: Float64, u: Float64, S: Blocks) -> Float64:
        """The coordinates S_i of ∇f_i(h + P_i u_i) − ∇f_i(h), shape (t,), u (t,) along the blocks.

        That is L_i[S_i, S_i] u_i, whatever h.
        """
        out = np.empty(S.pi.size)
        storage.block_products(self.storage, S.pi, S.offsets, u, out, self._room)
        return out

    def steps(
        self, sketch: Any, most: int, gamma: float, count: int, merging: bool, disjoint: bool
    ) -> rounds.Steps:
        """What a rank's workers do with their submodels, and room to do it.

        `most`: coordinates of all of them in a round, at most; the rest as in `rounds.Steps`.
        """
        room, ready = self.room(sketch.largest, count)
        return rounds.Steps(
            gamma=gamma,
            local_steps=count,
            merging=merging,
            disjoint=disjoint,
            pieces=np.empty(most),
            product=np.empty(sketch.largest),
            room=room,
            ready=ready,
        )

    def submodels(self, S: Blocks, x: Float64, steps: rounds.Steps) -> Float64:
        """What the workers send back, from the parts x (t,) of the model; see `rounds.work`."""
        pieces = steps.pieces[: x.size]
        rounds.work(self.storage, S.pi, S.offsets, S.C, S.A, steps, x, pieces)
        return pieces

    def train(self, x: Float64, first: int, last: int, drawing: Any, steps: rounds.Steps) -> None:
        """Rounds first … last − 1 of all workers on one rank, x (d,) in place."""
        scratch = np.empty(steps.pieces.size)
        rounds.train(x, first, last, drawing.plan, drawing.rules, self.storage, steps, scratch)


def assemble(
    shares: list[Share],
    d: int,
    homogeneous: bool,
    stored: Stored = AS_MATRICES,
    room: Float64 | None = None,
) -> LocalQuadratics:
    """Make the quadratics of a rank's workers from their shares, in order, as they are to be kept.

    `shares` is emptied on the way, so that what has been made of a share can take its place;
    `room` (u, d, d) is where the matrices go, if the caller has a place for them.
    """
    workers = len(shares)
    distinct = min(workers, 1) if homogeneous else workers
    del shares[distinct:]
    index = np.zeros(workers, dtype=np.int64) if homogeneous else np.arange(workers)
    if stored.kind != "matrix":
        whose = tuple(_digest(share) for share in shares)
        parts = [cast(SamplesShare, share).samples() for share in shares]
        shares.clear()
        constant = np.array([float(part.y @ part.y) / (2 * part.y.size) for part in parts])
        kept = samples.pack(parts, stored.kind, stored.precision, d, index)
        return LocalQuadratics(kept, constant, homogeneous, whose)
    L = np.empty((distinct, d, d), dtype=stored.precision) if room is None else room
    b = np.empty((distinct, d))
    constant = np.empty(distinct)
    digests: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    for i in range(distinct):
        room = L[i] if L.dtype == np.float64 else None
        share = shares.pop(0)
        made = share.quadratic(room)
        b[i], constant[i] = made.b, made.constant
        if made.L is not room:
            L[i] = made.L
        notes += (made.note,) if isinstance(made, Accepted) else ()
        digests += (_digest(share, L[i], b[i]),)
    return LocalQuadratics(Matrices(L, b, index), constant, homogeneous, digests, notes)


def _digest(share: Share, *made: Any) -> str:
    """Of what a share is made of, if it can say; else of what was made of it."""
    own = getattr(share, "digest", None)
    return digest.of_arrays(made) if own is None else str(own())


def rounded(quadratic: Quadratic, precision: str) -> Quadratic:
    """The quadratic whose L is rounded to the configured precision, and stays symmetric."""
    if precision == "float64":
        return quadratic
    L = samples.rounded(0.5 * (quadratic.L + quadratic.L.T), precision, "L")
    return quadratic._replace(L=L.astype(np.float64))
