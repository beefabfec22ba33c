"""Time a round on functions that are no quadratics, beside the same round written in numpy.

    python analysis/bench/functions.py [LIBSVM.svm…]

Logistic regression on breast cancer, digits (0 against the rest) and sparse samples of 10⁶
columns, and on the files given; then a network on digits, 128 neurons, T = 10, batches of 32; four
workers, one core. Both take turns, in several laps; shown are medians in milliseconds, and of the
ratios, with quartiles.
"""

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.datasets import load_breast_cancer, load_digits, load_svmlight_file

import ist_mpi

LAPS = 5
N = 4


def seconds_of_run(problem: dict[str, Any], method: dict[str, Any], rounds: int) -> float:
    """Of a round, as runs make them; set-up and measuring do not count."""
    config = {
        "problem": problem,
        "method": {"name": "ist", **method},
        "run": {"rounds": rounds, "theory": False},
        "log": {"every": rounds},
    }
    run = ist_mpi.run(config)
    return float(run.rounds["seconds"][-1] - run.rounds["seconds"][0]) / rounds


def logistic_loop(parts: list[tuple[Any, np.ndarray]], d: int) -> Callable[[int], None]:
    """Rounds of unscaled independent subnetwork training on parts (A_i, y_i)."""
    rng = np.random.default_rng(0)

    def rounds(count: int) -> None:
        x = np.zeros(d)
        for _ in range(count):
            pi, new = rng.permutation(d), np.empty(d)
            for (A, y), S in zip(parts, np.array_split(pi, len(parts)), strict=True):
                w, block = x[S], A[:, S]
                slopes = -y / (1.0 + np.exp(y * (block @ w)))
                new[S] = w - 1e-3 * (block.T @ slopes / len(y) + 1e-2 * w)
            x = new

    return rounds


def network_loop(parts: list[tuple[np.ndarray, np.ndarray]], H: int) -> Callable[[int], None]:
    """Rounds on one hidden layer of H neurons, ten local steps of batches of 32."""
    rng = np.random.default_rng(0)

    def rounds(count: int) -> None:
        W, b = rng.standard_normal((H, 64)) / 8.0, np.zeros(H)
        V, c = rng.standard_normal((10, H)) / np.sqrt(H), np.zeros(10)
        for _ in range(count):
            outer = np.zeros(10)
            for (X, y), S in zip(
                parts, np.array_split(rng.permutation(H), len(parts)), strict=True
            ):
                w, p, v, q = W[S], b[S], V[:, S], c.copy()
                for _ in range(10):
                    rows = rng.permutation(len(y))[:32]
                    A = X[rows]
                    hidden = np.maximum(A @ w.T + p, 0.0)
                    z = hidden @ v.T + q
                    slope = np.exp(z - z.max(axis=1, keepdims=True))
                    slope /= slope.sum(axis=1, keepdims=True)
                    slope[np.arange(len(rows)), y[rows]] -= 1.0
                    slope /= len(rows)
                    back = (slope @ v) * (hidden > 0.0)
                    v, q = v - 0.1 * slope.T @ hidden, q - 0.1 * slope.sum(axis=0)
                    w, p = w - 0.1 * back.T @ A, p - 0.1 * back.sum(axis=0)
                W[S], b[S], V[:, S] = w, p, v
                outer += q / len(parts)
            c = outer

    return rounds


def show(name: str, ours: Callable[[], float], loop: Callable[[int], None], count: int) -> None:
    """The medians of laps in which both take turns."""
    rows = []
    for lap in range(LAPS + 1):
        own = ours()
        begun = time.perf_counter()
        loop(count)
        if lap:  # the first warms up
            rows.append((1e3 * own, 1e3 * (time.perf_counter() - begun) / count))
    own, other = np.array(rows).T
    low, ratio, high = np.quantile(other / own, [0.25, 0.5, 0.75])
    print(
        f"{name}: {np.median(own):.3g} ms, numpy {np.median(other):.3g} ms, "
        f"ratio {ratio:.2g} [{low:.2g}, {high:.2g}]",
        flush=True,
    )


def main(paths: list[str]) -> None:
    """Every case."""
    cancer, digits = load_breast_cancer(), load_digits()
    rng = np.random.default_rng(0)
    places = np.repeat(np.arange(4000), 20), rng.integers(0, 10**6, 80_000)
    wide = sparse.csr_array((rng.random(80_000), places), shape=(4000, 10**6))
    cases: list[tuple[str, Any, Any, int]] = [
        ("breast cancer", cancer.data, cancer.target, 2000),
        ("digits", digits.data, (digits.target == 0).astype(int), 1000),
        ("sparse, d = 10⁶", wide, rng.integers(0, 2, 4000), 10),
    ]
    for path in paths:
        A, y = load_svmlight_file(path)
        cases.append((Path(path).stem, sparse.csr_array(A), y, 40))
    method: dict[str, Any] = {"step_size": 1e-3, "scaling": "unscaled"}
    for name, A, y, count in cases:
        signed = np.where(y == y.max(), 1.0, -1.0)
        held = A.tocsc() if sparse.issparse(A) else np.asfortranarray(A)
        rows = np.array_split(np.arange(len(y)), N)
        parts = [(held[part], signed[part]) for part in rows]
        problem = {"kind": "logistic", "X": A, "y": signed, "n": N, "l2": 1e-2}
        show(
            f"logistic, {name}",
            partial(seconds_of_run, problem, method, count),
            logistic_loop(parts, A.shape[1]),
            max(1, count // 4),
        )
    X = digits.data / 16.0
    parts = [(X[rows], digits.target[rows]) for rows in np.array_split(np.arange(len(X)), N)]
    network = {"kind": "network", "X": X, "y": digits.target, "n": N, "hidden": [128], "batch": 32}
    method = {"step_size": 0.1, "local_steps": 10}
    show("network", partial(seconds_of_run, network, method, 100), network_loop(parts, 128), 50)


if __name__ == "__main__":
    main(sys.argv[1:])
