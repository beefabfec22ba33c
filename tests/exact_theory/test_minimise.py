"""Minimisers, from wherever the search begins."""

import numpy as np
import pytest
from scipy import special

from ist_mpi.exact_theory.logistic.minimise import few_vectors, minimise

L2 = 0.05


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("way", ["newton", "few vectors"])
def test_steep_margins_are_minimised_from_afar(way: str, seed: int) -> None:
    """Where slopes are flat, Newton's steps are too long: a gradient shrinks at larger values."""
    rng = np.random.default_rng(seed)
    d = 4
    A = 9.0 * np.eye(d)[rng.integers(0, d, 25)] * rng.standard_normal((25, 1))

    def function(x: np.ndarray) -> tuple[float, np.ndarray]:
        z = A @ x
        value = float(-special.log_expit(z).mean() + 0.5 * L2 * x @ x)
        return value, -A.T @ special.expit(-z) / len(z) + L2 * x

    def direction(x: np.ndarray, g: np.ndarray) -> np.ndarray:
        bent = special.expit(A @ x) * special.expit(-(A @ x)) / len(A)
        return np.linalg.solve((A.T * bent) @ A + L2 * np.eye(d), -g)

    start = 3.0 * rng.standard_normal(d)
    found = (
        minimise(function, direction, start) if way == "newton" else few_vectors(function, start)
    )
    assert np.linalg.norm(function(found.x)[1]) < 1e-9 * np.linalg.norm(function(start)[1])
    assert found.value <= function(np.zeros(d))[0]
