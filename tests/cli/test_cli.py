"""The commands as a user types them."""

import io
import json
import os
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import pytest
from commands import call
from rich.console import Console
from same import same_run

import ist_mpi
from ist_mpi.cli.report import sweeps
from ist_mpi.cli.report.progress import ProgressReport
from ist_mpi.cli.report.text import Sheet, facts_table, rate, show_sheet
from ist_mpi.parallel import nodes
from ist_mpi.training.progress import Progress

SMALL = """
[problem]
kind = "synthetic"
d = 24
n = 5

[method]
name = "ist"
step_size = 1e-3

[run]
rounds = 60

[log]
every = 7
"""

Launch = Callable[..., Any]


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    monkeypatch.chdir(tmp_path)
    return path


def test_run_then_info(launch: Launch, config: Path) -> None:
    done = launch(0, "-m", "ist_mpi", "run", "small.toml")
    assert done.returncode == 0, done.stderr
    log = config.parent / "results" / "small.h5"
    for words in ("final relative gap", "predicted fixed point", "rounds per second"):
        assert words in done.stdout
    assert str(Path("results/small.h5")) in done.stdout
    run = ist_mpi.open_run(log)
    assert run.rounds["round"].tolist() == [*range(0, 60, 7), 60]
    shown = launch(0, "-m", "ist_mpi", "info", str(log))
    assert shown.returncode == 0
    assert "[method]" in shown.stdout
    assert " \n" not in done.stdout + shown.stdout  # tables are not padded
    assert run.attributes["run_id"] in shown.stdout
    document = json.loads(call("info", str(log), "--json").stdout)
    assert document["status"] == "finished"
    assert document["config"]["problem"]["d"] == 24
    assert document["last_row"]["round"] == 60
    assert document["last_row"]["relative_gap"] == run.rounds["relative_gap"][-1]


def test_ranks_do_not_change_the_log(launch: Launch, config: Path) -> None:
    """Serial without a launcher, and under one; tests/mpi has more ranks, and all exchanges."""
    runs = []
    ways = [(0, "server"), (1, "server"), (3, "replicated")]
    for p, exchange in ways:
        out = config.parent / f"{p}.h5"
        done = launch(
            p,
            "-m",
            "ist_mpi",
            "run",
            "small.toml",
            "--out",
            str(out),
            "--set",
            f"run.exchange={exchange}",
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("final relative gap") == 1
        runs.append(ist_mpi.open_run(out))
        assert runs[-1].attributes["ranks"] == max(p, 1)
    for run in runs[1:]:
        same_run(run, runs[0])


def test_seeds_share_a_problem(launch: Launch, config: Path) -> None:
    done = launch(2, "-m", "ist_mpi", "run", "small.toml", "--seeds", "3:6", "--out", "many.h5")
    assert done.returncode == 0, done.stderr
    names = sorted(path.name for path in config.parent.glob("*.h5"))
    assert names == ["many-seed3.h5", "many-seed4.h5", "many-seed5.h5"]
    single = call("run", "small.toml", "--set", "run.seed=4", "--out", "one.h5")
    assert single.returncode == 0
    four, one = ist_mpi.open_run("many-seed4.h5"), ist_mpi.open_run("one.h5")
    assert four.x.tobytes() == one.x.tobytes()
    assert four.attributes["config"] == one.attributes["config"]
    assert four.attributes["seed"] == 4
    three = ist_mpi.open_run("many-seed3.h5")
    assert three.x.tobytes() != one.x.tobytes()


def test_dry_run_leaves_nothing(launch: Launch, config: Path) -> None:
    done = launch(2, "-m", "ist_mpi", "run", "small.toml", "--dry-run", "--set", "run.seed=9")
    assert done.returncode == 0
    assert "seed = 9" in done.stdout
    for words in ("memory per rank", "floats per worker", "time, roughly", "log"):
        assert words in done.stdout
    assert [path.name for path in config.parent.iterdir()] == ["small.toml"]


def test_dry_run_refuses_what_cannot_fit(config: Path) -> None:
    for setting, word in [("problem.d=3000000", "memory"), ("run.rounds=2000000000", "disk")]:
        extra = ["--set", "log.permutations=true", "--set", "log.every=1000000"]
        done = call("run", "small.toml", "--dry-run", "--set", setting, *extra)
        assert done.returncode == 2
        assert word in done.stderr


def test_divergence_is_reported(config: Path) -> None:
    sets = ["--set", "method.step_size=1.0", "--set", "run.rounds=10000"]
    done = call("run", "small.toml", *sets)
    assert done.returncode == 1
    assert done.stderr.count("diverged") == 1
    run = ist_mpi.open_run("results/small.h5")
    assert run.status == "failed"
    assert "step size 1" in run.stop_reason
    assert f"{run.theory['mean_step_size_limit']:.4g}" in run.stop_reason


@pytest.mark.parametrize("p", [0, 3])
def test_doctor(launch: Launch, p: int) -> None:
    done = launch(p, "-m", "ist_mpi", "doctor", "--json")
    findings = json.loads(done.stdout)
    assert findings["ranks"] == max(p, 1)
    assert sum(findings["hosts"].values()) == max(p, 1)
    assert findings["mpi_library"]
    assert {"numba", "hdf5", "mpi4py"} <= set(findings["versions"])
    assert done.returncode == 0
    assert call("doctor").stdout.count("MPI library") == 1


def test_doctor_sees_how_little_can_be_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "_room_here", lambda: 5 << 20)
    assert "5 MiB free for what its ranks share" in " ".join(call("doctor").stdout.split())


def test_doctor_sees_singletons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "4")  # what another MPI's launcher would leave
    done = call("doctor")
    assert done.returncode == 2
    assert "singletons" in done.stdout


def test_run_refuses_singletons(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "4")
    done = call("run", "small.toml")
    assert done.returncode == 2
    assert "each of them is alone" in done.stderr
    assert not Path("results").exists()


def test_without_an_mpi_library(
    launch: Launch, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything but run works where no MPI can be loaded."""
    assert call("run", "small.toml").returncode == 0
    broken = tmp_path / "broken" / "mpi4py"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise ImportError('libmpi.so: cannot open')\n")
    monkeypatch.setenv("PYTHONPATH", str(broken.parent), prepend=os.pathsep)
    shown = launch(0, "-m", "ist_mpi", "info", "results/small.h5")
    assert shown.returncode == 0, shown.stderr
    found = launch(0, "-m", "ist_mpi", "doctor")
    assert found.returncode == 0, found.stderr
    assert "no MPI library can be loaded" in found.stdout
    refused = launch(0, "-m", "ist_mpi", "run", "small.toml", "--force")
    assert refused.returncode == 2
    assert "no MPI library can be loaded" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize("command", [[], ["run"], ["info"], ["doctor"]])
def test_every_command_has_help(command: list[str]) -> None:
    done = call(*command, "--help")
    assert done.returncode == 0
    assert "Usage: " in done.stdout
    assert "--" in done.stdout


def test_progress_is_lines_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressReport("small") as watch:
        for k in range(0, 1000, 100):
            watch(Progress(seed=3, round=k, rounds=1000, seconds=k / 50, row={"relative_gap": 0.5}))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3  # 20 seconds, a line every five
    assert (
        "small seed 3: round 300/1000  50 rounds/s  relative gap 5.000e-01  14 s left" in lines[0]
    )
    assert "\x1b" not in "".join(lines)


AWKWARD = "a[/b]:dog:[red]\x1b[31m\nend"
"""The name of a file that would be markup, a picture, a colour, and two lines."""
SHOWN = "a[/b]:dog:[red]\\x1b[31m\\nend"


@pytest.mark.slow
def test_names_are_shown_as_they_are_and_steer_no_terminal(config: Path) -> None:
    log = f"{AWKWARD}.h5"
    Path(f"{AWKWARD}.toml").parent.mkdir()
    Path(f"{AWKWARD}.toml").write_text(
        'base = "../small.toml"\n[grid]\nmethod.step_size = [1e-3]\n'
    )
    commands = [
        ["run", "small.toml", "--out", log],
        ["run", "small.toml", "--out", log, "--resume"],
        ["run", "small.toml", "--out", f"other-{log}", "--dry-run"],
        ["info", log],
        ["watch", log],
        ["verify", log],
        ["theory", "small.toml", "--rounds", "3", "--csv", f"{AWKWARD}.csv"],
        ["sweep", "run", f"{AWKWARD}.toml", "--folder", AWKWARD],
        ["sweep", "plan", f"{AWKWARD}.toml", "--folder", AWKWARD],
    ]
    for command in commands:
        done = call(*command)
        assert done.returncode == 0, done.stderr
        assert "\x1b" not in done.stdout + done.stderr
        assert SHOWN in done.stdout + done.stderr, command


def test_a_bar_shows_names_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    heard = io.StringIO()
    with redirect_stderr(heard), ProgressReport("a[/b][red]\x1b[31m") as show:
        show(Progress(seed=0, round=1, rounds=10, seconds=1.0, row={"relative_gap": 0.5}))
    assert "a[/b][red]\\x1b[31m" in heard.getvalue()


def test_rates_have_no_exponents() -> None:
    assert [rate(value) for value in (0.01234, 5.0, 99.96, 4137.2)] == [
        "0.0123",
        "5",
        "100",
        "4137",
    ]


def test_a_narrow_terminal_shows_values_too() -> None:
    table = facts_table()
    table.row("distance to the predicted fixed point", "1.33289")
    shown = io.StringIO()
    Console(width=20, file=shown).print(table)
    assert "1.33289" in shown.getvalue()


@pytest.mark.parametrize("width", [20, 40, 60, 80, 100, 4096])
def test_no_number_is_broken_in_two(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    """However narrow; what has no room is named."""
    row = {
        "method.step_size": 0.00196843,
        "problem.path": "a/rather/long/path/of.svm",
        "run.seed": 4,
        "state": "finished",
        "round": 200,
        "relative_gap": 7.50284e-05,
        "predicted_limit": None,
        "floats_to": 1600.0,
        "log": "x.h5",
    }
    shown_on = io.StringIO()
    screen = Console(file=shown_on, width=width, highlight=False)
    monkeypatch.setattr(sweeps, "console", lambda: screen)
    sweeps.show_table([row, row])
    text = shown_on.getvalue()
    words, left = text.split(), text.partition("without ")[2]
    for name, shown in (
        ("method.step_size", {"0.00196843"}),
        ("state", {"finished"}),
        ("relative_gap", {"7.50284e-05", "7.5e-05"}),
        ("floats_to", {"1600", "1.6e+03"}),
    ):
        assert shown & set(words) or name in " ".join(left.split()), text
    assert width < 100 or not left
    assert max(map(len, text.split("\n"))) <= width


@pytest.mark.parametrize("width", range(1, 90, 8))
def test_a_table_is_as_wide_as_its_screen_and_its_words_are_whole(width: int) -> None:
    table = Sheet()
    for heading in ("point", "settings", "relative gap", "reason"):
        table.add_column(heading)
    cells = ("10", "method.step_size = 0.00019684", "7.50284e-05", "a path: " + 30 * "x")
    table.row(*cells)
    shown_on = io.StringIO()
    screen = Console(file=shown_on, width=width, highlight=False)
    show_sheet(screen, table, "-")
    text = shown_on.getvalue()
    assert max(map(len, text.split("\n"))) <= width
    named = " ".join(text.partition("without ")[2].split())
    for heading, cell in zip(("settings", "relative gap"), cells[1:], strict=False):
        assert width < 20 or heading in named or set(cell.split()) <= set(text.split())
