"""Logs whose parts do not fit together: code 0 or one line, from every command and a script."""

import io
import itertools
import random
import re
import shutil
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import numpy as np
import pytest
import tomli_w
from commands import call
from thinned import FULL

import ist_mpi
from ist_mpi.store import run
from ist_mpi.store.hdf5 import seal

pytestmark = pytest.mark.slow
SEED, DEFAULT = 11, 100
"""Of the dice that choose, and how many mutations are tried without IST_TESTS=full."""
HUGE = 2**62
NOTE = re.compile("caution|going on after|the run diverges| rounds/s ")
"""What is said beside an error."""

ARRAYS: dict[str, Callable[[Any], Any]] = {
    "empty": lambda a: a[:0],
    "a row less": lambda a: a[:-1],
    "a row more": lambda a: np.concatenate([a, a[-1:]]),
    "narrower": lambda a: a[..., :-1],
    "wider": lambda a: np.concatenate([a, a[..., -1:]], axis=-1),
    "huge": lambda a: np.full_like(a, HUGE if a.dtype != np.int32 else 2**31 - 1),
    "one huge": lambda a: changed(a, HUGE if a.dtype != np.int32 else 2**31 - 1),
    "one negative": lambda a: changed(a, -1),
    "backwards": lambda a: a[::-1].copy(),
    "nothing": lambda a: np.zeros_like(a),
    "NaN": lambda a: np.full(a.shape, np.nan) if a.dtype.kind == "f" else a + 1,
    "infinite": lambda a: np.full(a.shape, -np.inf) if a.dtype.kind == "f" else -a,
    "absent": lambda a: None,
}
ATTRIBUTES: dict[str, Any] = {
    "absent": None,
    "empty text": "",
    "text": "x" * 3,
    "long text": "{}[]=\"'\n" * 500,
    "JSON": '{"a": [null]}',
    "TOML": "[a]\nb = 1\n",
    "huge": HUGE,
    "negative": -1,
    "zero": 0,
    "NaN": float("nan"),
    "infinite": float("inf"),
}
SETTINGS = ("", "x", -1, 0, HUGE, 1.5, True, [], float("nan"), None)
"""What a setting of the configuration in a log becomes; None: it is absent."""


def changed(array: Any, value: Any) -> Any:
    array.ravel()[array.size // 2] = value
    return array


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "r.h5"
    config = {
        "problem": {"kind": "synthetic", "d": 6, "n": 3},
        "method": {"name": "ist", "step_size": 1e-2},
        "run": {"rounds": 8},
        "log": {"iterates": True, "permutations": True, "problem": True, "every": 2},
    }
    ist_mpi.run(config, out=path)
    return path


def mutations() -> list[tuple[str, str, str]]:
    """(kind, object, what becomes of it) of everything in a log as `log` makes it."""
    arrays = ["rounds/round", "rounds/seconds", "rounds/gap", "rounds/relative_gap"]
    arrays += ["theory/x_star", "theory/fixed_point", "model/x0", "model/x", "iterates/round"]
    arrays += ["iterates/x", "permutations/round", "permutations/pi", "permutations/offsets"]
    arrays += ["problem/L", "problem/b", "problem/constant", "rounds/floats_up"]
    found = [("array", name, way) for name, way in itertools.product(arrays, ARRAYS)]
    found += [("attribute", name, way) for name, way in itertools.product(attributes(), ATTRIBUTES)]
    found += [
        ("setting", name, str(place))
        for name, place in itertools.product(settings(), range(len(SETTINGS)))
    ]
    return found


def attributes() -> list[str]:
    names = [f":{name}" for name in ("format", "schema_version", *run.REQUIRED, *run.OPTIONAL)]
    return names + [f"theory:{name}" for name in CONSTANTS]


CONSTANTS = (
    "initial_gap",
    "f_star",
    "fixed_point_gap",
    "fixed_point_relative_gap",
    "bias_norm_squared",
    "mean_step_size_limit",
    "theta",
)


def settings() -> list[str]:
    return [
        *("problem", "problem.kind", "problem.d", "problem.n", "problem.seed"),
        *("method", "method.name", "method.step_size", "method.local_steps", "method.scaling"),
        *("run", "run.rounds", "run.seed", "run.tolerance", "run.theory"),
        *("log", "log.every", "log.iterates"),
    ]


def mutate(source: Path, target: Path, kind: str, name: str, way: str) -> None:
    """A log in which one thing is another, sealed as this program seals its own."""
    contents = io.BytesIO(source.read_bytes()[: -seal.LENGTH])
    with h5py.File(contents, "r+") as file:
        if kind == "array":
            array = ARRAYS[way](file[name][()])
            attached = dict(file[name].attrs) if name in file else {}
            del file[name]
            if array is not None:
                made = file.create_dataset(name, data=array)
                made.attrs.update(
                    {k: v for k, v in attached.items() if k in ("units", "long_name")}
                )
        elif kind == "attribute":
            group, _, attribute = name.partition(":")
            holder = file[group or "/"]
            holder.attrs.pop(attribute, None)
            if ATTRIBUTES[way] is not None:
                holder.attrs[attribute] = ATTRIBUTES[way]
        else:
            file.attrs["config"] = with_setting(file.attrs["config"], name, SETTINGS[int(way)])
    target.write_bytes(seal.sealed(contents.getvalue()))


def with_setting(text: str, name: str, value: Any) -> str:
    tables = tomllib.loads(text)
    *outer, last = name.split(".")
    table = tables[outer[0]] if outer else tables
    table.pop(last, None)
    if value is not None:
        table[last] = value
    return tomli_w.dumps(tables)


COMMANDS = (
    ["info"],
    ["info", "--json"],
    ["verify", "--seconds", "5"],
    ["extend", "--rounds", "12"],
)


def faults(log: Path, folder: Path, convergence: ModuleType, capsys: Any) -> Iterator[str]:
    """What is wrong with what commands and a script say of a log."""
    copy = folder / "copy.h5"
    for words in COMMANDS:
        shutil.copyfile(log, copy)
        shutil.rmtree(folder / "copy.ckpt", ignore_errors=True)
        try:
            done = call(words[0], str(copy), *words[1:])
        except Exception as error:
            yield f"{words}: {type(error).__name__}: {error}"
            continue
        lines = [line for line in done.stderr.splitlines() if not NOTE.search(line)]
        ended = done.returncode == 1 and (words[0] == "verify" or "diverged" in done.stderr)
        in_words = done.returncode in (2, 65) and len(lines) == 1
        if "Traceback" in done.stderr or not (ended or in_words or done.returncode == 0):
            yield f"{words}: {done.returncode}: {done.stderr}"
    capsys.readouterr()
    try:
        code = convergence.main([str(log), "-o", str(folder / "f.svg")])
    except Exception as error:
        yield f"convergence: {type(error).__name__}: {error}"
        return
    said = capsys.readouterr().err.splitlines()
    if code not in (0, 2) or len(said) != (code != 0):
        yield f"convergence: {code}: {said}"


def chosen() -> list[tuple[str, str, str]]:
    """All of them with IST_TESTS=full, else some, and those that were once wrong."""
    every = mutations()
    if FULL:
        return every
    dice = random.Random(SEED)
    return KNOWN + [one for one in dice.sample(every, DEFAULT) if one not in KNOWN]


KNOWN = [
    ("array", "rounds/round", "huge"),
    ("array", "problem/b", "a row less"),
    ("array", "problem/constant", "wider"),
    ("array", "permutations/offsets", "narrower"),
    ("array", "permutations/pi", "wider"),
    ("array", "permutations/pi", "huge"),
    ("array", "iterates/x", "absent"),
    ("attribute", ":config", "empty text"),
    ("attribute", ":problem_digest", "long text"),
    ("setting", "problem.kind", "7"),
    ("setting", "method", "9"),
]


@pytest.mark.parametrize("kind", ["array", "attribute", "setting"])
def test_each_thing_in_a_log_is_another(
    log: Path,
    kind: str,
    tmp_path: Path,
    scripts: dict[str, ModuleType],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Code 0 or one line, never a traceback; pictures are drawn, but not written."""
    convergence = scripts["convergence"]
    drawing = scripts["drawing"]
    monkeypatch.setattr(drawing.Figure, "save", lambda *_: None)
    bad, wrong = tmp_path / "bad.h5", []
    for one in chosen():
        if one[0] == kind:
            mutate(log, bad, *one)
            wrong += [f"{one}: {text}" for text in faults(bad, tmp_path, convergence, capsys)]
    assert not wrong, "\n".join(wrong)
