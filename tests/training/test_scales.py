"""Numbers from 1e-300 to 1e300 in every part of a problem: right, or refused with their scale.

Right is what the same problem says in ordinary numbers: a power of two changes no bit.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from mpi4py import MPI
from thinned import FULL, thinned
from unbiased import VARIANTS

import ist_mpi
from ist_mpi.errors import InputError
from ist_mpi.exact_theory import krylov
from ist_mpi.exact_theory.moments import first as first_moments
from ist_mpi.training.foresight import foresee
from ist_mpi.verify import verify

N, D, ROUNDS = 3, 5, 6
EXPONENTS = (-997, -797, -598, -565, -532, -400, -332, -200, -60, 60, 200, 332, 400, 532, 598, 997)
"""Of two: 1e-300, 1e-240, 1e-180, 1e-170, 1e-160, 1e-120, 1e-100, …"""
REACHED = 332
"""Up to 1e±100 every part is right."""
METHODS: dict[str, dict[str, Any]] = {
    "merge": {"name": "ist"},
    "rand": {"name": "ist", "sketch": "rand", "q": 2},
    "rand merge": {"name": "ist", "sketch": "rand", "q": 2, "form": "merge"},
    "preconditioned": {"name": "ist", "scaling": "preconditioned"},
    "local steps": {"name": "ist", "local_steps": 2},
    "dcgd": {"name": "dcgd"},
}
SOME = EXPONENTS if FULL else (-997, -498, 332, 997)
UNBIASED: dict[str, dict[str, Any]] = {
    "shared block": {"name": "shared_block"},
    "shared block, nesterov": {"name": "shared_block", "momentum": "nesterov"},
    "gradient descent, nesterov": {"name": "gradient_descent", "momentum": "nesterov"},
    "anchored": {"name": "anchored", "alpha": 1.5, "refresh": 3},
    "anchored, by chance": {"name": "anchored", "refresh_probability": 0.3},
    "stale": {"name": "stale"},
    "marina_p": {"name": "marina_p"},
    "diana": {"name": "diana"},
    "ef21, rand": {"name": "ef21", "sketch": "rand", "q": 2},
    "marina": {"name": "marina"},
    "scaffnew": {"name": "scaffnew", "probability": 0.5},
}
"""Methods with exact theory of their own, or with none."""


INEXACT = ("marina_p", "scaffnew")


class Part(NamedTuple):
    """A part of a problem, and the powers that others have with it."""

    L: int
    x: int

    @property
    def powers(self) -> dict[str, int]:
        """Of what a log and theory say; 0 for what is not here."""
        L, x = self
        return {
            "gap": L + 2 * x,
            "distance_to_solution": x,
            "distance_to_fixed_point": x,
            "gradient_norm_squared": 2 * L + 2 * x,
            "gradient_norm_squared_w": 2 * L + 2 * x,
            "x": x,
            "theta": L,
            "step_size_limit": -L,
            "stable_step_size_limit": -L,
            "mean_step_size_limit": -L,
            "w_min_eigenvalue": 2 * L,
            "limit_gap": L + 2 * x,
            "bias_norm_squared": L + 2 * x,
            "gap_at_zero": L + 2 * x,
            "sigma_squared": L + 2 * x,
            "E gap": L + 2 * x,
            "E ‖x − x*‖²": 2 * x,
        }


PARTS = {
    "L": Part(1, -1),
    "b": Part(0, 1),
    "x0": Part(0, 1),
    "samples": Part(2, -1),
    "labels": Part(0, 1),
}


def write(folder: Path, part: str, exponent: int) -> dict[str, Any]:
    """The table [problem], with 2^exponent times that part."""
    rng, factor = np.random.default_rng(5), 2.0**exponent
    B, b, x0 = rng.standard_normal((N, D + 1, D)), rng.standard_normal((N, D)), np.ones(D)
    if part in ("samples", "labels"):
        A, y = B.reshape(-1, D), b.ravel()[: N * (D + 1)].repeat(2)[: N * (D + 1)]
        A, y = (factor * A, y) if part == "samples" else (A, factor * y)
        text = "".join(
            " ".join([repr(label), *(f"{j + 1}:{value!r}" for j, value in enumerate(row))]) + "\n"
            for label, row in zip(y.tolist(), A.tolist(), strict=True)
        )
        (folder / "data.svm").write_text(text)
        return {"kind": "ridge", "path": str(folder / "data.svm"), "n": N, "l2": 0.0}
    L = np.einsum("nki,nkj->nij", B, B)
    L, b = (factor * L, b) if part == "L" else (L, factor * b)
    if part == "x0":
        x0, b = factor * x0, 0.0 * b
    return {"kind": "arrays", "L": L, "b": b, "x0": x0 if part == "x0" else 0.0 * x0}


def scaled(number: float, exponent: int) -> float:
    """By a power of two; 1 of a problem that is out of reach."""
    with np.errstate(all="ignore"):
        found = float(np.ldexp(number, exponent))
    return found if 0.0 < found < np.inf else 1.0


def said(folder: Path, part: str, exponent: int, settings: dict[str, Any]) -> dict[str, Any]:
    """Everything that run, theory and verify say, by name."""
    power = exponent * PARTS[part].L
    own = {"mu": scaled(0.3, power)} if "momentum" in settings else {}
    config = {
        "problem": write(folder, part, exponent),
        "method": {"step_size": scaled(0.02, -power), **settings, **own},
        "run": {"rounds": ROUNDS, "theory": True, "watchdog_seconds": 0},
        "log": {"iterates": True, "problem": True, "permutations": True},
    }
    run = ist_mpi.run(config, MPI.COMM_SELF, out=folder / "r.h5", force=True)
    report = verify([folder / "r.h5"])
    assert not report.failed, [row for row in report.rows if row.verdict == "failed"]
    exact = settings.get("local_steps") is None and settings["name"] not in INEXACT
    theory = foresee(MPI.COMM_SELF, config, rounds=3 if exact else None)
    found = {name: run.rounds[name] for name in run.rounds if name != "seconds"}
    found |= {"x": run.iterates["x"], "status": run.status}
    found |= theory.constants.values()
    found["reached"] = {goal: tuple(one) for goal, one in theory.reached.items()}
    if theory.trajectory is not None:
        found |= {"E gap": theory.trajectory[:, 1], "E ‖x − x*‖²": theory.trajectory[:, 3]}
    return found


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:form = ")
@pytest.mark.parametrize(("part", "method"), thinned(list(PARTS), list(METHODS), strength=1))
def test_scales(part: str, method: str, tmp_path: Path) -> None:
    if METHODS[method].get("scaling") and PARTS[part].L:
        pytest.skip("x∞ of a preconditioned sketch scales otherwise than x*")
    right_or_refused(part, METHODS[method], EXPONENTS, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("part", "method"), thinned(list(PARTS), list(UNBIASED), strength=1))
def test_scales_without_bias(part: str, method: str, tmp_path: Path) -> None:
    right_or_refused(part, UNBIASED[method], SOME, tmp_path)


def right_or_refused(
    part: str, settings: dict[str, Any], exponents: tuple[int, ...], folder: Path
) -> None:
    """Either what the problem in ordinary numbers says, or its scale."""
    ordinary, powers = said(folder, part, 0, settings), PARTS[part].powers
    refused = []
    for exponent in exponents:
        try:
            found = said(folder, part, exponent, settings)
        except InputError as error:
            refused.append((exponent, str(error)))
            continue
        assert found.keys() == ordinary.keys()
        for name, expected in ordinary.items():
            if expected is None or isinstance(expected, (str, dict)):
                assert found[name] == expected, name
                continue
            with np.errstate(over="ignore", under="ignore"):
                expected = np.ldexp(expected, exponent * powers.get(name, 0))
            if name in ("x", "gap", "distance_to_solution"):
                np.testing.assert_array_equal(found[name], expected, name)
            np.testing.assert_allclose(
                found[name], expected, rtol=1e-6, err_msg=f"{name}, {exponent}"
            )
    assert {-997, 997} <= {exponent for exponent, _ in refused}
    for exponent, words in refused:
        assert abs(exponent) > REACHED, words
        assert "up to" in words


@pytest.mark.parametrize("exponent", [-565, 565])
@pytest.mark.parametrize("name", ["stale", "marina"])
def test_squares_of_matrices_need_not_be_representable(name: str, exponent: int) -> None:
    """L of 1e±170, b of 1e±60: no measurement is out of reach, but L_i² is."""
    steps = []
    for power in (0, exponent):
        rng = np.random.default_rng(5)
        B, b = rng.standard_normal((N, D + 1, D)), rng.standard_normal((N, D))
        L = np.ldexp(np.einsum("nki,nkj->nij", B, B), power)
        problem = {"kind": "arrays", "L": L, "b": np.ldexp(b, int(0.35 * power)), "x0": np.zeros(D)}
        config = {"problem": problem, "method": {"name": name, "step_size": "default"}}
        config["run"] = {"rounds": 1}
        steps.append(foresee(MPI.COMM_SELF, config, constants=False).method.step_size)
    assert steps[1] == pytest.approx(np.ldexp(steps[0], -exponent), rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(("part", "variant"), thinned(["L", "samples"], list(VARIANTS), strength=1))
def test_default_step_sizes_scale(part: str, variant: str, tmp_path: Path) -> None:
    """And so do those of their settings that are numbers of the problem."""
    settings = {**VARIANTS[variant], "step_size": "default"}
    found = {}
    for exponent in (0, -332, 332):
        problem = write(tmp_path, part, exponent)
        config = {"problem": problem, "method": settings, "run": {"rounds": 1}}
        found[exponent] = foresee(MPI.COMM_SELF, config, constants=False).method
    for exponent, method in found.items():
        power = exponent * PARTS[part].L
        for name, unit in {"step_size": -power, "mu": power, "alpha": 0, "probability": 0}.items():
            expected = getattr(found[0], name, None)
            if expected is not None:
                assert getattr(method, name) == pytest.approx(np.ldexp(expected, unit), rel=1e-9)


@pytest.mark.parametrize("exponent", [-332, -60, 332])
def test_eigenvalues_by_lanczos_know_no_absolute_scale(exponent: int) -> None:
    """ARPACK takes what is below 1e-11 for nothing; d = 70 is beyond dense algebra."""
    M = np.diag(np.linspace(1.0, 3.0, 70)) + 0.1
    scaled = np.ldexp(M, exponent)
    largest = first_moments.largest_eigenvalue(M)
    assert first_moments.largest_eigenvalue(scaled) == np.ldexp(largest, exponent)
    for end in (True, False):
        one = krylov.extreme_eigenvalue(lambda v: M @ v, 70, end, 1e-8, 100)
        two = krylov.extreme_eigenvalue(lambda v: scaled @ v, 70, end, 1e-8, 100)
        assert one is not None
        assert two == np.ldexp(one, exponent)
