"""Of every constant that is missing, a reason: every method and problem, in every way."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cases
import logistic_truth
import numpy as np
import pytest
import unbiased
from foreign import CODE

import ist_mpi
from ist_mpi.cli.report.text import to_json
from ist_mpi.cli.report.theory import show_foresight
from ist_mpi.exact_theory import constants, cost
from ist_mpi.exact_theory.chains import chain
from ist_mpi.exact_theory.constants import IN_WORDS, NO_MEMORY
from ist_mpi.exact_theory.missing import OVERFLOWS
from ist_mpi.parallel.mpi import Solo
from ist_mpi.registry import BUILT_IN
from ist_mpi.training import budget, foresight
from ist_mpi.training.foresight import Foresight, foresee, to_document

METHODS = cases.VARIANTS | unbiased.VARIANTS
SYNTHETIC = {"kind": "synthetic", "d": 4, "n": 2, "seed": 4}
SOLVED = {"kind": "arrays", "L": np.stack([np.eye(4)] * 2), "b": np.ones((2, 4))}
WAYS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "far too large a step": {"step_size": 9.0},
}


@pytest.fixture(autouse=True)
def no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """For what takes long of methods with a theory of their own: γ_max, rounds to a tolerance."""
    monkeypatch.setattr(chain, "FARTHEST", 0)
    monkeypatch.setattr(foresight, "MAX_ROUNDS", 1)


def made(problem: Mapping[str, Any], method: Mapping[str, Any], **step: Any) -> dict[str, Any]:
    method = {"step_size": 2e-3, **method, **step}
    return {"problem": dict(problem), "method": method, "run": {"rounds": 2}}


def check_reasons(values: Mapping[str, Any], why: Mapping[str, str]) -> None:
    """That what is no number has a reason, one sentence, and nothing else has."""
    absent = {name for name, value in values.items() if value is None or not math.isfinite(value)}
    assert set(why) == absent
    for name, reason in why.items():
        assert 2 <= len(reason.split()) <= 20, name
        assert not set(reason) & {"\n", "!"}, name
        assert ". " not in reason, name
        assert not reason.endswith("."), name


def numbers(document: Mapping[str, Any]) -> dict[str, Any]:
    words = ("step_size_rule", "fixed_point_rule")
    found = {k: v for k, v in document.items() if not isinstance(v, list | dict) and k not in words}
    return json.loads(to_json(found))


def check_all(config: dict[str, Any]) -> Foresight:
    """The command's document."""
    found = foresee(Solo(), config)
    document = to_document(found)
    check_reasons(numbers(document), document["not_computed_because"])
    assert set(document["not_computed"]) <= set(document["not_computed_because"])
    return found


def check_log(config: dict[str, Any]) -> None:
    logged = ist_mpi.run(config).theory
    why = json.loads(logged["not_computed_because"])
    values = {name: value for name, value in logged.items() if isinstance(value, float)}
    check_reasons(values, {k: IN_WORDS.get(v, v) for k, v in why.items()})
    assert set(logged["not_computed"].split()) <= set(why)


def test_every_method_is_asked() -> None:
    assert {method["name"] for method in METHODS.values()} == set(BUILT_IN["methods"])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("variant", METHODS)
def test_of_a_method(variant: str, way: str) -> None:
    check_all(made(SYNTHETIC, METHODS[variant], **WAYS[way]))


@pytest.mark.parametrize("variant", METHODS)
def test_beyond_all_numbers(variant: str) -> None:
    found = check_all(made(SYNTHETIC, METHODS[variant], step_size=1e300))
    if variant in ("diana", "stale"):
        assert OVERFLOWS in found.constants.why.values()


@pytest.mark.parametrize("theory", [True, False])
@pytest.mark.parametrize("variant", METHODS)
def test_in_a_log(variant: str, theory: bool) -> None:
    config = made(SYNTHETIC, METHODS[variant])
    config["run"]["theory"] = theory
    check_log(config)


def test_in_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where options are arguments."""
    monkeypatch.setattr(cost, "PATIENCE", 0.0)
    found = ist_mpi.theory(made(SYNTHETIC, {"name": "gradient_descent"}))
    check_reasons(numbers(found.to_dict()), found.why)
    assert found.why["theta"] == "it takes long: full=True computes it"


@pytest.mark.parametrize("variant", METHODS)
def test_from_the_solution(variant: str) -> None:
    """x⁰ = 0 = x* as well, so that nothing can be relative to anything."""
    found = check_all(made(SOLVED | {"x0": np.ones(4)}, METHODS[variant]))
    assert found.constants.from_solution
    nothing = SOLVED | {"b": np.zeros((2, 4)), "x0": np.zeros(4)}
    check_all(made(nothing, METHODS[variant]))


@pytest.mark.parametrize("variant", METHODS)
def test_of_what_is_left_out(variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """For its cost, and for the matrices that it takes."""
    config = made(SYNTHETIC, METHODS[variant])
    with monkeypatch.context() as impatient:
        impatient.setattr(cost, "PATIENCE", 0.0)
        check_all(config)
    for module in (constants, cost, budget):
        monkeypatch.setattr(module, "DENSE", 3)
    check_all(config)


def test_memory_explains_what_it_was_short_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing else: what is undefined stays so."""
    open_job = foresight.jobs.open_job

    def short_of_memory(*args: Any, **more: Any) -> Any:
        job, problem = open_job(*args, **more)
        return job._replace(effort="none"), problem

    monkeypatch.setattr(foresight.jobs, "open_job", short_of_memory)
    found = foresee(Solo(), made(SYNTHETIC, {"name": "ist"})).constants
    assert found.why["theta"] == found.why["limit_gap_over_zero"] == NO_MEMORY
    assert NO_MEMORY not in found.why["cycle_rounds"]
    local = foresee(Solo(), made(SYNTHETIC, {"name": "ist", "local_steps": 3})).constants
    assert set(local.why.values()) == {"no closed form is known for 3 local steps"}


LOGISTIC = ("merge", "merge, 3 local steps", "preconditioned merge", "rand merge", "diana")


@pytest.mark.parametrize("variant", LOGISTIC)
@pytest.mark.parametrize("how", ["auto", "gaussian"])
def test_of_logistic_regression(how: str, variant: str) -> None:
    _, problem = logistic_truth.made(2, 5)
    config = made(problem | {"fixed_point": how}, METHODS[variant])
    found = check_all(config)
    assert found.constants.theta is None
    check_log(config | {"run": {"rounds": 2, "theory": False}})


@pytest.mark.parametrize("kind", ["Logistic", "Quadratic"])
def test_of_own_functions(kind: str, tmp_path: Path) -> None:
    code = tmp_path / "mine.py"
    code.write_text(CODE)
    config = made({"kind": f"{code}:{kind}", "n": 3, "d": 7}, {"name": "ist"})
    check_all(config)
    check_log(config)


def test_of_a_network() -> None:
    rng = np.random.default_rng(0)
    problem = {"kind": "network", "X": rng.standard_normal((12, 3)), "y": np.arange(12) % 2}
    config = made(problem | {"n": 2, "hidden": [4], "batch": 4}, {"name": "ist"})
    check_all(config)
    check_log(config)


@pytest.mark.parametrize("variant", ["merge, 3 local steps", "merge", "diana"])
def test_the_table_says_each_reason_once(variant: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = foresee(Solo(), made(SYNTHETIC, METHODS[variant]))
    show_foresight(found)
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("undefined")]
    assert len(rows) == len(set(found.constants.why.values()))
    for name, why in found.constants.why.items():
        assert [name in row for row in rows if row.endswith(f": {why}")] == [True]
