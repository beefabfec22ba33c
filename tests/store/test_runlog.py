"""The log is a contract: its names, what other tools see in it, and what never happens to it."""

import json
import os
import pickle
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray
from cases import configuration

import ist_mpi
from ist_mpi.cli import main
from ist_mpi.config import load
from ist_mpi.errors import InputError
from ist_mpi.store import files
from ist_mpi.store import log as runlog
from ist_mpi.training import columns

ROOT_ATTRIBUTES = {
    "format",
    "schema_version",
    "status",
    "config",
    "run_id",
    "stop_reason",
    "created",
    "seed",
    "storage",
    "problem_digest",
    "versions",
    "mpi_library",
    "ranks",
    "hosts",
    "threads",
    "slurm_job_id",
    "committed",
    "exchange",
    "seconds_measuring",
}
COLUMNS = [
    "round",
    "seconds",
    "gap",
    "relative_gap",
    "distance_to_solution",
    "distance_to_fixed_point",
    "gradient_norm_squared",
    "gradient_norm_squared_w",
    "floats_up",
    "floats_down",
]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    config = configuration("merge", "n does not divide d")
    config["log"]["every"] = 10
    ist_mpi.run(config, out=tmp_path / "deep" / "run.h5")
    return tmp_path / "deep" / "run.h5"


def test_h5py_finds_the_schema(log: Path) -> None:
    with h5py.File(log) as file:
        assert set(file.attrs) == ROOT_ATTRIBUTES
        assert file.attrs["format"] == "ist_mpi.run"
        assert file.attrs["schema_version"] == 1
        assert file.attrs["status"] == "finished"
        assert file.attrs["stop_reason"] == "rounds"
        assert file.attrs["seed"] == 5
        assert set(COLUMNS) == set(file["rounds"])
        for name in COLUMNS:
            column = file["rounds"][name]
            assert column.shape == (4,)
            assert column.attrs["units"]
            assert column.attrs["long_name"]
        assert file["rounds/round"][:].tolist() == [0, 10, 20, 25]  # the last round too
        assert file.attrs["committed"] == 4
        assert file["theory/x_star"].shape == file["theory/fixed_point"].shape == (7,)
        assert file["model/x0"].shape == file["model/x"].shape == (7,)
        assert file["iterates/round"][:].tolist() == [0, 10, 20, 25]
        assert file["iterates/x"].shape == (4, 7)
        assert file["permutations/round"][:].tolist() == list(range(25))
        assert file["permutations/pi"].shape == (25, 7)
        assert file["permutations/offsets"].shape == (25, 4)
        shapes = {name: file["problem"][name].shape for name in ("L", "b", "constant")}
        assert shapes == {"L": (3, 7, 7), "b": (3, 7), "constant": (3,)}
        versions = json.loads(file.attrs["versions"])
        assert {"ist_mpi", "git_commit", "python", "numpy", "numba", "h5py", "mpi4py"} <= set(
            versions
        )


def test_resolved_configuration_is_in_the_log(log: Path) -> None:
    text = runlog.open_run(log).attributes["config"]
    config = load(tomllib.loads(text))
    assert config.to_toml() == text
    assert isinstance(tomllib.loads(text)["method"]["step_size"], float)
    assert tomllib.loads(text)["method"]["form"] == "merge"


@pytest.mark.parametrize("engine", [None, "h5netcdf"])
def test_xarray_finds_named_dimensions(log: Path, engine: Any) -> None:
    with xarray.open_dataset(log, group="rounds", engine=engine) as rounds:
        assert dict(rounds.sizes) == {"round": 4}
        assert rounds["gap"].dims == ("round",)
        assert rounds["round"].values.tolist() == [0, 10, 20, 25]
        assert rounds["seconds"].attrs["units"] == "s"
    with xarray.open_dataset(log, engine=engine) as root:
        assert root.attrs["format"] == "ist_mpi.run"
    with xarray.open_dataset(log, group="iterates", engine=engine) as iterates:
        assert iterates["x"].dims == ("round", "coordinate")
    for group in ("theory", "model", "permutations", "problem"):
        with xarray.open_dataset(log, group=group, engine=engine) as dataset:
            assert dataset.sizes


def test_identity_has_no_permutations() -> None:
    assert ist_mpi.run(configuration("identity merge", "n = d")).permutations == {}


def test_reader_gives_what_the_run_returned(tmp_path: Path) -> None:
    returned = ist_mpi.run(configuration("rand merge", "n = d"), out=tmp_path / "run.h5")
    read = ist_mpi.open_run(tmp_path / "run.h5")
    for name in COLUMNS:
        np.testing.assert_array_equal(read.rounds[name], returned.rounds[name])
    np.testing.assert_array_equal(read.x, returned.x)
    assert read.attributes == returned.attributes


def test_run_can_be_replayed_from_its_log(log: Path, tmp_path: Path) -> None:
    """The thirty lines that a reader would write, with nothing but the file."""
    path = tmp_path / "every.h5"
    ist_mpi.run(configuration("merge, 3 local steps", "n does not divide d"), out=path)
    with h5py.File(path) as file:
        method = tomllib.loads(file.attrs["config"])["method"]
        gamma, steps = method["step_size"], method["local_steps"]
        L, b = file["problem/L"][:], file["problem/b"][:]
        pi, offsets = file["permutations/pi"][:], file["permutations/offsets"][:]
        logged, gaps = file["iterates/x"][:], file["rounds/gap"][:]
    n, d = b.shape
    x_star = np.linalg.solve(L.mean(0), b.mean(0))
    x = logged[0]
    for k in range(len(pi)):
        following = np.zeros(d)
        for i in range(n):
            S = pi[k, offsets[k, i] : offsets[k, i + 1]]
            w = n * x[S]
            for _ in range(steps):
                w = w - gamma * n * (L[i][np.ix_(S, S)] @ w - b[i, S])
            following[S] = w / n
        x = following
        np.testing.assert_allclose(x, logged[k + 1], rtol=1e-12, atol=1e-14)
        gap = 0.5 * (x - x_star) @ L.mean(0) @ (x - x_star)
        assert gap == pytest.approx(gaps[k + 1], rel=1e-9)


def test_existing_file_survives_until_forced(log: Path) -> None:
    before = log.read_bytes()
    config = configuration("merge", "n = d")
    with pytest.raises(ist_mpi.InputError, match="a file that exists"):
        ist_mpi.run(config, out=log)
    assert log.read_bytes() == before
    ist_mpi.run(config, out=log, force=True)
    assert ist_mpi.open_run(log).model["x"].shape == (5,)
    assert [path.name for path in log.parent.iterdir()] == [log.name]  # nothing else is left


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    path.write_text("somebody else's")
    with pytest.raises(FileExistsError):
        files.replace(path, b"ours", overwrite=False)
    assert path.read_text() == "somebody else's"
    assert list(tmp_path.iterdir()) == [path]


def test_log_respects_the_umask(log: Path) -> None:
    umask = os.umask(0)
    os.umask(umask)
    assert log.stat().st_mode & 0o777 == 0o666 & ~umask


LEAST = """
problem = {kind = "own"}
method = {name = "own", step_size = 0.1}
run = {rounds = 3, seed = 0, tolerance = 0.0}
log = {every = 1}
"""
"""A configuration with what every reader takes for granted."""


def test_a_running_log_is_readable(tmp_path: Path) -> None:
    """What is on disk while a run goes on is a log with the rows so far."""
    path = tmp_path / "run.h5"
    start = {"theory": {"x_star": np.zeros(2)}, "model": {"x0": np.ones(2)}}
    texts = dict.fromkeys(["run_id", "created", "mpi_library", "slurm_job_id"], "")
    attributes = {**texts, "seed": 0, "ranks": 1, "hosts": "[]", "versions": "{}", "config": LEAST}
    log = runlog.RunLog(path, attributes, columns.COLUMNS, start, {}, force=False)
    for k in range(3):
        row = {**dict.fromkeys(COLUMNS, float(k)), "round": k}
        log.append(row, np.full(2, k), keep_iterate=False)
        log.commit("running")
        run = ist_mpi.open_run(path)
        assert (run.status, run.rounds["round"].tolist()) == ("running", list(range(k + 1)))
        np.testing.assert_array_equal(run.x, [k, k])


def log_of(path: Path, names: dict[str, tuple[str, str]], **constants: float | str) -> runlog.Run:
    """A log of two rows with these columns and constants, read again."""
    start = {"theory": {}, "model": {"x0": np.ones(2)}}
    texts = dict.fromkeys(["run_id", "created", "mpi_library", "slurm_job_id"], "")
    attributes = {**texts, "seed": 0, "ranks": 1, "hosts": "[]", "versions": "{}", "config": LEAST}
    log = runlog.RunLog(path, attributes, names, start, constants, force=False)
    for k in range(2):
        row = {**{name: 10.0 * k + place for place, name in enumerate(names)}, "round": k}
        log.append(row, np.full(2, k), keep_iterate=False)
    log.commit("finished", "rounds")
    assert log.last_row() == log.result().last_row()
    return ist_mpi.open_run(path)


OTHERS = {
    "round": ("1", "communication round"),
    "seconds": ("s", "time"),
    "loss": ("nat", "mean cross-entropy"),
    "accuracy": ("1", "share of samples"),
}


def test_a_log_has_the_columns_and_constants_it_is_given(tmp_path: Path) -> None:
    """Nothing in the store knows what a problem measures."""
    run = log_of(tmp_path / "run.h5", OTHERS, smoothness=4.0, workers=3, why="no theory of it")
    assert list(run.rounds) == list(OTHERS)  # in their order
    assert run.last_row() == {"round": 1, "seconds": 11.0, "loss": 12.0, "accuracy": 13.0}
    assert type(run.last_row()["round"]) is int
    assert run.theory == {"smoothness": 4.0, "workers": 3, "why": "no theory of it"}
    assert repr(run).endswith("finished (rounds), round 1>")
    with h5py.File(tmp_path / "run.h5") as file:
        assert file["rounds/loss"].attrs["units"] == "nat"
        assert file["rounds/loss"].attrs["long_name"] == "mean cross-entropy"
        assert list(file["rounds"]) == list(OTHERS)
    with xarray.open_dataset(tmp_path / "run.h5", group="rounds") as rounds:
        assert rounds["accuracy"].dims == ("round",)


def test_what_a_log_lacks_is_an_input_error(tmp_path: Path) -> None:
    run = log_of(tmp_path / "run.h5", OTHERS)
    with pytest.raises(InputError, match=r"run\.h5:/rounds/gap: got nothing.*loss, accuracy"):
        run.rounds["gap"]
    with pytest.raises(InputError, match=r"run\.h5:/theory/f_star: got nothing"):
        run.theory["f_star"]
    again = pickle.loads(pickle.dumps(run))  # as other ranks get it
    with pytest.raises(InputError, match="rounds/gap"):
        again.rounds["gap"]


@pytest.mark.parametrize("command", ["info", "watch"])
def test_a_log_with_other_columns_is_shown(
    command: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log_of(tmp_path / "run.h5", OTHERS)
    monkeypatch.setattr("sys.argv", ["ist-mpi", command, str(tmp_path / "run.h5")])
    with pytest.raises(SystemExit) as caught:
        main.main()
    assert caught.value.code == 0
    out, err = capsys.readouterr()
    assert not err
    assert "finished (rounds)" in out
    assert "relative gap" not in out


def test_a_log_from_before_columns_had_an_order(log: Path) -> None:
    """The round and the seconds first, then as HDF5 has them."""
    with h5py.File(log, "r+") as file:
        kept = {name: file["rounds"][name][:] for name in COLUMNS}
        del file["rounds"]
        for name, values in kept.items():
            file[f"rounds/{name}"] = values
    assert list(ist_mpi.open_run(log).rounds) == ["round", "seconds", *sorted(COLUMNS[2:])]


@pytest.mark.parametrize("content", [b"", b"text\n", b"\x89HDF\r\n\x1a\n" + bytes(100)])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.h5"
    path.write_bytes(content)
    with pytest.raises(ist_mpi.InputError, match=r"other\.h5"):
        ist_mpi.open_run(path)


def test_other_hdf5_files_and_schemas_are_refused(log: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file["x"] = 1
    with pytest.raises(ist_mpi.InputError, match="of another kind"):
        ist_mpi.open_run(path)
    with h5py.File(log, "r+") as file:
        file.attrs["schema_version"] = 2
    with pytest.raises(ist_mpi.InputError, match="schema version 2"):
        ist_mpi.open_run(log)


@pytest.mark.parametrize("name", ["config", "created", "status", "committed"])
def test_log_without_an_attribute_is_refused(log: Path, name: str) -> None:
    with h5py.File(log, "r+") as file:
        del file.attrs[name]
    with pytest.raises(ist_mpi.InputError, match=f"a damaged log.*{name}"):
        ist_mpi.open_run(log)


def test_truncated_log_is_refused(log: Path) -> None:
    log.write_bytes(log.read_bytes()[:-500])
    with pytest.raises(ist_mpi.InputError, match=r"run\.h5"):
        ist_mpi.open_run(log)


def test_a_run_at_the_end_of_a_notebooks_cell_is_one_line(log: Path) -> None:
    run = runlog.open_run(log)
    gap = f"{run.rounds['relative_gap'][-1]:.3e}"
    last = f"finished (rounds), round {run.rounds['round'][-1]}, relative gap {gap}>"
    assert repr(run) == f"<Run {str(log)!r}, {last}"
    assert repr(replace(run, path=None)) == f"<Run {last}"
