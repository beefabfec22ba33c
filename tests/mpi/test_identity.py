"""n workers on any number of ranks: the same bits, for every method, by every exchange."""

import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import psutil
import pytest
from cases import GROUPS, VARIANTS, configuration
from mpi4py import MPI
from same import same_run
from thinned import FULL, thinned

import ist_mpi
from ist_mpi.errors import InputError
from ist_mpi.exact_theory import constants, objective
from ist_mpi.parallel.connect import KINDS
from ist_mpi.problems import samples
from ist_mpi.store.log import Run
from ist_mpi.training import job as jobs

WORLD = MPI.COMM_WORLD

pytestmark = [
    pytest.mark.mpi,
    pytest.mark.timeout(900),
    pytest.mark.skipif(WORLD.size == 1 and not FULL, reason="one rank is what is compared with"),
]


def of_auto(config: dict[str, Any]) -> set[str]:
    """What the log may call the exchange besides its configured name."""
    if WORLD.size == 1:
        return {"alone"}
    return set(KINDS) if config["run"].get("exchange") == "auto" else set()


def combinations(*axes: Sequence[Any]) -> list[tuple[Any, ...]]:
    """All pairs on 2 and 4 ranks, which are even shares and more ranks than cores; 3 see it all."""
    return thinned(*axes, strength=1 if WORLD.size == 3 else 2)


def alone_and_together(config: dict[str, Any]) -> Run:
    """Run on rank 0 alone, then on all ranks, and compare bit by bit on every rank."""
    expected = ist_mpi.run(config, MPI.COMM_SELF) if WORLD.rank == 0 else None
    light = expected.without_bulk() if expected is not None else None
    light = WORLD.bcast(light)
    found: Run = ist_mpi.run(config, WORLD)
    assert found.attributes["ranks"] == WORLD.size
    assert found.attributes["exchange"] in {
        config["run"].get("exchange", "server"),
        *of_auto(config),
    }
    same_run(found, light, groups=("model", "theory"))
    if expected is not None:
        same_run(found, expected, groups=("iterates", "permutations", "problem"))
    return found


@pytest.mark.parametrize(
    ("variant", "shape", "exchange"),
    combinations(
        list(VARIANTS),
        ["n divides d", "n does not divide d", "n > d", "n = 1"],
        ["server", "replicated", "serverless"],
    ),
)
def test_every_method(variant: str, shape: str, exchange: str) -> None:
    config = configuration(variant, shape, exchange=exchange)
    config["run"]["rounds"] = 8
    if exchange == "serverless" and not disjoint(config):
        with pytest.raises(InputError, match="blocks that overlap"):
            ist_mpi.run(config, WORLD)
        return
    alone_and_together(config)


@pytest.mark.parametrize(
    ("variant", "shape", "exchange"),
    combinations(
        [
            "merge",
            "unscaled merge, 2 local steps",
            "preconditioned estimator",
            "preconditioned merge",
            "dcgd, permutation",
        ],
        ["n ∤ d/g", "n > d/g"],
        ["server", "replicated", "serverless"],
    ),
)
def test_groups_of_coordinates(variant: str, shape: str, exchange: str) -> None:
    n, d, g = GROUPS[shape]
    config = configuration(variant, "n = d", exchange=exchange)
    config["run"]["rounds"] = 8
    config["problem"] |= {"n": n, "d": d}
    config["method"]["group_size"] = g
    if exchange == "serverless" and not disjoint(config):
        with pytest.raises(InputError, match="blocks that overlap"):
            ist_mpi.run(config, WORLD)
        return
    alone_and_together(config)


def disjoint(config: dict[str, Any]) -> bool:
    method, problem = config["method"], config["problem"]
    if method["name"] != "ist":
        return False
    sketch, groups = (
        method.get("sketch", "permutation"),
        problem["d"] // method.get("group_size", 1),
    )
    return {"permutation": problem["n"] <= groups, "identity": problem["n"] == 1}.get(sketch, False)


@pytest.mark.parametrize(
    ("case", "exchange"),
    combinations(
        [
            ("merge", 1),
            ("merge", 7),
            ("merge, 3 local steps", 1),
            ("preconditioned estimator", 1),
            ("dcgd, rand", 1),
        ],
        ["server", "replicated", "auto"],
    ),
)
def test_larger_blocks(case: tuple[str, int], exchange: str) -> None:
    """Blocks long enough for vector instructions and their remainders."""
    variant, group_size = case
    config = configuration(variant, "n = 1", exchange=exchange)
    config["problem"] |= {"n": 6, "d": 203}
    config["method"] |= {"step_size": 1e-4, "group_size": group_size}
    if "q" in config["method"]:
        config["method"]["q"] = 37
    config["log"]["every"] = 5
    alone_and_together(config)


@pytest.mark.parametrize("heterogeneous", [True, False])
def test_homogeneous_and_interpolation(heterogeneous: bool) -> None:
    config = configuration("merge", "n does not divide d")
    config["problem"] |= {"heterogeneous": heterogeneous, "linear_term": False}
    alone_and_together(config)


@pytest.mark.parametrize("split", ["contiguous", "shuffled"])
def test_data_set(split: str) -> None:
    config = configuration("merge", "n = d")
    config["problem"] = {"kind": "ridge", "dataset": "diabetes", "n": 7, "split": split}
    alone_and_together(config)


SAMPLES = [("dense", "float32"), ("sparse", "float64")]


@pytest.mark.filterwarnings("ignore:form = ")
@pytest.mark.parametrize(("variant", "stored"), combinations(list(VARIANTS), SAMPLES))
def test_samples(
    variant: str,
    stored: tuple[str, str],
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Workers keep their samples, of which they have different numbers."""
    kind, precision = stored
    config = of_samples(variant, precision, tmp_path_factory)
    monkeypatch.setattr(samples, "cheapest", lambda *_: kind)
    assert alone_and_together(config).attributes["storage"] == kind


@pytest.mark.filterwarnings("ignore:form = ")
@pytest.mark.parametrize(
    ("variant", "stored"),
    combinations(
        [
            "merge",
            "preconditioned estimator",
            "preconditioned merge",
            "rand, 2 local steps",
            "n > d",
        ],
        SAMPLES,
    ),
)
def test_samples_without_any_matrix(
    variant: str,
    stored: tuple[str, str],
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """x*, x∞, estimates and measurements by products alone."""
    kind, precision = stored
    config = of_samples("merge" if variant == "n > d" else variant, precision, tmp_path_factory)
    if variant == "n > d":
        config["problem"]["n"] = 37
    config["log"]["problem"] = False
    config["run"]["theory"] = True
    monkeypatch.setattr(samples, "cheapest", lambda *_: kind)
    monkeypatch.setattr(objective, "SLABS", 10)
    monkeypatch.setattr(constants, "DENSE", 10)
    alone_and_together(config)


@pytest.mark.filterwarnings("ignore:form = ")
@pytest.mark.parametrize(
    ("case", "stored", "slabs"),
    combinations(
        [("merge", 4), ("merge", 8), ("preconditioned estimator", 4), ("preconditioned merge", 4)],
        SAMPLES,
        [objective.SLABS, 10],  # in slabs, by products
    ),
)
def test_groups_by_samples(
    case: tuple[str, int],
    stored: tuple[str, str],
    slabs: int,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Groups that the ranks' slabs of rows cut; theory from L̄ in slabs, and from products."""
    (variant, group_size), (kind, precision) = case, stored
    config = of_samples(variant, precision, tmp_path_factory)
    config["problem"]["d"] = 32  # one column more than the data have
    config["method"]["group_size"] = group_size
    config["log"]["problem"] = False
    config["run"]["theory"] = True
    monkeypatch.setattr(samples, "cheapest", lambda *_: kind)
    monkeypatch.setattr(objective, "SLABS", slabs)
    monkeypatch.setattr(constants, "DENSE", 10)
    alone_and_together(config)


def of_samples(variant: str, precision: str, folders: pytest.TempPathFactory) -> dict[str, Any]:
    """Six rounds of a variant on samples."""
    config = configuration(variant, "n = d")
    config["problem"] = {
        "kind": "ridge",
        "path": WORLD.bcast(str(samples_file(folders)) if WORLD.rank == 0 else None),
        "n": 6,
        "l2": 0.1,
        "precision": precision,
        "storage": "samples",
    }
    config["method"]["step_size"] = 0.01
    config["run"]["rounds"] = 6
    return config


def samples_file(folders: pytest.TempPathFactory) -> Path:
    """A sparse data set of 401 samples, d = 31, with a dense column."""
    rng = np.random.default_rng(4)
    A = rng.standard_normal((401, 31)) * (rng.random((401, 31)) < 0.2)
    A[:, 30] = rng.random(401)
    path = folders.mktemp("samples") / "data.svm"
    lines = (
        " ".join([repr(float(y)), *(f"{j + 1}:{float(v)!r}" for j, v in enumerate(row) if v != 0)])
        for y, row in zip(rng.standard_normal(401), A, strict=True)
    )
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("in_memory", [True, False])
def test_arrays(in_memory: bool, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Every rank reads its own workers from the file."""
    stream = np.random.default_rng(8)
    B = stream.standard_normal((5, 6, 6))
    data = {"L": B.transpose(0, 2, 1) @ B, "b": stream.standard_normal((5, 6)), "x0": np.ones(6)}
    config = configuration("merge", "n = d")
    config["problem"] = {"kind": "arrays", **data}
    if not in_memory:
        path = WORLD.bcast(str(tmp_path_factory.mktemp("arrays")) if WORLD.rank == 0 else None)
        config["problem"] = {"kind": "arrays", "path": str(Path(path) / "mine.h5")}
        if WORLD.rank == 0:
            with h5py.File(config["problem"]["path"], "w") as file:
                for name, array in data.items():
                    file[name] = array
        WORLD.Barrier()
    alone_and_together(config)


@pytest.mark.parametrize("variant", ["merge", "preconditioned estimator", "dcgd, rand"])
def test_estimates_are_near_the_exact_constants(
    variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configuration(variant, "n = d", theory=True)
    config["problem"] |= {"d": 60, "n": 7}
    exact = ist_mpi.run(config, WORLD).theory
    monkeypatch.setattr(constants, "DENSE", 10)
    found = ist_mpi.run(config, WORLD).theory
    assert set(found["estimated"].split()) == {"spectral_radius", "w_min_eigenvalue"}
    assert "theta" in found["not_computed"].split()
    assert np.isnan(found["theta"])
    assert found["spectral_radius"] == pytest.approx(exact["spectral_radius"], rel=1e-3)
    scale = exact["initial_gap"]  # the smallest eigenvalue is found relative to the spectrum
    assert abs(found["w_min_eigenvalue"] - exact["w_min_eigenvalue"]) < 1e-2 * scale
    alone_and_together(config)


def test_the_shortest_host_decides_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    config = configuration("merge", "n = d")
    config["problem"] |= {"d": 40, "n": 7}
    needs = jobs.open_job(WORLD, config)[0].budget
    of_last = needs.memory if WORLD.size > 1 else needs.memory_root
    short = psutil.virtual_memory()._replace(available=of_last + 8 * 40**2)
    monkeypatch.setattr(platform, "node", lambda: f"host {WORLD.rank}")
    if WORLD.rank == WORLD.size - 1:
        monkeypatch.setattr(psutil, "virtual_memory", lambda: short)
    assert WORLD.allgather(jobs.open_job(WORLD, config)[0].effort) == ["none"] * WORLD.size
    theory = ist_mpi.run(config, WORLD).theory
    assert "theta" in theory["not_computed"].split()
    assert np.isnan(theory["theta"])
    config["run"]["theory"] = True
    with pytest.raises(ist_mpi.InputError, match="constants of theory"):
        ist_mpi.run(config, WORLD)


def test_divergence_is_the_same_everywhere() -> None:
    config = configuration("merge", "n = d")
    config["method"]["step_size"] = 10.0
    config["run"]["rounds"] = 5000
    config["log"]["every"] = 1000
    alone_and_together(config)
    result = ist_mpi.run(config, WORLD)
    assert result.status == "failed"
    assert result.rounds["round"][-1] < 1000  # at once, not at the next logged round
