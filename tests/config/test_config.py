"""What a configuration may say, what it defaults to, and how every fault in it is reported."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w

from ist_mpi.config import Config, load
from ist_mpi.errors import InputError, ISTError

Tables = dict[str, dict[str, Any]]


def minimal(**changes: Mapping[str, Any]) -> Tables:
    """The least that runs, with `changes` to its sections: ``minimal(run={"seed": 3})``."""
    tables: Tables = {
        "problem": {"kind": "synthetic", "d": 6, "n": 3},
        "method": {"name": "ist", "step_size": 1e-3},
        "run": {"rounds": 5},
    }
    for section, values in changes.items():
        tables.setdefault(section, {}).update(values)
    return tables


def with_method(**values: Any) -> Tables:
    """The least that runs, with another [method]; its step size is 0.1."""
    return {**minimal(), "method": {"step_size": 0.1, **values}}


def with_problem(**values: Any) -> Tables:
    """The least that runs, with another [problem]."""
    return {**minimal(), "problem": values}


def written(folder: Path, tables: Tables, name: str = "job.toml") -> Path:
    """`tables` as a TOML file in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(tomli_w.dumps(tables), encoding="utf-8")
    return path


def refusal(source: Any, overrides: Sequence[str] = ()) -> InputError:
    """The InputError that loading `source` raises."""
    with pytest.raises(InputError) as caught:
        load(source, overrides)
    return caught.value


def places(error: InputError) -> list[str]:
    """The settings that an error complains about, sorted: the first word of every `where`."""
    return sorted(fault.where.split(" in ")[0] for fault in error.faults)


DEFAULTS = {
    "problem": {
        "kind": "synthetic", "d": 6, "n": 3, "heterogeneous": True, "linear_term": True,
        "precision": "float64", "seed": 0,
    },
    "method": {
        "name": "ist", "sketch": "permutation", "scaling": "unbiased", "form": "merge",
        "step_size": 1e-3, "group_size": 1, "local_steps": 1,
    },
    "run": {"rounds": 5, "seed": 0, "tolerance": 0.0, "exchange": "server", "theory": "auto",
            "checkpoint_every": 60.0, "watchdog_seconds": 600.0},
    "log": {"every": 1, "iterates": False, "permutations": False, "problem": False},
}  # fmt: skip


# --- loading, defaults, precedence -------------------------------------------------------------


def test_a_minimal_configuration_gets_every_default(tmp_path: Path) -> None:
    assert load(minimal()).to_dict() == DEFAULTS
    assert load(written(tmp_path, minimal())).to_dict() == DEFAULTS
    assert load(str(written(tmp_path, minimal()))).to_dict() == DEFAULTS


def test_ridge_defaults() -> None:
    problem = load(with_problem(kind="ridge", dataset="digits", n=8)).to_dict()["problem"]
    assert problem == {
        "kind": "ridge", "dataset": "digits", "n": 8, "l2": 1e-3, "split": "contiguous",
        "standardize": False, "storage": "auto", "precision": "float64", "seed": 0,
    }  # fmt: skip


def test_a_config_is_itself_and_takes_overrides() -> None:
    config = load(minimal())
    assert load(config) is config
    changed = load(config, ["run.rounds=7"])
    assert (changed.run.rounds, config.run.rounds) == (7, 5)


def test_a_config_cannot_be_changed_in_place() -> None:
    config = load(minimal())
    with pytest.raises(ValueError, match="frozen"):
        config.run.rounds = 9  # type: ignore[misc]  # frozen: that is the point


def test_loading_a_dict_leaves_it_as_it_was() -> None:
    tables = with_problem(kind="ridge", path="data.svm", n=2)
    load(tables, ["run.seed=4"])
    assert tables == with_problem(kind="ridge", path="data.svm", n=2)


def test_override_beats_file_beats_default(tmp_path: Path) -> None:
    path = written(tmp_path, minimal(run={"seed": 4, "tolerance": 0.5}))
    config = load(path, ["run.seed=8", "log.every=3"])
    assert config.run.seed == 8  # all three levels have one
    assert config.run.tolerance == 0.5  # file and default
    assert config.log.every == 3  # the file has no such section
    assert config.run.exchange == "server"


def test_the_last_override_wins() -> None:
    assert load(minimal(), ["run.seed=1", "run.seed=2"]).run.seed == 2


@pytest.mark.parametrize(
    ("override", "section", "key", "value"),
    [
        ("run.rounds=20", "run", "rounds", 20),
        ("run.rounds = 20", "run", "rounds", 20),
        ("method.step_size=5e-5", "method", "step_size", 5e-5),
        ("method.step_size=1", "method", "step_size", 1.0),
        ("log.iterates=true", "log", "iterates", True),
        ("run.exchange=replicated", "run", "exchange", "replicated"),
        ('run.exchange="replicated"', "run", "exchange", "replicated"),
        ("run.exchange='replicated'", "run", "exchange", "replicated"),
    ],
)
def test_override_values_are_toml_else_plain_strings(
    override: str, section: str, key: str, value: Any
) -> None:
    found = load(minimal(), [override]).to_dict()[section][key]
    assert found == value
    assert type(found) is type(value)


def test_an_override_may_hold_an_equals_sign(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = with_problem(kind="ridge", n=2)
    assert load(source, ["problem.path=a=b.svm"]).problem.path == str(tmp_path / "a=b.svm")


def test_numpy_numbers_and_paths_are_taken_as_plain_values(tmp_path: Path) -> None:
    tables = minimal(run={"seed": np.int64(3)}, method={"step_size": np.float64(0.25)})
    config = load(tables)
    assert (config.run.seed, config.method.step_size) == (3, 0.25)
    ridge = load(with_problem(kind="ridge", n=2, path=tmp_path / "a.svm"))
    assert ridge.problem.path == str(tmp_path / "a.svm")


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte-order mark"])
def test_a_byte_order_mark_before_toml(mark: bytes, tmp_path: Path) -> None:
    path = written(tmp_path, minimal())
    path.write_bytes(mark + path.read_bytes())
    assert load(path).to_dict() == DEFAULTS


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_toml_in_another_encoding_is_named(encoding: str, tmp_path: Path) -> None:
    path = written(tmp_path, minimal())
    path.write_bytes(path.read_text().encode(encoding))
    with pytest.raises(InputError, match=r"text in UTF-.*iconv"):
        load(path)


# --- paths ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [{"kind": "ridge", "n": 2}, {"kind": "arrays"}], ids=str)
def test_paths_in_a_file_are_relative_to_its_folder(
    kind: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "jobs", with_problem(**kind, path="data/my.data"))
    for source in ("jobs/job.toml", Path("jobs/job.toml"), tmp_path / "jobs" / "job.toml"):
        assert load(source).problem.path == str(tmp_path / "jobs" / "data" / "my.data")


def test_paths_in_overrides_and_dicts_are_relative_to_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "jobs", with_problem(kind="ridge", n=2, path="a.svm"))
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    assert load(path, ["problem.path=b.svm"]).problem.path == str(here / "b.svm")
    source = with_problem(kind="ridge", n=2, path="c.svm")
    assert load(source).problem.path == str(here / "c.svm")


def test_an_absolute_path_stays(tmp_path: Path) -> None:
    target = str(tmp_path / "data.svm")
    path = written(tmp_path / "jobs", with_problem(kind="ridge", n=2, path=target))
    assert load(path).problem.path == target
    assert load(path, [f"problem.path={target}2"]).problem.path == f"{target}2"


def test_a_path_on_the_command_line_replaces_the_files_bundled_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = written(tmp_path / "jobs", with_problem(kind="ridge", n=2, dataset="digits"))
    problem = load(path, ["problem.path=mine.svm"]).problem
    assert (problem.path, problem.dataset) == (str(tmp_path / "mine.svm"), None)


# --- the resolved configuration -----------------------------------------------------------------

RUNNABLE = {
    "minimal": minimal(),
    "everything": {
        "problem": {
            "kind": "synthetic", "d": 7, "n": 2, "heterogeneous": False, "linear_term": False,
            "seed": 2**63 - 1,
        },
        "method": {
            "name": "ist", "sketch": "rand", "q": 3, "scaling": "unbiased", "form": "merge",
            "step_size": 1 / 3, "local_steps": 4,
        },
        "run": {"rounds": 9, "seed": 3, "tolerance": 1e-12, "exchange": "replicated"},
        "log": {"every": 4, "iterates": True, "permutations": True, "problem": True},
    },
    "ridge file": with_problem(kind="ridge", n=2, d=9, path="dätä.svm", split="shuffled"),
    "ridge dataset": with_problem(kind="ridge", n=2, dataset="diabetes", standardize=True, l2=0),
    "arrays": with_problem(kind="arrays", path="mine.h5"),
    "gradient descent": with_method(name="gradient_descent"),
    "dcgd": with_method(name="dcgd", sketch="rand", q=2),
    "integer step size": with_method(name="ist", step_size=1),
}  # fmt: skip


@pytest.mark.parametrize("tables", RUNNABLE.values(), ids=RUNNABLE.keys())
def test_the_resolved_toml_loads_back_the_same(tables: Tables, tmp_path: Path) -> None:
    config = load(tables)
    text = config.to_toml()
    assert tomllib.loads(text) == config.to_dict()
    path = tmp_path / "elsewhere" / "resolved.toml"
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    again = load(path)
    assert again == config
    assert again.run_id() == config.run_id()


def test_run_id_is_the_same_however_the_same_run_is_written(tmp_path: Path) -> None:
    identity = load(minimal()).run_id()
    assert len(identity) == 16
    assert set(identity) <= set("0123456789abcdef")
    turned = {name: dict(reversed(table.items())) for name, table in reversed(minimal().items())}
    assert load(turned).run_id() == identity
    assert load(written(tmp_path, minimal())).run_id() == identity
    assert load(DEFAULTS).run_id() == identity  # spelling a default out changes nothing
    assert load(minimal(run={"rounds": 6}), ["run.rounds=5"]).run_id() == identity


def test_run_id_ignores_what_the_method_ignores() -> None:
    plain = load(with_method(name="gradient_descent"))
    noisy = load(with_method(name="gradient_descent", sketch="rand", q=2, form="merge"))
    assert noisy.run_id() == plain.run_id()


@pytest.mark.parametrize(
    "override",
    [
        "problem.d=7", "problem.n=4", "problem.heterogeneous=false", "problem.linear_term=false",
        "problem.seed=1", "method.scaling=unscaled", "method.form=estimator",
        "method.step_size=1.0000000000000002e-3", "method.local_steps=2", "run.rounds=6",
        "run.seed=1", "run.tolerance=1e-300", "run.theory=true", "log.every=2",
        "method.group_size=2",
        "log.iterates=true",
    ],
)  # fmt: skip
def test_run_id_changes_with_every_setting(override: str) -> None:
    assert load(minimal(), [override]).run_id() != load(minimal()).run_id()


@pytest.mark.parametrize(
    "override",
    [
        "run.exchange=serverless",
        "run.checkpoint_every=1",
        "run.max_seconds=9",
        "run.watchdog_seconds=0",
    ],
)
def test_run_id_does_not_depend_on_how_a_run_is_made(override: str) -> None:
    assert load(minimal(), [override]).run_id() == load(minimal()).run_id()


def test_arrays_in_memory_are_identified_by_their_contents() -> None:
    def identity(L: Any, **more: Any) -> str:
        return load(with_problem(kind="arrays", L=L, b=np.ones((1, 2)), **more)).run_id()

    L = np.array([[[2.0, 1.0], [1.0, 2.0]]])
    assert identity(L) == identity(L.tolist()) == identity(np.asfortranarray(L))
    others = [identity(L), identity(2 * L), identity(L, x0=np.zeros(2)), identity(L, x0=np.ones(2))]
    assert len(set(others)) == len(others)


# --- rules of the method --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "form"),
    [
        ({"sketch": "identity"}, "merge"),
        ({"sketch": "permutation"}, "merge"),
        ({"sketch": "permutation", "scaling": "unscaled"}, "merge"),
        ({"sketch": "permutation", "scaling": "preconditioned"}, "estimator"),
        ({"sketch": "rand", "q": 2}, "estimator"),
    ],
    ids=str,
)
def test_default_form(method: dict[str, Any], form: str) -> None:
    assert load(with_method(name="ist", **method)).method.form == form
    for asked in ("merge", "estimator"):
        assert load(with_method(name="ist", form=asked, **method)).method.form == asked


NONSENSE: dict[str, Any] = {
    "sketch": "no such", "scaling": 3, "form": ["x"], "q": -3, "group_size": "many"
}  # fmt: skip


def test_gradient_descent_ignores_what_it_does_not_use_even_nonsense() -> None:
    config = load(with_method(name="gradient_descent", **NONSENSE))
    assert config.to_dict()["method"] == {
        "name": "gradient_descent", "sketch": "identity", "scaling": "unbiased",
        "group_size": 1, "step_size": 0.1, "local_steps": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("method", "ignored"),
    [
        ({"name": "dcgd", "form": "no such"}, "form"),
        ({"name": "dcgd", "sketch": "rand", "q": 2, "form": 4}, "form"),
        ({"name": "ist", "q": 3}, "q"),
        ({"name": "ist", "q": "many"}, "q"),
        ({"name": "ist", "sketch": "identity", "q": -1}, "q"),
        ({"name": "dcgd", "q": 2.5}, "q"),
    ],
    ids=str,
)
def test_unused_settings_are_ignored(method: dict[str, Any], ignored: str) -> None:
    kept = load(with_method(**method)).to_dict()["method"]
    assert ignored not in kept
    assert kept.items() >= {key: method[key] for key in method if key != ignored}.items()


@pytest.mark.parametrize(
    ("method", "where", "fragments"),
    [
        ({"name": "ist", "sketch": "rand"}, "q", ["nothing", "rand"]),
        ({"name": "dcgd", "sketch": "rand"}, "q", ["nothing", "rand"]),
        ({"name": "ist", "sketch": "rand", "q": 0}, "q", ["got 0"]),
        (
            {"name": "ist", "sketch": "rand", "q": 2, "scaling": "unscaled"},
            "scaling",
            ['"unscaled"', '"rand"', '"unbiased"'],
        ),
        (
            {"name": "ist", "sketch": "identity", "scaling": "preconditioned"},
            "scaling",
            ['"preconditioned"', '"identity"', '"unbiased"'],
        ),
        ({"name": "dcgd", "scaling": "unscaled"}, "scaling", ['"unscaled"', '"dcgd"']),
        ({"name": "dcgd", "local_steps": 2}, "local_steps", ["got 2", '"dcgd"', "expected 1"]),
        (
            {"name": "gradient_descent", "local_steps": 3},
            "local_steps",
            ["got 3", '"gradient_descent"', "expected 1"],
        ),
        ({"name": "ist", "local_steps": 0}, "local_steps", ["got 0"]),
    ],
    ids=str,
)
def test_settings_that_do_not_go_together(
    method: dict[str, Any], where: str, fragments: list[str]
) -> None:
    error = refusal(with_method(**method))
    assert places(error) == [f"method.{where}"]
    for fragment in fragments:
        assert fragment in str(error)


@pytest.mark.parametrize(
    ("method", "count"),
    [
        ({"name": "ist"}, 0),
        ({"name": "ist", "form": "merge"}, 0),
        ({"name": "ist", "scaling": "unscaled", "form": "merge"}, 0),
        ({"name": "ist", "sketch": "rand", "q": 2}, 0),
        ({"name": "ist", "sketch": "rand", "q": 2, "form": "merge"}, 1),
        ({"name": "ist", "scaling": "preconditioned"}, 0),
        ({"name": "ist", "scaling": "preconditioned", "form": "merge"}, 1),
        ({"name": "dcgd", "sketch": "rand", "q": 2, "form": "merge"}, 0),
    ],
    ids=str,
)
def test_cautions_about_merges_that_multiply_the_model(method: dict[str, Any], count: int) -> None:
    cautions = load(with_method(**method)).cautions()
    assert len(cautions) == count
    assert all("merge" in caution and "estimator" in caution for caution in cautions)


# --- faults of values -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("section", "key", "value", "got"),
    [
        ("problem", "d", True, "True"),
        ("problem", "d", 6.0, "6.0"),
        ("problem", "d", "6", '"6"'),
        ("problem", "d", 0, "0"),
        ("problem", "d", 2**31, str(2**31)),
        ("problem", "n", -3, "-3"),
        ("problem", "n", [3], "[3]"),
        ("problem", "heterogeneous", 1, "1"),
        ("problem", "linear_term", "yes", '"yes"'),
        ("problem", "seed", -1, "-1"),
        ("problem", "seed", 2**63, str(2**63)),
        ("problem", "seed", False, "False"),
        ("method", "name", "istt", '"istt"'),
        ("method", "name", ["ist"], "['ist']"),
        ("method", "sketch", "perm", '"perm"'),
        ("method", "scaling", "unscald", '"unscald"'),
        ("method", "form", "merged", '"merged"'),
        ("method", "form", 1, "1"),
        ("method", "step_size", True, "True"),
        ("method", "step_size", "1e-3", '"1e-3"'),
        ("method", "step_size", 0, "0"),
        ("method", "step_size", -0.5, "-0.5"),
        ("method", "step_size", float("nan"), "nan"),
        ("method", "step_size", float("inf"), "inf"),
        ("method", "local_steps", 1.5, "1.5"),
        ("run", "rounds", 0, "0"),
        ("run", "rounds", 10.0, "10.0"),
        ("run", "tolerance", -1e-9, "-1e-09"),
        ("run", "tolerance", float("nan"), "nan"),
        ("run", "exchange", "parameter server", '"parameter server"'),
        ("log", "every", 0, "0"),
        ("log", "every", True, "True"),
        ("log", "problem", "true", '"true"'),
    ],
)
def test_a_wrong_value_is_named_with_what_was_got(
    section: str, key: str, value: Any, got: str, tmp_path: Path
) -> None:
    tables = minimal(**{section: {key: value}})
    error = refusal(tables)
    assert places(error) == [f"{section}.{key}"]
    assert error.faults[0].got.startswith(got)
    assert error.faults[0].expected not in ("", "a valid value")
    if value != 2**63:  # beyond what TOML integers hold
        path = written(tmp_path, tables)
        assert places(refusal(path)) == [f"{section}.{key}"]
        assert str(path) in str(refusal(path))


@pytest.mark.parametrize(
    ("problem", "where", "fragments"),
    [
        ({"kind": "ridge", "n": 3}, "path", ["neither", "path", "dataset"]),
        (
            {"kind": "ridge", "n": 3, "path": "a", "dataset": "digits"},
            "path",
            ["both", "path", "dataset"],
        ),
        ({"kind": "ridge", "n": 3, "path": ""}, "path", ['""']),
        ({"kind": "ridge", "n": 3, "path": 7}, "path", ["got 7"]),
        ({"kind": "ridge", "n": 3, "dataset": "digitz"}, "dataset", ["digitz", '"digits"']),
        ({"kind": "ridge", "n": 3, "dataset": "digits", "l2": -1.0}, "l2", ["-1.0", "≥ 0"]),
        ({"kind": "ridge", "n": 3, "dataset": "digits", "split": "no"}, "split", ["shuffled"]),
        ({"kind": "arrays"}, "path", ["neither", "(L, b)"]),
        ({"kind": "arrays", "L": np.ones((1, 1, 1))}, "path", ["neither", "(L, b)"]),
        ({"kind": "arrays", "L": np.eye(2), "b": np.ones((1, 2))}, "L", ["(2, 2)", "3 dim"]),
        ({"kind": "arrays", "L": [[[1j]]], "b": [[1.0]]}, "L", ["complex"]),
        ({"kind": "arrays", "L": [[["a"]]], "b": [[1.0]]}, "L", ["real"]),
        ({"kind": "arrays", "L": [[[1, 2], [3]]], "b": [[1.0]]}, "L", ["real"]),
        ({"kind": "tables"}, "kind", ['"tables"', '"synthetic"', '"ridge"', '"arrays"']),
        ({"kind": 3}, "kind", ["got 3"]),
        ({"kind": ["ridge"]}, "kind", ["ridge"]),
    ],
    ids=str,
)
def test_a_wrong_problem(problem: dict[str, Any], where: str, fragments: list[str]) -> None:
    error = refusal(with_problem(**problem))
    assert places(error) == [f"problem.{where}"]
    for fragment in fragments:
        assert fragment in str(error)


@pytest.mark.parametrize("given", ["L", "b"])
def test_an_array_beside_a_path_is_refused_not_dropped(given: str) -> None:
    array = np.ones((1, 1, 1)) if given == "L" else np.ones((1, 1))
    error = refusal(with_problem(kind="arrays", path="mine.h5", **{given: array}))
    assert all(place.startswith("problem.") for place in places(error))


@pytest.mark.parametrize(
    ("changes", "where", "suggestion"),
    [
        ({"method": {"stepsize": 0.1}}, "method.stepsize", "step_size"),
        ({"problem": {"hetrogeneous": True}}, "problem.hetrogeneous", "heterogeneous"),
        ({"run": {"round": 3}}, "run.round", "rounds"),
        ({"log": {"iterate": True}}, "log.iterate", "iterates"),
        ({"runn": {"seed": 1}}, "runn", "run"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_unknown_name_gets_a_suggestion(changes: Tables, where: str, suggestion: str) -> None:
    error = refusal(minimal(**changes))
    assert places(error) == [where]
    assert f"did you mean {suggestion}?" in str(error)


def test_an_unknown_name_like_no_other_gets_the_list_of_names() -> None:
    error = refusal(minimal(log={"zzz": 1}))
    assert places(error) == ["log.zzz"]
    for known in ("every", "iterates", "permutations", "problem"):
        assert known in error.faults[0].expected
    assert "did you mean" not in str(error)


def test_settings_of_another_kind_are_unknown() -> None:
    assert places(refusal(minimal(problem={"l2": 0.1}))) == ["problem.l2"]
    error = refusal(with_problem(kind="ridge", n=2, dataset="digits", linear_term=False))
    assert places(error) == ["problem.linear_term"]


@pytest.mark.parametrize("section", ["problem", "method", "run", "log"])
@pytest.mark.parametrize("value", [3, "x", [{"seed": 1}]], ids=str)
def test_a_section_that_is_no_table(section: str, value: Any) -> None:
    error = refusal({**minimal(), section: value})
    assert places(error) == [section]
    assert f"[{section}]" in str(error)


@pytest.mark.parametrize(
    ("source", "missing"),
    [
        ({}, ["method.name", "method.step_size", "problem.kind", "run.rounds"]),
        ({**minimal(), "run": {}}, ["run.rounds"]),
        (with_method(name="ist") | {"method": {}}, ["method.name", "method.step_size"]),
        (with_problem(d=3, n=2), ["problem.kind"]),
        (with_problem(kind="synthetic"), ["problem.d", "problem.n"]),
        (with_problem(kind="ridge", dataset="digits"), ["problem.n"]),
        (with_problem(kind="ridge"), ["problem.n", "problem.path"]),
        (with_problem(kind="arrays"), ["problem.path"]),
        ({key: minimal()[key] for key in ("method", "run")}, ["problem.kind"]),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, list) else "",
)
def test_everything_that_is_missing_is_listed(source: Tables, missing: list[str]) -> None:
    error = refusal(source)
    assert places(error) == missing
    assert all("nothing" in fault.got or "neither" in fault.got for fault in error.faults)


def test_several_faults_are_all_listed_at_once(tmp_path: Path) -> None:
    tables: Tables = {
        "problem": {"kind": "synthetic", "d": 0, "n": True, "hetero": 1},
        "method": {"name": "ist", "step_size": -1.0, "sketch": "rnd"},
        "run": {"exchange": "mail"},
        "logs": {},
    }
    overrides = ["nonsense", "log.every=-2"]
    error = refusal(written(tmp_path, tables), overrides)
    assert places(error) == [
        "--set nonsense", "log.every", "logs", "method.sketch", "method.step_size",
        "problem.d", "problem.hetero", "problem.n", "run.exchange", "run.rounds",
    ]  # fmt: skip
    assert str(error).splitlines()[0] == "10 problems:"
    assert len(str(error).splitlines()) == 11


def test_a_rule_between_settings_is_reported_beside_other_faults() -> None:
    error = refusal(with_method(name="ist", sketch="rand", step_size=-1.0))
    assert places(error) == ["method.q", "method.step_size"]


@pytest.mark.parametrize(
    "override",
    ["run.seed", "seed=3", "a.b.c=1", "=3", "run.=3", ".seed=3", "", "log={every=3}"],
)
def test_an_override_that_is_none(override: str) -> None:
    error = refusal(minimal(), [override])
    assert len(error.faults) == 1
    assert repr(override) in str(error)
    assert "section.key=value" in str(error)


@pytest.mark.parametrize(
    ("override", "where"),
    [
        ("run.seed=", "run.seed"),
        ("run.seed=three", "run.seed"),
        ("run.seed=[1", "run.seed"),
        ("run.seed=3\nrounds=9", "run.seed"),
        ("log.iterates=True", "log.iterates"),
        ("run.sede=3", "run.sede"),
        ("rum.seed=3", "rum"),
        pytest.param(f"run.seed={'9' * 5000}", "run.seed", id="5000 digits"),
        pytest.param(f"method.step_size=1{'0' * 400}", "method.step_size", id="1e400 in digits"),
        pytest.param(f"run.seed={'[' * 5000}", "run.seed", id="5000 brackets"),
    ],
)
def test_an_override_with_a_wrong_value(override: str, where: str) -> None:
    error = refusal(minimal(), [override])
    assert places(error) == [where]
    assert len(str(error)) < 1000


# --- faults of files ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("contents", "fragment"),
    [
        (b"[run\nrounds = 3\n", "line 1"),
        (b"[run]\nrounds = 3\nseed = ?\n", "line 3"),
        (b"[run]\nrounds = 1\nrounds = 2\n", "line 3"),
        (b"[run]\nrounds = 2020-13-45\n", "line 2"),
        (b"[run]\nrounds = \x00\n", "line 2"),
        (b'[problem]\nkind = "synthetic\n', "line 2"),
        (b'[problem]\nkind = "\xff\xfe"\n', "0xff"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        (b"x = " + b"[" * 20000, "not TOML"),
        (b"[run]\nrounds = " + b"9" * 5000 + b"\n", "job.toml"),
        (b"#" * (2 << 20), "1 MiB"),
    ],
    ids=["header", "value", "twice", "date", "nul", "string", "latin", "binary", "deep", "number",
         "large"],
)  # fmt: skip
def test_a_file_that_is_not_toml(contents: bytes, fragment: str, tmp_path: Path) -> None:
    path = tmp_path / "job.toml"
    path.write_bytes(contents)
    error = refusal(path)
    assert len(error.faults) == 1
    assert str(path) in str(error)
    assert fragment in str(error)


def test_an_empty_file_lacks_all_that_is_required(tmp_path: Path) -> None:
    path = tmp_path / "job.toml"
    path.write_bytes(b"")
    error = refusal(path)
    assert places(error) == ["method.name", "method.step_size", "problem.kind", "run.rounds"]
    assert all(str(path) in fault.where for fault in error.faults)


@pytest.mark.parametrize(
    ("name", "got"),
    [("missing.toml", "no such file"), (".", "directory"), ("n" * 300 + ".toml", "name too long")],
    ids=["missing", "directory", "long name"],
)
def test_a_file_that_cannot_be_opened(name: str, got: str, tmp_path: Path) -> None:
    path = tmp_path / name
    error = refusal(path)
    assert len(error.faults) == 1
    assert str(path) in str(error)
    assert got in str(error)


def test_an_input_error_is_a_value_error_with_exit_code_2() -> None:
    error = refusal({})
    assert isinstance(error, ISTError)
    assert isinstance(error, ValueError)
    assert error.exit_code == 2


def test_load_gives_a_config() -> None:
    assert isinstance(load(minimal()), Config)
