"""Compiling ahead of a run meets every method, its settings numbers or not."""

from typing import Any

import pytest
from unbiased import VARIANTS

from ist_mpi.config import load
from ist_mpi.training.compiling import compile_for


@pytest.mark.slow
@pytest.mark.parametrize("step_size", [0.05, "default"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_method(variant: str, step_size: Any) -> None:
    compile_for(
        load(
            {
                "problem": {"kind": "synthetic", "n": 3, "d": 6},
                "method": {"step_size": step_size, **VARIANTS[variant]},
                "run": {"rounds": 2},
            }
        )
    )
