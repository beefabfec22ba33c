"""Make random instances of quadratics, and a run log of one round with the theory of each.

    python jobs/condition.py CONFIG.toml FOLDER ENSEMBLE

The logs go to FOLDER/ENSEMBLE or FOLDER/ENSEMBLE-PARAMETER, one per instance; those that are
there and finished are kept. ENSEMBLE is one of

    gaussian    L_i = BᵀB, B (d, d) from N(0, 1)
    correlated  L_i = AᵀA/2d, rows of A (2d, d) Gaussian with correlations of 0.9
    scaled      L_i = S BᵀB S, B (4d, d) from N(0, 1), the scales S, the same for all workers,
                spread over so many decades
    remark1     L = [[a, c], [c, b]] with c = T √(ab), ln a and ln b so that ln(a/b) ~ N(0, 4)
"""

import math
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

import ist_mpi

D = 8
SIZES = (1, 2, 4, 6, 8)
WORKERS = (1, 2, 4, 8)
INSTANCES = 40
SPREADS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5)
CORRELATIONS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
Float64 = NDArray[np.float64]


class Instance(NamedTuple):
    """A problem, the block sizes to look at, and the place of its logs."""

    folder: str
    name: str
    L: Float64
    """Shape (n, d, d)."""
    sizes: tuple[int, ...]


def grams(B: Float64) -> Float64:
    """B_iᵀB_i of every worker, shape (n, d, d)."""
    return B.transpose(0, 2, 1) @ B


def gaussian() -> Iterator[Instance]:
    """Wishart matrices, averaged over more and more workers."""
    for n in WORKERS:
        for number in range(INSTANCES):
            B = np.random.default_rng([1, n, number]).standard_normal((n, D, D))
            yield Instance("gaussian", f"n{n}-{number}", grams(B), SIZES if n == 1 else (1,))


def correlated() -> Iterator[Instance]:
    """Covariances of strongly correlated features."""
    for n in WORKERS:
        for number in range(INSTANCES):
            random = np.random.default_rng([2, n, number])
            common, own = (
                random.standard_normal((n, 2 * D, 1)),
                random.standard_normal((n, 2 * D, D)),
            )
            L = grams(math.sqrt(0.9) * common + math.sqrt(0.1) * own) / (2 * D)
            yield Instance("correlated", f"n{n}-{number}", L, SIZES if n == 1 else (1,))


def scaled() -> Iterator[Instance]:
    """Well-conditioned matrices in bad units."""
    for place, spread in enumerate(SPREADS):
        for n in WORKERS if spread == 1.0 else (1,):
            for number in range(INSTANCES):
                random = np.random.default_rng([3, place, n, number])
                B = random.standard_normal((n, 4 * D, D))
                B *= 10 ** (spread * (random.random(D) - 0.5))
                sizes = (1,) if n > 1 else SIZES if spread == 1.0 else (1, 2, 4)
                yield Instance(f"scaled-{spread}", f"n{n}-{number}", grams(B), sizes)


def remark1() -> Iterator[Instance]:
    """The paper's example of 2 × 2 matrices."""
    for place, correlation in enumerate(CORRELATIONS):
        for number in range(3 * INSTANCES // 2):
            random = np.random.default_rng([4, place, number])
            a, b = np.exp(random.standard_normal(2) * math.sqrt(2.0))
            c = correlation * math.sqrt(a * b)
            L = np.array([[[a, c], [c, b]]])
            yield Instance(f"remark1-{correlation}", f"{number}", L, (1,))


ENSEMBLES = {of.__name__: of for of in (gaussian, correlated, scaled, remark1)}


def done(path: Path) -> bool:
    """Whether there is a finished log at `path`."""
    try:
        return path.exists() and ist_mpi.open_run(path).status == "finished"
    except ist_mpi.InputError:
        return False


def main() -> None:
    """The command."""
    if len(sys.argv) != 4 or sys.argv[3] not in ENSEMBLES:
        sys.exit(f"usage: python jobs/condition.py CONFIG.toml FOLDER {'|'.join(ENSEMBLES)}")
    config = tomllib.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    for instance in ENSEMBLES[sys.argv[3]]():
        n, d, _ = instance.L.shape
        problem = {"kind": "arrays", "L": instance.L, "b": np.ones((n, d)), "x0": np.ones(d)}
        for q in instance.sizes:
            path = Path(sys.argv[2]) / instance.folder / f"{instance.name}-q{q}.h5"
            if not done(path):
                method = {**config["method"], "q": q}
                ist_mpi.run({**config, "problem": problem, "method": method}, out=path, force=True)


if __name__ == "__main__":
    main()
