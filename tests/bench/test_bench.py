"""The benchmark: it times what it says, and refuses what it cannot do.

At the end a check on speed itself: ratios of figures from one run, never times.
"""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ist_mpi import bench, problems
from ist_mpi.bench import rounds, textbook, timing
from ist_mpi.bench.cases import Case, parse
from ist_mpi.bench.environment import environment
from ist_mpi.cli.report import benchmarks as report
from ist_mpi.errors import InputError
from ist_mpi.parallel import ranks, split
from ist_mpi.training.setup import Experiment, facts_of, prepare

Launch = Callable[..., Any]
SPEEDS = 20
"""Tries of the check on speed, most of which a quiet machine does not need."""


def laid_out(comm: Any, case: Case) -> Experiment:
    source = problems.load(case.config.problem)
    return prepare(comm, case.config, facts_of(case.config, source), source, "none")


def test_cases_are_read_and_every_wrong_one_is_named() -> None:
    assert parse(["10,2 20,4,3", "10,2"]) == [Case(10, 2), Case(20, 4, 3)]
    with pytest.raises(InputError) as caught:
        parse(["10,20", "x,1", "10", "9,3,10", "10,2"])
    assert [fault.got for fault in caught.value.faults] == ["'10,20'", "'x,1'", "'10'", "'9,3,10'"]
    with pytest.raises(InputError, match="got nothing"):
        parse([" "])


def test_a_case_is_a_configuration() -> None:
    assert (str(Case(10, 3)), str(Case(10, 3, 2))) == ("10, 3", "10, 3, Rand-2")
    assert Case(10, 3).edges.tolist() == [0, 4, 7, 10]
    assert Case(10, 3, 2).edges.tolist() == [0, 2, 4, 6]
    assert Case(10, 3, 2).config.method.sketch == "rand"


def test_ranks_double() -> None:
    assert split.rank_counts(1) == [1]
    assert split.rank_counts(6) == [1, 2, 4, 6]


class Ranks:
    """Ranks on hosts, as far as `_fitting` asks."""

    def __init__(self, hosts: list[str]) -> None:
        self._hosts, self.rank, self.size = hosts, 0, len(hosts)

    def allgather(self, value: Any) -> list[Any]:
        return self._hosts if isinstance(value, str) else [value] * self.size

    def bcast(self, value: Any) -> Any:
        return value


def test_where_memory_is_short_few_ranks_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    free, needs = SimpleNamespace(available=10_000), {1: 4000, 2: 1000}
    monkeypatch.setattr(bench.psutil, "virtual_memory", lambda: free)
    monkeypatch.setattr(
        bench,
        "estimate",
        lambda config, facts, size: SimpleNamespace(
            memory=needs[size], memory_root=needs[size] + 100
        ),
    )
    together, apart, case = Ranks(["one", "one"]), Ranks(["one", "two"]), Case(10, 2)
    assert bench._fitting(together, case) == ([1, 2], "")
    needs[1] = 8000
    sizes, note = bench._fitting(together, case)
    assert (sizes, note.partition(",")[0]) == ([2], "p ≤ 1 left out")
    assert bench._fitting(apart, case) == ([1, 2], "")
    needs[2] = 6000
    sizes, note = bench._fitting(together, case)
    assert sizes == []
    assert note == "p ≤ 2 left out, memory is short: 11.8 KiB wanted, 9.8 KiB free"


def test_the_textbook_is_algorithm_1() -> None:
    d, n, gamma = 7, 3, 0.05
    random = np.random.default_rng(2)
    B = random.standard_normal((n, d, d))
    L, b, x = B @ B.transpose(0, 2, 1), random.standard_normal((n, d)), random.standard_normal(d)
    problem = textbook.Problem(list(L), b)
    found = textbook.permutation_round(problem, x, gamma, np.random.default_rng(5))
    pieces = np.array_split(np.random.default_rng(5).permutation(d), n)
    expected = np.zeros(d)
    for i, S in enumerate(pieces):
        C = np.zeros((d, d))
        C[S, S] = n
        w = C @ x
        expected += (w - gamma * C @ (L[i] @ w - b[i])) / n
    assert found == pytest.approx(expected)
    q, choices = 3, np.random.default_rng(6)
    found = textbook.rand_round(problem, x, gamma, np.random.default_rng(6), q)
    expected = x.copy()
    for i in range(n):
        S = choices.choice(d, q, replace=False)
        C = np.zeros((d, d))
        C[S, S] = d / q
        expected -= gamma * C @ (L[i] @ C @ x - b[i]) / n
    assert found == pytest.approx(expected)


def test_candidates_take_turns_and_warming_up_does_not_count() -> None:
    comm = ranks.MPI.COMM_SELF
    calls: list[str] = []

    def candidate(name: str, seconds: float) -> timing.Candidate:
        def run(count: int) -> float:
            calls.append(name)
            return seconds * count * (100.0 if calls.count(name) <= 3 else 1.0)

        return timing.Candidate(name, run)

    entered = [candidate("a", 1.0), candidate("b", 2.0), candidate("c", 3.0)]
    (times,) = timing.measure(comm, [comm], [entered], timing.Effort(4, 1e-3))
    assert {name: found.tolist() for name, found in times.items()} == {
        "a": [1.0] * 4,
        "b": [2.0] * 4,
        "c": [3.0] * 4,
    }
    orders = ["".join(calls[at : at + 3]) for at in range(9, len(calls), 3)]
    assert [sorted(order) for order in orders] == [["a", "b", "c"]] * 4
    assert len(set(orders)) > 2


def test_figures_are_quantiles() -> None:
    found = timing.figure(np.array([4.0, 1.0, 2.0, 3.0, 5.0]))
    assert found == {"median": 3.0, "low": 2.0, "high": 4.0, "best": 1.0}


@pytest.mark.parametrize("name", ["ist", "dcgd", "gradient_descent"])
def test_any_method_tells_its_kernels(name: str) -> None:
    """Rounds and the kernels in them are timed whatever the method, and change nothing."""
    case = Case(40, 5)
    config = case.config.with_values(method={"name": name})
    experiment = laid_out(ranks.MPI.COMM_SELF, case)
    kernels = rounds._kernels("alone", config, experiment)
    seconds = kernels.run(50)
    assert seconds is not None
    assert seconds > 0.0


def test_parts_of_a_round_are_never_negative_nor_more_than_all() -> None:
    laps = np.array([2.0, 3.0])
    alone = {"round alone": laps, "kernel alone": 2 * laps, "textbook": 10 * laps}
    found = rounds.row(Case(40, 5), 1, "alone", alone, alone)
    assert found["ratios"]["kernel_over_round"]["median"] == 1.0
    assert "raw" not in found["seconds"]
    times = {"round server": laps / 2, "kernel server": laps / 8, "raw server": laps / 8}
    found = rounds.row(Case(40, 5), 2, "server", times, alone)
    ratios = {name: one["median"] for name, one in found["ratios"].items()}
    assert ratios == {
        "kernel_over_round": 0.25,
        "round_over_parts": 2.0,
        "textbook_over_round": 20.0,
        "speedup": 2.0,
    }
    assert set(rounds.row(Case(40, 5), 2, "server", times, None)["ratios"]) == {
        "kernel_over_round",
        "round_over_parts",
    }


@pytest.mark.parametrize(("load", "busy"), [(2.0, False), (2.4, True)])
def test_who_measures_on_a_busy_machine_is_told(
    monkeypatch: pytest.MonkeyPatch, load: float, busy: bool
) -> None:
    monkeypatch.setattr("os.getloadavg", lambda: (load, 0.0, 0.0))
    census = [ranks.Ranks("one", cpus, {}) for cpus in (1, 2)]
    monkeypatch.setattr(ranks, "census", lambda comm: census)
    found, notes = environment(Ranks(["one", "one"]))
    assert (found["hosts"], found["load_average"]) == ({"one": 2}, {"one": load})
    assert not found["oversubscribed"]
    assert [note[:34] for note in notes] == ["one is busy: a load average of 2.4"] * busy


def check(document: dict[str, Any], p: int, sizes: list[int]) -> None:
    """The document of `bench --cases "40,5 30,6,4" --quick` on p ranks."""
    assert (document["format"], document["schema_version"]) == ("ist_mpi.bench", 2)
    assert document["environment"]["ranks"] == p
    for case, kinds in (
        ((40, 5, 8, False), ("server", "replicated", "serverless")),
        ((30, 6, 4, True), ("server", "replicated")),
    ):
        found = [
            (row["p"], row["exchange"])
            for row in document["rounds"]
            if (row["d"], row["n"], row["q"], row["rand"]) == case
        ]
        several = [(size, kind) for size in sizes if size > 1 for kind in kinds]
        assert found == [(1, "alone"), *several]
    for row in document["rounds"]:
        together = row["p"] > 1
        assert ("raw" in row["seconds"]) == together
        assert ("round_over_parts" in row["ratios"]) == together
        for found in (row["seconds"] | row["ratios"]).values():
            assert 0 < found["best"] <= found["low"] <= found["median"] <= found["high"]
        if not together:
            assert row["ratios"]["speedup"]["median"] == 1.0
            assert row["ratios"]["kernel_over_round"]["high"] <= 1.0


@pytest.mark.parametrize(("p", "sizes"), [(0, [1]), (2, [1, 2])])
def test_the_command_on_any_number_of_ranks(
    launch: Launch, tmp_path: Path, p: int, sizes: list[int]
) -> None:
    table = tmp_path / "bench.json"
    command = ["-m", "ist_mpi", "bench", "--quick", "--cases", "40,5 30,6,4", "--json", str(table)]
    done = launch(p, *command, timeout=600)
    assert done.returncode == 0, done.stderr
    check(json.loads(table.read_text()), max(p, 1), sizes)
    for word in ("Rounds", "30, 6, Rand-4", "numpy loop/round", "MPI library"):
        assert word in done.stdout
    again = launch(p, *command)
    assert again.returncode == 2
    assert "a file that exists" in again.stderr


def test_a_table_says_what_was_found(capsys: pytest.CaptureFixture[str]) -> None:
    def one(median: float) -> dict[str, float]:
        return {"median": median, "low": 0.5 * median, "high": 20 * median, "best": median}

    row = {"d": 40, "n": 5, "q": 8, "rand": False, "p": 2, "exchange": "server"}
    row |= {"seconds": {"round": one(12.34e-6)}, "ratios": {"round_over_parts": one(1.2345)}}
    environment = {
        **{"processor": "a processor", "hosts": {"here": 2}, "cores": {"here": 2}},
        **{"load_average": {"here": 0.25}, "mpi_library": "an MPI", "versions": {}},
    }
    effort = {"laps": 3, "seconds": 0.02}
    notes = ["memory is short"]
    report.show_bench(
        {"environment": environment, "effort": effort, "rounds": [row], "notes": notes}
    )
    shown = capsys.readouterr().out
    assert "here: 2 rank(s), 2 core(s), load average 0.25 before" in shown
    assert "12.3 [6.17, 247]" in shown
    assert "1.23 [0.62, 24.7]" in shown
    assert "note: memory is short" in shown


def test_what_cannot_be_measured_is_refused_or_noted(launch: Launch, tmp_path: Path) -> None:
    done = launch(0, "-m", "ist_mpi", "bench", "--cases", "3,4", "--exchange", "pigeons")
    assert done.returncode == 2
    assert "--cases: got '3,4'" in done.stderr
    assert "--exchange: got 'pigeons'" in done.stderr
    assert "Traceback" not in done.stderr


def test_speed_as_ratios_of_one_run() -> None:
    """d = 1000, n = 10: far from the targets, so that only a real loss is seen.

    Of short laps the best of all so far: whatever else the machine does only adds to a time.
    """
    comm, case = ranks.MPI.COMM_SELF, Case(1000, 10)
    entered = rounds.candidates(case, laid_out(comm, case), ["alone"])
    best = {one.name: np.inf for one in entered}
    for _ in range(SPEEDS):
        (times,) = timing.measure(comm, [comm], [entered], timing.Effort(15, 0.002))
        best = {name: min(best[name], times[name].min()) for name in best}
        found = {
            "kernels / round": best["kernel alone"] / best["round alone"],
            "numpy loop / round": best["textbook"] / best["round alone"],
        }
        if all(value >= least for value, least in zip(found.values(), (0.5, 4), strict=True)):
            return
    pytest.fail(f"slower than 0.5 and 4: {found}")
