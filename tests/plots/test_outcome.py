"""What is said of runs, and what a page makes of whatever logs there are."""

import itertools
import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import call

import ist_mpi
from ist_mpi.plots.curves import Curve
from ist_mpi.plots.outcome import verdict, verdicts
from ist_mpi.plots.page import outcomes, page
from ist_mpi.store.log import Run, open_run

CONFIG: dict[str, Any] = {
    "problem": {"kind": "synthetic", "n": 3, "d": 12},
    "method": {"name": "ist", "step_size": 5e-3},
    "run": {"rounds": 60, "theory": True},
    "log": {"every": 2},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    path = tmp_path_factory.mktemp("outcome") / "run.h5"
    ist_mpi.run(CONFIG, out=path)
    return open_run(path)


def changed(run: Run, gaps: Any, **theory: float) -> Run:
    """The same log with other relative gaps, from 1, and other constants."""
    gaps = np.broadcast_to(gaps, run.rounds["gap"].shape).astype(float)
    rounds = {**run.rounds, "gap": 7.0 * gaps, "relative_gap": gaps}
    nothing = dict.fromkeys(("limit_relative_gap", "fixed_point_relative_gap"), math.nan)
    return replace(run, rounds=rounds, theory={**run.theory, **nothing, **theory})


def limits(limit: float, place: float = math.nan) -> dict[str, float]:
    return {"limit_relative_gap": limit, "fixed_point_relative_gap": place}


@pytest.mark.parametrize(
    ("gaps", "theory", "words"),
    [
        (0.1, limits(0.1, 0.1), "levelled off .* a smaller γ will not help"),
        (0.105, limits(0.1, 0.05), "both the step size and the bias .* down to 0.05, and no"),
        (0.1, limits(0.1, 0.001), "the step size: a smaller γ goes further down"),
        (0.1, limits(0.1), "at the predicted limit, whose parts are not known"),
        (0.5, limits(0.1), r"^still on its way to the predicted limit, 0\.1$"),
        (0.01, limits(0.1), "^below the predicted limit"),
        (0.5, limits(0.0, 0.0), "^still on its way to the solution$"),
        (2e-35, limits(0.0, 0.0), "^at the solution, to rounding$"),
        (1e-33, limits(5e-30), "^at the solution, to rounding$"),
        (0.5, {}, "^finished$"),
        (math.inf, {}, "^diverged: the gap is beyond what a number holds$"),
        (1e9, {"stable_step_size_limit": 1e-3}, "^diverges; .* beyond γ_max = 0.001"),
        (0.5, {"stable_step_size_limit": 5e-3}, "^finished; .* beyond γ_max = 0.005"),
        (0.1, {**limits(0.1), "stable_step_size_limit": 6e-3}, "levelled off"),
        (math.nan, {}, "without x"),
    ],
)
def test_what_a_finished_run_is_said_to_have_come_to(
    run: Run, gaps: float, theory: dict[str, float], words: str
) -> None:
    said = verdict(changed(run, gaps, **theory))
    assert re.search(words, said), said


def test_of_runs_that_did_not_finish(run: Run) -> None:
    stopped = {**run.attributes, "status": "stopped", "stop_reason": "SIGTERM"}
    assert verdict(replace(run, attributes=stopped)) == "stopped at round 60: SIGTERM"
    failed = {**run.attributes, "status": "failed", "stop_reason": "diverged: as it is said"}
    assert verdict(replace(run, attributes=failed)) == "diverged: as it is said"


def ended(run: Run, seed: int, **changes: Any) -> Run:
    """The same run with another seed, and other attributes."""
    return replace(run, attributes={**run.attributes, "seed": seed, **changes})


def test_each_seed_has_its_verdict_and_numbers_are_of_runs_that_are_over(run: Run) -> None:
    """Whichever of them comes first."""
    high = changed(run, np.geomspace(1.0, 0.1, len(run.rounds["gap"])), **limits(0.1, 0.1))
    level = changed(run, 0.1, **limits(0.1, 0.1))
    stopped = ended(high, 2, status="stopped", stop_reason="callback")
    failed = ended(level, 3, status="failed", stop_reason="diverged: <so>")
    for runs in itertools.permutations([level, ended(level, 1), stopped]):
        page_of = outcomes([Curve({}, list(runs))], ["a"])
        cells = re.findall("<td class='(?:number|text)'>(.*?)</td>", page_of)
        assert cells[1:3] == ["0.1", "0.1"]
        assert re.fullmatch(
            "2 of 3: has levelled off .*<br>1 of 3: stopped at round 60: callback", cells[-1]
        )
    assert "<td class='text'>stopped at round 60: callback</td>" in outcomes(
        [Curve({}, [stopped, ended(stopped, 4)])], ["a"]
    )
    assert "2 of 3: diverged: &lt;so&gt;<br>1 of 3: stopped" in outcomes(
        [Curve({}, [stopped, failed, failed])], ["a"]
    )
    many = [ended(run, k, status="failed", stop_reason=f"diverged: {k}") for k in range(20)]
    assert verdicts(many)[-1] == "15 of 20: otherwise, each by itself"


ARRAYS = {"kind": "arrays", "L": np.stack([np.eye(4)] * 2), "b": np.zeros((2, 4))}
CODE = """
from ist_mpi.problems import FunctionProblem

class Plain(FunctionProblem):
    n, d = 2, 3

    def __init__(self, settings):
        super().__init__(settings)
    def value(self, worker, x):
        return float(x @ x) + worker
    def gradient(self, worker, x):
        return 2.0 * x
"""
LOGS: dict[str, Callable[[Path], Any]] = {
    "value alone": lambda out: ist_mpi.run(
        problem={"kind": f"{out.with_name('code.py')}:Plain"}, **WITHOUT, out=out
    ),
    "from the solution": lambda out: ist_mpi.run(
        problem={**ARRAYS, "x0": np.zeros(4)}, **WITHOUT, out=out
    ),
    "overflow": lambda out: ist_mpi.run(CONFIG, method={"step_size": 10.0}, rounds=102, out=out),
    "plain": lambda out: ist_mpi.run(CONFIG, out=out),
    "network": lambda out: ist_mpi.run(
        problem={"kind": "network", "n": 2, "hidden": [4]}, **WITHOUT, out=out
    ),
}
WITHOUT: dict[str, Any] = {"method": {"name": "ist", "step_size": 1e-2}, "rounds": 3}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:diverged")
def test_a_page_is_made_of_any_logs(tmp_path: Path) -> None:
    """Each alone, any two, and all; every curve is in a figure."""
    (tmp_path / "code.py").write_text(CODE)
    paths = [tmp_path / f"{name}.h5" for name in LOGS]
    for path in paths:
        LOGS[path.stem](path)
    pairs = [[one, other] for i, one in enumerate(paths) for other in paths[i + 1 :]]
    for some in (*([path] for path in paths), *pairs, paths):
        text = page(some)
        assert text.count("<details") == len(some)
        assert 2 <= text.count("<figure>") <= 2 * len(some)
    assert text.count("<figure>") == 8  # relative gap, gap, training loss, value


@pytest.mark.slow
def test_nothing_to_draw_is_said(tmp_path: Path) -> None:
    out = tmp_path / "run.h5"
    LOGS["from the solution"](out)
    done = call("plot", str(out), "-o", str(tmp_path / "picture.png"))
    assert done.returncode == 2
    assert "plot: got no number above 0; expected what the logs have:" in done.stderr
    assert not (tmp_path / "picture.png").exists()
