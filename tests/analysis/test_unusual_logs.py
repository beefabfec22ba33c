"""The analysis scripts on logs that are not as they wish: a right picture, or one clear line."""

import csv
import json
import subprocess
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import IO, Any

import matplotlib.figure
import numpy as np
import pytest
from logs import ROOT, SCRIPTS, expect, make, synthetic

import ist_mpi
from ist_mpi.plots.names import names_of, with_remarks

# Pictures.
pytestmark = pytest.mark.slow

EVERYTHING = {"permutations": True, "problem": True}
DIVERGING = {"run": {"rounds": 20_000}, "log": EVERYTHING}


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    folder = tmp_path_factory.mktemp("unusual")
    made = {
        "well": make(folder / "well.h5", 2, method={"step_size": 5e-3}, log=EVERYTHING),
        "diverged": make(folder / "diverged.h5", 2, method={"step_size": 0.5}, **DIVERGING),
        "diverged alone": make(folder / "alone.h5", method={"step_size": 0.4}, **DIVERGING),
        "diverged, n = d": make(
            folder / "square.h5", 2, problem=synthetic(4, 4), method={"step_size": 0.9}, **DIVERGING
        ),
        "diverged, no linear term": make(
            folder / "none.h5",
            problem=synthetic(6, 3, linear_term=False),
            method={"step_size": 0.9},
            **DIVERGING,
        ),
        "stopped": make(
            folder / "stopped.h5",
            2,
            run={"max_seconds": 1e-9},
            log={**EVERYTHING, "every": 1000},  # not logged before it is stopped
        ),
        "one round": make(folder / "short.h5", 2, run={"rounds": 1}, log=EVERYTHING),
        "3 local steps": make(folder / "local.h5", 2, method={"local_steps": 3}, log=EVERYTHING),
        "solved at once": make(
            folder / "solved.h5",
            2,
            problem=synthetic(4, 4, linear_term=False),
            method={"scaling": "preconditioned", "step_size": 1.0},
            log=EVERYTHING,
        ),
    }
    for name in ("well", "stopped", "one round", "solved at once"):
        expect(made[name][0])
    made["diverged among others"] = made["diverged"] + made["well"]
    made["stopped among others"] = made["stopped"] + made["well"]
    for name, contents in (("text", b"no HDF5\n"), ("empty", b"")):
        made[name] = [folder / f"{name}.h5"]
        made[name][0].write_bytes(contents)
    made["a folder"] = [folder]
    made["cut off"] = [folder / "cut.h5"]
    made["cut off"][0].write_bytes(made["well"][0].read_bytes()[:-1000])
    return made


KINDS = (
    "diverged",
    "diverged alone",
    "diverged, n = d",
    "diverged, no linear term",
    "diverged among others",
    "stopped",
    "stopped among others",
    "one round",
    "3 local steps",
    "solved at once",
    "text",
    "empty",
    "a folder",
    "cut off",
)
NO_LOGS = ("text", "empty", "a folder", "cut off")


def test_the_logs_are_what_they_are_called(logs: dict[str, list[Path]]) -> None:
    for name, paths in logs.items():
        if name.startswith("diverged") and "among" not in name:
            assert {ist_mpi.open_run(path).status for path in paths} == {"failed"}
        if name == "stopped":
            assert {len(ist_mpi.open_run(path).rounds["round"]) for path in paths} == {1}


def _draw_coarsely(monkeypatch: pytest.MonkeyPatch) -> None:
    """150 pictures: a small PNG of each, and no PDF."""
    save = matplotlib.figure.Figure.savefig

    def coarse(figure: matplotlib.figure.Figure, drawn: IO[bytes], **look: Any) -> None:
        if look["format"] == "png":
            save(figure, drawn, **look | {"dpi": 20})

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", coarse)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SCRIPTS)
def test_a_picture_or_one_line(
    scripts: dict[str, ModuleType],
    logs: dict[str, list[Path]],
    name: str,
    kind: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    figure = tmp_path / "figure.png"
    _draw_coarsely(monkeypatch)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        code = scripts[name].main([*map(str, logs[kind]), "-o", str(figure)])
    said = capsys.readouterr()
    if code == 0:
        assert kind not in NO_LOGS
        assert figure.read_bytes().startswith(b"\x89PNG")
        for word in (" nan", " inf"):
            assert word not in said.out.lower()
        assert said.err == ""
    else:
        assert code == 2
        assert not figure.exists()
        assert said.out == ""
        assert said.err.startswith(f"{name}.py: ")
        assert said.err.count("\n") == 1
        if kind in NO_LOGS:
            assert str(logs[kind][0]) in said.err


def drawn(figure: Path) -> list[dict[str, str]]:
    with figure.with_suffix(".csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_curve_is_drawn_as_far_as_it_is_finite(
    scripts: dict[str, ModuleType], logs: dict[str, list[Path]], tmp_path: Path
) -> None:
    figure = tmp_path / "figure.png"
    log = logs["diverged alone"][0]
    assert scripts["convergence"].main([str(log), "-o", str(figure)]) == 0
    rows = [row for row in drawn(figure) if row["kind"] == "measured"]
    assert {row["series"] for row in rows} == {"IST, Perm-2 (diverged)"}
    gaps = ist_mpi.open_run(log).rounds["relative_gap"]
    shown = np.array([float(row["y"] or "nan") for row in rows])
    finite = np.isfinite(shown)
    assert np.array_equal(shown[finite], gaps[: finite.sum()])  # a prefix, every value of it
    assert 1e190 < shown[finite].max() <= 1e200


def test_the_legend_says_who_diverged_and_who_is_not_finished(
    scripts: dict[str, ModuleType], logs: dict[str, list[Path]]
) -> None:
    def names(*paths: Path) -> list[str]:
        return list(names_of(scripts["curves"].open_curves(paths)))

    one, two = logs["diverged"]
    assert names(one, two) == ["IST, Perm-2 (2 seeds, all diverged)"]
    assert names(logs["stopped"][0]) == ["IST, Perm-2 (unfinished)"]
    curve = scripts["curves"].open_curves([*logs["stopped"]])[0]
    ended = ist_mpi.open_run(logs["well"][0])
    mixed = curve._replace(runs=[*curve.runs, ended])
    assert with_remarks("x", mixed) == "x (3 seeds, 2 unfinished)"
    well = names(*logs["well"], *logs["diverged"])
    assert [("diverged" in name) for name in well] == [False, True]


def test_others_stay_in_view(
    scripts: dict[str, ModuleType], logs: dict[str, list[Path]], tmp_path: Path
) -> None:
    """Beside a curve that reaches 1e300, the axis is that of the others."""
    seen: dict[str, Any] = {}
    save = scripts["plots"].Figure.save

    def spy(figure: Any, output: Path, *how: Any) -> None:
        seen["limits"] = figure.panels[0][0].axes.get_ylim()
        save(figure, output, *how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scripts["plots"].Figure, "save", spy)
        paths = map(str, logs["diverged among others"])
        assert scripts["convergence"].main([*paths, "-o", str(tmp_path / "f.png")]) == 0
    low, high = seen["limits"]
    gaps = np.concatenate([ist_mpi.open_run(p).rounds["relative_gap"] for p in logs["well"]])
    level = ist_mpi.open_run(logs["well"][0]).theory["fixed_point_relative_gap"]
    assert low == pytest.approx(0.5 * min(gaps.min(), level))
    assert high == pytest.approx(1e3 * gaps.max())


def test_findings_are_about_finished_runs(
    scripts: dict[str, ModuleType], logs: dict[str, list[Path]], tmp_path: Path
) -> None:
    texts = {}
    for kind in ("well", "stopped among others", "diverged among others"):
        figure = tmp_path / f"{kind}.png"
        assert scripts["local_steps"].main([*map(str, logs[kind]), "-o", str(figure)]) == 0
        texts[kind] = figure.with_suffix(".txt").read_text(encoding="utf-8")
    assert len(set(texts.values())) == 1


def test_one_logged_row_is_a_dot(
    scripts: dict[str, ModuleType], logs: dict[str, list[Path]], tmp_path: Path
) -> None:
    figure = tmp_path / "figure.svg"
    assert scripts["convergence"].main([str(logs["stopped"][0]), "-o", str(figure)]) == 0
    rows = [row for row in drawn(figure) if row["kind"] == "measured"]
    assert [(row["x"], row["y"]) for row in rows] == [("0.0", "1.0")]


@pytest.mark.parametrize(
    "contents",
    [
        "",
        "no JSON",
        "[]",
        "{}",
        '{"format": "ist_mpi.bench"}',
        '{"format": "ist_mpi.bench", "schema_version": 1}',
        '{"format": "ist_mpi.bench", "schema_version": 2}',
        json.dumps(
            {
                "format": "ist_mpi.bench",
                "schema_version": 2,
                **{name: [] for name in ("environment", "rounds", "links")},
            }
        ),
    ],
)
@pytest.mark.parametrize("more", [[], ["--predict"]])
def test_no_benchmark(
    scripts: dict[str, ModuleType],
    contents: str,
    more: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "bench.json"
    path.write_text(contents)
    arguments = [str(path), "-o", str(tmp_path / "f.png"), *more]
    assert scripts["scaling"].main(arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_nothing_at_all(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "analysis" / "convergence.py"), "-o", "f.pdf"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 2
    assert "the following arguments are required: RUN.h5" in done.stderr
    assert "Traceback" not in done.stderr
