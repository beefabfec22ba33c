"""What Python programs use, against the commands and against each other."""

import json
import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from commands import call

import ist_mpi
from ist_mpi.errors import InputError, MismatchError
from ist_mpi.library.words import in_python, python_words
from ist_mpi.training.progress import Look

mpl.use("Agg")

PROBLEM = {"kind": "synthetic", "n": 3, "d": 7}
METHOD = {"name": "ist", "step_size": 0.01}
CONFIG = {"problem": PROBLEM, "method": METHOD, "run": {"rounds": 40, "theory": True}}


def test_a_newcomer_sees_what_is_for_users() -> None:
    assert set(dir(ist_mpi)) == set(ist_mpi.__all__)
    assert all(getattr(ist_mpi, name).__doc__ for name in dir(ist_mpi) if name[0] != "_")


@pytest.mark.parametrize(
    ("config", "settings"),
    [
        (None, {"problem": PROBLEM, "method": METHOD, "rounds": 40, "theory": True}),
        (CONFIG, {}),
        ({"problem": PROBLEM, "method": METHOD}, {"rounds": 40, "theory": True}),
        (CONFIG | {"run": {"rounds": 3}}, {"run": {"rounds": 40, "theory": True}}),
        (CONFIG, {"method": {"step_size": 0.01}}),
        ({"problem": PROBLEM}, {"method": "ist", "run": {"rounds": 1}}),
    ],
)
def test_keywords_are_a_configuration(config: Any, settings: dict[str, Any]) -> None:
    if settings.get("method") == "ist":
        with pytest.raises(InputError, match=r"method\.step_size"):
            ist_mpi.run(config, **settings)
        return
    found = ist_mpi.run(config, **settings)
    assert found.x.tobytes() == ist_mpi.run(CONFIG).x.tobytes()
    assert found.config["run"]["rounds"] == 40


def test_keywords_on_top_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text(ist_mpi.config.load(CONFIG).to_toml())
    assert ist_mpi.run(path, rounds=5).config["run"]["rounds"] == 5
    assert ist_mpi.run(ist_mpi.config.load(CONFIG), seed=3).config["run"]["seed"] == 3


@pytest.mark.parametrize(
    ("config", "settings", "said"),
    [
        (CONFIG, {"roundz": 3}, "roundz: got an unknown keyword"),
        (CONFIG, {"rounds": 0}, r"run\.rounds"),
        (CONFIG, {"problem": 3}, r"problem\.kind"),
        (None, {}, "configuration: got NoneType"),
        ({"problem": PROBLEM, "run": 3}, {"rounds": 3}, "run in configuration"),
    ],
)
def test_wrong_keywords(config: Any, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        ist_mpi.run(config, **settings)


def test_errors_speak_of_arguments(tmp_path: Path) -> None:
    log = tmp_path / "run.h5"
    ist_mpi.run(CONFIG, out=log)
    with pytest.raises(InputError) as caught:
        ist_mpi.run(CONFIG, out=log)
    assert "force=True" in str(caught.value)
    assert "--" not in str(caught.value)
    ist_mpi.run(CONFIG, out=log, force=True)
    assert in_python("another --out, or --force to replace it") == (
        "another out, or force=True to replace it"
    )
    with pytest.raises(MismatchError, match="another out"), python_words():
        raise MismatchError("another --out")


def test_a_callback_sees_every_look_and_stops_the_run(tmp_path: Path) -> None:
    log, seen = tmp_path / "run.h5", list[Look]()

    def look(now: Look) -> bool:
        seen.append(now)
        now.x[0] += 1.0  # its own
        return now.round == 12

    result = ist_mpi.run({**CONFIG, "log": {"every": 4}}, callback=look, out=log)
    assert [one.round for one in seen] == [0, 4, 8, 12]
    assert (result.status, result.stop_reason) == ("stopped", "callback")
    assert seen[-1].row["relative_gap"] == result.rounds["relative_gap"][-1]
    np.testing.assert_array_equal(seen[-1].x - result.x, [1.0] + 6 * [0.0])
    assert (seen[0].x != seen[1].x).all()  # of its round still
    assert call("resume", str(log)).returncode == 0
    whole = ist_mpi.run({**CONFIG, "log": {"every": 4}})
    assert ist_mpi.open_run(log).x.tobytes() == whole.x.tobytes()


def test_an_error_in_a_callback_is_the_programs(tmp_path: Path) -> None:
    def look(now: Look) -> None:
        raise KeyError(now.round)

    with pytest.raises(KeyError):
        ist_mpi.run(CONFIG, callback=look)


untyped: Any = ist_mpi
"""Without its types: what follows is wrong on purpose."""
WRONG: dict[str, Callable[[Any], Any]] = {
    "callback: got 3": lambda _: untyped.run(CONFIG, callback=3),
    "progress: got 'no'": lambda _: untyped.run(CONFIG, progress="no"),
    "force: got 'no'": lambda _: untyped.run(CONFIG, force="no"),
    "out: got 3": lambda _: untyped.run(CONFIG, out=3),
    "full: got 1": lambda _: untyped.theory(CONFIG, full=1),
    "path: got 4": lambda _: untyped.open_run(4),
    "path: got 5": lambda _: untyped.open_sweep(5),
    "folder: got 5": lambda at: untyped.open_sweep(at, 5),
    "folder: got 6": lambda _: untyped.sweep(CONFIG, {}, folder=6),
    "progress: got 7": lambda at: untyped.sweep(CONFIG, {}, folder=at, progress=7),
    r"^x: got \[": lambda _: untyped.run(CONFIG).plot(["rounds"]),
    "^y: got None": lambda _: untyped.run(CONFIG).plot(y=None),
    "^y: got 'no'": lambda _: untyped.run(CONFIG).plot(y="no"),
    "^/rounds/no: got nothing": lambda _: untyped.run(CONFIG).rounds["no"],
    "^/theory/no: got nothing": lambda _: untyped.run(CONFIG).theory["no"],
}


@pytest.mark.parametrize("said", WRONG)
def test_wrong_arguments_are_errors_of_input(tmp_path: Path, said: str) -> None:
    """Named, before anything is run or written."""
    with pytest.raises(InputError, match=said):
        WRONG[said](tmp_path)
    assert not list(tmp_path.iterdir())


def test_progress_is_shown_where_it_is_asked_for(capfd: pytest.CaptureFixture[str]) -> None:
    ist_mpi.run(CONFIG)
    assert capfd.readouterr().err == ""
    ist_mpi.run({**CONFIG, "run": {"rounds": 3000}}, progress=True)


def test_a_diverged_run_warns() -> None:
    with pytest.warns(UserWarning, match="diverged"):
        result = ist_mpi.run({**CONFIG, "method": {**METHOD, "step_size": 1e6}}, rounds=200)
    assert result.status == "failed"
    with pytest.warns(UserWarning, match="diverged: the gap is beyond"):
        result = ist_mpi.run({**CONFIG, "method": {**METHOD, "step_size": 1e6}}, rounds=34)
    assert result.status == "finished"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ist_mpi.run(CONFIG)


def test_what_a_run_returns_is_what_its_log_holds(tmp_path: Path) -> None:
    log = tmp_path / "run.h5"
    made = ist_mpi.run(CONFIG, out=log)
    read = ist_mpi.open_run(log)
    assert type(made) is type(read)
    assert (
        made.config
        == read.config
        == ist_mpi.config.load(CONFIG).to_dict() | {"method": made.config["method"]}
    )
    assert isinstance(read.attributes["versions"], dict)
    assert isinstance(read.attributes["hosts"], list)
    assert repr(read).count("\n") == 0
    assert "predicted limit" in repr(read)
    text = read._repr_html_()
    limit = read.theory["limit_relative_gap"]
    assert f"{limit:.4g}" in text
    assert f"{read.rounds['relative_gap'][-1]:.4g}" in text
    assert "--" not in text


def test_tables(tmp_path: Path) -> None:
    result = ist_mpi.run({**CONFIG, "log": {"iterates": True, "every": 10}})
    frame, data = result.to_dataframe(), result.to_xarray()
    assert list(frame.index) == [0, 10, 20, 30, 40]
    for name in set(result.rounds) - {"round"}:
        np.testing.assert_array_equal(frame[name], result.rounds[name])
        np.testing.assert_array_equal(data[name], result.rounds[name])
    assert data["gap"].attrs["long_name"] == "f(x) - f*"
    assert data["x_star"].dims == ("coordinate",)
    assert data["iterates"].dims == ("round", "coordinate")
    assert data.attrs["theta"] == result.theory["theta"]


@pytest.mark.parametrize("x", ["rounds", "floats", "seconds"])
def test_a_plot_has_the_columns_and_the_prediction(x: Any) -> None:
    result = ist_mpi.run(CONFIG)
    ax = result.plot(x)
    line, predicted = ax.get_lines()
    across = {"rounds": ["round"], "floats": ["floats_up", "floats_down"], "seconds": ["seconds"]}
    along = sum(result.rounds[name] for name in across[x])
    np.testing.assert_array_equal(line.get_xdata(), along)
    np.testing.assert_array_equal(line.get_ydata(), result.rounds["relative_gap"])
    assert set(predicted.get_ydata()) == {result.theory["limit_relative_gap"]}
    assert ax.get_yscale() == "log"
    assert result.plot(y="gap", ax=ax) is ax
    assert set(ax.get_lines()[-1].get_ydata()) == {result.theory["limit_gap"]}
    bare = replace(result, rounds={k: v for k, v in result.rounds.items() if "floats" not in k})
    assert len(bare.plot().get_lines()) == 2
    with pytest.raises(InputError, match='"rounds" or "floats"'):
        result.plot("time")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"^y: got .loss."):
        result.plot(y="loss")


@pytest.mark.parametrize("method", [METHOD, {"name": "anchored", "step_size": "default"}])
def test_theory_has_the_numbers_of_the_command(method: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text(ist_mpi.config.load({**CONFIG, "method": method}).to_toml())
    told = json.loads(call("theory", str(path), "--json").stdout)
    found = ist_mpi.theory(problem=PROBLEM, method=method, rounds=40)
    for name, value in told.items():
        assert getattr(found, name) == value or math.isnan(getattr(found, name)), name
    run = ist_mpi.run(CONFIG, method=method)
    np.testing.assert_array_equal(found.x_star, run.theory["x_star"])
    assert set(told) <= set(dir(found))


@pytest.mark.slow
def test_a_sweep_ends_in_a_table(tmp_path: Path) -> None:
    grid = {"method.step_size": np.array([0.01, 0.02]), "run.seed": "0:2"}
    made = ist_mpi.sweep(CONFIG, grid, jobs=2, folder=tmp_path)
    table = made.table(to=0.9)
    assert len(table) == len(made) == 4
    assert set(table["state"]) == {"finished"}
    assert list(table["method.step_size"]) == [0.01, 0.01, 0.02, 0.02]
    for at, run in enumerate(made.runs):
        assert run is not None
        below = np.flatnonzero(run.rounds["relative_gap"] <= 0.9)
        k = run.rounds["round"][below[0]]
        assert table["rounds_to"][at] == k
        assert table["floats_to"][at] == pytest.approx(2 * k * 7 / 3)
        assert table["predicted_limit"][at] == run.theory["limit_relative_gap"]
        alone = ist_mpi.run(
            CONFIG,
            method={"step_size": run.config["method"]["step_size"]},
            seed=run.config["run"]["seed"],
        )
        assert alone.x.tobytes() == run.x.tobytes()
    folder = ist_mpi.open_sweep(tmp_path)
    assert sorted(folder.table(to=0.9)["rounds_to"]) == sorted(table["rounds_to"])
    assert repr(made).endswith("4 runs, 4 finished>")
    shown = call("sweep", "table", str(made.path), "--folder", str(tmp_path), "--to", "0.9")
    assert shown.returncode == 0
    (out := tmp_path / "table.csv").unlink(missing_ok=True)
    done = call(
        "sweep",
        "table",
        str(made.path),
        "--folder",
        str(tmp_path),
        "--to",
        "0.9",
        "--csv",
        str(out),
    )
    assert done.returncode == 0
    rows = out.read_text().splitlines()
    assert rows[0].startswith("method.step_size,run.seed,state,round,relative_gap")
    assert len(rows) == 5


@pytest.mark.parametrize(
    ("grid", "said"),
    [
        ({"method.step_size": []}, "an empty list"),
        ({"method.stepsize": [1.0]}, r"method\.stepsize"),
        ({"run.seed": "3:1"}, "A < B"),
        ({}, "grid"),
    ],
)
def test_wrong_grids(grid: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        ist_mpi.sweep(CONFIG, grid, folder=tmp_path)


def test_arrays_have_no_file_for_a_sweep(tmp_path: Path) -> None:
    problem = {"kind": "arrays", "L": np.ones((1, 1, 1)), "b": np.ones((1, 1))}
    with pytest.raises(InputError, match="arrays in memory"):
        ist_mpi.sweep(CONFIG | {"problem": problem}, {"run.seed": "0:2"}, folder=tmp_path)
