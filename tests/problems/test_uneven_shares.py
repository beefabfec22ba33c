"""Workers with different numbers of samples: the same bits, whoever else is on a rank.

A rank's largest worker must not show in what the others come to. Here the ranks are threads of this
process, so that all numbers of them can be tried; `mpi/test_uneven_shares.py` is about some of it
on real ones.
"""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
from mpi4py import MPI
from ranks_in_threads import together
from same import same_arrays, same_run
from thinned import thinned

from ist_mpi import problems
from ist_mpi.config import load
from ist_mpi.exact_theory import constants, objective
from ist_mpi.exact_theory.arpack import ALIKE
from ist_mpi.exact_theory.operators import Slabs
from ist_mpi.partition import spans
from ist_mpi.problems import samples
from ist_mpi.problems.quadratic import LocalQuadratics, assemble
from ist_mpi.sketches import Blocks
from ist_mpi.store.log import Run
from ist_mpi.training.job import open_job
from ist_mpi.training.loop import execute
from ist_mpi.training.setup import prepare

METHODS: dict[str, dict[str, Any]] = {
    "unbiased": {},
    "unbiased, 3 local steps": {"local_steps": 3},
    "unscaled": {"scaling": "unscaled", "local_steps": 2},
    "preconditioned": {"scaling": "preconditioned"},
    "preconditioned merge": {"scaling": "preconditioned", "form": "merge"},
    "groups": {"scaling": "preconditioned", "group_size": 3},
    "rand": {"sketch": "rand", "q": 4},
    "dcgd": {"name": "dcgd"},
    "gradient descent": {"name": "gradient_descent"},
}
GROUPS = ("model", "theory", "iterates", "permutations", "problem")
D = 9


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """220 sparse samples: 5 workers have 44 each, 7 have 31 or 32, 13 have 16 or 17."""
    rng = np.random.default_rng(4)
    path = tmp_path_factory.mktemp("uneven") / "data.svm"
    A = rng.standard_normal((220, D)) * (rng.random((220, D)) < 0.4)
    A[:, 0] = rng.random(220)  # no worker has an empty column, nor a row that is empty
    A[:, 1:] += 0.5 * (np.arange(220)[:, None] % (D - 1) == np.arange(D - 1))
    path.write_text(
        "".join(
            " ".join([repr(label), *(f"{j + 1}:{value!r}" for j, value in enumerate(row) if value)])
            + "\n"
            for label, row in zip(rng.standard_normal(220).tolist(), A.tolist(), strict=True)
        )
    )
    return path


def problem_of(data: Path, n: int, precision: str, standardize: bool) -> dict[str, Any]:
    return {
        "kind": "ridge",
        "path": str(data),
        "n": n,
        "l2": 0.1,
        "precision": precision,
        "standardize": standardize,
    }


def of_each_worker(local: LocalQuadratics) -> Iterator[dict[str, Any]]:
    """All that is ever made of a worker's samples."""
    x = np.linspace(-1.0, 2.0, D)
    pi = np.tile(np.array([0, 2, 3, 4, 8], dtype=np.int32), len(local.index))
    S = Blocks(
        pi, np.arange(0, pi.size + 1, 5, dtype=np.int32), np.full(pi.size, 1.5), np.ones(pi.size)
    )
    sketch = SimpleNamespace(largest=5)
    work = [local.steps(sketch, pi.size, 0.01, steps, True, False) for steps in (1, 3)]
    moved = [local.submodels(S, x[pi], steps).reshape(-1, 5) for steps in work]
    gradients = local.gradients(x, S).reshape(-1, 5)
    for i, u in enumerate(local.index):
        yield {
            "L": local.matrix(u),
            "diagonal": local.diagonal(u),
            "b": local.b[u],
            "constant": local.constant[u],
            "product": local.product(u, x),
            "product in groups": local.groups_product(u, x, 3),
            "gradient": gradients[i],
            "one step": moved[0][i],
            "three steps": moved[1][i],
            "data": local.digests[u].encode(),
        }


@pytest.mark.parametrize("kind", ["matrix", "dense", "sparse"])
@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("standardize", [False, True])
def test_a_worker_is_the_same_on_any_rank(
    data: Path, kind: str, precision: str, standardize: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever else is there: all of them, some, or nobody."""
    monkeypatch.setattr(samples, "cheapest", lambda *_: kind)
    for n in (5, 7, 13):
        source = problems.load(
            load(
                {
                    "problem": problem_of(data, n, precision, standardize),
                    "method": {"name": "gradient_descent", "step_size": 1.0},
                    "run": {"rounds": 1},
                }
            ).problem
        )
        alone = [
            next(of_each_worker(assemble([source.share(i)], D, False, source.stored)))
            for i in range(n)
        ]
        for p in range(1, n):
            for first, last in pairwise(spans(n, p)):
                shares = [source.share(i) for i in range(first, last)]
                together = of_each_worker(assemble(shares, D, False, source.stored))
                for found, expected in zip(together, alone[first:last], strict=True):
                    same_arrays(found, expected)


class Made(NamedTuple):
    """A run, and what it begins with, on one rank."""

    run: Run
    derived: dict[str, Any]
    """L̄ (rank 0), b̄, x*, f*, x∞ and all constants."""


def made(comm: Any, config: dict[str, Any]) -> Made:
    job, source = open_job(comm, config)
    one = prepare(comm, job.config, job.facts, source, job.effort)
    mean, prediction = one.objective.mean, one.objective.prediction
    derived = {
        "data": one.digest.encode(),
        "L": mean.L.whole() if isinstance(mean.L, Slabs) else None,
        "diagonal": mean.L.diagonal,
        "b": mean.b,
        "constant": mean.constant,
        "x_star": prediction.x_star,
        "f_star": prediction.f_star,
        "fixed_point": prediction.fixed_point,
        **one.constants.values(),
    }
    return Made(execute(job.config, one), derived)


@pytest.mark.filterwarnings("ignore:form = ")
@pytest.mark.parametrize(
    ("method", "kind", "precision", "standardize", "n", "exchange", "matrices", "theory"),
    thinned(
        list(METHODS),
        ["matrix", "dense", "sparse"],
        ["float64", "float32"],
        [False, True],
        [7, 5, 13],
        ["server", "replicated"],
        [True, False],
        [False, True],
        strength=1,
    ),
)
def test_any_number_of_ranks(
    data: Path,
    method: str,
    kind: str,
    precision: str,
    standardize: bool,
    n: int,
    exchange: str,
    matrices: bool,
    theory: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not (matrices or ALIKE):
        pytest.skip("ARPACK of SciPy before 1.17 takes one thread at a time: these wait for others")
    monkeypatch.setattr(samples, "cheapest", lambda *_: kind)
    if not matrices:  # by products alone, where samples are kept
        monkeypatch.setattr(objective, "SLABS", D - 1)
        monkeypatch.setattr(constants, "DENSE", D - 1)
    config: dict[str, Any] = {
        "problem": problem_of(data, n, precision, standardize),
        "method": {"name": "ist", "step_size": 1e-2, **METHODS[method]},
        "run": {
            "rounds": 5,
            "seed": 5,
            "theory": True,
            "watchdog_seconds": 0,
            "exchange": exchange,
        },
        "log": {"iterates": True, "permutations": True, "problem": True},
    }
    expected = made(MPI.COMM_SELF, config)
    assert expected.run.attributes["storage"] == kind
    for p in (2, 3, 4, 5):
        ranks = together(p, lambda comm: made(comm, config))
        assert ranks[0].run.attributes["ranks"] == p
        same_run(ranks[0].run, expected.run, GROUPS)
        for rank, one in enumerate(ranks):
            same_arrays(one.derived, expected.derived, but={"L"} if rank else ())
