"""``ist-mpi new`` and ``ist-mpi schema``."""

import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from commands import call

from ist_mpi.batch.sweep_file import read_sweep
from ist_mpi.config import load
from ist_mpi.examples import NAMES, text_of

ROOT = Path(__file__).parents[2]
CONFIGURATIONS = sorted(
    path
    for path in (ROOT / "jobs").rglob("*.toml")
    if "problem" in tomllib.loads(path.read_text())  # no sweep, and nothing that a script completes
)


@pytest.fixture(scope="module")
def schema() -> Any:
    done = call("schema")
    assert done.returncode == 0
    made = json.loads(done.stdout)
    jsonschema.Draft202012Validator.check_schema(made)
    return made


@pytest.mark.parametrize("name", NAMES)
def test_an_example_can_be_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert call("new", name).returncode == 0
    path = Path(f"{name}.toml")
    assert path.read_text() == text_of(name)
    configs = read_sweep(path).configs() if name == "sweep" else [load(path)]
    assert configs
    again = call("new", name)
    assert (again.returncode, "exists" in again.stderr) == (2, True)
    assert call("new", name, "--force").returncode == 0


def test_examples_are_listed() -> None:
    shown = call("new").stdout
    assert all(name in shown for name in NAMES)
    wrong = call("new", "nothing")
    assert (wrong.returncode, '"figure1a"' in wrong.stderr) == (2, True)


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.stem)
def test_every_configuration_of_jobs_is_right(schema: Any, path: Path) -> None:
    jsonschema.validate(tomllib.loads(path.read_text()), schema)


@pytest.mark.parametrize(
    "change",
    [
        {"problem": {"kind": "synthetic", "n": 3}},
        {"problem": {"kind": "synthetic", "n": 3, "d": 5, "dd": 1}},
        {"method": {"name": "ist", "step_size": 1.0, "refresh": 2}},
        {"method": {"name": "anchored", "step_size": 1.0, "sketch": "rand"}},
        {"method": {"name": "nothing", "step_size": 1.0}},
        {"run": {"rounds": 0}},
        {"run": {"rounds": 3, "theory": "perhaps"}},
        {"more": {}},
    ],
)
def test_what_is_wrong_is_marked(schema: Any, change: dict[str, Any]) -> None:
    config = {
        "problem": {"kind": "synthetic", "n": 3, "d": 5},
        "method": {"name": "ist", "step_size": "theory"},
        "run": {"rounds": 3},
    }
    jsonschema.validate(config, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(config | change, schema)


def test_code_of_a_file_is_not_marked(schema: Any) -> None:
    config = {
        "problem": {"kind": "mine.py:Chain", "stiffness": 2.0},
        "method": {"name": "mine.py:Mine", "step_size": 1.0, "own": 3},
        "run": {"rounds": 3},
    }
    jsonschema.validate(config, schema)
