"""What `compare.py` runs: configurations, commands, and wrong input, with the files they read."""

from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Config = dict[str, Any]

METHODS: dict[str, dict[str, Any]] = {
    "merge": {},
    "estimator": {"form": "estimator"},
    "merge, 3 steps": {"local_steps": 3},
    "estimator, 3 steps": {"form": "estimator", "local_steps": 3},
    "unscaled": {"scaling": "unscaled"},
    "unscaled estimator, 3 steps": {
        "scaling": "unscaled",
        "form": "estimator",
        "local_steps": 3,
    },
    "preconditioned": {"scaling": "preconditioned"},
    "preconditioned merge": {"scaling": "preconditioned", "form": "merge"},
    "rand": {"sketch": "rand", "q": 2},
    "rand merge, 3 steps": {"sketch": "rand", "q": 2, "form": "merge", "local_steps": 3},
    "identity": {"sketch": "identity"},
    "identity, 3 steps": {"sketch": "identity", "local_steps": 3},
    "gradient descent": {"name": "gradient_descent"},
    "dcgd": {"name": "dcgd"},
    "dcgd rand": {"name": "dcgd", "sketch": "rand", "q": 2},
}
SHAPES = {"n | d": (3, 12), "n ∤ d": (5, 17), "n > d": (7, 3), "n = 1": (1, 6)}
"""(n, d)."""
GROUPED = ("merge", "unscaled", "preconditioned", "preconditioned merge", "dcgd")
GROUPS = {"n | d/g": (3, 24, 4), "n ∤ d/g": (5, 24, 2), "n > d/g": (7, 12, 4)}
"""(n, d, g)."""
ON_DATA = ("merge, 3 steps", "preconditioned", "dcgd")
DATA: list[tuple[str, Config]] = [
    ("sparse", {"n": 6}),
    ("dense", {"n": 7, "dataset": "diabetes", "standardize": True}),
]
PRECISIONS = ("float64", "float32")
EXCHANGES = ("server", "replicated", "auto", "serverless")
LOGGED = {"iterates": True, "permutations": True, "problem": True}


def config(problem: Config, method: Config, step_size: float = 1e-3, **run: Any) -> Config:
    """25 rounds."""
    return {
        "problem": problem,
        "method": {"name": "ist", "step_size": step_size, **method},
        "run": {"rounds": 25, "seed": 5, **run},
        "log": dict(LOGGED),
    }


def synthetic(n: int, d: int, **more: Any) -> Config:
    """The paper's quadratics."""
    return {"kind": "synthetic", "n": n, "d": d, "seed": 11, **more}


def configurations(folder: Path) -> dict[str, Config]:
    """By name; `folder` has the files of `write`."""
    return dict(_configurations(folder))


def _configurations(folder: Path) -> Iterator[tuple[str, Config]]:
    in_turn = cycle(EXCHANGES[:3])  # the fourth takes disjoint blocks
    for i, (name, method) in enumerate(METHODS.items()):
        for shape, (n, d) in list(SHAPES.items())[i % 2 :: 2]:
            yield f"{name}, {shape}", config(synthetic(n, d), method, exchange=next(in_turn))
    for i, name in enumerate(GROUPED):
        for shape, (n, d, g) in list(GROUPS.items())[i % 2 :: 2]:
            method = {**METHODS[name], "group_size": g}
            problem = synthetic(n, d)
            yield f"{name}, {shape}", config(problem, method, exchange=next(in_turn))
    for exchange, precision in zip(EXCHANGES, cycle(PRECISIONS)):
        problem = synthetic(6, 60, precision=precision)
        name = f"d = 60, {precision}, {exchange}"
        yield name, config(problem, {"local_steps": 3}, 1e-4, exchange=exchange)
    for name in ("merge", "preconditioned", "gradient descent"):
        problem = synthetic(5, 8, heterogeneous=False)
        yield f"{name}, homogeneous", config(problem, METHODS[name])
    problem = synthetic(5, 8, heterogeneous=False, linear_term=False)
    yield "merge, homogeneous, no linear term", config(problem, METHODS["merge"])
    for i, name in enumerate(ON_DATA):
        for storage in ("matrix", "samples"):
            for j, precision in enumerate(PRECISIONS):
                kept = {"kind": "ridge", "storage": storage, "precision": precision, "l2": 0.1}
                title, data = DATA[(i + j) % 2]
                path = {"path": str(folder / "sparse.svm")} if title == "sparse" else {}
                title = f"{name}, {title}, {storage}, {precision}"
                yield title, config({**kept, **data, **path}, METHODS[name], 1e-2)
    shuffled = {"kind": "ridge", "dataset": "breast_cancer", "split": "shuffled", "n": 7}
    yield "shuffled", config({**shuffled, "standardize": True}, METHODS["merge"], 1e-2)
    for name, precision in zip(("merge", "preconditioned"), PRECISIONS, strict=True):
        problem = {"kind": "arrays", "path": str(folder / "arrays.h5"), "precision": precision}
        yield f"{name}, arrays, {precision}", config(problem, METHODS[name])
    certain = config(synthetic(3, 12), {"step_size": "theory"})
    yield "step_size = theory", certain
    until = config(synthetic(1, 6), METHODS["gradient descent"], 1e-1, tolerance=1e-2)
    until["run"]["rounds"] = 400
    yield "until a tolerance", until
    diverging = config(synthetic(3, 12), {}, 10.0)
    diverging["run"]["rounds"] = 1000
    yield "diverging", diverging
    seldom = config(synthetic(3, 12), {})
    seldom["log"] = {"every": 7}
    yield "every 7th round, nothing else logged", seldom


THEORY = (
    "merge, n | d",
    "estimator, n ∤ d",
    "unscaled, n > d",
    "preconditioned, n > d/g",
    "rand, n | d",
    "dcgd, n = 1",
    "merge, homogeneous, no linear term",
    "preconditioned, sparse, samples, float32",
)
"""Those whose theory is asked for by the command line, too."""


def wrong(folder: Path) -> dict[str, tuple[list[str], Config | str | None]]:
    """The command line, where {} stands for a configuration; and that, as tables or as text."""
    return dict(_wrong(folder))


def _wrong(folder: Path) -> Iterator[tuple[str, tuple[list[str], Config | str | None]]]:
    good = config(synthetic(3, 12), {})
    run = ["run", "{}"]
    for name, text in {
        "empty": "",
        "no TOML": "[problem\n",
        "a table only": '[problem]\nkind = "synthetic"\n',
    }.items():
        yield name, (run, text)
    changes: dict[str, Config] = {
        "an unknown key": {"problem": {"colour": 1}},
        "d = 0": {"problem": {"d": 0}},
        "d a string": {"problem": {"d": "12"}},
        "an unknown kind": {"problem": {"kind": "cubic"}},
        "an unknown method": {"method": {"name": "adam"}},
        "rand without q": {"method": {"sketch": "rand"}},
        "dcgd, unscaled": {"method": {"name": "dcgd", "scaling": "unscaled"}},
        "groups that do not divide d": {"method": {"group_size": 5}},
        "groups of rand": {"method": {"sketch": "rand", "q": 2, "group_size": 2}},
        "a step size below 0": {"method": {"step_size": -1.0}},
        "theory's step size, 3 steps": {"method": {"step_size": "theory", "local_steps": 3}},
        "rounds = 0": {"run": {"rounds": 0}},
        "several at once": {"run": {"rounds": 0, "seed": -1}, "method": {"form": "?"}},
    }
    for name, change in changes.items():
        tables = {key: {**table, **change.get(key, {})} for key, table in good.items()}
        yield name, (run, tables)
    data = {"kind": "ridge", "n": 3}
    arrays = {"kind": "arrays"}
    problems: dict[str, Config] = {
        "no such data set": {**data, "dataset": "iris"},
        "no such file": {**data, "path": str(folder / "none.svm")},
        "a file cut off": {**data, "path": str(folder / "cut.svm")},
        "numbers that are not finite": {**data, "path": str(folder / "nan.svm")},
        "more workers than samples": {**data, "dataset": "diabetes", "n": 443},
        "arrays of wrong shapes": {**arrays, "path": str(folder / "shapes.h5")},
        "an indefinite matrix": {**arrays, "path": str(folder / "indefinite.h5")},
        "a singular problem": {**data, "path": str(folder / "singular.svm"), "l2": 0.0},
    }
    for name, problem in problems.items():
        yield name, (run, config(problem, {}))
    yield "--set of nothing", ([*run, "--set", "run.colour=1"], good)
    yield "no configuration", (["run", "none.toml"], None)
    yield "no log", (["resume", "none.h5"], None)
    yield "no log, but text", (["info", str(folder / "cut.svm")], None)
    yield "no command", (["walk"], None)


def write(folder: Path) -> None:
    """The files that the configurations read."""
    stream = np.random.default_rng(8)
    A = stream.standard_normal((101, 21)) * (stream.random((101, 21)) < 0.2)
    y = stream.standard_normal(101)
    lines = [
        " ".join([repr(float(label)), *(f"{j + 1}:{float(v)!r}" for j, v in enumerate(row) if v)])
        for label, row in zip(y, A, strict=True)
    ]
    for name, text in {
        "sparse": "\n".join(lines) + "\n",
        "cut": "1 1:2 2:3\n1 1:",
        "nan": "1 1:2 2:3\n1 1:nan\n1 2:1\n",
        "singular": "1 1:1 2:1\n2 1:2 2:2\n3 1:3 2:3\n",
    }.items():
        (folder / f"{name}.svm").write_text(text, encoding="utf-8")
    B = stream.standard_normal((5, 8, 8))
    L, b = B.transpose(0, 2, 1) @ B, stream.standard_normal((5, 8))
    for name, contents in {
        "arrays": {"L": 0.5 * (L + L.transpose(0, 2, 1)), "b": b, "x0": np.ones(8)},
        "shapes": {"L": L, "b": b[:, :7]},
        "indefinite": {"L": np.tile(np.diag([1.0, -1.0]), (3, 1, 1)), "b": np.ones((3, 2))},
    }.items():
        with h5py.File(folder / f"{name}.h5", "w") as file:
            for key, array in contents.items():
                file[key] = array
