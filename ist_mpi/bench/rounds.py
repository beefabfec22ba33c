"""What is timed of a case: rounds, the kernels inside them, the raw collectives, plain numpy."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from ist_mpi.bench import textbook
from ist_mpi.bench.cases import Case
from ist_mpi.bench.timing import Candidate, Times, figure
from ist_mpi.config import Config
from ist_mpi.parallel.raw import raw_rounds
from ist_mpi.training.setup import Experiment, method_of, serverless

AT_ONCE = 100
"""Rounds between two looks of the main loop at the model."""


def exchanges_of(experiment: Experiment, wanted: Sequence[str]) -> list[str]:
    """The exchanges of the wanted ones that these ranks can use."""
    if experiment.team.size == 1:
        return ["alone"]
    if serverless(experiment.method, experiment.sketch):
        return list(wanted)
    return [name for name in wanted if name != "serverless"]


def candidates(case: Case, experiment: Experiment, exchanges: Sequence[str]) -> list[Candidate]:
    """Everything to be timed on these ranks."""
    team, config = experiment.team, case.config
    entered = []
    for name in exchanges:
        entered += [_rounds(name, config, experiment), _kernels(name, config, experiment)]
        if team.size > 1:
            counts = np.diff(case.edges[team.workers]).astype(np.int32)
            raw = raw_rounds(team.comm, name, case.words, counts)
            entered.append(Candidate(f"raw {name}", raw))
    if team.size == 1:
        entered.append(_textbook(case, experiment))
    return entered


class _Rounds:
    """Rounds of the configured method, one after another over all laps."""

    def __init__(self, config: Config, experiment: Experiment, exchange: str) -> None:
        self._method, tools = method_of(config, experiment, exchange)
        self.close = tools.exchange.close
        self._next = 0

    def __call__(self, count: int) -> None:
        """The next so many, as the main loop asks for them."""
        last = self._next + count
        while self._next < last:
            until = min(self._next + AT_ONCE, last)
            self._method.rounds(self._next, until)
            self._next = until


def _rounds(name: str, config: Config, experiment: Experiment) -> Candidate:
    rounds = _Rounds(config, experiment, name)
    return Candidate(f"round {name}", rounds, rounds.close)


class _Timed:
    """A problem that adds up the time spent in its functions."""

    compiled = False
    """So that a rank alone calls them round by round, as ranks together do."""

    def __init__(self, problem: Any) -> None:
        self._problem = problem
        self.seconds = 0.0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._problem, name)
        if not callable(found):
            return found

        def timed(*arguments: Any) -> Any:
            began = time.perf_counter()
            result = found(*arguments)
            self.seconds += time.perf_counter() - began
            return result

        setattr(self, name, timed)  # found at once next time
        return timed


def _kernels(name: str, config: Config, experiment: Experiment) -> Candidate:
    """The time of rounds that is spent on the workers' functions, whatever the method."""
    problem: Any = _Timed(experiment.problem)
    rounds = _Rounds(config, experiment._replace(problem=problem), name)

    def run(count: int) -> float:
        before = problem.seconds
        rounds(count)
        return float(problem.seconds - before)

    return Candidate(f"kernel {name}", run, rounds.close)


def _textbook(case: Case, experiment: Experiment) -> Candidate:
    """The loop over workers in numpy, on the same quadratics."""
    local, gamma = experiment.problem, case.config.method.gamma
    problem = textbook.Problem([local.matrix(i) for i in range(case.n)], local.b)
    random = np.random.default_rng(0)
    at = [experiment.x0.copy()]

    def run(count: int) -> None:
        x = at[0]
        for _ in range(count):
            if case.q is None:
                x = textbook.permutation_round(problem, x, gamma, random)
            else:
                x = textbook.rand_round(problem, x, gamma, random, case.q)
        at[0] = x

    return Candidate("textbook", run)


def row(case: Case, p: int, exchange: str, times: Times, fewest: Times | None) -> dict[str, Any]:
    """One row of the document: a round on p ranks, beside what it is made of and compared with.

    `fewest`: what was measured on the fewest ranks, if any; alone, plain numpy among it.
    """
    whole, kernel = times[f"round {exchange}"], times[f"kernel {exchange}"]
    if p == 1:  # the call of a small kernel can take longer than the compiled round that has it
        kernel = np.minimum(kernel, whole)
    seconds = {"round": whole, "kernel": kernel}
    ratios = {"kernel_over_round": kernel / whole}
    if p > 1:
        seconds["raw"] = times[f"raw {exchange}"]
        ratios["round_over_parts"] = whole / (kernel + seconds["raw"])
    if fewest is not None and "textbook" in fewest:
        seconds["textbook"] = fewest["textbook"]
        ratios["textbook_over_round"] = fewest["textbook"] / whole
        ratios["speedup"] = fewest["round alone"] / whole
    return {
        **{"d": case.d, "n": case.n, "q": case.block, "rand": case.q is not None},
        **{"p": p, "exchange": exchange},
        "seconds": {name: figure(laps) for name, laps in seconds.items()},
        "ratios": {name: figure(laps) for name, laps in ratios.items()},
    }
