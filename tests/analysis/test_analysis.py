"""The analysis scripts: what they draw is what the logs hold, and wrong input is one line."""

import csv
import itertools
import json
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from logs import ROOT, SCRIPTS, expect, make, synthetic

import ist_mpi
from ist_mpi.plots.words import LABELS

# Pictures.
pytestmark = pytest.mark.slow

EPS = 1e-12
SCALINGS = ("unbiased", "unscaled")


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """What each script gets."""
    folder = tmp_path_factory.mktemp("logs")
    made: dict[str, list[Path]] = {}
    steps: list[Path] = []
    for step in (5e-3, 2e-2):
        runs = make(folder / f"step-{step}.h5", 3, method={"step_size": step})
        expect(runs[0])
        steps += runs
    alone = make(folder / "alone.h5", method={"step_size": 5e-3})
    expect(alone[0])
    shutil.copy(folder / "alone.csv", folder / "alone-full.csv")
    made["alone"] = alone
    made["convergence"] = made["expectation"] = made["step_size"] = made["bias"] = steps
    one = synthetic(4, 4, heterogeneous=False)
    preconditioned = {"scaling": "preconditioned", "step_size": 0.5}
    made["fixed_point"] = make(folder / "homogeneous.h5", problem=one, method=preconditioned)
    none = synthetic(6, 3, linear_term=False)
    made["interpolation"] = [
        *make(folder / "none.h5", 2, problem=none, method={"step_size": 1e-3}),
        *make(
            folder / "once.h5",
            problem=synthetic(4, 4, linear_term=False),
            method={"scaling": "preconditioned", "step_size": 1.0},
        ),
    ]
    blocks = {"permutations": True, "problem": True}
    made["reconstruction"] = [
        path
        for name, n, method in (
            ("whole", 3, {"sketch": "identity"}),
            ("even", 3, {}),
            ("uneven", 4, {}),
            ("many", 13, {}),
            ("unscaled", 13, {"scaling": "unscaled"}),
            ("preconditioned", 3, {"scaling": "preconditioned"}),
            ("rand", 3, {"sketch": "rand", "q": 2}),
        )
        for path in make(
            folder / f"{name}.h5",
            problem=synthetic(6, n),
            method={**method, "step_size": 1e-4},
            log=blocks,
        )
    ]
    made["communication"] = [
        *make(folder / "ist.h5", 2),
        *make(folder / "gd.h5", method={"name": "gradient_descent"}),
        *make(folder / "dcgd.h5", method={"name": "dcgd", "sketch": "rand", "q": 2}),
    ]
    made["local_steps"] = [
        *itertools.chain.from_iterable(
            make(folder / f"local-{steps}.h5", 2, method={"local_steps": steps}) for steps in (1, 3)
        ),
        *made["communication"][2:3],
    ]
    without = [
        *make(folder / "shared.h5", 2, method={"name": "shared_block"}),
        *make(folder / "marina.h5", 2, method={"name": "marina"}),
    ]
    made["bias_removed"] = made["where_ist_wins"] = [*steps, *without]
    logistic = {"kind": "logistic", "dataset": "breast_cancer", "n": 5, "standardize": True}
    made["logistic_bias"] = [
        path
        for l2, rounds, method in (
            (1e-2, 30, {}),
            (1e-2, 30, {"name": "shared_block"}),
            *((l2, 1, {"scaling": scaling}) for l2 in (1e-2, 1.0) for scaling in SCALINGS),
        )
        for path in make(
            folder / f"logistic-{l2}-{rounds}-{len(method)}-{method.get('scaling')}.h5",
            problem={**logistic, "l2": l2},
            method={**method, "step_size": "default"},
            run={"rounds": rounds},
        )
    ]
    made["stability"] = [
        path
        for step in (0.1, 0.4)
        for name in ("shared_block", "diana")
        for path in make(
            folder / f"{name}-{step}.h5",
            2,
            problem=synthetic(3, 2),
            method={"name": name, "step_size": step},
            run={"theory": True},
        )
    ]
    made["network_accuracy"] = [
        path
        for name, method in (
            ("ist", {"local_steps": 2}),
            ("local", {"sketch": "identity", "local_steps": 2}),
            ("sgd", {"name": "gradient_descent"}),
            ("block", {"name": "shared_block"}),
        )
        for path in make(
            folder / f"network-{name}.h5",
            2,
            problem={"kind": "network", "n": 2, "hidden": [4], "test_share": 0.2},
            method={"step_size": 0.1, **method},
            run={"rounds": 3},
        )
    ]
    made["local_limit"] = [
        path
        for steps in (1, 4)
        for path in make(
            folder / f"limit-{steps}.h5",
            2,
            problem=synthetic(4, 4),
            method={"local_steps": steps},
            log={"problem": True},
        )
    ]
    made["condition"] = []
    for name, q in (("gaussian", 1), ("scaled-0.5", 2), ("remark1-0.9", 1)):
        L = np.array([[[1.0, 0.9], [0.9, 1.0 + 8 * (q == 1)]]])
        made["condition"] += make(
            folder / name / f"{q}.h5",
            problem={"kind": "arrays", "L": L, "b": np.ones((1, 2))},
            method={"sketch": "rand", "q": q, "step_size": 1e-3},
            run={"rounds": 1},
            log={"problem": True},
        )
    return made


def table_of(figure: Path) -> list[dict[str, str]]:
    with figure.with_suffix(".csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_draws(
    scripts: dict[str, ModuleType], logs: dict[str, list[Path]], name: str, tmp_path: Path
) -> None:
    figure = tmp_path / "figures" / f"{name}.pdf"
    assert scripts[name].main([*map(str, logs[name]), "-o", str(figure)]) == 0
    pdf = figure.read_bytes()
    assert pdf.startswith(b"%PDF")
    assert b"/FontFile2" in pdf  # Type 42, that is TrueType
    assert b"/Type3" not in pdf
    assert figure.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    rows = table_of(figure)
    assert rows
    assert tuple(rows[0]) == scripts["drawing"].Row._fields
    labels = LABELS
    assert all(row["x_name"] in labels and row["y_name"] in labels for row in rows)
    assert {row["kind"] for row in rows} <= {"measured", "exact", "predicted", "bound"}
    if name != "convergence":
        finding = figure.with_suffix(".txt").read_text(encoding="utf-8")
        assert finding.strip().endswith((".", "|"))
        assert "nan" not in finding.lower()


def test_seeds_become_median_and_band(
    scripts: dict[str, ModuleType], logs: dict[str, list[Path]], tmp_path: Path
) -> None:
    figure = tmp_path / "figure.png"
    chosen = [str(path) for path in logs["convergence"]]
    arguments = ["--x", "floats", "--y", "gap", "--theory", "-o", str(figure)]
    assert scripts["convergence"].main([*chosen, *arguments]) == 0
    assert figure.with_suffix(".pdf").exists()
    rows = table_of(figure)
    for step, words in ((5e-3, "5e-3"), (2e-2, "0.02")):
        mine = [row for row in rows if row["kind"] == "measured" and words in row["series"]]
        runs = [ist_mpi.open_run(path) for path in logs["convergence"] if f"{step}-" in path.name]
        assert len(runs) == 3
        assert all("(3 seeds)" in row["series"] for row in mine)
        gaps = np.stack([run.rounds["gap"] for run in runs])
        floats = runs[0].rounds["floats_up"] + runs[0].rounds["floats_down"]
        low, high = np.quantile(gaps, [0.1, 0.9], axis=0)
        for key, values in (
            ("x", floats),
            ("y", np.median(gaps, axis=0)),
            ("low", low),
            ("high", high),
        ):
            assert [float(row[key]) for row in mine] == pytest.approx(values.tolist(), rel=EPS)
        exact = [row for row in rows if row["kind"] == "exact" and words in row["series"]]
        assert [float(row["x"]) for row in exact] == pytest.approx(floats.tolist(), rel=EPS)
        assert float(exact[0]["y"]) == pytest.approx(gaps[0, 0], rel=1e-9)
    level = [row for row in rows if row["kind"] == "predicted"]
    assert [float(row["y"]) for row in level] == [runs[0].theory["fixed_point_gap"]]


def test_one_run_has_no_band(
    scripts: dict[str, ModuleType], logs: dict[str, list[Path]], tmp_path: Path
) -> None:
    log = logs["convergence"][0]
    figure = tmp_path / "figure.pdf"
    assert scripts["convergence"].main([str(log), "-o", str(figure)]) == 0
    rows = [row for row in table_of(figure) if row["kind"] == "measured"]
    assert {row["low"] for row in rows} == {""}
    expected = ist_mpi.open_run(log).rounds["relative_gap"].tolist()
    assert [float(row["y"]) for row in rows] == expected


def test_one_run_is_shown_in_units_of_its_fixed_point(
    scripts: dict[str, ModuleType], logs: dict[str, list[Path]], tmp_path: Path
) -> None:
    figure = tmp_path / "figure.pdf"
    assert scripts["expectation"].main([str(logs["alone"][0]), "-o", str(figure)]) == 0
    run = ist_mpi.open_run(logs["alone"][0])
    unit = run.theory["fixed_point_relative_gap"]
    rows = [row for row in table_of(figure) if row["y_name"] == "gap_over_fixed_point"]
    measured = [float(row["y"]) for row in rows if row["kind"] == "measured"]
    assert measured == pytest.approx((run.rounds["relative_gap"] / unit).tolist(), rel=EPS)
    limit = [float(row["y"]) for row in rows if row["kind"] == "exact"]
    assert limit == pytest.approx([run.theory["limit_relative_gap"] / unit], rel=EPS)
    assert "differ by at most" in figure.with_suffix(".txt").read_text(encoding="utf-8")


def test_means_and_their_errors(
    scripts: dict[str, ModuleType], logs: dict[str, list[Path]], tmp_path: Path
) -> None:
    figure = tmp_path / "figure.pdf"
    assert scripts["bias"].main([*map(str, logs["bias"]), "-o", str(figure)]) == 0
    rows = [row for row in table_of(figure) if row["y_name"] == "coordinate_value"]
    models = np.stack([ist_mpi.open_run(path).x for path in logs["bias"][:3]])
    means = [float(row["y"]) for row in rows if row["series"] == "mean of runs"]
    assert means[: models.shape[1]] == pytest.approx(models.mean(axis=0).tolist(), rel=EPS)
    error = models.std(axis=0, ddof=1) / np.sqrt(3)
    lows = [float(row["low"]) for row in rows if row["series"] == "mean of runs"]
    expected = (models.mean(axis=0) - 2 * error).tolist()
    assert lows[: models.shape[1]] == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_pieces_add_up(scripts: dict[str, ModuleType], logs: dict[str, list[Path]]) -> None:
    sums = {
        path.stem: scripts["reconstruction"].sums(ist_mpi.open_run(path))
        for path in logs["reconstruction"]
    }
    for name in ("whole", "even", "uneven", "many", "unscaled"):
        assert np.abs(sums[name] - 1).max() < EPS
    run = ist_mpi.open_run(next(p for p in logs["reconstruction"] if p.stem == "preconditioned"))
    diagonals = np.diagonal(run.problem["L"], axis1=1, axis2=2)
    pi = run.permutations["pi"][0]
    expected = np.empty(6)
    expected[pi] = [diagonals[place // 2, j] ** -0.5 / 3**0.5 for place, j in enumerate(pi)]
    assert sums["preconditioned"][0] == pytest.approx(expected, rel=EPS)
    # 3 workers with 2 of 6 coordinates each, C_i = 3 P_i, over 3
    assert (sums["rand"].sum(axis=1) == 6).all()


def test_local_steps_have_the_limit_of_every_permutation(scripts: dict[str, ModuleType]) -> None:
    """The closed form at n = d = 3 against the map over all 3! owners, iterated to its end."""
    random = np.random.default_rng(5)
    B, b = random.standard_normal((3, 3, 3)), random.standard_normal((3, 3))
    L, gamma, steps = B.transpose(0, 2, 1) @ B + np.eye(3), 0.02, 4
    limit = scripts["local_limit"].limit_of(L, b, gamma, steps)
    maps = []
    for owners in itertools.permutations(range(3)):
        A, c = np.zeros(3), np.zeros(3)
        for j, i in enumerate(owners):
            slope, offset = 1.0, 0.0
            for _ in range(steps):  # w = slope · 3 x_j + offset
                slope -= gamma * 3 * L[i, j, j] * slope
                offset -= gamma * 3 * (L[i, j, j] * offset - b[i, j])
            A[j], c[j] = slope, offset / 3
        maps.append((A, c))
    mean, second = np.zeros(3), np.zeros((3, 3))
    for _ in range(3000):
        second = np.mean(
            [
                np.outer(A, A) * second
                + np.outer(A * mean, c)
                + np.outer(c, A * mean)
                + np.outer(c, c)
                for A, c in maps
            ],
            axis=0,
        )
        mean = np.mean([A * mean + c for A, c in maps], axis=0)
    x_star = np.linalg.solve(L.mean(axis=0), b.mean(axis=0))
    cross = np.outer(mean, x_star)
    moment = second - cross - cross.T + np.outer(x_star, x_star)
    assert limit.fixed_point == pytest.approx(mean, rel=1e-10)
    assert limit.gap == pytest.approx(0.5 * np.sum(L.mean(axis=0) * moment), rel=1e-10)
    with pytest.raises(ValueError, match="diverge"):
        scripts["local_limit"].limit_of(L, b, 10.0, steps)


def test_one_local_step_leads_to_the_fixed_point_of_the_log(
    scripts: dict[str, ModuleType], logs: dict[str, list[Path]]
) -> None:
    curves = scripts["curves"].open_curves(logs["local_limit"])
    one = next(curve for curve in curves if curve.settings["method.local_steps"] == 1)
    limit = scripts["local_limit"].limit_of_curve(one)
    assert limit.fixed_point == pytest.approx(one.runs[0].theory["fixed_point"], rel=1e-10)


def test_the_share_of_remark_1(scripts: dict[str, ModuleType]) -> None:
    share = scripts["condition"].remark_share
    ratio = np.exp(2 * np.random.default_rng(1).standard_normal(20000))  # a/b, b = 1
    for t in (0.3, 0.7, 0.95):
        holds = t * np.sqrt(ratio) <= 2 * ratio / (1 + ratio)
        assert share(t) == pytest.approx(holds.mean(), abs=0.015)
    assert share(0.0) == 1.0
    assert share(1.0) == 0.0


WRONG: dict[str, tuple[str, list[str], str]] = {
    "no file": ("convergence", ["missing.h5", "-o", "f.pdf"], "missing.h5"),
    "no log": ("convergence", ["other.h5", "-o", "f.pdf"], "other.h5"),
    "no format": ("convergence", ["RUN", "-o", "f.xyz"], "f.xyz"),
    "no figure's table": ("convergence", ["RUN", "-o", "data.pdf"], "data.csv"),
    "no expectation": ("expectation", ["RUN", "-o", "f.pdf"], "even.csv"),
    "another table": ("convergence", ["BAD", "--theory", "-o", "f.pdf"], "bad.csv"),
    "no blocks": ("reconstruction", ["BARE", "-o", "f.pdf"], "log.permutations"),
    "no quadratics": ("local_limit", ["BARE", "-o", "f.pdf"], "log.problem"),
    "one seed": ("bias", ["RUN", "-o", "f.pdf"], "several seeds"),
    "no fixed point": ("fixed_point", ["LOCAL", "-o", "f.pdf"], "not known"),
    "another sketch": ("condition", ["RUN", "-o", "f.pdf"], "Rand-q"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_one_line(
    scripts: dict[str, ModuleType],
    logs: dict[str, list[Path]],
    case: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("other.h5").write_text("no HDF5")
    Path("data.csv").write_text("precious,data\n1,2\n")
    bad = make(Path("bad.h5"))[0]
    Path("bad.csv").write_text("round,expected_gap\n0,many\n")
    even = next(path for path in logs["reconstruction"] if path.stem == "even")
    places = {
        "RUN": str(even),
        "BARE": str(logs["communication"][0]),
        "BAD": str(bad),
        "LOCAL": str(next(path for path in logs["local_steps"] if "local-3" in path.stem)),
    }
    script, arguments, named = WRONG[case]
    assert scripts[script].main([places.get(word, word) for word in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith(f"{script}.py: ")
    assert named in captured.err
    assert Path("data.csv").read_text() == "precious,data\n1,2\n"


def test_only_what_follows_the_lines_is_said_to(
    scripts: dict[str, ModuleType],
    logs: dict[str, list[Path]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fixed_point, figure = scripts["fixed_point"], str(tmp_path / "figure.pdf")
    assert fixed_point.main([str(logs["fixed_point"][0]), "-o", figure]) == 0
    assert "without oscillation" in capsys.readouterr().out
    noisy = make(
        tmp_path / "noisy.h5",
        problem=synthetic(4, 4),
        method={"scaling": "preconditioned", "step_size": 0.9},
    )
    assert fixed_point.main([str(noisy[0]), "-o", figure]) == 0
    assert "without oscillation" not in capsys.readouterr().out
    assert fixed_point.main([str(logs["communication"][0]), "-o", figure]) == 2
    assert "expected runs where M = I" in capsys.readouterr().err


def test_the_command_line_of_the_quickstart(logs: dict[str, list[Path]], tmp_path: Path) -> None:
    figure = tmp_path / "figure.pdf"
    command = [sys.executable, str(ROOT / "analysis" / "convergence.py"), str(logs["bias"][0])]
    done = subprocess.run(
        [*command, "--x", "floats", "--y", "relative_gap", "-o", str(figure)],
        capture_output=True,
        text=True,
        check=True,
    )
    first, caption = done.stdout.splitlines()
    assert first == f"figure: {figure}"
    assert caption.startswith("Lines: ")
    assert figure.with_suffix(".txt").read_text() == f"{caption}\n"
    assert done.stderr == ""


def test_step_sizes_without_tables_beside_the_logs(
    scripts: dict[str, ModuleType], logs: dict[str, list[Path]], tmp_path: Path
) -> None:
    """As a sweep leaves them, named by what they are."""
    for place, log in enumerate(logs["step_size"]):
        shutil.copy(log, tmp_path / f"{place:016x}.h5")
    with_tables = scripts["step_size"].draw(logs["step_size"], tmp_path / "with.pdf")
    without = scripts["step_size"].draw(sorted(tmp_path.glob("*.h5")), tmp_path / "without.pdf")
    assert re.sub(r" \(exact \d+ and \d+\),", ",", with_tables) == without != with_tables
    rows = {name: table_of(tmp_path / f"{name}.pdf") for name in ("with", "without")}
    exact = [row for row in rows["with"] if (row["panel"], row["kind"]) == ("rounds", "exact")]
    assert exact
    assert [row for row in rows["with"] if row not in exact] == rows["without"]


def test_each_expectation_has_a_colour_of_its_own(
    scripts: dict[str, ModuleType], logs: dict[str, list[Path]]
) -> None:
    convergence = scripts["plots"]
    curves = convergence.open_curves(logs["step_size"])
    assert len({convergence.expected(curves, place) for place in range(len(curves))}) == len(curves)
    assert convergence.expected(curves[:1], 0) == "black"


def test_logs_of_all_kinds_and_any_number_leave_room_for_the_curves(
    scripts: dict[str, ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "no $formula^\x1b.svm"
    data.write_text("".join(f"{i} 1:{i} 2:{i * i} 3:{5 - i}\n" for i in range(1, 7)))
    ridge = {"kind": "ridge", "path": str(data), "n": 2}
    logs = make(tmp_path / "ridge.h5", problem=ridge, run={"rounds": 3}, log={"every": 3})
    logs += make(tmp_path / "first.h5", problem=synthetic(6, 3), run={"rounds": 4})
    for place in range(20):
        method = {"step_size": 1e-3 * (1 + place)}
        logs += make(tmp_path / f"{place}.h5", method=method, run={"rounds": 4})
    drawing = scripts["drawing"]
    widths: list[float] = []

    class Seen(drawing.Figure):  # type: ignore[misc, name-defined]  # a module made at run time
        def save(self, output: Path, *how: Any) -> None:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # of a layout that finds no room
                super().save(output, *how)
            figure, panel = self._figure, self.panels[0][0].axes
            inside = panel.get_window_extent().width / figure.dpi
            legend = panel.get_legend().get_window_extent()
            assert 0 <= legend.x0 < legend.x1 <= figure.bbox.x1
            assert 0 <= legend.y0 < legend.y1 <= figure.bbox.y1
            widths.append(inside)

    monkeypatch.setattr(scripts["plots"], "Figure", Seen)
    for few in (logs[:2], logs):
        figure = tmp_path / "figure.pdf"
        assert scripts["convergence"].main([*map(str, few), "-o", str(figure)]) == 0
    assert min(widths) > 4.0  # inches, of 5.6 for a panel with its labels
    names = {row["series"] for row in table_of(figure)}
    assert "every" not in "".join(names)
    assert any("ridge regression on no \\$formula^\ufffd.svm" in name for name in names)


def test_jobs_that_are_done_are_not_repeated(logs: dict[str, list[Path]], tmp_path: Path) -> None:
    seeds = logs["bias"][0].with_name(logs["bias"][0].name.replace("-seed0", ""))
    (tmp_path / "there.json").write_text(json.dumps({}))
    jobs = {
        f"{seeds}#0:3": "all seeds are there",
        f"{seeds}#0:4": "one seed is missing",
        f"{logs['fixed_point'][0]}": "one run, there",
        f"{tmp_path / 'no.h5'}": "one run, missing",
        f"{tmp_path / 'there.json'}": "another file, there",
        f"{tmp_path / 'no.json'}": "another file, missing",
    }
    done = subprocess.run(
        [sys.executable, str(ROOT / "jobs" / "pending.py")],
        input="".join(f"{result}\t{command}\n" for result, command in jobs.items()),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [text for text in jobs.values() if "missing" in text]
