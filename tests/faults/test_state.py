"""What a method says is its state is all of it."""

from typing import Any

import numpy as np
import pytest
from cases import VARIANTS, configuration

from ist_mpi import api, experiment, methods
from ist_mpi.config import load
from ist_mpi.methods.ist import IndependentSubnetworkTraining

ROUNDS = 6


def begun(variant: str) -> Any:
    """The prepared experiment and configuration of a variant."""
    config = load(configuration(variant, "n does not divide d"))
    comm = api.ranks.world()
    job, problem = api.open_job(comm, config)
    return config, experiment.prepare(comm, config, job.facts, problem, "none")


def goes_on_exactly(variant: str) -> bool:
    """Whether k rounds, then k of a fresh method with the saved state, are 2k rounds."""
    config, prepared = begun(variant)

    def fresh() -> Any:
        return experiment.method_of(config, prepared, "alone")[0]

    straight, first, second = fresh(), fresh(), fresh()
    straight.rounds(0, ROUNDS)
    straight.rounds(ROUNDS, 2 * ROUNDS)
    first.rounds(0, ROUNDS)
    saved = {name: array.copy() for name, array in first.state().items()}
    assert all(array.shape == (prepared.d,) for array in saved.values())
    for name, array in second.state().items():
        array[:] = saved[name]
    second.rounds(ROUNDS, 2 * ROUNDS)
    assert np.abs(straight.x - first.x).max() > 0  # something happens
    return bool(straight.x.tobytes() == second.x.tobytes())


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_method_goes_on_from_its_state(variant: str) -> None:
    assert goes_on_exactly(variant)


class WithMomentum(IndependentSubnetworkTraining):
    """Carries a direction from round to round."""

    declared = False

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.momentum = np.zeros_like(self.x)

    def rounds(self, first: int, last: int) -> None:
        for k in range(first, last):
            before = self.x.copy()
            super().rounds(k, k + 1)
            self.x += 0.5 * self.momentum
            self.momentum[:] = self.x - before

    def state(self) -> dict[str, np.ndarray]:
        carried = {"momentum": self.momentum} if self.declared else {}
        return {**super().state(), **carried}


@pytest.mark.parametrize("declared", [False, True])
def test_forgotten_state_is_noticed(monkeypatch: pytest.MonkeyPatch, declared: bool) -> None:
    """The check fails for a method that forgets to declare what it carries, and only then."""
    monkeypatch.setattr(WithMomentum, "declared", declared)
    monkeypatch.setattr(methods, "IndependentSubnetworkTraining", WithMomentum)
    assert goes_on_exactly("merge") is declared
