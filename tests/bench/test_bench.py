"""The benchmark: it counts the lines it says, times what it says, and refuses what it cannot do.

At the end a check on speed itself: ratios of figures from one run, never times.
"""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ist_mpi.bench import cases, material, rounds, textbook, timing
from ist_mpi.bench.blocks import Source
from ist_mpi.bench.cases import Case, fitting, most_workers, parse, weak
from ist_mpi.errors import InputError
from ist_mpi.kernels import laps
from ist_mpi.parallel import ranks, teams
from ist_mpi.parallel.teams import Team

Launch = Callable[..., Any]
SPEEDS = 20
"""Tries of the check on speed, most of which a quiet machine does not need."""


def test_cases_are_read_and_every_wrong_one_is_named() -> None:
    assert parse(["10,2 20,4,3", "10,2"]) == [Case(10, 2), Case(20, 4, 3)]
    with pytest.raises(InputError) as caught:
        parse(["10,20", "x,1", "10", "9,3,10", "10,2"])
    assert [fault.got for fault in caught.value.faults] == ["'10,20'", "'x,1'", "'10'", "'9,3,10'"]
    with pytest.raises(InputError, match="got nothing"):
        parse([" "])


def test_weak_scaling_keeps_the_work_of_a_rank() -> None:
    for p in (1, 2, 5):
        case = weak(p, Case(100, 4, 20))
        assert (case.d, case.n // p, case.block) == (100, 4, 20)


def test_a_rank_has_room_for_its_workers_in_every_team() -> None:
    assert teams.team_sizes(6) == [1, 2, 4, 6]
    case = Case(50, 7)  # spans of 7 workers: 7 | 4, 3 | 2, 2, 2, 1 | 2, 1, 1, 1, 1, 1
    assert [most_workers(case, [1, 2, 4, 6], rank) for rank in range(6)] == [7, 3, 2, 1, 1, 1]
    assert most_workers(case, [2], 2) == 0


class Ranks:
    """Ranks on hosts, as far as `fitting` asks."""

    def __init__(self, hosts: list[str]) -> None:
        self._hosts, self.rank, self.size = hosts, 0, len(hosts)

    def allgather(self, value: Any) -> list[Any]:
        return self._hosts if isinstance(value, str) else [value] * self.size


def test_where_memory_is_short_small_teams_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    free = SimpleNamespace(available=10_000)
    monkeypatch.setattr(cases.psutil, "virtual_memory", lambda: free)
    together, apart = Ranks(["one", "one"]), Ranks(["one", "two"])
    assert fitting(together, {1: 4000, 2: 1000}) == ([1, 2], "")
    sizes, note = fitting(together, {1: 6000, 2: 1000})
    assert (sizes, note.partition(",")[0]) == ([2], "p = 1 left out")
    assert fitting(apart, {1: 6000, 2: 1000}) == ([1, 2], "")
    sizes, note = fitting(together, {1: 60_000, 2: 6000})
    assert sizes == []
    assert "p = 1, p = 2 left out" in note


@pytest.mark.parametrize(("d", "q"), [(40, 7), (24, 24), (37, 9), (9, 1)])
@pytest.mark.parametrize("first", [0, 3])
def test_lines_of_half_a_block(d: int, q: int, first: int) -> None:
    block = np.sort(np.random.default_rng(d).permutation(d)[:q]).astype(np.int32)
    expected = {
        (row, (first + int(row) * d + int(column)) // 8)
        for row in block
        for column in block[block <= row]
    }
    lines = np.empty(q * (q + 1) // 2, dtype=np.uint32)
    found = laps.half_lines(block, d, 8, first, lines)
    listed = [(int(at) // d, (first + int(at)) // 8) for at in lines[:found]]
    assert len(listed) == len(set(listed))
    assert set(listed) == expected


def test_floors_read_what_they_are_told() -> None:
    flat = np.random.default_rng(1).standard_normal(1000)
    starts = np.array([0, 500, 123])
    expected = sum(flat[start : start + 77].sum() for start in starts)
    assert laps.read_spans(flat, starts, 77) == pytest.approx(expected)
    lines = np.array([3, 9, 1, 0], dtype=np.uint32)
    touched = laps.touch_lines(flat, 500, np.array([0, 500]), np.array([0, 3, 4]), lines, 2)
    assert touched == pytest.approx(2 * (flat[3] + flat[9] + flat[1] + flat[500]))


def test_matrices_are_symmetric_positive_and_apart() -> None:
    made = material.make(Case(300, 3), [1], 0)
    assert made.L.shape == (3, 300, 300)
    for matrix in made.L:
        assert np.array_equal(matrix, matrix.T)
        values = np.linalg.eigvalsh(matrix)
        assert 0.5 < values[0] < 2.0 < values[-1] < 4.5
    assert not np.array_equal(made.L[0], made.L[1])


def test_rounds_drawn_ahead_are_the_sketchs_and_never_the_same() -> None:
    case = Case(23, 4)
    tools = material.lay_out(ranks.MPI.COMM_SELF, case, material.make(case, [1], 0), "alone")
    source = Source(tools)
    drawn = [source.rounds(3), source.rounds(3)]
    pis = np.concatenate([one.pi for one in drawn])
    assert len({tuple(pi) for pi in pis}) == 6
    for one in drawn:
        for r in range(3):
            blocks = [one.block(r, i) for i in range(4)]
            assert sorted(np.concatenate(blocks)) == list(range(23))
            assert all(np.all(np.diff(block) > 0) for block in blocks)
    assert np.array_equal(*(source.same(2).block(r, 0) for r in range(2))) is False
    same = source.same(2)
    assert np.array_equal(same.block(0, 0), same.block(1, 0))


def test_the_textbook_is_algorithm_1() -> None:
    d, n, gamma = 7, 3, 0.05
    random = np.random.default_rng(2)
    B = random.standard_normal((n, d, d))
    L, b, x = B @ B.transpose(0, 2, 1), random.standard_normal((n, d)), random.standard_normal(d)
    problem = textbook.Problem(L, b)
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
    prepared: list[int] = []

    def candidate(name: str, seconds: float) -> timing.Candidate:
        def run(count: int) -> float:
            calls.append(name)
            assert prepared[-1] == count
            return seconds * count * (100.0 if calls.count(name) <= 3 else 1.0)

        return timing.Candidate(name, run, prepared.append, units=4, most=5)

    entered = [candidate("a", 4.0), candidate("b", 8.0), candidate("c", 12.0)]
    (times,) = timing.measure(comm, [Team(1, comm)], [entered], timing.Effort(4, 1e-3))
    assert {name: found.tolist() for name, found in times.items()} == {
        "a": [[1.0] * 4],
        "b": [[2.0] * 4],
        "c": [[3.0] * 4],
    }
    orders = ["".join(calls[at : at + 3]) for at in range(9, len(calls), 3)]
    assert [sorted(order) for order in orders] == [["a", "b", "c"]] * 4
    assert len(set(orders)) > 2


def test_figures_are_quantiles() -> None:
    found = timing.figure(np.array([4.0, 1.0, 2.0, 3.0, 5.0]))
    assert found == timing.Figure(median=3.0, low=2.0, high=4.0, best=1.0)


def check(document: dict[str, Any], p: int, sizes: list[int]) -> None:
    """The document of `bench --cases "40,5 30,6,4" --quick` on p ranks."""
    assert (document["format"], document["schema_version"]) == ("ist_mpi.bench", 1)
    assert document["environment"]["ranks"] == p
    assert [(row["d"], row["n"], row["q"], row["state"]) for row in document["kernels"]] == [
        (d, n, q, state) for d, n, q in ((40, 5, 8), (30, 6, 4)) for state in ("cached", "cold")
    ]
    several = [size for size in sizes if size > 1]
    for case, kinds in (
        ((40, 5), ("server", "replicated", "serverless")),
        ((30, 6), ("server", "replicated")),
    ):
        found = [row for row in document["rounds"] if (row["d"], row["n"]) == case]
        expected = [(1, "alone"), *((size, kind) for size in several for kind in kinds)]
        assert [(row["p"], row["exchange"]) for row in found] == expected
    for row in document["rounds"]:
        part = {name: times["median"] for name, times in row["seconds"].items()}
        assert min(part[name] for name in ("round", "permutation", "kernel")) > 0
        together = row["p"] > 1
        assert ("raw" in part, "textbook" in part) == (together, not together)
        assert (part["exchange"] > 0) <= together
    for rows in (document["kernels"], document["rounds"], document["scaling"], document["whole"]):
        for row in rows:
            for found in (row["seconds"] | row["ratios"]).values():
                assert found["best"] <= found["low"] <= found["median"] <= found["high"]
    assert {row["p"] for row in document["links"]} == set(several)
    assert [row["p"] for row in document["whole"]] == sizes
    weak_rows = [row for row in document["scaling"] if row["kind"] == "weak"]
    assert {row["p"] for row in weak_rows} == (set(sizes) if p > 1 else set())
    for row in document["scaling"]:
        if row["p"] == 1:
            assert row["ratios"]["efficiency"]["median"] == 1.0


@pytest.mark.parametrize(("p", "sizes"), [(0, [1]), (2, [1, 2])])
def test_the_command_on_any_number_of_ranks(
    launch: Launch, tmp_path: Path, p: int, sizes: list[int]
) -> None:
    table = tmp_path / "bench.json"
    command = ["-m", "ist_mpi", "bench", "--quick", "--cases", "40,5 30,6,4", "--json", str(table)]
    done = launch(p, *command, timeout=600)
    assert done.returncode == 0, done.stderr
    check(json.loads(table.read_text()), max(p, 1), sizes)
    for heading in ("Block products", "Rounds", "Scaling", "Whole runs", "MPI library"):
        assert heading in done.stdout
    again = launch(p, *command)
    assert again.returncode == 2
    assert "a file that exists" in again.stderr


def test_what_cannot_be_measured_is_refused_or_noted(launch: Launch, tmp_path: Path) -> None:
    done = launch(0, "-m", "ist_mpi", "bench", "--cases", "3,4", "--exchange", "pigeons")
    assert done.returncode == 2
    assert "--cases: got '3,4'" in done.stderr
    assert "--exchange: got 'pigeons'" in done.stderr
    assert "Traceback" not in done.stderr


def test_speed_as_ratios_of_one_run() -> None:
    """d = 1000, n = 10, cold: far from the targets, so that only a real loss is seen.

    Of short laps the best of all so far: whatever else the machine does only adds to a time.
    """
    comm, case = ranks.MPI.COMM_SELF, Case(1000, 10)
    made = material.make(case, [1], 0)
    wanted = ("kernel", "numpy", "round alone", "textbook")
    entered = [one for one in rounds.candidates(comm, case, made, ["alone"]) if one.name in wanted]
    best = dict.fromkeys(wanted, np.inf)
    for _ in range(SPEEDS):
        (times,) = timing.measure(comm, [Team(1, comm)], [entered], timing.Effort(15, 0.002))
        best = {name: min(best[name], times[name].min()) for name in wanted}
        found = {
            "numpy block / kernel": best["numpy"] / best["kernel"],
            "kernels / round": case.n * best["kernel"] / best["round alone"],
            "numpy loop / round": best["textbook"] / best["round alone"],
        }
        if all(value >= least for value, least in zip(found.values(), (3, 0.5, 4), strict=True)):
            return
    pytest.fail(f"slower than 3, 0.5 and 4: {found}")
