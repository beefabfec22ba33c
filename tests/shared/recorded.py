"""Rounds of the reference over the blocks that a run recorded."""

from typing import Any

import numpy as np
import reference

from ist_mpi.store.log import Run


def reference_round(x: np.ndarray, blocks: reference.Blocks, run: Run, method: Any) -> np.ndarray:
    """One round of the reference, from the settings of the run."""
    L, b, gamma = run.problem["L"], run.problem["b"], method["step_size"]
    if method["name"] == "gradient_descent":
        return reference.gradient_descent_round(x, L, b, gamma)
    sketch, scaling = method.get("sketch", "permutation"), method.get("scaling", "unbiased")
    if method["name"] == "dcgd":
        return reference.dcgd_round(x, blocks, L, b, gamma, sketch)
    form = method.get("form", reference.default_form(sketch, scaling))
    steps = method.get("local_steps", 1)
    return reference.ist_round(x, blocks, L, b, gamma, steps, sketch, scaling, form)


def recorded_blocks(run: Run, k: int, n: int, d: int) -> reference.Blocks:
    """The blocks of round k as the log has them; all coordinates for the identity."""
    if not run.permutations:
        return [np.arange(d)] * n
    assert run.permutations["round"][k] == k
    pi, offsets = run.permutations["pi"][k], run.permutations["offsets"][k]
    return [pi[offsets[i] : offsets[i + 1]] for i in range(n)]
