"""A worker keeps the problem of its last run: the logs are those of runs made alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import call

import ist_mpi
from ist_mpi import problems
from ist_mpi.config import Config, load
from ist_mpi.parallel.mpi import Solo
from ist_mpi.training import api, kept
from ist_mpi.training.job import open_job
from ist_mpi.training.kept import Kept

BASE: dict[str, Any] = {
    "problem": {"kind": "synthetic", "n": 3, "d": 12},
    "method": {"name": "ist", "step_size": 1e-3},
    "run": {"rounds": 30},
}
DATA = "".join(f"{i % 3} 1:{i} 2:{i * i % 7} 3:{5 - i}\n" for i in range(1, 13))


def run(config: Any, store: Kept | None) -> Any:
    opener = problems.load if store is None else store.load
    job, problem = open_job(Solo(), config, opener=opener)
    return next(iter(api.results(Solo(), job, problem, kept=store)))


def config(**tables: Any) -> Config:
    return load({name: {**BASE.get(name, {}), **tables.get(name, {})} for name in {*BASE, *tables}})


def test_runs_have_the_bits_of_runs_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    monkeypatch.setattr(problems, "load", spy(made, problems.load))
    configs = [
        config(),
        config(method={"step_size": 2e-3}),
        config(problem={"seed": 1}),
        config(method={"name": "shared_block"}, problem={"seed": 1}),
        config(method={"scaling": "preconditioned", "step_size": 0.1}),
        config(problem={"heterogeneous": False}),
        config(problem={"heterogeneous": False}, method={"step_size": 2e-3}),
    ]
    store = Kept()
    together = [run(one, store) for one in configs]
    assert len(made) == 4
    for result, one in zip(together, configs, strict=True):
        alone = run(one, None)
        assert result.x.tobytes() == alone.x.tobytes()
        assert result.attributes["problem_digest"] == alone.attributes["problem_digest"]
        for name in set(alone.rounds) - {"seconds"}:
            np.testing.assert_array_equal(result.rounds[name], alone.rounds[name])


def spy(made: list[Any], load: Any) -> Any:
    def loaded(problem: Any) -> Any:
        made.append(problem)
        return load(problem)

    return loaded


def test_data_that_changed_are_read_again(tmp_path: Path) -> None:
    data = tmp_path / "data.svm"
    data.write_text(DATA)
    ridge = config(problem={"kind": "ridge", "path": str(data), "d": None})
    store = Kept()
    first = run(ridge, store)
    assert run(ridge, store).x.tobytes() == first.x.tobytes()
    data.write_text(DATA.replace("2 1:2", "2 1:9"))
    again = run(ridge, store)
    assert again.x.tobytes() != first.x.tobytes()
    assert again.x.tobytes() == run(ridge, None).x.tobytes()


def test_what_is_large_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "LARGEST", 8 * 12 * 12 * 3 - 1)
    store = Kept()
    run(config(), store)
    assert store._laid is None
    run(config(problem={"heterogeneous": False}), store)
    assert store._laid is not None


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, 2])
def test_a_sweep_over_problems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ranks: int) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "base.toml").write_text(config(problem={"heterogeneous": False}).to_toml())
    grid = ["--grid", "method.step_size=1e-3,2e-3", "--grid", "problem.seed=0:2"]
    done = call("sweep", "run", "base.toml", *grid, "--ranks", str(ranks), "--folder", "runs")
    assert done.returncode == 0, done.stderr
    logs = sorted(Path("runs").glob("*.h5"))
    assert len(logs) == 4
    for log in logs:
        found = ist_mpi.open_run(log)
        tables = {name: dict(table) for name, table in found.config.items()}
        alone = run(load(tables), None)
        assert found.x.tobytes() == alone.x.tobytes()

    (of_grid,) = Path("runs").glob("sweep-*.toml")
    for words in ("sweep status", "sweep table", "sweep run", "plot -o figure.png"):
        done = call(*words.split(), str(of_grid))
        assert done.returncode == 0, done.stderr
        assert "missing" not in done.stdout
    assert len(ist_mpi.open_sweep(of_grid).runs) == 4
    assert not Path("results").exists()
