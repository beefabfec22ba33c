"""Write the arrays of one ill-conditioned quadratic, the same for all workers.

    python jobs/beyond/homogeneous.py FILE.h5

L = Q diag(10^−2 … 1) Qᵀ with a random orthogonal Q, b and x⁰ from N(0, 1); d = 40, n = 10.
"""

import sys
from pathlib import Path

import h5py
import numpy as np

D, N, SEED = 40, 10, 0


def main() -> None:
    """The command."""
    if len(sys.argv) != 2:
        sys.exit("usage: python jobs/beyond/homogeneous.py FILE.h5")
    random = np.random.default_rng(SEED)
    Q, _ = np.linalg.qr(random.standard_normal((D, D)))
    L = Q @ np.diag(np.logspace(-2, 0, D)) @ Q.T
    b, x0 = random.standard_normal(D), random.standard_normal(D)
    path = Path(sys.argv[1])
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["L"] = np.broadcast_to((L + L.T) / 2, (N, D, D))
        file["b"] = np.broadcast_to(b, (N, D))
        file["x0"] = x0


if __name__ == "__main__":
    main()
