"""Independent, slow, dense truth for the tests of Independent Subnetwork Training (IST).

Everything here is written out with explicit (d, d) matrices from E. Shulgin and P. Richtarik,
"Towards a Better Theoretical Understanding of Independent Subnetwork Training", ICML 2024
(arXiv:2306.16484). Equation numbers are the paper's. The problem (12) is

    f(x) = (1/n) sum_i f_i(x),    f_i(x) = 0.5 x^T L_i x - b_i^T x,

with L of shape (n, d, d) and b of shape (n, d). Expectations enumerate every draw of one round;
nothing is sampled. Workers and coordinates are counted from 0, all arithmetic is float64.
This module shares no code with the package under test.
"""

from collections.abc import Callable, Iterator
from itertools import combinations, product
from math import comb, factorial, prod

import numpy as np

Blocks = list[np.ndarray]
"""One integer array of coordinates per worker: S_1, ..., S_n."""


def optimum(L: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return x* = Lbar^-1 bbar, shape (d,), for L (n, d, d) and b (n, d); Lbar must be > 0."""
    return np.linalg.solve(L.mean(axis=0), b.mean(axis=0))


def gap(x: np.ndarray, L: np.ndarray, b: np.ndarray) -> float:
    """Return f(x) - f* as 0.5 (x - x*)^T Lbar (x - x*), for x (d,), L (n, d, d), b (n, d)."""
    error = x - optimum(L, b)
    return float(0.5 * error @ L.mean(axis=0) @ error)


def function_value(x: np.ndarray, L: np.ndarray, b: np.ndarray, constant: float = 0.0) -> float:
    """Return f(x) + constant = (1/n) sum_i (0.5 x^T L_i x - b_i^T x) + constant, see (12)."""
    values = [0.5 * x @ L_i @ x - b_i @ x for L_i, b_i in zip(L, b, strict=True)]
    return float(sum(values) / len(values) + constant)


def projection(block: np.ndarray, d: int) -> np.ndarray:
    """Return P_i, the 0/1 diagonal (d, d) matrix which keeps the coordinates of `block`."""
    P = np.zeros((d, d))
    for j in block:
        P[j, j] = 1.0
    return P


def holders(blocks: Blocks, d: int) -> np.ndarray:
    """Return h, shape (d,): h_j is the number of workers whose block holds coordinate j.

    Raises ValueError if some h_j = 0, or some h_j > 1 where not every worker holds one group of a
    size g with n > d/g (g = 1 unless groups are permuted): no permutation gives such blocks.
    """
    h = np.zeros(d)
    for block in blocks:
        for j in block:
            h[j] += 1.0
    sizes = {len(block) for block in blocks}
    shared = len(sizes) == 1 and len(blocks) * max(sizes) > d
    if np.any(h == 0.0) or (not shared and np.any(h != 1.0)):
        raise ValueError(f"not the blocks of a permutation: the coordinates have {h} holders")
    return h


def inverse_root_diagonal(L_i: np.ndarray) -> np.ndarray:
    """Return D_i^(-1/2), shape (d, d), where D_i = Diag(L_i): the scaling in (23)."""
    diagonal = np.diag(L_i)
    if np.any(diagonal <= 0.0):
        raise ValueError("the preconditioned sketch needs a positive diagonal of every L_i")
    return np.diag(1.0 / np.sqrt(diagonal))


def check_names(sketch: str, scaling: str) -> None:
    """Raise ValueError unless the pair (sketch, scaling) is one that the paper defines."""
    if sketch not in ("identity", "permutation", "rand"):
        raise ValueError(f"unknown sketch {sketch!r}")
    if scaling not in ("unbiased", "unscaled", "preconditioned"):
        raise ValueError(f"unknown scaling {scaling!r}")
    if scaling != "unbiased" and sketch != "permutation":
        raise ValueError(f"scaling {scaling!r} is defined only for the permutation sketch")


def sketch_matrices(sketch: str, scaling: str, blocks: Blocks, L: np.ndarray) -> np.ndarray:
    """Return the explicit sketches C_i of one round.

    Parameters
    ----------
    sketch : {"identity", "permutation", "rand"}
        C_i = I; C_i = (n/h_j) P_i (7); C_i = (d/q) P_i with q = len(block) (4).
    scaling : {"unbiased", "unscaled", "preconditioned"}
        As above; C_i = P_i; C_i = sqrt(n/h_j) D_i^(-1/2) P_i (23). Here h_j = 1 if n <= d
        (groups: n <= d/g). The last two exist only for the permutation sketch.
    blocks : list of n integer arrays
        The coordinates of each worker.
    L : ndarray (n, d, d)
        The matrices of the quadratics.

    Returns
    -------
    ndarray (n, d, d)
        C_0, ..., C_{n-1}.
    """
    check_names(sketch, scaling)
    n, d = L.shape[0], L.shape[1]
    if len(blocks) != n:
        raise ValueError(f"{len(blocks)} blocks for {n} workers")
    C = np.zeros((n, d, d))
    for i, block in enumerate(blocks):
        P = projection(block, d)
        if sketch == "identity":
            C[i] = np.eye(d)
        elif sketch == "rand":
            C[i] = (d / len(block)) * P
        elif scaling == "unscaled":
            C[i] = P
        elif scaling == "unbiased":
            C[i] = np.diag(n / holders(blocks, d)) @ P
        else:
            C[i] = np.diag(np.sqrt(n / holders(blocks, d))) @ inverse_root_diagonal(L[i]) @ P
    return C


def weights(sketch: str, scaling: str, blocks: Blocks, n: int, d: int) -> np.ndarray:
    """Return the diagonal matrices A_i, shape (n, d, d), such that the merge is sum_i A_i w_i.

    A_i = (1/n) I as in (6), except for the unscaled permutation: A_i = I if n <= d (the blocks
    are disjoint) and A_i = Diag(1/h_j) if n > d (the holders of a coordinate are averaged), which
    is the same, as h_j = 1 for disjoint blocks. In groups of g coordinates, d/g stands for d.
    """
    check_names(sketch, scaling)
    A_i = np.diag(1.0 / holders(blocks, d)) if scaling == "unscaled" else np.eye(d) / n
    return np.stack([A_i] * n)


def default_form(sketch: str, scaling: str) -> str:
    """Return "merge" where sum_i A_i C_i = I in every draw, otherwise "estimator"."""
    check_names(sketch, scaling)
    return "estimator" if sketch == "rand" or scaling == "preconditioned" else "merge"


def local_steps(
    w: np.ndarray, C: np.ndarray, L: np.ndarray, b: np.ndarray, gamma: float, steps: int
) -> np.ndarray:
    """Return w (d,) after `steps` times w <- w - gamma C (L w - b), for one worker.

    C and L have shape (d, d), b has shape (d,): they are this worker's C_i, L_i and b_i.
    """
    for _ in range(steps):
        w = w - gamma * C @ (L @ w - b)
    return w


def ist_round(
    x: np.ndarray,
    blocks: Blocks,
    L: np.ndarray,
    b: np.ndarray,
    gamma: float,
    steps: int,
    sketch: str,
    scaling: str,
    form: str,
) -> np.ndarray:
    """Return x after one round of Algorithm 1, (5) and (6).

    Parameters
    ----------
    x : ndarray (d,)
        The model before the round.
    blocks, L, b
        The draw, ndarray (n, d, d) and ndarray (n, d).
    gamma, steps
        Step size and number of local steps.
    sketch, scaling
        See `sketch_matrices`.
    form : {"merge", "estimator"}
        x+ = sum_i A_i w_i, or x+ = x + sum_i A_i (w_i - C_i x).

    Returns
    -------
    ndarray (d,)
        The model after the round; the workers are added in their order.
    """
    if form not in ("merge", "estimator"):
        raise ValueError(f"unknown form {form!r}")
    n, d = b.shape
    C = sketch_matrices(sketch, scaling, blocks, L)
    A = weights(sketch, scaling, blocks, n, d)
    total = np.zeros(d)
    for i in range(n):
        start = C[i] @ x
        w = local_steps(start, C[i], L[i], b[i], gamma, steps)
        total = total + A[i] @ (w if form == "merge" else w - start)
    return total if form == "merge" else x + total


def gradient_descent_round(x: np.ndarray, L: np.ndarray, b: np.ndarray, gamma: float) -> np.ndarray:
    """Return x - gamma (Lbar x - bbar), shape (d,), for L (n, d, d) and b (n, d)."""
    gradient: np.ndarray = L.mean(axis=0) @ x - b.mean(axis=0)
    return x - gamma * gradient


def dcgd_round(
    x: np.ndarray, blocks: Blocks, L: np.ndarray, b: np.ndarray, gamma: float, sketch: str
) -> np.ndarray:
    """Return x - gamma (1/n) sum_i C_i grad f_i(x), shape (d,), with unbiased C_i: (33)."""
    C = sketch_matrices(sketch, "unbiased", blocks, L)
    g = np.zeros(len(x))
    for C_i, L_i, b_i in zip(C, L, b, strict=True):
        g = g + C_i @ (L_i @ x - b_i)
    return x - gamma * g / len(L)


def ordered_partitions(elements: tuple[int, ...], sizes: list[int]) -> Iterator[list[list[int]]]:
    """Yield every way to deal all `elements` into labelled sets of the given sizes, each once."""
    if not sizes:
        yield []
        return
    for first in combinations(elements, sizes[0]):
        rest = tuple(e for e in elements if e not in first)
        for others in ordered_partitions(rest, sizes[1:]):
            yield [list(first), *others]


def near_equal_sizes(total: int, parts: int) -> list[list[int]]:
    """Return all equally likely sizes: floor(total/parts), + 1 for (total mod parts) parts."""
    small, larger = divmod(total, parts)
    return [
        [small + (k in chosen) for k in range(parts)]
        for chosen in combinations(range(parts), larger)
    ]


def permutation_draws(n: int, d: int) -> Iterator[tuple[float, Blocks]]:
    """Yield (probability, blocks) for the permutation sketch, (7) and its n > d counterpart.

    n <= d: the d coordinates are dealt to the n workers. n > d: the n workers are dealt to the d
    coordinates, h_j of them to coordinate j. Draws which are equal as sets are one draw.
    """
    elements, parts = max(n, d), min(n, d)
    choices = near_equal_sizes(elements, parts)
    for sizes in choices:
        deals = factorial(elements) // prod(factorial(size) for size in sizes)
        probability = 1.0 / (len(choices) * deals)
        for deal in ordered_partitions(tuple(range(elements)), sizes):
            if n <= d:
                yield probability, [np.array(block) for block in deal]
            else:
                owner = {i: j for j, workers in enumerate(deal) for i in workers}
                yield probability, [np.array([owner[i]]) for i in range(n)]


def group_draws(n: int, d: int, g: int) -> Iterator[tuple[float, Blocks]]:
    """Yield (probability, blocks) where a permutation moves groups of g consecutive coordinates.

    Group J is {gJ, ..., gJ + g - 1}: the d/g groups are dealt as coordinates are at g = 1, and a
    worker holds all coordinates of its groups.
    """
    if d % g != 0:
        raise ValueError(f"groups of {g} do not divide {d} coordinates")
    groups = np.arange(d).reshape(d // g, g)
    for probability, blocks in permutation_draws(n, d // g):
        yield probability, [groups[block].ravel() for block in blocks]


def draws(
    sketch: str, n: int, d: int, q: int | None = None, g: int = 1
) -> Iterator[tuple[float, Blocks]]:
    """Yield (probability, blocks) for every possible draw of one round; they sum to 1.

    `q` is the block size of the rand sketch (4) (1 <= q <= d) and is ignored by the others; g > 1
    is the size of the groups of coordinates that the permutation sketch moves.
    """
    if g != 1 and sketch != "permutation":
        raise ValueError(f"the {sketch} sketch has no groups")
    check_names(sketch, "unbiased")
    if sketch == "identity":
        yield 1.0, [np.arange(d) for _ in range(n)]
    elif sketch == "permutation":
        yield from group_draws(n, d, g)
    elif q is None or not 1 <= q <= d:
        raise ValueError(f"the rand sketch needs 1 <= q <= d, not q = {q}")
    else:
        subsets = [np.array(subset) for subset in combinations(range(d), q)]
        for blocks in product(subsets, repeat=n):
            yield 1.0 / comb(d, q) ** n, list(blocks)


def expectation(
    function: Callable[[Blocks], np.ndarray | float],
    sketch: str,
    n: int,
    d: int,
    q: int | None = None,
    g: int = 1,
) -> np.ndarray:
    """Return E function(blocks): the sum of probability * function over all `draws`."""
    return np.asarray(sum(p * np.asarray(function(s)) for p, s in draws(sketch, n, d, q, g)))


def affine_map(
    round_function: Callable[[np.ndarray], np.ndarray], d: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return A (d, d) and c (d,) of the affine map x -> A x + c, from its values at 0 and e_j."""
    c = round_function(np.zeros(d))
    return np.column_stack([round_function(e) - c for e in np.eye(d)]), c


def mean_map(
    L: np.ndarray,
    b: np.ndarray,
    gamma: float,
    *,
    method: str = "ist",
    sketch: str = "permutation",
    scaling: str = "unbiased",
    form: str | None = None,
    steps: int = 1,
    q: int | None = None,
    g: int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """Return E A (d, d) and E c (d,): the mean iterate obeys E x+ = (E A) E x + E c.

    `method` is "ist", "gradient_descent" (which uses no sketch) or "dcgd" (unbiased sketches).
    `form` (None: the default form) is for "ist" alone, and so are `steps` other than 1. With one
    step and the estimator form, E A = I - gamma M and E c = gamma m, Section 4.
    """
    n, d = b.shape
    if method not in ("ist", "gradient_descent", "dcgd"):
        raise ValueError(f"unknown method {method!r}")
    if method != "ist" and (steps != 1 or scaling != "unbiased"):
        raise ValueError(f"{method} has no local steps and no scaling")
    if method == "gradient_descent":
        return affine_map(lambda x: gradient_descent_round(x, L, b, gamma), d)
    used = default_form(sketch, scaling) if form is None else form

    def matrix_and_vector(blocks: Blocks) -> np.ndarray:
        def one_round(x: np.ndarray) -> np.ndarray:
            if method == "dcgd":
                return dcgd_round(x, blocks, L, b, gamma, sketch)
            return ist_round(x, blocks, L, b, gamma, steps, sketch, scaling, used)

        return np.column_stack(affine_map(one_round, d))

    both = expectation(matrix_and_vector, sketch, n, d, q, g)
    return both[:, :d], both[:, d]


def fixed_point(A: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Return x_inf (d,), the solution of (I - E A) x = E c, for (E A, E c) = `mean_map(...)`."""
    return np.linalg.solve(np.eye(len(c)) - A, c)
