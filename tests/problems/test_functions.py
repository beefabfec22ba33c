"""A problem that is known by values and gradients alone."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import call
from foreign import CODE

import ist_mpi
from ist_mpi.errors import InputError
from ist_mpi.verify import verify


@pytest.fixture
def code(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(CODE)
    return path


def config(code: Path, kind: str, n: int = 3, d: int = 7, **method: Any) -> dict[str, Any]:
    return {
        "problem": {"kind": f"{code}:{kind}", "n": n, "d": d},
        "method": {"name": "ist", "step_size": 5e-3, **method},
        "run": {"rounds": 20},
        "log": {"iterates": True},
    }


@pytest.mark.parametrize(
    ("n", "method"),
    [
        (3, {}),
        (9, {}),
        (3, {"local_steps": 3}),
        (3, {"form": "estimator", "scaling": "unscaled"}),
        (3, {"sketch": "rand", "q": 2, "form": "merge", "local_steps": 2}),
        (3, {"name": "dcgd"}),
        (3, {"name": "gradient_descent"}),
    ],
)
def test_a_quadratic_by_its_gradients_is_that_quadratic(
    code: Path, n: int, method: dict[str, Any]
) -> None:
    settings = config(code, "Quadratic", n, **method)
    found = ist_mpi.run(settings)
    made = ist_mpi.problems.load(ist_mpi.config.load(settings).problem)
    arrays = {
        "kind": "arrays",
        "L": np.array([made.matrix(i) for i in range(n)]),
        "b": np.array([made.linear(i) for i in range(n)]),
    }
    expected = ist_mpi.run(settings | {"problem": arrays})
    size = np.abs(expected.iterates["x"]).max()
    np.testing.assert_allclose(found.iterates["x"], expected.iterates["x"], atol=1e-12 * size)
    for name in ("gap", "relative_gap", "distance_to_solution", "gradient_norm_squared"):
        np.testing.assert_allclose(found.rounds[name], expected.rounds[name], rtol=1e-9)
    for name in ("floats_up", "floats_down"):
        np.testing.assert_array_equal(found.rounds[name], expected.rounds[name])
    value = expected.theory["f_star"] + expected.rounds["gap"]
    np.testing.assert_allclose(found.rounds["value"], value, rtol=1e-9, atol=1e-15)


def test_what_is_not_known_is_no_number(code: Path, tmp_path: Path) -> None:
    log = tmp_path / "run.h5"
    result = ist_mpi.run(config(code, "Logistic"), out=log)
    assert "x_star" not in result.theory
    for name, value in result.theory.items():
        assert isinstance(value, str) or math.isnan(value), name
    assert np.isnan(result.rounds["gap"]).all()
    assert np.isfinite(result.rounds["value"]).all()
    assert (result.rounds["gradient_norm_squared"] > 0).all()
    findings = {row.check: row for row in verify([log], code=code).rows}
    assert not verify([log], code=code).failed
    assert findings["floats"].verdict == findings["rows"].verdict == "ok"
    assert findings["replay"].verdict == "not judged"
    assert "not quadratic" in findings["replay"].allowed
    shown = json.loads(call("info", str(log), "--json").stdout)
    assert shown["last_row"]["gap"] is None
    assert call("info", str(log)).returncode == 0


def test_theory_says_why_there_is_none(code: Path, tmp_path: Path) -> None:
    settings = config(code, "Logistic")
    text = ist_mpi.config.load(settings).to_toml()
    path = tmp_path / "run.toml"
    path.write_text(text)
    found = json.loads(call("theory", str(path), "--json").stdout)
    assert found["theta"] is None
    assert "theta" in found["not_computed"]
    assert "the problem is not quadratic" in call("theory", str(path)).stdout.replace("\n", " ")


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"method": {"name": "ist", "step_size": "theory"}}, "method.step_size"),
        (
            {"method": {"name": "ist", "step_size": 0.1, "scaling": "preconditioned"}},
            "method.scaling",
        ),
        ({"log": {"problem": True}}, "log.problem"),
        ({"run": {"rounds": 3, "tolerance": 1e-3}}, "run.tolerance"),
    ],
)
def test_what_needs_a_quadratic_is_refused(code: Path, change: dict[str, Any], where: str) -> None:
    with pytest.raises(InputError) as caught:
        ist_mpi.run(config(code, "Logistic") | change)
    assert caught.value.faults[0].where == where


def test_stopped_and_resumed(code: Path, tmp_path: Path) -> None:
    settings, log = config(code, "Logistic"), tmp_path / "run.h5"
    expected = ist_mpi.run(settings)
    stopped = ist_mpi.run(settings | {"run": {"rounds": 20, "max_seconds": 1e-6}}, out=log)
    assert stopped.status == "stopped"
    path = tmp_path / "run.toml"
    path.write_text(ist_mpi.config.load(settings).to_toml())
    done = call("run", str(path), "--out", str(log), "--resume", "--set", "run.max_seconds=60.0")
    assert done.returncode == 0
    found = ist_mpi.open_run(log)
    assert found.x.tobytes() == expected.x.tobytes()
    np.testing.assert_array_equal(found.rounds["value"], expected.rounds["value"])


def test_a_gradient_of_another_shape(code: Path) -> None:
    code.write_text(CODE.replace("/ 8 + 0.1 * x", "@ np.eye(self.d)[:, :2]"))
    with pytest.raises(InputError, match=r"gradient, worker 0: got shape \(2,\)"):
        ist_mpi.run(config(code, "Logistic"))


def test_a_function_cannot_change_the_model(code: Path) -> None:
    code.write_text(
        CODE.replace(
            "        A, y = self.samples(worker)\n",
            "        x += 1.0\n        A, y = self.samples(worker)\n",
        )
    )
    with pytest.raises(ValueError, match="read-only"):
        ist_mpi.run(config(code, "Logistic"))


MEASURED = CODE.replace(
    "class Quadratic",
    """
class Measured(Logistic):
    columns = {"largest": ("1", "of the coordinates"), "worker": ("1", "its number")}

    def measurements(self, worker, x):
        return np.abs(x).max(), worker

    def held_out(self):
        return HeldOut()

class HeldOut:
    columns = {"first": ("1", "coordinate")}

    def values(self, x):
        return [x[0]]

class TooFew(Measured):
    def measurements(self, worker, x):
        return [1.0]

class Overflows(Logistic):
    def value(self, worker, x):
        return np.inf if np.abs(x).max() > 0.01 else 1.0

    columns = {"odd": ("1", "never finite")}

    def measurements(self, worker, x):
        return [np.nan]

class Quadratic""",
)


def test_further_columns(code: Path, tmp_path: Path) -> None:
    code.write_text(MEASURED)
    log = tmp_path / "run.h5"
    found = ist_mpi.run(config(code, "Measured", n=4), out=log)
    x = found.iterates["x"]
    np.testing.assert_array_equal(found.rounds["largest"], np.abs(x).max(axis=1))
    np.testing.assert_array_equal(found.rounds["worker"], np.full(len(x), 1.5))
    np.testing.assert_array_equal(found.rounds["first"], x[:, 0])
    assert list(found.rounds)[-2:] == ["floats_up", "floats_down"]
    assert not verify([log], code=code).failed
    with pytest.raises(InputError, match="1 numbers"):
        ist_mpi.run(config(code, "TooFew"))


def test_a_loss_that_is_not_finite_ends_the_run(code: Path) -> None:
    code.write_text(MEASURED)
    found = ist_mpi.run(config(code, "Overflows"))
    assert found.status == "failed"
    assert "the loss is not finite after" in found.stop_reason
    assert 0 < found.rounds["round"][-1] < 20
    assert np.isinf(found.rounds["value"][-1])


BUFFERED = """
from mine import Quadratic


class Buffered(Quadratic):
    def gradient(self, worker, x):
        if not hasattr(self, "_g"):
            self._g = x.copy()
        self._g[:] = super().gradient(worker, x)
        return self._g
"""
"""An array that is filled and returned time and again."""


@pytest.mark.parametrize(
    "name", ["marina", "marina_p", "anchored", "diana", "ef21", "stale", "shared_block", "scaffnew"]
)
def test_a_gradient_may_come_in_the_same_array_each_time(code: Path, name: str) -> None:
    code.write_text(CODE + BUFFERED.replace("from mine import Quadratic\n", ""))
    own = {"scaffnew": {"probability": 0.5}, "marina": {"refresh_probability": 0.5}}
    method = {"name": name, **own.get(name, own["marina"] if name == "marina_p" else {})}
    anew = ist_mpi.run(config(code, "Quadratic", **method))
    found = ist_mpi.run(config(code, "Buffered", **method))
    assert found.iterates["x"].tobytes() == anew.iterates["x"].tobytes()
