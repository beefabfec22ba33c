"""The log of a run as it begins: who, where, with what theory, and if asked for the problem."""

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ist_mpi.config import Config
from ist_mpi.exact_theory.constants import Constants
from ist_mpi.exact_theory.missing import MADE_OF, OVERFLOWS
from ist_mpi.parallel import ranks
from ist_mpi.store import provenance
from ist_mpi.store.log import RunLog
from ist_mpi.training.setup import Experiment


def open_log(
    config: Config, experiment: Experiment, exchange: str, out: Path | None, force: bool
) -> RunLog | None:
    """The log, on rank 0; collective."""
    comm, x0 = experiment.comm, experiment.x0
    hosts = ranks.hosts(comm)
    prediction = experiment.objective.prediction
    at_start = experiment.objective.measure(x0)
    at_fixed_point = None
    if prediction.fixed_point is not None:
        at_fixed_point = experiment.objective.measure(prediction.fixed_point)
    problem = _whole_problem(experiment) if config.log.problem else {}
    if at_start is None:
        return None
    numbers = {
        "f_star": prediction.f_star,
        "initial_gap": at_start.gap,
        "mean_step_size_limit": prediction.mean_step_size_limit,
        "fixed_point_gap": at_fixed_point.gap if at_fixed_point else math.nan,
    }
    theory = {
        **_of_theory(experiment.constants, numbers),
        "step_size_rule": config.method.step_size_rule or "a number of the configuration",
    }
    found = {"x_star": prediction.x_star, "fixed_point": prediction.fixed_point}
    arrays: dict[str, dict[str, Any]] = {
        "theory": {name: array for name, array in found.items() if array is not None},
        "model": {"x0": x0},
    }
    if problem:
        arrays["problem"] = problem
    attributes = {
        "config": config.to_toml(),
        "run_id": config.run_id(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": config.run.seed,
        "exchange": exchange,
        "storage": experiment.problem.kind,
        "problem_digest": experiment.digest,
        **provenance.attributes(json.dumps(hosts), len(hosts), ranks.mpi_version()),
    }
    return RunLog(out, attributes, experiment.columns, arrays, theory, force)


def _of_theory(constants: Constants, beside: Mapping[str, float]) -> dict[str, Any]:
    """What the log keeps: numbers, NaN for what is undefined or was left out, the names of the
    latter, and the reasons of both, a JSON object.

    `beside`: numbers that are no constants, by name.
    """
    numbers = {
        name: math.nan if value is None else value for name, value in constants.values().items()
    }
    why = {**constants.not_computed, **constants.undefined}
    for name, value in beside.items():
        if math.isnan(value) and name not in why:
            why[name] = why.get(MADE_OF[name], OVERFLOWS)
    return {
        **numbers,
        **beside,
        "not_computed": " ".join(constants.not_computed),
        "not_computed_because": json.dumps(why),
        "estimated": " ".join(constants.estimated),
        **constants.words,
    }


def _whole_problem(experiment: Experiment) -> dict[str, Any]:
    """L, b and the constants of all workers, on rank 0 (else empty); collective."""
    team, local = experiment.team, experiment.problem
    d = experiment.d

    def of(worker: int) -> int:
        return int(local.index[worker - team.first])

    L = team.workers_array(lambda worker: local.matrix(of(worker)), (d, d))
    b = team.workers_array(lambda worker: local.b[of(worker)], (d,))
    constant = team.all_workers(local.constant[local.index])
    return {} if L is None else {"L": L, "b": b, "constant": constant}
