"""Random configurations, on several numbers of ranks, stopped on one and resumed on another.

mpiexec -n p python campaign.py FOLDER PS PASS: all that is due on p ranks in a pass over PS.
"""

import contextlib
import json
import sys
import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np

import ist_mpi
from ist_mpi.errors import InputError
from ist_mpi.parallel import ranks
from ist_mpi.problems import samples
from ist_mpi.training import api
from ist_mpi.training.job import checked, open_job

CHEAPEST = samples.cheapest
SAMPLES, FEATURES = 150, 8
"""Of the data set; no number of workers but 1, 2, 3, 5 and 6 has equal shares."""


def write_data(folder: Path) -> None:
    rng = np.random.default_rng(7)
    A = rng.standard_normal((SAMPLES, FEATURES)) * (rng.random((SAMPLES, FEATURES)) < 0.3)
    A[np.arange(SAMPLES), np.arange(SAMPLES) % FEATURES] += 1.0
    with (folder / "data.svm").open("w") as file:
        for label, row in zip(rng.standard_normal(SAMPLES), A.tolist(), strict=True):
            words = [f"{j + 1}:{value!r}" for j, value in enumerate(row) if value]
            file.write(" ".join([repr(float(label)), *words]) + "\n")
    B = rng.standard_normal((7, 11, 10))
    with h5py.File(folder / "arrays.h5", "w") as file:
        file["L"] = np.einsum("nki,nkj->nij", B, B)
        file["b"], file["x0"] = rng.standard_normal((7, 10)), np.ones(10)


def drawn(rng: np.random.Generator, folder: Path) -> tuple[dict[str, Any], str]:
    """A configuration, which may be refused, and how samples are kept."""

    def one(*values: Any) -> Any:
        return values[rng.integers(len(values))]

    kind, kept = one(*["ridge"] * 4, *["synthetic"] * 3, "arrays"), "matrix"
    precision, n, d = one("float64", "float32"), int(rng.integers(1, 14)), FEATURES
    problem: dict[str, Any] = {"kind": kind, "precision": precision}
    if kind == "synthetic":
        d = int(rng.integers(1, 19))
        same = {"heterogeneous": one(True, True, False), "linear_term": one(True, True, False)}
        problem |= {"n": n, "d": d, **same, "seed": int(rng.integers(9))}
    elif kind == "ridge":
        kept = one("matrix", "dense", "sparse")
        problem |= {
            "path": str(folder / "data.svm"),
            "n": n,
            "l2": one(0.1, 1.0),
            "standardize": one(True, False),
            "split": one("contiguous", "shuffled"),
        }
    else:
        problem["path"] = str(folder / "arrays.h5")
        n, d = 7, 10
    method: dict[str, Any] = {"name": one("ist", "ist", "ist", "dcgd", "gradient_descent")}
    method["step_size"] = one(1e-2, 1e-3, 1e-3, 1.0)
    if method["name"] != "gradient_descent":
        method["sketch"] = one("permutation", "permutation", "rand", "identity")
        if method["sketch"] == "rand":
            method["q"] = int(rng.integers(1, d + 1))
        if method["sketch"] == "permutation":
            method["group_size"] = one(*[g for g in range(1, d + 1) if d % g == 0])
            method["scaling"] = one("unbiased", "unscaled", "preconditioned")
    if method["name"] == "ist":
        method |= {"local_steps": one(1, 1, 2, 3), "form": one("merge", "estimator")}
    every = one(1, 1, 2, 5)
    run = {
        "rounds": every + int(rng.integers(1, 8)),
        "seed": int(rng.integers(99)),
        "theory": one(True, "auto", False, False),
        "exchange": one("server", "replicated", "serverless", "auto"),
        "tolerance": one(0.0, 0.0, 1e-3),
    }
    log = {"every": every, "iterates": True, "permutations": True, "problem": True}
    return {"problem": problem, "method": method, "run": run, "log": log}, kept


def prepare(folder: Path, count: int) -> None:
    """Data, and so many configurations that are not refused, in a folder."""
    write_data(folder)
    rng, made = np.random.default_rng(24), []
    while len(made) < count:
        config, kept = drawn(rng, folder)
        with contextlib.suppress(InputError):
            checked(config, 1)
            made.append((config, kept))
    (folder / "configurations.json").write_text(json.dumps(made))


def configurations(folder: Path) -> list[tuple[dict[str, Any], str]]:
    """Those in a folder, and how each keeps its samples."""
    return [tuple(item) for item in json.loads((folder / "configurations.json").read_text())]


def stops(number: int, ps: list[int]) -> tuple[int, int]:
    """On how many ranks a run is stopped, and on how many others it goes on.

    With few to try, none goes on in a second pass on several ranks, which takes a launch.
    """
    pairs = [(p, q) for p in ps for q in ps if p < q or q == 1 < p or (q < p and len(ps) > 3)]
    return pairs[number % len(pairs)]


def visit(comm: Any, folder: Path, ps: list[int], last: bool) -> None:
    """All that is due on this many ranks in the first pass over `ps`, or in the last."""
    p = comm.size
    for number, (config, kept) in enumerate(configurations(folder)):
        samples.cheapest = lambda *_, kept=kept: kept  # type: ignore[assignment]  # on purpose
        stop, go = stops(number, ps)
        halves = folder / f"{number}-stopped.h5"
        if not last:
            ist_mpi.run(config, comm, out=folder / f"{number}-{p}.h5")
        if p == stop and not last:
            stopping = {**config, "run": {**config["run"], "max_seconds": 1e-9}}
            ist_mpi.run(stopping, comm, out=halves)
        elif p == go and last == (ps.index(go) < ps.index(stop)):
            job, source = open_job(comm, config, out=halves, going_on="resume")
            runs = api.results(comm, job, source, going_on="resume", tell=lambda _: None)
            for _ in runs:
                pass
    samples.cheapest = CHEAPEST


def contents(path: Path) -> dict[str, Any]:
    """Every bit that a log is for: all datasets but the seconds, and the constants of theory."""
    found: dict[str, Any] = {}
    with h5py.File(path) as file:

        def look(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset) and name != "rounds/seconds":
                found[name] = (item.shape, item[()].tobytes())

        file.visititems(look)
        for name, value in file["theory"].attrs.items():
            found[f"theory@{name}"] = value if isinstance(value, str) else value.tobytes()
        for name in ("status", "problem_digest", "storage"):
            found[f"@{name}"] = file.attrs[name]
    return found


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    world = ranks.world()
    place, ps, which = sys.argv[1:]
    with ranks.abort_on_error(world):
        visit(world, Path(place), [int(p) for p in ps.split(",")], which == "last")
