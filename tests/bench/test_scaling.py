"""The cost model finds what benchmarks were made of, and the figures show what is in them."""

import csv
import importlib
import itertools
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

Launch = Callable[..., Any]
ROOT = Path(__file__).parents[2]
NETWORK = (1e-6, 20e-6, 0.8e-9)
OPERATIONS = ("barrier", "pingpong", "stream", "bcast", "scatterv", "gatherv", "alltoallv")


@pytest.fixture(scope="module")
def scripts() -> Iterator[dict[str, ModuleType]]:
    sys.path.insert(0, str(ROOT / "analysis"))
    names = ("bench.cost", "bench.links", "bench.floors", "scaling", "benchmarks")
    yield {name.removeprefix("bench."): importlib.import_module(name) for name in names}
    sys.path.remove(str(ROOT / "analysis"))


def times(**seconds: float) -> dict[str, dict[str, float]]:
    return {
        name: {"median": value, "low": 0.9 * value, "high": 1.1 * value, "best": 0.8 * value}
        for name, value in seconds.items()
    }


def benchmark(cost: ModuleType, model: Any, p: int = 4, cores: int = 4) -> dict[str, Any]:
    """What `ist-mpi bench` would write where a model is the truth."""
    links = []
    for size, operation in itertools.product((8, 4096, 262_144), OPERATIONS):
        for ranks in (2, 4)[: p // 2]:
            many = 64 if operation == "stream" else 1
            row = {"p": ranks, "operation": operation, "bytes": size, "messages": many}
            links.append({**row, "seconds": times(time=model.network.of(cost.link_terms(row)))})
    rounds = []
    for d, n in ((50, 10), (1000, 10), (4000, 16)):
        case = {"d": d, "n": n, "q": -(-d // n), "rand": False}
        for ranks in (1, 2, 4)[: 1 + p // 2]:
            for exchange in ("alone",) if ranks == 1 else ("server", "replicated", "serverless"):
                whole = model.round(exchange, ranks, n, d)
                raw = {"raw": model.traffic(exchange, ranks, n, d)} if ranks > 1 else {}
                seconds = times(round=whole, kernel=model.compute(n, d, ranks), **raw)
                ratios = times(speedup=model.round("alone", 1, n, d) / whole)
                row = {**case, "p": ranks, "exchange": exchange}
                rounds.append({**row, "seconds": seconds, "ratios": ratios})
    where = {
        "processor": "a processor",
        "hosts": {"host": p},
        "cores": {"host": cores},
        "ranks": p,
        "oversubscribed": p > cores,
    }
    return {
        "format": "ist_mpi.bench",
        "schema_version": 2,
        "environment": where,
        "links": links,
        "rounds": rounds,
    }


@pytest.fixture(scope="module")
def truth(scripts: dict[str, ModuleType]) -> Any:
    cost = scripts["cost"]
    network = cost.Network(*NETWORK)
    return cost.Model(network, (2e-7, 1e-9), (1e-6, 3e-9), (1e-5, 5e-9), (2e-5, 8e-9))


@pytest.mark.parametrize("p", [2, 4])
def test_the_fit_finds_the_model(scripts: dict[str, ModuleType], truth: Any, p: int) -> None:
    cost = scripts["cost"]
    document = benchmark(cost, truth, p)
    found = cost.fit(document)
    for name in truth._fields:
        assert getattr(found, name) == pytest.approx(getattr(truth, name), rel=1e-6), name
    for row in document["rounds"]:
        whole = row["seconds"]["round"]["median"]
        assert cost.modelled(found, row) == pytest.approx(whole, rel=1e-6)


def test_what_shares_cores_is_not_fitted(scripts: dict[str, ModuleType], truth: Any) -> None:
    cost = scripts["cost"]
    document = benchmark(cost, truth, 4, cores=2)
    for row in document["links"] + document["rounds"]:
        if row["p"] > 2:
            for time in row["seconds"].values():
                time["median"] *= 1000
    found = cost.fit(document)
    assert tuple(found.network) == pytest.approx(NETWORK, rel=1e-6)
    assert found.held == pytest.approx(truth.held, rel=1e-6)


def test_collectives_count_their_messages(scripts: dict[str, ModuleType]) -> None:
    cost = scripts["cost"]
    assert cost.linear(1, 8.0) == (0.0, 0.0, 0.0)
    assert cost.linear(5, 8.0) == (5.0, 1.0, 32.0)
    assert cost.tree(5, 8.0) == (6.0, 3.0, 32.0)
    assert cost.bcast(8, 100.0) == (6.0, 3.0, 300.0)
    assert cost.bcast(8, 1e6) == (12.0, 6.0, 2e6)
    assert cost.barrier(4) == (4.0, 2.0, 0.0)
    assert cost.alltoallv(3, 10.0) == (6.0, 1.0, 30.0)


@pytest.mark.parametrize(("q", "p"), [(3, 20), (50, 8)])
def test_few_numbers_are_few_messages(scripts: dict[str, ModuleType], q: int, p: int) -> None:
    owners = np.random.default_rng(1).integers(0, p, (20_000, q))
    others = [len(set(row[row != 0].tolist())) for row in owners]  # rank 0's own stay with it
    numbers = (owners != 0).sum(axis=1)
    messages, each = scripts["cost"].spread(q, p)
    assert messages == pytest.approx(np.mean(others), rel=0.01)
    assert messages * each == pytest.approx(numbers.mean(), rel=0.01)


def test_the_server_is_overtaken(scripts: dict[str, ModuleType], truth: Any) -> None:
    """With many ranks and few numbers each, the server's messages are what a round takes."""
    d = 100_000
    server, tree, serverless, free = (
        [truth.round(name, p, p, d) for p in (100, 10_000)]
        for name in ("server", "server, tree", "serverless", "serverless, own draws")
    )
    assert server[1] > server[0]
    assert server[1] > 2 * 10_000 * truth.network.o
    assert tree[1] < server[1]
    assert serverless[1] < server[1]
    assert free[1] < serverless[1]
    alone = truth.compute(10, d, 1) + truth.overhead("server", 1, d)
    assert truth.round("server", 1, 10, d) == alone


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--predict"]])
def test_figures_and_tables(
    scripts: dict[str, ModuleType],
    truth: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
) -> None:
    files = []
    for p in (2, 4):
        files.append(tmp_path / f"bench-{p}.json")
        files[-1].write_text(json.dumps(benchmark(scripts["cost"], truth, p)))
    output = tmp_path / "figure.pdf"
    assert scripts["scaling"].main([*map(str, files), "-o", str(output), *options]) == 0
    assert "a processor, 1 host, 4 cores, 4 ranks" in capsys.readouterr().out
    for suffix in (".pdf", ".png", ".csv", ".txt"):
        assert output.with_suffix(suffix).stat().st_size > 0
    assert b"/Subtype /Type3" not in output.read_bytes()
    rows = list(csv.DictReader(output.with_suffix(".csv").open()))
    if options:
        kernel = [row for row in rows if row["series"] == "kernel" and row["panel"] == "fixed d"]
        assert float(kernel[-1]["x"]) == 100_000
        ends = [row for row in rows if row["series"] == "server" and row["panel"] == "fixed d"]
        assert float(ends[-1]["y"]) == pytest.approx(truth.round("server", 10**5, 10**5, 10**5))
    else:
        found = {
            float(row["x"]): float(row["y"]) for row in rows if row["series"] == "1000, 10: server"
        }
        expected = {
            p: truth.round("server", 1, 10, 1000) / truth.round("server", p, 10, 1000)
            for p in (2, 4)
        }
        assert found == pytest.approx({1: 1.0, **expected})


@pytest.mark.slow
def test_shares_of_a_round_add_up(
    scripts: dict[str, ModuleType], truth: Any, tmp_path: Path
) -> None:
    """Where parts took longer by themselves than the round did, none is negative."""
    document = benchmark(scripts["cost"], truth, 2)
    document["rounds"][1]["seconds"]["raw"]["median"] *= 1000
    path, output = tmp_path / "bench.json", tmp_path / "figure.svg"
    path.write_text(json.dumps(document))
    assert scripts["scaling"].main([str(path), "-o", str(output)]) == 0
    shares: dict[str, list[float]] = {}
    for row in csv.DictReader(output.with_suffix(".csv").open()):
        if row["series"] in ("kernel", "raw", "rest"):
            shares.setdefault(row["series"], []).append(float(row["y"]))
    assert all(0.0 <= share <= 1.0 for one in shares.values() for share in one)
    assert np.sum(list(shares.values()), axis=0) == pytest.approx(1.0)


def test_messages_are_added_to_a_benchmark(
    scripts: dict[str, ModuleType], launch: Launch, truth: Any, tmp_path: Path
) -> None:
    document = benchmark(scripts["cost"], truth, 2)
    document.pop("links")
    path = tmp_path / "bench.json"
    path.write_text(json.dumps(document))
    script = str(ROOT / "analysis" / "bench" / "links.py")
    done = launch(2, script, str(path), "--quick")
    assert done.returncode == 0, done.stderr
    found = json.loads(path.read_text())
    assert found | {"links": None} == document | {"links": None}
    links = scripts["links"]
    tried = {(row["operation"], row["bytes"]) for row in found["links"]}
    assert len(tried) == len(found["links"]) == 7 * len(links.SIZES) + 1
    assert {name for name, _ in tried} == set(links.OPERATIONS)
    assert all(row["seconds"]["time"]["best"] > 0 for row in found["links"])
    scripts["cost"].fit(found)
    done = launch(0, script, str(path))
    assert done.returncode == 2
    assert "one of 2 rank(s), on 1" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("d", "q"), [(40, 7), (24, 24), (37, 9), (9, 1)])
def test_lines_of_half_a_block(scripts: dict[str, ModuleType], d: int, q: int) -> None:
    block = np.sort(np.random.default_rng(d).permutation(d)[:q])
    expected = {
        (row, (int(row) * d + int(column)) // 8) for row in block for column in block[block <= row]
    }
    assert scripts["floors"].lines_of_half(block, d) == len(expected)


@pytest.mark.slow
def test_floors_are_a_table(
    scripts: dict[str, ModuleType], capsys: pytest.CaptureFixture[str]
) -> None:
    assert scripts["floors"].main(["40,5"]) == 0
    heading, row = capsys.readouterr().out.splitlines()
    assert heading.split()[-1] == "kernel/sequential"
    assert row.split()[:2] == ["40,", "5"]
    assert scripts["floors"].main(["5,40"]) == 2


def test_wrong_input_is_one_line(
    scripts: dict[str, ModuleType],
    truth: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    alone = benchmark(scripts["cost"], truth, 2)
    alone["links"] = []
    one = benchmark(scripts["cost"], truth, 2)
    one["rounds"] = [row for row in one["rounds"] if row["d"] == 1000]
    many = {**alone, "rounds": [row for row in alone["rounds"] if row["p"] > 1]}
    for row in many["rounds"]:
        row["ratios"].clear()
    cases: dict[str, tuple[str, list[str]]] = {
        "one size only": (json.dumps(one), ["--predict"]),
        "not a JSON file": ("{", []),
        "not written by ist-mpi bench": ("[]", []),
        "schema version 1": (json.dumps({**alone, "schema_version": 1}), []),
        "no speedup to draw": (json.dumps(many), []),
        "needs a benchmark of 2 ranks": (json.dumps(alone), ["--predict"]),
        "--coordinates": (json.dumps(alone), ["--predict", "--coordinates", "1"]),
    }
    for words, (text, options) in cases.items():
        path = tmp_path / "bench.json"
        path.write_text(text)
        figure = str(tmp_path / "figure.pdf")
        assert scripts["scaling"].main([str(path), "-o", figure, *options]) == 2
        error = capsys.readouterr().err
        assert words in error
        assert error.count("\n") == 1
