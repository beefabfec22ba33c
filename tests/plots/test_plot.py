"""``ist-mpi plot``, and how many curves are told apart."""

import csv
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from commands import call
from logs import expect

import ist_mpi
from ist_mpi import InputError
from ist_mpi.plots import drawing, legends, saving
from ist_mpi.plots.convergence import Y_AXES, draw_curve, draw_curves, leaves
from ist_mpi.plots.curves import (
    Curve,
    curves_of,
    diverged,
    is_whole,
    open_curves,
    read_expectation,
    require_rows,
    scale_of,
    settings_of,
    stacked,
)
from ist_mpi.plots.names import names_of
from ist_mpi.store.log import open_run

CONFIG: dict[str, Any] = {
    "problem": {"kind": "synthetic", "n": 3, "d": 12},
    "method": {"name": "ist", "step_size": 1e-3},
    "run": {"rounds": 20},
}


def made(folder: Path, values: list[float]) -> list[Path]:
    paths = [folder / f"{i}.h5" for i in range(len(values))]
    for path, value in zip(paths, values, strict=True):
        ist_mpi.run(CONFIG, method={"step_size": value}, out=path)
    return paths


@pytest.mark.slow
def test_a_logarithmic_axis_has_round_0(tmp_path: Path) -> None:
    made(tmp_path, [1e-3])
    done = call("plot", str(tmp_path / "0.h5"), "--log-x", "-o", str(tmp_path / "picture.svg"))
    assert done.returncode == 0, done.stderr
    with (tmp_path / "picture.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["kind"] == "measured"]
    assert [float(row["x"]) for row in rows] == list(range(21))
    assert "Dashed: x∞" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("x", ["rounds", "floats"])
def test_the_picture_has_the_columns(tmp_path: Path, x: str) -> None:
    made(tmp_path, [1e-3])
    figure = tmp_path / "picture.svg"
    done = call("plot", str(tmp_path / "0.h5"), "--x", x, "-o", str(figure))
    assert done.returncode == 0, done.stderr
    assert figure.read_bytes().startswith(b"<?xml")
    assert not list(tmp_path.glob("*.p[dn]*"))
    with figure.with_suffix(".csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["kind"] == "measured"]
    run = ist_mpi.open_run(tmp_path / "0.h5")
    np.testing.assert_array_equal([float(r["y"]) for r in rows], run.rounds["relative_gap"])
    across = run.rounds["round"] * (1 if x == "rounds" else 2 * 12 / 3)
    np.testing.assert_allclose([float(r["x"]) for r in rows], across)


@pytest.mark.parametrize("end", saving.FORMATS)
@pytest.mark.parametrize("there", saving.FORMATS | {".csv": {}})
def test_only_figures_are_drawn_over(tmp_path: Path, end: str, there: str) -> None:
    """Whatever is written beside a figure, and all or nothing."""
    figure, output, other = drawing.Figure(), tmp_path / f"thesis{end}", tmp_path / f"thesis{there}"
    other.write_text("of somebody else")
    if other != output and there != ".csv":
        figure.save(output, beside=False)
        assert {path.suffix for path in tmp_path.iterdir()} == {end, there, ".csv"}
    if other == output or there == ".csv" or there in (".pdf", ".png"):
        before = {path: path.read_bytes() for path in tmp_path.iterdir()}
        with pytest.raises(InputError, match=f"thesis{there}: got a file that is no figure"):
            figure.save(output)
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert other.read_text() == "of somebody else"
    for force in (True, False):  # by now they are figures
        figure.save(output, force=force)
    wanted = {end, ".pdf", ".png", ".csv"} | {there}
    assert {path.suffix for path in tmp_path.iterdir()} == wanted


@pytest.mark.slow
def test_what_was_read_is_never_written_upon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By no command, by whatever name, and forced or not; the default is a name of its own."""
    monkeypatch.chdir(tmp_path)
    made(tmp_path, [1e-3])
    expect(tmp_path / "0.h5")
    Path("plot.csv").symlink_to("0.csv")
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    for words in (
        ("plot", "0.h5", "--theory", "-o", "0.png"),
        ("plot", "0.h5", "--theory", "-o", "plot.svg"),
        ("report", "0.h5", "-o", "0.h5"),
        ("sweep", "table", ".", "--csv", "0.h5"),
    ):
        done = call(*words, "--force")
        assert (done.returncode, "a file that this reads" in done.stderr) == (2, True), done.stderr
        assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before
    for _ in range(2):
        done = call("plot", "0.h5", "--theory")
        assert done.returncode == 0, done.stderr
        assert "0-theory.png" in done.stdout


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: got no column"),
        ("panel,series\na,b\n", "line 1: got no column"),
        ("round,expected_gap\n", "line 1: got no rounds"),
        ("round,expected_gap\n0,1\n1,IST\n", "line 3: got could not convert string to float"),
        ("round,expected_gap\n0,1\n1\n", "line 3: got 1 values, not 2"),
        ("round,expected_gap\n0,\xff\n", "line"),
        ("round,expected_gap\n0,\0\n", "line"),
    ],
)
def test_what_is_no_table_of_theory_is_said_with_its_line(
    tmp_path: Path, text: str, said: str
) -> None:
    table = tmp_path / "0.csv"
    table.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=f"{re.escape(str(table))}, {said}"):
        read_expectation(table)


@pytest.mark.slow
@pytest.mark.parametrize("y", ["test_accuracy", "train_loss", None])
def test_what_is_measured_of_samples(tmp_path: Path, y: str | None) -> None:
    """Of a network there is no gap: unless it is said, the loss is drawn."""
    problem = {"kind": "network", "n": 2, "hidden": [4], "test_share": 0.2}
    run = ist_mpi.run(CONFIG | {"problem": problem}, out=tmp_path / "0.h5")
    done = call(
        "plot",
        str(tmp_path / "0.h5"),
        *([] if y is None else ["--y", y]),
        "-o",
        str(tmp_path / "picture.svg"),
    )
    assert done.returncode == 0, done.stderr
    with (tmp_path / "picture.csv").open() as file:
        rows = list(csv.DictReader(file))
    expected = run.rounds["train_loss" if y is None else y]
    np.testing.assert_array_equal([float(r["y"]) for r in rows], expected)


def test_of_logs_with_nothing_to_draw_all_columns_are_found_wanting(tmp_path: Path) -> None:
    made(tmp_path, [1e-3])
    with h5py.File(tmp_path / "0.h5", "r+") as log:
        for name in Y_AXES:
            if name in log["rounds"]:
                log["rounds"][name][...] = np.nan
    done = call("plot", str(tmp_path / "0.h5"), "-o", str(tmp_path / "picture.svg"))
    assert done.returncode == 2
    assert "plot: got no number above 0; expected what the logs have: nothing" in done.stderr


@pytest.mark.slow
def test_a_folder_is_its_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made(tmp_path, [1e-3, 2e-3])
    assert call("plot", str(tmp_path)).returncode == 0
    with Path("plot.csv").open() as file:
        series = {row["series"] for row in csv.DictReader(file)}
    assert {"$\\gamma$ = 1e-3", "$\\gamma$ = 2e-3"} < series


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing.h5"], "nothing.h5"),
        (["EMPTY"], "no logs"),
        (["LOG", "--x", "time"], "--x"),
        (["LOG", "--y", "value"], "value"),
        (["LOG", "-o", "a.xyz"], "a.xyz"),
        (["LOG", "--theory"], "missing"),
    ],
)
def test_wrong_input_is_one_line(tmp_path: Path, words: list[str], said: str) -> None:
    made(tmp_path, [1e-3])
    (tmp_path / "empty").mkdir()
    place = {"EMPTY": str(tmp_path / "empty"), "LOG": str(tmp_path / "0.h5")}
    more = [] if "-o" in words else ["-o", str(tmp_path / "f.png")]
    done = call("plot", *(place.get(word, word) for word in words), *more)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    assert done.stderr.count("\n") <= 2


@pytest.mark.slow
def test_a_run_is_one_however_many_logs_of_it_there_are(tmp_path: Path) -> None:
    """Also a copy, and also one from before the run was over; which is first does not matter."""
    paths = made(tmp_path, [1e-3])
    ist_mpi.run(CONFIG, seed=1, out=tmp_path / "1.h5")
    whole, other = (open_run(path) for path in (*paths, tmp_path / "1.h5"))
    before = replace(whole, rounds={name: v[:5] for name, v in whole.rounds.items()})
    for runs in ([whole, whole, other], [before, other, whole], [whole, before, other, other]):
        curves = curves_of(runs)
        assert [len(curve.runs) for curve in curves] == [2]
        assert stacked(curves[0], "gap").shape == (2, 21)
    done = call("report", *map(str, [*paths, tmp_path, *paths]), "-o", str(tmp_path / "r.html"))
    assert done.returncode == 0, done.stderr
    assert "<h1>2 runs</h1>" in (tmp_path / "r.html").read_text()


@pytest.mark.slow
def test_a_curve_of_seeds_is_where_their_median_is(tmp_path: Path) -> None:
    """Whichever is first, and no row is of different rounds."""
    method = {"name": "marina_p", "step_size": 1e-3, "refresh_probability": 0.3}
    for seed in range(3):
        ist_mpi.run(CONFIG, method=method, seed=seed, out=tmp_path / f"{seed}.h5")
    runs = [open_run(tmp_path / f"{seed}.h5") for seed in range(3)]
    ends = [row["floats_up"] + row["floats_down"] for row in (run.last_row() for run in runs)]
    assert len(set(ends)) > 1
    cut = replace(runs[0], rounds={name: v[[0, 1, 2, 7]] for name, v in runs[0].rounds.items()})
    for x in ("floats", "floats_up", "seconds"):
        drawn = []
        for some in (runs, runs[::-1], [runs[1], runs[0], runs[2]]):
            figure = drawing.Figure()
            panel = figure.panels[0][0]
            panel.describe(x, "gap")
            draw_curve(panel, curves_of(some)[0], x, "gap", "a", 0)
            drawn.append([(row.x, row.y) for row in figure.rows])
        assert drawn[0] == drawn[1] == drawn[2]
        assert x != "floats" or drawn[0][-1][0] == np.median(ends)
        for some in ([cut, *runs[1:]], [*runs[1:], cut]):
            assert stacked(curves_of(some)[0], x).shape == (3, 3)


@pytest.mark.slow
def test_many_values_of_one_setting_are_a_scale(tmp_path: Path) -> None:
    values = [1e-5 * 1.5**k for k in range(9)]
    curves = open_curves(made(tmp_path, values))
    assert scale_of(curves[:3]) is None
    assert scale_of(curves) == ("method.step_size", values)
    ist_mpi.run(CONFIG, method={"name": "dcgd", "step_size": values[0]}, out=tmp_path / "o.h5")
    assert scale_of([*curves, *open_curves([tmp_path / "o.h5"])]) is None


def test_methods_are_called_by_their_names(tmp_path: Path) -> None:
    paths = []
    for name, more in (("ist", {}), ("dcgd", {"sketch": "rand", "q": 4}), ("diana", {})):
        paths.append(tmp_path / f"{name}.h5")
        method = {"name": name, "step_size": 1.0 / 3.0e3, **more}
        ist_mpi.run(CONFIG | {"method": method}, out=paths[-1])
    names = names_of(open_curves(paths))
    assert names == ["IST, Perm-4", "DCGD, Rand-4", "DIANA"]


MARINA = {"method__name": "marina"}


def of_settings(run: Any, **settings: Any) -> Curve:
    return Curve(
        {**settings_of(run), **{k.replace("__", "."): v for k, v in settings.items()}}, [run]
    )


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([{"method__step_size": 1.0001e-3}, {"method__step_size": 1.0002e-3}], "1.0001e-3"),
        ([{"method__step_size": 1 / 3}, {"method__step_size": 1 / 3 + 1e-13}], "0.3333333333334"),
        (
            [{"method__name": "marina", "method__sketch": s} for s in ("rand", "permutation")],
            "rand",
        ),
        (
            [{"method__name": "diana", "method__sketch": "rand", "method__q": q} for q in (1, 5)],
            "5",
        ),
        ([{"method__how": "$x$"}, {"method__how": "$y_1"}], r"how = \$x\$"),
        ([{"method__code": c * 64} for c in "ab"], "code = aaaaaaaa"),
        ([{"method__code": c * 64, "log__every": 1} for c in "ab"], "bbbbbbbb"),
        ([{"log__every": 1}, {"log__every": 2}], "every = 2"),
        ([{"method__name": "x.py:_A", "method__code": c * 64} for c in "ab"], "_A, code = a"),
        ([{"problem__kind": "a.py:P"}, {"problem__kind": "b.py:P"}], "a.py:P"),
        ([{"method__name": "a.py:M"}, {"method__name": "b.py:M"}], "b.py:M"),
    ],
)
def test_no_two_curves_have_one_name(tmp_path: Path, values: list[Any], said: str) -> None:
    run = open_curves(made(tmp_path, [1e-3]))[0].runs[0]
    names = names_of([of_settings(run, **some) for some in values])
    assert len(set(names)) == len(names)
    assert any(said in name for name in names), names
    assert all(len(name) < 90 for name in names)


@pytest.mark.parametrize("text", ["_Hidden", "a $ b $^", r"$\gamma$ = 1", r"\$x\$ of $x$", "$"])
def test_every_name_is_in_the_legend_and_titles_are_drawn(tmp_path: Path, text: str) -> None:
    figure = drawing.Figure()
    panel = figure.panels[0][0]
    panel.describe("round", "gap", title=text)
    figure.title(text)
    panel.line("a", [0, 1], [1, 2], label=text, **drawing.look(0))
    panel.legend()
    figure.save(tmp_path / "picture.png")
    shown = [one.get_text() for one in panel.axes.get_legend().get_texts()]
    assert [one.strip() for one in shown] == [legends.readable(text)]


def test_what_grows_leaves_through_the_top(tmp_path: Path) -> None:
    """As what diverged does; the others are seen."""
    paths = made(tmp_path, [1e-3, 2e-3])
    out = tmp_path / "grows.h5"
    ist_mpi.run(CONFIG, method={"step_size": 10.0}, rounds=40, out=out)
    assert ist_mpi.open_run(out).rounds["gap"][-1] > 1e60
    done = call("plot", *map(str, paths), str(out), "-o", str(tmp_path / "p.svg"))
    assert done.returncode == 0, done.stderr
    curves = open_curves([*paths, out])
    panel = drawing.Figure().panels[0][0]
    panel.describe("round", "relative_gap")
    draw_curves(panel, curves, "round", "relative_gap", names_of(curves), False)
    assert panel.axes.get_ylim()[1] < 1e5


@pytest.mark.parametrize(
    ("values", "leaving"),
    [
        ([1.0, 2e3], True),
        ([1.0, 9e2], False),
        ([-5.0, -7.0], False),
        ([0.0, 1.0], False),
        *(([first, end], True) for first in (1.0, -5.0) for end in (np.nan, np.inf)),
        ([np.nan, np.nan], False),
    ],
)
def test_what_leaves_the_panel(tmp_path: Path, values: list[float], leaving: bool) -> None:
    """Values below 0 do not grow by being less than a thousand times the first; what is not known
    from the first does not leave.
    """
    run = open_curves(made(tmp_path, [1e-3]))[0].runs[0]
    shown = replace(run, rounds={**run.rounds, "value": np.array(values)})
    assert leaves(Curve(settings_of(run), [shown]), "value") is leaving


@pytest.mark.parametrize("end", [np.inf, -np.inf, np.nan])
def test_a_run_without_a_last_gap_diverged_whatever_its_status(tmp_path: Path, end: float) -> None:
    """Its model may be finite still, and the run finished."""
    run = open_curves(made(tmp_path, [1e-3]))[0].runs[0]
    gaps = {name: run.rounds[name].copy() for name in ("gap", "relative_gap")}
    for values in gaps.values():
        values[-1] = end
    grown = replace(run, rounds={**run.rounds, **gaps})
    curves = [of_settings(grown, method__step_size=9.0), of_settings(run)]
    assert names_of(curves)[0].endswith("(diverged)")
    assert (diverged(curves[0]), is_whole(curves[0])) == (True, False)
    with pytest.raises(ValueError, match="diverged by round 20"):
        require_rows(curves)
    panel = drawing.Figure().panels[0][0]
    panel.describe("round", "gap")
    draw_curves(panel, curves, "round", "gap", names_of(curves), False)
    assert panel.axes.get_ylim()[1] < 1e5 * run.rounds["gap"][0]


@pytest.mark.parametrize(
    ("ends", "at_ends"),
    [
        ([(10, 1e-1), (10, 1e-4), (10, 1e-8)], True),
        ([(10, 1e-1), (10, 1.1e-1), (10, 1e-8)], False),  # not apart
        ([(10, 1e-1), (5, 1e-4), (10, 1e-8)], False),  # in the middle
        ([(10, 10.0**-k) for k in range(9)], False),  # too many
        ([(10, 1e-1)], False),  # a legend says as much
    ],
)
def test_curves_that_end_apart_are_named_there(ends: list[Any], at_ends: bool) -> None:
    figure = drawing.Figure()
    panel = figure.panels[0][0]
    panel.describe("round", "gap")
    names = [f"curve {place}" for place in range(len(ends))]
    for place, (name, (x, y)) in enumerate(zip(names, ends, strict=True)):
        panel.line(name, [0, x], [1, y], label=name, **drawing.look(place))
    panel.across("level", y=1e-12, label="predicted", color="0.15")
    panel.label_ends()
    panel.legend()
    figure.svg()  # at its final size
    texts = {text.get_text(): text.get_window_extent() for text in panel.axes.texts}
    told = [text.get_text() for text in panel.axes.get_legend().get_texts()]
    if at_ends:
        assert told == ["predicted"]
        for name, end in zip(names, ends, strict=True):
            across, up = panel.axes.transData.transform(end)
            middle = (texts[name].y0 + texts[name].y1) / 2
            assert abs(middle - up) < 3
            assert texts[name].x0 > across
    else:
        assert told == [*names, "predicted"]
        assert not texts
