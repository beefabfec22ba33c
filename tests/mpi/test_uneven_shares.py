"""Workers with different numbers of samples: the same bits, whoever else is on a rank.

A rank's largest worker must not show in what the others come to, so every configuration here has
workers of different sizes, dealt to the ranks in another way on every number of them. Threads for
ranks see more of them, in `problems/test_uneven_shares.py`; here each value is seen.
"""

from typing import Any

import pytest
from mpi4py import MPI
from test_identity import alone_and_together, samples_file
from thinned import thinned

from ist_mpi.problems import samples

pytestmark = [pytest.mark.mpi, pytest.mark.timeout(900)]

WORLD = MPI.COMM_WORLD

METHODS: dict[str, dict[str, Any]] = {
    "preconditioned": {"scaling": "preconditioned"},
    "preconditioned merge": {"scaling": "preconditioned", "form": "merge"},
    "unscaled": {"scaling": "unscaled", "local_steps": 2},
    "unbiased": {},
    "dcgd": {"name": "dcgd"},
}
KEPT = [("matrix", "float64"), ("matrix", "float32"), ("dense", "float64"), ("dense", "float32")]
"""How problems are kept, in which precision."""


def config_of(data: str, method: str, precision: str, standardize: bool) -> dict[str, Any]:
    """Six rounds on n = 7 uneven shares of a data set, everything logged."""
    problem = {"kind": "ridge", "n": 7, "l2": 0.1, "precision": precision}
    source = {} if data == "file" else {"dataset": data}
    scale = 1e-2 if standardize or data != "breast_cancer" else 1e-8
    return {
        "problem": {**problem, **source, "standardize": standardize},
        "method": {"name": "ist", "step_size": scale, **METHODS[method]},
        "run": {"rounds": 6, "seed": 5},
        "log": {"iterates": True, "permutations": True, "problem": True},
    }


@pytest.mark.filterwarnings("ignore:form = ")
@pytest.mark.parametrize(
    ("data", "method", "stored", "standardize"),
    thinned(["breast_cancer", "diabetes"], list(METHODS), KEPT, [True, False], strength=1),
)
def test_data_sets(
    data: str,
    method: str,
    stored: tuple[str, str],
    standardize: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kind, precision = stored
    config = config_of(data, method, precision, standardize)
    config["problem"]["storage"] = "matrix" if kind == "matrix" else "samples"
    monkeypatch.setattr(samples, "cheapest", lambda *_: kind)
    alone_and_together(config)


@pytest.mark.filterwarnings("ignore:form = ")
@pytest.mark.parametrize(
    ("method", "precision", "kind", "n"),
    thinned(list(METHODS), ["float64", "float32"], ["dense", "sparse"], [5, 7], strength=1),
)
def test_sparse_data(
    method: str,
    precision: str,
    kind: str,
    n: int,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = config_of("file", method, precision, standardize=False)
    path = str(samples_file(tmp_path_factory)) if WORLD.rank == 0 else None
    config["problem"] |= {"path": WORLD.bcast(path), "n": n, "storage": "samples"}
    monkeypatch.setattr(samples, "cheapest", lambda *_: kind)
    alone_and_together(config)


@pytest.mark.parametrize("n", [6, 7])
def test_one_or_two_samples(n: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Workers of one or of two samples."""
    path = None
    if WORLD.rank == 0:
        path = tmp_path_factory.mktemp("few") / "data.svm"
        lines = [f"{i % 3} 1:{i + 1} 2:{0.3 * i - 1} 3:{(i * i) % 5}.5" for i in range(n + 3)]
        path.write_text("\n".join(lines) + "\n")
    config = config_of("file", "preconditioned", "float64", standardize=False)
    config["problem"] |= {"path": WORLD.bcast(str(path)), "n": n, "storage": "samples"}
    alone_and_together(config)
