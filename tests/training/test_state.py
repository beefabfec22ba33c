"""What a method says is its state is all of it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import VARIANTS, configuration
from same import same_run

import ist_mpi
from ist_mpi import registry
from ist_mpi.config import load
from ist_mpi.methods import Vector
from ist_mpi.methods.ist import IndependentSubnetworkTraining
from ist_mpi.methods.method import restore
from ist_mpi.parallel import signals
from ist_mpi.training import api
from ist_mpi.training import job as jobs
from ist_mpi.training import setup as experiment
from ist_mpi.training.record import Record

ROUNDS = 6


def begun(variant: str) -> Any:
    """The prepared experiment and configuration of a variant."""
    config = load(configuration(variant, "n does not divide d"))
    comm = api.ranks.world()
    job, problem = jobs.open_job(comm, config)
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
    saved = {vector.name: vector.array.copy() for vector in first.vectors()}
    assert all(array.shape == (prepared.d,) for array in saved.values())
    restore(second, saved, {})
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

    def vectors(self) -> list[Vector]:
        carried = [Vector("momentum", "server", self.momentum)] if self.declared else []
        return [*super().vectors(), *carried]


@pytest.mark.parametrize("declared", [False, True])
def test_forgotten_state_is_noticed(monkeypatch: pytest.MonkeyPatch, declared: bool) -> None:
    """The check fails for a method that forgets to declare what it carries, and only then."""
    monkeypatch.setattr(WithMomentum, "declared", declared)
    monkeypatch.setitem(registry.BUILT_IN["methods"], "ist", f"{__name__}:WithMomentum")
    assert goes_on_exactly("merge") is declared


@pytest.mark.slow
@pytest.mark.parametrize("k", [1, 5, 6, 25])
def test_the_log_goes_on_from_any_round(
    k: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also between two logged rounds: no draw is lost, none is there twice."""
    config = configuration("merge", "n does not divide d")
    config["log"]["every"] = 4
    expected = ist_mpi.run(config)
    log = tmp_path / "run.h5"
    look = Record.look

    def asked_at_k(self: Record, now: int) -> None:
        look(self, now)
        if now == k:
            monkeypatch.setattr(signals, "requested", lambda: 15)

    with monkeypatch.context() as within:
        within.setattr(Record, "look", asked_at_k)
        stopped = ist_mpi.run(config, out=log)
    assert stopped.status == ("stopped" if k < 25 else "finished")
    monkeypatch.setattr(signals, "requested", lambda: 0)
    comm = api.ranks.world()
    if k < 25:
        job, problem = jobs.reopen(comm, log)
        (found,) = api.results(comm, job, problem, going_on="resume", tell=lambda text: None)
    else:  # beyond its end
        config["run"]["rounds"] = 30
        expected = ist_mpi.run(config)
        job, problem = jobs.reopen(comm, log, 30)
        (found,) = api.results(comm, job, problem, going_on="extend", tell=lambda text: None)
    same_run(found, expected)
