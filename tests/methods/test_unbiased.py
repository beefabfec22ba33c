"""Methods without bias against explicit matrices, over the blocks that the run recorded."""

from typing import Any

import beyond
import numpy as np
import pytest
from cases import SHAPES
from recorded import recorded_blocks
from unbiased import VARIANTS

import ist_mpi
from ist_mpi.methods.coins import Coins

ROUNDS = 50
SEED = 7


def run_of(variant: str, shape: str, **run: Any) -> Any:
    """A short run, everything logged."""
    n, d = SHAPES[shape]
    config = {
        "problem": {"kind": "synthetic", "d": d, "n": n, "seed": 11},
        "method": {"step_size": "default", **VARIANTS[variant]},
        "run": {"rounds": ROUNDS, "seed": SEED, **run},
        "log": {"iterates": True, "permutations": True, "problem": True},
    }
    return ist_mpi.run(config)


def case_of(run: Any, n: int, d: int) -> beyond.Case:
    """What the reference needs of a run."""
    settings = run.config["method"]
    tossed = None
    if "probability" in settings:
        coins = Coins(SEED, settings["probability"])
        tossed = coins.trials
    elif "refresh_probability" in settings:
        tossed = Coins(SEED, settings["refresh_probability"]).up
    return beyond.Case(
        L=run.problem["L"],
        b=run.problem["b"],
        x0=run.model["x0"],
        gamma=settings["step_size"],
        settings=settings,
        blocks=lambda k: recorded_blocks(run, k, n, d),
        coin=tossed or (lambda k: 0),
    )


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_iterates_and_ledger_follow_the_reference(variant: str, shape: str) -> None:
    n, d = SHAPES[shape]
    run = run_of(variant, shape)
    case = case_of(run, n, d)
    rows = beyond.METHODS[case.settings["name"]](case)
    largest = 0.0
    for k, (x, up, down) in zip(range(ROUNDS + 1), rows, strict=False):
        largest = max(largest, float(np.abs(x).max()))
        np.testing.assert_allclose(run.iterates["x"][k], x, rtol=0, atol=1e-12 * largest)
        assert run.rounds["floats_up"][k] == pytest.approx(up, rel=1e-13)
        assert run.rounds["floats_down"][k] == pytest.approx(down, rel=1e-13)
    assert run.rounds["relative_gap"][-1] < 0.9
    assert "checked" in run.theory["step_size_rule"] or "proved" in run.theory["step_size_rule"]
