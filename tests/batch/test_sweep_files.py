"""Sweep files: what their axes mean, which points come out, and what is wrong with a wrong one."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ist_mpi
from ist_mpi import InputError
from ist_mpi.batch import grid
from ist_mpi.batch.axes import values_of
from ist_mpi.batch.sweep_file import ranges, read_sweep
from ist_mpi.config import load

BASE = """
[problem]
kind = "synthetic"
d = 24
n = 5
[method]
name = "ist"
step_size = 1e-3
[run]
rounds = 60
"""


@pytest.fixture
def sweep(tmp_path: Path) -> Any:
    """Write a sweep file beside its base: ``sweep(text)``, its path."""
    (tmp_path / "base.toml").write_text(BASE)

    def write(text: str, base: str = "base.toml") -> Path:
        path = tmp_path / "sweep.toml"
        path.write_text(f'base = "{base}"\n{text}')
        return path

    return write


@pytest.mark.parametrize(
    ("spec", "values"),
    [
        ([1, 2.5, "a", True], [1, 2.5, "a", True]),
        ("3:6", [3, 4, 5]),
        ({"from": 10, "to": 50, "step": 20}, [10, 30, 50]),
        ({"from": 10, "to": 49, "step": 20}, [10, 30]),
        ({"from": 0, "to": 0.5, "step": 0.1}, [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]),
        ({"from": 0, "to": 10, "count": 3}, [0, 5, 10]),
        ({"from": 0, "to": 1, "count": 5}, [0.0, 0.25, 0.5, 0.75, 1.0]),
        ({"from": 3, "to": 1, "count": 3}, [3, 2, 1]),
        ({"from": 8, "to": 1024, "count": 8, "log": True}, [2**k for k in range(3, 11)]),
        ({"from": 1e-6, "to": 1e-4, "count": 3, "log": True}, [1e-6, 1e-5, 1e-4]),
        ({"from": 1, "to": 10, "count": 3, "log": True}, [1.0, 3.16227766017, 10.0]),
        ({"from": 1e-300, "to": 1e300, "count": 3, "log": True}, [1e-300, 1.0, 1e300]),
    ],
)
def test_values(spec: Any, values: list[Any]) -> None:
    found = values_of(spec, "grid.a.b", "f")
    assert found == values
    assert [type(value) for value in found] == [type(value) for value in values]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (7, "grid.a.b in f: got 7; expected a list"),
        ([], "an empty list"),
        ([1, [2]], "got [2]; expected numbers"),
        ("6:3", "A < B"),
        ("a:b", "expected a list"),
        (f"0:{2**63 + 1}", "A < B"),
        ({"from": 1, "to": 2}, "neither step nor count"),
        ({"from": 1, "to": 2, "step": 1, "count": 2}, "both step and count"),
        ({"to": 2, "step": 1}, "grid.a.b.from in f: got nothing"),
        ({"from": 1, "to": math.inf, "step": 1}, "grid.a.b.to in f: got inf"),
        ({"from": 1, "to": math.nan, "count": 2}, "got nan"),
        ({"from": 10**400, "to": 1, "count": 2}, "a finite number"),
        ({"from": True, "to": 1, "count": 2}, "got True"),
        (
            {"from": 1, "to": 2, "step": 0},
            "grid.a.b.step in f: got 0; expected a finite number > 0",
        ),
        ({"from": 2, "to": 1, "step": 1}, "from ≤ to"),
        ({"from": 1, "to": 2, "count": 1}, "an integer of at least 2"),
        ({"from": 1, "to": 2, "count": 2.0}, "an integer of at least 2"),
        ({"from": 0, "to": 2, "count": 2, "log": True}, "> 0, with log = true"),
        ({"from": 1, "to": 2, "step": 1, "log": True}, "count in its place"),
        ({"from": 1, "to": 2, "count": 2, "log": 1}, "true or false"),
        ({"from": 1, "to": 2, "count": 2, "base": 2}, "one of from, to, step, count, log"),
        ({"from": 0, "to": 1, "step": 1e-300}, "at most 10000 points"),
        ({"from": 0, "to": 1, "count": 10**9}, "at most 10000 points"),
        ("0:1000000000000", "at most 10000 points"),
    ],
)
def test_wrong_values(spec: Any, words: str) -> None:
    with pytest.raises(InputError) as caught:
        values_of(spec, "grid.a.b", "f")
    assert words in str(caught.value)


def test_points_in_order(sweep: Any) -> None:
    """The first axis turns slowest, zips come last, and [set] is in all of them."""
    found = read_sweep(
        sweep("""
        set.log.every = 10
        [grid]
        method.step_size = [1e-3, 2e-3]
        "run.seed" = "0:2"
        [[zip]]
        problem.d = [20, 30]
        problem.n = { from = 2, to = 4, step = 2 }
        """)
    )
    assert found.fixed == {"log.every": 10}
    assert len(found.points) == 8
    assert found.points[5] == {
        "method.step_size": 2e-3,
        "run.seed": 0,
        "problem.d": 30,
        "problem.n": 4,
    }
    by_hand = load(
        found.base,
        [
            "log.every=10",
            "method.step_size=0.002",
            "run.seed=0",
            "problem.d=30",
            "problem.n=4",
        ],
    )
    assert found.config(5) == by_hand == found.configs()[5]


def test_values_of_every_kind_reach_the_configuration(sweep: Any) -> None:
    found = read_sweep(
        sweep("""
        [grid]
        method.step_size = ["theory", 1]
        problem.linear_term = [true, false]
        run.exchange = ["serverless", "auto"]
        """)
    )
    configs = found.configs()
    assert [c.method.step_size for c in configs] == ["theory"] * 4 + [1.0] * 4
    assert [c.problem.linear_term for c in configs[:4]] == [True, True, False, False]
    assert [c.run.exchange for c in configs[:2]] == ["serverless", "auto"]


def test_paths_are_relative_to_their_file(
    sweep: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = '[problem]\nkind = "ridge"\nn = 2\n'
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "ridge.toml").write_text(
        base + 'path = "a.svm"\n[method]\nname = "ist"\nstep_size = 1\n[run]\nrounds = 1\n'
    )
    path = sweep('[grid]\nproblem.path = ["b = \\"c\\".svm", "~/d.svm"]\n', "sub/ridge.toml")
    monkeypatch.chdir("/")
    configs = read_sweep(path).configs()
    paths = [str(config.problem.path) for config in configs]
    assert paths == [str(tmp_path / 'b = "c".svm'), str(Path("~/d.svm").expanduser())]
    other = read_sweep(sweep('[grid]\nrun.seed = "0:1"', "sub/ridge.toml")).config(0)
    assert other.problem.path == str(tmp_path / "sub" / "a.svm")


def test_every_fault_of_a_file_at_once(sweep: Any, tmp_path: Path) -> None:
    path = sweep(
        """
        bases = 1
        [set]
        run.rounds = [1, 2]
        method.q = 2
        run.seed = 1
        [grid]
        run.seed = "0:3"
        method = 3
        "a.b.c" = [1]
        "1.x" = [1]
        problem.n = []
        [[zip]]
        problem.d = [1, 2]
        log.every = [1, 2, 3]
        [[zip]]
        """,
        "none.toml",
    )
    with pytest.raises(InputError) as caught:
        read_sweep(path)
    faults = {fault.where.removesuffix(f" in {path}"): fault for fault in caught.value.faults}
    assert set(faults) == {
        "bases",
        f"base in {path}: {tmp_path / 'none.toml'}",
        "set.run.rounds",
        "grid.method",
        "grid.a.b.c",
        "grid.1.x",
        "grid.problem.n",
        "zip[0]",
        "zip[1]",
        "run.seed",
    }
    assert "did you mean base?" in str(faults["bases"])
    assert "problem.d with 2, log.every with 3" in str(faults["zip[0]"])
    assert faults["run.seed"].got == "values in two places"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "grid in"),
        ("grid = 3", "a table [grid]"),
        ("zip = 3", "tables [[zip]]"),
        ("[zip]\nrun.seed = [1]", "tables [[zip]]"),
        ("set = 3\n[grid]\nrun.seed = [1]", "a table [set]"),
        ("[grid]\nrun.seed = '0:200'\nmethod.step_size = {from=1,to=2,count=100}", "200 x 100"),
        ("[grid", "not TOML"),
    ],
)
def test_files_that_are_none(sweep: Any, text: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        read_sweep(sweep(text))
    assert words in str(caught.value)


def test_a_base_must_be_named(tmp_path: Path) -> None:
    for text in ("", "base = 3\n", 'base = ""\n'):
        (tmp_path / "sweep.toml").write_text(text + "[grid]\nrun.seed = [1]\n")
        with pytest.raises(InputError, match=r"base in .*the path of a configuration"):
            read_sweep(tmp_path / "sweep.toml")


def test_the_cap_can_be_raised(sweep: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = sweep("[grid]\nrun.seed = '0:120'\nmethod.step_size = {from=1,to=2,count=100}")
    with pytest.raises(InputError, match=r"12000 points .*IST_MPI_MAX_SWEEP_POINTS"):
        read_sweep(path)
    monkeypatch.setenv("IST_MPI_MAX_SWEEP_POINTS", "12K")
    assert len(read_sweep(path).points) == 12000


def test_wrong_points_are_named_with_their_settings(sweep: Any) -> None:
    """Each fault once, with all points that have it, located in the sweep or in the base."""
    path = sweep(
        """
        set.run.tolerances = 1
        [grid]
        method.step_size = [1e-3, -1]
        run.seed = ["a", 0]
        """
    )
    with pytest.raises(InputError) as caught:
        read_sweep(path).configs()
    faults = {fault.where: fault for fault in caught.value.faults}
    first = "the first with method.step_size = 0.001, run.seed = "
    assert set(faults) == {
        f'points 0-3 ({first}"a"): run.tolerances in {path}',
        f'points 0,2 ({first}"a"): run.seed in {path}',
        f'points 2-3 (the first with method.step_size = -1, run.seed = "a"): '
        f"method.step_size in {path}",
    }
    assert "did you mean tolerance?" in str(caught.value)
    with pytest.raises(InputError, match=r"point 0 \(problem.n = 0\): problem.n in"):
        read_sweep(sweep("grid.problem.n = [0, 1]")).configs()


def test_the_digest_is_of_what_is_meant(sweep: Any, tmp_path: Path) -> None:
    one = read_sweep(sweep("[grid]\nrun.seed = [0, 1]")).digest
    assert read_sweep(sweep("# a comment\n[grid]\nrun.seed = '0:2'")).digest == one
    assert read_sweep(sweep("[grid]\nrun.seed = [1, 0]")).digest != one
    assert read_sweep(sweep("set.log.every = 2\n[grid]\nrun.seed = [0, 1]")).digest != one
    (tmp_path / "base.toml").write_text(BASE.replace("60", "61"))
    assert read_sweep(sweep("[grid]\nrun.seed = [0, 1]")).digest != one


def test_ranges() -> None:
    assert ranges([9, 3, 5, 7, 8]) == "3,5,7-9"
    assert ranges([0, 1]) == "0-1"
    assert ranges([4]) == "4"
    assert ranges([]) == ""


def test_the_example() -> None:
    found = read_sweep(Path(__file__).parents[2] / "jobs" / "sweep.toml")
    assert len({config.run_id() for config in found.configs()}) == len(found.points) == 12


@pytest.mark.parametrize(
    ("text", "axis"),
    [
        ("run.seed=0:5", "0:5"),
        ("method.step_size=log:1e-6:1e-4:3", {"from": 1e-6, "to": 1e-4, "count": 3, "log": True}),
        ("problem.l2=linear:0:1.0:5", {"from": 0, "to": 1.0, "count": 5}),
        ("problem.n=linear:2:8:3", {"from": 2, "to": 8, "count": 3}),
        ("problem.n=1,2, 3", [1, 2, 3]),
        ("method.sketch=permutation,rand", ["permutation", "rand"]),
        ("log.iterates=true,false", [True, False]),
        ("method.step_size = theory", ["theory"]),
    ],
)
def test_axes_of_the_command_line(text: str, axis: Any) -> None:
    assert grid.parsed([text]) == {text.partition("=")[0].strip(): axis}


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("run.rounds=linear:100:300:3", [100, 200, 300]),
        ("problem.n=log:2:8:3", [2, 4, 8]),
        ("method.step_size=linear:1:2:3", [1.0, 1.5, 2.0]),
        ("method.step_size=linear:1e-3:3e-3:2", [1e-3, 3e-3]),
    ],
)
def test_a_range_of_the_command_line_is_that_of_a_file(
    text: str, values: list[float], tmp_path: Path
) -> None:
    (tmp_path / "base.toml").write_text(BASE)
    found = grid.planned(load(tmp_path / "base.toml"), grid.parsed([text]), tmp_path, [text])
    key = text.partition("=")[0]
    assert [point[key] for point in found.sweep.points] == values
    assert {type(point[key]) for point in found.sweep.points} == {type(values[0])}


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("run.seed=2:0", "--grid run.seed=2:0"),
        ("run.rounds=linear:100:300:1", "--grid run.rounds=linear:100:300:1"),
        ("problem.d=0:99999", "--grid problem.d=0:99999"),
        ("problem.n=1,-2", "point 1 (problem.n = -2): --grid problem.n=1,-2"),
        ("run.roundz=1", "point 0 (run.roundz = 1): --grid run.roundz=1"),
        ("method.sketch=rand", 'point 0 (method.sketch = "rand"): method.q in the base'),
    ],
)
def test_a_refusal_names_what_was_given(text: str, where: str, tmp_path: Path) -> None:
    """Not the files, which are gone."""
    (tmp_path / "base.toml").write_text(BASE)
    config, axes = load(tmp_path / "base.toml"), grid.parsed([text])
    with pytest.raises(InputError) as refused:
        grid.planned(config, axes, tmp_path / "runs", [text])
    assert [fault.where for fault in refused.value.faults] == [where]
    assert not list((tmp_path / "runs").iterdir())
    with pytest.raises(InputError) as refused:
        ist_mpi.sweep(config, axes, folder=tmp_path / "runs")
    key = text.partition("=")[0]
    in_python = where.replace(f"--grid {text}", f"grid {key}")
    assert [fault.where for fault in refused.value.faults] == [in_python]


@pytest.mark.parametrize(
    "texts",
    [
        ["run.seed"],
        ["run.seed="],
        ["seed=1"],
        ["a.b.c=1"],
        ["method.step_size=log:1:2"],
        ["method.step_size=log:1:2:x"],
        ["run.seed=1", "run.seed=2"],
    ],
)
def test_wrong_axes_of_the_command_line(texts: list[str]) -> None:
    with pytest.raises(InputError, match="--grid"):
        grid.parsed(texts)


def test_a_grid_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text(BASE)
    config = load(tmp_path / "base.toml")
    axes = grid.parsed(["run.seed=0:2", "method.step_size=1e-3,2e-3"])
    path = grid.planned(config, axes, tmp_path).sweep.path
    assert grid.planned(config, axes, tmp_path).sweep.path == path
    found = read_sweep(path)
    assert found.points == [
        {"run.seed": seed, "method.step_size": gamma} for seed in (0, 1) for gamma in (1e-3, 2e-3)
    ]
    assert found.config(3).method.step_size == 2e-3
    counted = grid.planned(config, {"run.seed": np.arange(3)}, tmp_path).sweep
    assert read_sweep(counted.path).points[2] == {"run.seed": 2}


@pytest.mark.parametrize(
    "axes",
    [
        {"run.seed": [-1]},
        {"method.step_size": [1e-3, "x"]},
        {"problem.path": ["none.svm"]},
        {"run.seed": []},
        {},
    ],
)
def test_a_grid_that_is_refused_leaves_no_files(axes: Any, tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text(BASE)
    folder = tmp_path / "runs"
    with pytest.raises(InputError):
        grid.planned(load(tmp_path / "base.toml"), axes, folder)
    assert not list(folder.iterdir())
    good = grid.planned(load(tmp_path / "base.toml"), {"run.seed": [1]}, folder)
    there = sorted(folder.iterdir())
    with pytest.raises(InputError):
        grid.planned(load(tmp_path / "base.toml"), axes, folder)
    assert sorted(folder.iterdir()) == there  # the base of the good one too
    assert read_sweep(good.sweep.path).config(0).run.seed == 1


def test_paths_of_a_grid_are_relative_to_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever its file is put; data and code alike."""
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(
        "from ist_mpi.methods.ist import IndependentSubnetworkTraining\n"
        "class Mine(IndependentSubnetworkTraining): pass\n"
    )
    Path("a.svm").write_text("1 1:1 2:1\n-1 1:2\n")
    Path("b.svm").write_text("1 1:3 2:1\n-1 1:2\n")
    base: dict[str, Any] = {
        "problem": {"kind": "ridge", "path": "a.svm", "n": 2},
        "method": {"name": "ist", "step_size": 1e-3},
        "run": {"rounds": 3},
    }
    axes = grid.parsed(["problem.path=a.svm,b.svm", "method.name=ist,mine.py:Mine"])
    found = grid.planned(load(base), axes, tmp_path / "results" / "runs")
    assert len(found.points) == 4
    last = found.sweep.config(3)
    assert last.problem.path == str(tmp_path / "b.svm")
    assert last.method.name == f"{tmp_path / 'mine.py'}:Mine"


def test_files_of_code_are_beside_the_sweep(sweep: Any, tmp_path: Path) -> None:
    """Wherever the command is given."""
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "mine.py").write_text(
        "from ist_mpi.methods.ist import IndependentSubnetworkTraining\n"
        "class Mine(IndependentSubnetworkTraining): pass\n"
    )
    path = sweep('[grid]\nmethod.name = ["ist", "code/mine.py:Mine"]')
    assert read_sweep(path).config(1).method.name == f"{folder / 'mine.py'}:Mine"
