"""The step sizes that the experiment with networks chooses."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "jobs" / "beyond" / "network.py"


@pytest.fixture(scope="module")
def script() -> Any:
    spec = importlib.util.spec_from_file_location("network_experiment", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("best", range(1, 11))
def test_the_best_is_inside_of_what_was_tried(script: Any, best: int) -> None:
    tried = []

    def value(at: int) -> float:
        tried.append(at)
        return -abs(at - best)

    assert script.inside(value, script.FIRST, len(script.LADDER)) == best
    assert min(tried) < best < max(tried)
    assert len(tried) == len(set(tried))


def test_a_ladder_that_is_too_short_is_said(script: Any) -> None:
    with pytest.raises(SystemExit, match="the last that there is"):
        script.inside(float, script.FIRST, len(script.LADDER))
    assert [script.LADDER[at] for at in script.FIRST] == [0.03, 0.1, 0.3, 1.0]
