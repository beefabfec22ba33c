"""`ist_mpi.theory`: expectations, rounds to a tolerance, and what they stand for."""

import copy
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ist_mpi
from ist_mpi.errors import InputError
from ist_mpi.exact_theory.chains import chain
from ist_mpi.training import foresight

PROBLEM = {"kind": "synthetic", "n": 3, "d": 7}
METHOD = {"name": "ist", "step_size": 0.01}
CONFIG = {"problem": PROBLEM, "method": METHOD, "run": {"rounds": 40, "theory": True}}


def test_expectations() -> None:
    found = ist_mpi.theory(CONFIG)
    exact = found.expectation(200)
    assert {len(column) for column in exact.values()} == {201}
    assert exact["relative_gap"][0] == pytest.approx(1.0, rel=1e-12)
    assert exact["gap"][-1] == pytest.approx(found.limit_gap, rel=1e-3)
    few = {**CONFIG, "run": {"rounds": 1, "theory": False}}
    gaps = [ist_mpi.run(few, seed=seed).rounds["gap"][1] for seed in range(200)]
    error = np.std(gaps) / math.sqrt(len(gaps))
    assert abs(np.mean(gaps) - exact["gap"][1]) < 4.5 * error


def test_rounds_to_a_tolerance() -> None:
    biased = ist_mpi.theory(CONFIG)
    level = biased.limit_relative_gap
    assert biased.rounds_to(level / 2) is None
    k = biased.rounds_to(2 * level)
    exact = biased.expectation(k)["relative_gap"]
    assert exact[k] <= 2 * level < exact[k - 1]
    method = {"name": "anchored", "step_size": "default"}
    free = ist_mpi.theory(problem=PROBLEM, method=method, tolerance=1e-6)
    assert free.rounds_to(1e-6) == free.to_dict()["reached"]["1e-06"]["rounds"]


@pytest.mark.parametrize("method", ["ist", "anchored"])
def test_rounds_are_followed_once_to_the_last(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is reached between two powers of 4, too; what is not is no "never"."""
    monkeypatch.setattr(chain, "FARTHEST", 0)  # no search for γ_max
    monkeypatch.setattr(foresight, "MAX_ROUNDS", 1)
    found = ist_mpi.theory(problem=PROBLEM, method={"name": method, "step_size": 1e-5})
    gaps = found.expectation(100)["relative_gap"]
    opened = []
    open_job = foresight.jobs.open_job
    monkeypatch.setattr(
        foresight.jobs, "open_job", lambda *a, **k: opened.append(1) or open_job(*a, **k)
    )
    monkeypatch.setattr("ist_mpi.library.theory.MOST_ROUNDS", 100)
    for k in (1, 64, 65, 80, 100):
        assert found.rounds_to(gaps[k]) == k
    assert len(opened) == 5
    with pytest.raises(InputError, match=r"tolerance: got .*, not reached in 100 rounds"):
        found.rounds_to(0.999 * gaps[100])


def test_theories_are_one_or_another() -> None:
    one, other = ist_mpi.theory(**arrays(), method=METHOD), ist_mpi.theory(CONFIG)
    assert one == one
    assert one != other
    assert one in [other, one]
    assert {one: 1, other: 2}[one] == 1


def test_theory_of_arrays() -> None:
    rng = np.random.default_rng(0)
    B = rng.standard_normal((3, 5, 5))
    L, b = np.einsum("nki,nkj->nij", B, B), rng.standard_normal((3, 5))
    found = ist_mpi.theory(L=L, b=b, method=METHOD)
    np.testing.assert_allclose(found.x_star, np.linalg.solve(L.mean(0), b.mean(0)), rtol=1e-9)
    same = ist_mpi.theory(problem={"kind": "arrays", "L": L, "b": b}, method=METHOD)
    assert same.theta == found.theta


def test_what_is_missing_says_why() -> None:
    found = ist_mpi.theory(problem=PROBLEM, method={**METHOD, "local_steps": 3})
    assert found.theta is None
    assert found.why["theta"] == "no closed form is known for 3 local steps"
    with pytest.raises(InputError, match="local_steps"):
        found.expectation(3)
    assert found.rounds_to(1e-6) is None
    with pytest.raises(AttributeError, match="has no radius; it has"):
        _ = found.radius


def arrays(seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    B = rng.standard_normal((3, 5, 5))
    return {"L": np.einsum("nki,nkj->nij", B, B), "b": rng.standard_normal((3, 5))}


def test_a_gap_may_go_below_its_limit_on_the_way() -> None:
    """From behind the solution, which the mean iterate passes on its way to x∞."""
    given, method = arrays(), {"name": "ist", "step_size": 1e-3}
    known = ist_mpi.theory(**given, method=method)
    begin = known.x_star - 2.0 * (known.fixed_point - known.x_star)
    found = ist_mpi.theory(problem={"kind": "arrays", **given, "x0": begin}, method=method)
    gaps, limit = found.expectation(20_000)["relative_gap"], found.limit_relative_gap
    assert gaps.min() < 0.7 * limit
    for tolerance in (0.75 * limit, 1.001 * limit):
        assert found.rounds_to(tolerance) == np.flatnonzero(gaps <= tolerance)[0]
    assert found.rounds_to(0.9 * gaps.min()) is None


@pytest.mark.parametrize("key", ["L", "b"])
def test_arrays_that_change_are_not_mixed(key: str) -> None:
    given = arrays()
    found = ist_mpi.theory(**given, method=METHOD)
    before = found.expectation(3)["gap"]
    given[key][0] *= 2.0
    with pytest.raises(InputError, match="data that have changed since"):
        found.expectation(3)
    given[key][0] /= 2.0
    np.testing.assert_array_equal(found.expectation(3)["gap"], before)


def test_files_that_change_are_not_mixed(tmp_path: Path) -> None:
    """A configuration is that of the beginning; data are to be the same."""
    config, data = tmp_path / "own.toml", tmp_path / "own.npz"
    np.savez(data, **arrays())
    text = '[problem]\nkind = "arrays"\npath = "own.npz"\n[method]\nname = "ist"\nstep_size = '
    config.write_text(f"{text}1e-3\n[run]\nrounds = 9\n")
    found = ist_mpi.theory(config)
    before = found.expectation(3)["gap"]
    config.write_text(f"{text}1e-2\n[run]\nrounds = 9\n")
    np.testing.assert_array_equal(found.expectation(3)["gap"], before)
    np.savez(data, **arrays(1))
    with pytest.raises(InputError, match="data that have changed since"):
        found.rounds_to(0.5)


@pytest.mark.parametrize("method", [METHOD, {"name": "diana", "step_size": 1e-3}])
def test_it_can_be_kept(method: dict[str, Any]) -> None:
    found = ist_mpi.theory(problem=PROBLEM, method=method)
    for again in (pickle.loads(pickle.dumps(found)), copy.deepcopy(found)):
        assert repr(again.to_dict()) == repr(found.to_dict())
        assert repr(again) == repr(found)
        np.testing.assert_array_equal(again.x_star, found.x_star)
        np.testing.assert_array_equal(again.expectation(4)["gap"], found.expectation(4)["gap"])


@pytest.mark.parametrize("wrong", ["5", 5.0, True, None, -1, [5], np.float64(5)])
def test_rounds_are_an_integer(wrong: Any) -> None:
    found = ist_mpi.theory(CONFIG)
    with pytest.raises(InputError, match=r"rounds: got .*; expected an integer of at least 0"):
        found.expectation(wrong)
    for right in (np.int64(5), np.uint8(5)):
        assert len(found.expectation(right)["gap"]) == 6


@pytest.mark.parametrize("wrong", ["0.1", True, None, 0.0, 1.0, 1, math.nan, [0.1], 1j])
def test_a_tolerance_is_a_number(wrong: Any) -> None:
    found = ist_mpi.theory(CONFIG)
    with pytest.raises(InputError, match=r"tolerance: got .*; expected a number above 0 and below"):
        found.rounds_to(wrong)
    assert found.rounds_to(np.float32(0.5)) == found.rounds_to(0.5)
