"""A whole run, its metrics included, against the textbook's loop with the same metrics."""

from typing import Any

import numpy as np

from ist_mpi import problems
from ist_mpi.bench import textbook
from ist_mpi.bench.figures import Row
from ist_mpi.bench.material import as_matrices
from ist_mpi.bench.timing import Candidate, Effort, figure, measure, slowest
from ist_mpi.config import Config, load
from ist_mpi.exact_theory import first_moments as theory
from ist_mpi.exact_theory.adapter import step_and_law
from ist_mpi.exact_theory.operators import Slabs
from ist_mpi.parallel import ranks
from ist_mpi.parallel.teams import Team, turn
from ist_mpi.training import loop as runner
from ist_mpi.training.setup import Experiment, facts_of, prepare

D, N, EVERY = 1000, 10, 100


def configuration(exchange: str, rounds: int) -> Config:
    """The paper's heterogeneous quadratics, without constants of theory."""
    return load(
        {
            "problem": {"kind": "synthetic", "d": D, "n": N},
            "method": {"name": "ist", "step_size": 1e-5},
            "run": {"rounds": rounds, "exchange": exchange, "theory": False},
            "log": {"every": EVERY},
        }
    )


def whole_runs(
    comm: Any, formed: list[Team], exchange: str, rounds: int, effort: Effort
) -> list[Row]:
    """Seconds of a run on every team, after its set-up; on rank 0; collective."""
    entered = []
    for team in formed:
        with turn(comm):
            entered.append(_candidates(team.comm, exchange, rounds) if team.member else [])
    measured = measure(comm, formed, entered, effort)
    if comm.rank > 0:
        return []
    loop = measured[0]["textbook"][0]
    rows = []
    for team, times in zip(formed, measured, strict=True):
        run = slowest(times["run"])
        rows.append(
            {
                "d": D,
                "n": N,
                "p": team.size,
                "rounds": rounds,
                "every": EVERY,
                "exchange": exchange if team.size > 1 else "alone",
                "seconds": {"run": figure(run).document(), "textbook": figure(loop).document()},
                "ratios": {"textbook_over_run": figure(loop / run).document()},
            }
        )
    return rows


def _candidates(comm: Any, exchange: str, rounds: int) -> list[Candidate]:
    config = configuration(exchange, rounds)
    source = ranks.on_root(comm, lambda: problems.load(config.problem))
    experiment = prepare(comm, config, facts_of(config, source), source, "none")

    def run(_: int) -> None:
        runner.execute(config, experiment)

    found = [Candidate("run", run, most=1)]
    if comm.size == 1:
        found.append(_textbook(config, experiment))
    return found


def _textbook(config: Config, experiment: Experiment) -> Candidate:
    """The same problem, step size, rounds and metrics."""
    prediction, mean = experiment.objective.prediction, experiment.objective.mean.L
    if not isinstance(mean, Slabs):
        raise TypeError("the benchmark's problems are matrices")
    step, law, *_ = step_and_law(config.method, N, D)
    if step is None or law is None:
        raise TypeError("the benchmark's method has exact theory")
    moments = theory.first_moments(step, law)
    fixed_point = prediction.fixed_point
    ruler = textbook.Ruler(
        L_mean=np.asarray(mean.whole()),
        x_star=prediction.x_star,
        fixed_point=prediction.x_star if fixed_point is None else fixed_point,
        diagonal=prediction.diagonal,
        alpha=moments.alpha,
        rho=moments.rho,
    )
    problem = textbook.Problem(
        np.asarray(as_matrices(experiment.problem).L, dtype=np.float64), experiment.problem.b
    )

    def run(_: int) -> None:
        gamma, rounds = config.method.gamma, config.run.rounds
        textbook.whole_run(problem, experiment.x0, gamma, rounds, EVERY, ruler)

    return Candidate("textbook", run, most=1)
