"""Verification: honest logs pass; logs that were changed, and wrong samplers, do not."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import reference
from cases import GROUPED, GROUPS, SHAPES, VARIANTS, configuration
from scipy import stats

import ist_mpi
from ist_mpi.config import method_table
from ist_mpi.exact_theory import theorems
from ist_mpi.kernels import draws, philox
from ist_mpi.methods.ist import IndependentSubnetworkTraining
from ist_mpi.parallel import ranks
from ist_mpi.sketches.drawing import CompiledDrawing
from ist_mpi.training import api
from ist_mpi.training import job as jobs
from ist_mpi.training.columns import COLUMNS
from ist_mpi.verify import Report, blocks, logs, means, rounds, together, verify
from ist_mpi.verify.logs import Instance

SEEDS = 50


def make(config: dict[str, Any], path: Path) -> Path:
    ist_mpi.run(config, out=path)
    return path


def make_seeds(config: dict[str, Any], folder: Path, seeds: int = SEEDS) -> list[Path]:
    job, problem = jobs.open_job(ranks.world(), config, out=folder / "run.h5", seeds=f"0:{seeds}")
    return [Path(str(run.path)) for run in api.results(ranks.world(), job, problem)]


def group_config(method: dict[str, Any], n: int = 4, d: int = 11, **problem: Any) -> dict[str, Any]:
    return {
        "problem": {"kind": "synthetic", "d": d, "n": n, "seed": 2, **problem},
        "method": {"name": "ist", "step_size": 2e-3, **method},
        "run": {"rounds": 40, "theory": False},
    }


def verdicts(report: Report, check: str) -> set[str]:
    return {row.verdict for row in report.rows if row.check == check}


def failed(report: Report) -> set[str]:
    assert report.failed == any(row.verdict == "failed" for row in report.rows)
    return {row.check for row in report.rows if row.verdict == "failed"}


# One log.


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:form = .merge.:UserWarning")
@pytest.mark.parametrize("shape", ["n does not divide d", "n > d"])
def test_honest_logs_pass(shape: str, tmp_path: Path) -> None:
    for k, variant in enumerate(VARIANTS):
        config = configuration(variant, shape, theory=False)
        full = verify([make(config, tmp_path / f"{k}.h5")])
        assert failed(full) == set(), variant
        assert verdicts(full, "replay") == verdicts(full, "measurements") == {"ok"}
        config["log"] = {"every": 7}
        sparse = verify([make(config, tmp_path / f"{k}-sparse.h5")])
        assert failed(sparse) == set(), variant
        assert verdicts(sparse, "replay") == {"ok"}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:form = .merge.:UserWarning")
@pytest.mark.parametrize("shape", ["n ∤ d/g", "n > d/g"])
def test_honest_logs_of_groups_pass(shape: str, tmp_path: Path) -> None:
    n, d, g = GROUPS[shape]
    for k, variant in enumerate(GROUPED):
        config = configuration(variant, "n = d", theory=False)
        config["problem"] |= {"n": n, "d": d}
        config["method"]["group_size"] = g
        report = verify([make(config, tmp_path / f"{k}.h5")])
        assert failed(report) == set(), variant
        assert verdicts(report, "replay") == verdicts(report, "measurements") == {"ok"}
        assert verdicts(report, "floats") == verdicts(report, "blocks") == {"ok"}


@pytest.mark.slow
def test_broken_groups_fail(tmp_path: Path) -> None:
    config = configuration("merge", "n = d")
    config["problem"] |= {"n": 2, "d": 8}
    config["method"]["group_size"] = 2
    path = make(config, tmp_path / "run.h5")
    with h5py.File(path, "r+") as file:
        swap_in_block(file)
    report = verify([path], replay=False)
    assert failed(report) == {"blocks"}
    assert any("whole groups of 2" in row.seen for row in report.rows)


def change(name: str, entry: Any, factor: float) -> Callable[[h5py.File], None]:
    def tamper(file: h5py.File) -> None:
        file[name][entry] = file[name][entry] * factor

    return tamper


def scale_all(file: h5py.File) -> None:
    for name in ("gap", "distance_to_solution", "distance_to_fixed_point"):
        file["rounds"][name][...] *= 1.01
    for name in ("gradient_norm_squared", "gradient_norm_squared_w"):
        file["rounds"][name][...] *= 1.01
    for name in ("initial_gap", "fixed_point_gap"):
        file["theory"].attrs[name] *= 1.01


def scale_gap_alone(file: h5py.File) -> None:
    file["rounds/gap"][...] *= 1.01
    file["rounds/relative_gap"][...] *= 1.01


def swap_in_block(file: h5py.File) -> None:
    """Two coordinates of one round change owners; everything else stays."""
    pi, offsets = file["permutations/pi"][3], file["permutations/offsets"][3]
    i, j = offsets[0], offsets[1]
    pi[i], pi[j] = pi[j], pi[i]
    file["permutations/pi"][3] = pi


def own_twice(file: h5py.File) -> None:
    pi = file["permutations/pi"][3]
    pi[-1] = pi[0]
    file["permutations/pi"][3] = pi


def move_edge(file: h5py.File) -> None:
    offsets = file["permutations/offsets"][3]
    offsets[1] -= 1
    offsets[2] += 1
    file["permutations/offsets"][3] = offsets


def drop_row(file: h5py.File) -> None:
    file["rounds/round"][4:-1] = file["rounds/round"][5:]


def end_early(file: h5py.File) -> None:
    for name in COLUMNS:
        values = file["rounds"][name][:10]
        del file["rounds"][name]
        file["rounds"][name] = values
    file.attrs["committed"] = 10


def other_seed(file: h5py.File) -> None:
    file.attrs["seed"] = 6
    file.attrs["config"] = file.attrs["config"].replace("seed = 5", "seed = 6")


def set_attribute(name: str, factor: float) -> Callable[[h5py.File], None]:
    def tamper(file: h5py.File) -> None:
        file["theory"].attrs[name] *= factor

    return tamper


TAMPERED: dict[str, tuple[Callable[[h5py.File], None], str]] = {
    "one gap": (change("rounds/gap", 7, 1.0001), "replay"),
    "one relative gap": (change("rounds/relative_gap", 7, 1.0001), "consistency"),
    "one distance": (change("rounds/distance_to_fixed_point", 7, 1.0001), "replay"),
    "one norm": (change("rounds/gradient_norm_squared_w", 7, 1.0001), "replay"),
    "one NaN": (change("rounds/gradient_norm_squared", 7, np.nan), "replay"),
    "gap and relative gap, all rows": (scale_gap_alone, "measurements"),
    "all rows of all columns": (scale_all, "measurements"),
    "the ledger": (change("rounds/floats_up", 9, 1.5), "floats"),
    "the last model": (change("model/x", 2, 1.0001), "measurements"),
    "the first model": (change("model/x0", 2, 1.0001), "problem"),
    "one iterate": (change("iterates/x", (4, 2), 1.0001), "replay"),
    "x*": (change("theory/x_star", 2, 1.0001), "constants"),
    "x∞": (change("theory/fixed_point", 2, 1.0001), "constants"),
    "f*": (set_attribute("f_star", 1.0001), "constants"),
    "the fixed point's gap": (set_attribute("fixed_point_gap", 1.0001), "constants"),
    "the first gap": (set_attribute("initial_gap", 1.01), "consistency"),
    "L": (change("problem/L", (1, 2, 3), 1.0001), "problem"),
    "the constant": (lambda file: file["problem/constant"].write_direct(np.ones(3)), "problem"),
    "blocks: two owners swapped": (swap_in_block, "blocks"),
    "blocks: a coordinate owned twice": (own_twice, "blocks"),
    "blocks: an edge": (move_edge, "blocks"),
    "a row missing": (drop_row, "rows"),
    "rows cut off": (end_early, "rows"),
    "the seed": (other_seed, "replay"),
}


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = configuration("merge", "n does not divide d")
    return make(config, tmp_path_factory.mktemp("honest") / "run.h5")


@pytest.mark.slow
@pytest.mark.parametrize("name", TAMPERED)
def test_changed_logs_fail(name: str, honest: Path, tmp_path: Path) -> None:
    tamper, check = TAMPERED[name]
    path = tmp_path / "run.h5"
    path.write_bytes(honest.read_bytes())
    with h5py.File(path, "r+") as file:
        tamper(file)
        if name == "the seed":
            del file["permutations"]
    assert check in failed(verify([path]))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gap and relative gap, all rows", "all rows of all columns"])
def test_scaled_rows_fail_without_replay(name: str, honest: Path, tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    path.write_bytes(honest.read_bytes())
    with h5py.File(path, "r+") as file:
        TAMPERED[name][0](file)
        for group in ("permutations", "problem", "iterates"):
            del file[group]
    assert "measurements" in failed(verify([path], replay=False))


@pytest.mark.slow
@pytest.mark.parametrize(
    "method",
    [
        {"name": "gradient_descent", "step_size": 2e-2},
        {"name": "ist", "sketch": "identity", "step_size": 2e-2},
        {"name": "ist", "scaling": "preconditioned", "step_size": 0.2},
    ],
)
def test_curves_without_chance_are_judged_without_replay(
    method: dict[str, Any], tmp_path: Path
) -> None:
    """Gradient descent; homogeneous preconditioned Perm-1, whose distance falls as (1 − γ)^k."""
    config = group_config(method, n=6, d=6, heterogeneous=False)
    path = make(config, tmp_path / "run.h5")
    assert verdicts(verify([path], replay=False), "certain curve") == {"ok"}
    if method.get("scaling"):
        distance = ist_mpi.open_run(path).rounds["distance_to_fixed_point"]
        np.testing.assert_allclose(distance, distance[0] * 0.8 ** np.arange(41), rtol=1e-9)
    with h5py.File(path, "r+") as file:
        file["rounds/distance_to_fixed_point"][20] *= 1.0001
    assert failed(verify([path], replay=False)) == {"certain curve"}


def test_diverged_and_stopped_runs_pass(tmp_path: Path) -> None:
    blown = make(group_config({"step_size": 1e3}) | {"run": {"rounds": 200}}, tmp_path / "a.h5")
    assert ist_mpi.open_run(blown).status == "failed"
    config = group_config({})
    config["run"]["tolerance"] = 0.1
    stopped = make(config, tmp_path / "b.h5")
    assert ist_mpi.open_run(stopped).stop_reason == "tolerance"
    assert failed(verify([blown, stopped])) == set()


@pytest.mark.slow
def test_interpolation_down_to_the_smallest_numbers_passes(tmp_path: Path) -> None:
    config = group_config({"step_size": 1e-2}, linear_term=False)
    config["run"]["rounds"], config["log"] = 2000, {"every": 50}
    path = make(config, tmp_path / "run.h5")
    assert ist_mpi.open_run(path).rounds["relative_gap"][-1] < 1e-60
    assert failed(verify([path])) == set()


@pytest.mark.slow
def test_data_that_are_gone_are_not_judged(tmp_path: Path) -> None:
    L, b = np.stack([np.eye(4) * k for k in (1, 2)]), np.ones((2, 4))
    data = tmp_path / "data.h5"
    with h5py.File(data, "w") as file:
        file["L"], file["b"] = L, b
    config = {
        "problem": {"kind": "arrays", "path": str(data)},
        "method": {"name": "ist", "step_size": 0.1},
        "run": {"rounds": 10},
    }
    path = make(config, tmp_path / "file.h5")
    assert verdicts(verify([path]), "replay") == {"ok"}
    data.unlink()
    report = verify([path])
    assert verdicts(report, "replay") == {"not judged"}
    assert not report.failed
    assert any("gone" in row.allowed for row in report.rows)
    config["problem"] = {"kind": "arrays", "L": L, "b": b}
    in_memory = make(config, tmp_path / "memory.h5")
    assert verdicts(verify([in_memory]), "replay") == {"not judged"}
    config["log"] = {"problem": True}
    recorded = make(config, tmp_path / "recorded.h5")
    assert verdicts(verify([recorded]), "replay") == {"ok"}


def test_what_costs_too_much_is_not_judged(honest: Path) -> None:
    report = verify([honest], seconds=1e-6)
    assert verdicts(report, "replay") == {"not judged"}
    assert any(row.check == "replay" and "cost" in row.allowed for row in report.rows)


def test_what_is_no_log_is_named(honest: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.h5"
    damaged.write_bytes(honest.read_bytes())
    with h5py.File(damaged, "r+") as file:
        del file["theory/x_star"]
    with pytest.raises(ist_mpi.InputError) as caught:
        verify([honest, tmp_path / "missing.h5", damaged])
    assert [fault.where for fault in caught.value.faults] == [
        str(tmp_path / "missing.h5"),
        str(damaged),
    ]


@pytest.mark.slow
def test_no_mpi_is_needed(honest: Path) -> None:
    code = (
        "import sys; sys.modules['mpi4py'] = None\n"
        "from ist_mpi.verify import verify\n"
        f"assert not verify([{str(honest)!r}]).failed\n"
        "assert sys.modules['mpi4py'] is None"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


# Wrong samplers and factors: the logs come from a package that is changed, verify is not.


def shuffled(state: Any, items: Any, below: Callable[[int], int]) -> None:
    for last in range(len(items) - 1, 0, -1):
        other = philox.below(state, below(last))
        items[last], items[other] = items[other], items[last]


def sampler(
    late: bool = False,
    fixed_owners: bool = False,
    below: Callable[[int], int] = lambda last: last + 1,
) -> Callable[..., None]:
    """`draws.draw` in plain Python: honest as it stands, wrong with any of the options."""

    def draw(plan: draws.Plan, k: int) -> None:
        _, seed, pi, offsets, owner, order, *_, state = plan
        n, d = len(order), len(owner)
        philox.open_stream(state, seed, draws.ROUND_STREAM, k)
        order[:] = np.arange(n)
        if d % n != 0 and not fixed_owners:
            shuffled(state, order, lambda last: last + 1)
        draws.block_edges(order, d, offsets)
        owner[:] = np.repeat(np.arange(n), np.diff(offsets))
        shuffled(state, owner, below)
        draws.blocks_of_owners(owner, offsets, order, pi)
        if late:  # every block starts one entry late: S_i = {π_{o_i + 1}, …, π_{o_{i+1}}}
            pi[:-1] = pi[1:].copy()
            for start, stop in pairwise(offsets):
                pi[start:stop].sort()

    return draw


def without_factor(monkeypatch: pytest.MonkeyPatch) -> None:
    honest_own = CompiledDrawing.own

    def own(self: CompiledDrawing) -> Any:
        blocks = honest_own(self)
        blocks.C.fill(1.0)  # P_i in place of n P_i
        return blocks

    monkeypatch.setattr(CompiledDrawing, "own", own)


SAMPLERS = {
    "a block off by one": sampler(late=True),
    "fixed owners": sampler(fixed_owners=True),
    "Sattolo's shuffle": sampler(below=lambda last: last),
    "a naive shuffle": sampler(below=lambda last: 11),
}
WRONG = [*SAMPLERS, "no factor n"]


def step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a rank that is alone make its rounds in Python, where they can be tampered with."""

    def rounds(self: IndependentSubnetworkTraining, first: int, last: int) -> None:
        for k in range(first, last):
            self.round(k)

    monkeypatch.setattr(IndependentSubnetworkTraining, "rounds", rounds)


def spoil(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    step_by_step(monkeypatch)
    if wrong in SAMPLERS:
        monkeypatch.setattr(draws, "draw", SAMPLERS[wrong])
    else:
        without_factor(monkeypatch)


def test_the_python_sampler_is_the_packages(tmp_path: Path) -> None:
    """So that what makes the others fail is what is wrong with them."""
    config = group_config({}) | {"log": {"permutations": True}}
    with pytest.MonkeyPatch.context() as monkeypatch:
        step_by_step(monkeypatch)
        monkeypatch.setattr(draws, "draw", sampler())
        path = make(config, tmp_path / "run.h5")
    assert failed(verify([path])) == set()


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_samplers_fail_on_one_log(wrong: str, tmp_path: Path) -> None:
    config = group_config({})
    with pytest.MonkeyPatch.context() as monkeypatch:
        spoil(monkeypatch, wrong)
        bare = make(config, tmp_path / "bare.h5")
        recorded = make(config | {"log": {"permutations": True}}, tmp_path / "recorded.h5")
    assert failed(verify([bare])) == {"replay"}
    assert failed(verify([recorded])) == {"blocks" if wrong in SAMPLERS else "replay"}


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [name for name in WRONG if name != "a naive shuffle"])
def test_wrong_samplers_fail_on_means_alone(wrong: str, tmp_path: Path) -> None:
    """Without replay: by the law of the recorded blocks, and by the curves when there are none."""
    (tmp_path / "bare").mkdir()
    with pytest.MonkeyPatch.context() as monkeypatch:
        spoil(monkeypatch, wrong)
        bare = make_seeds(group_config({}), tmp_path / "bare")
        if wrong in SAMPLERS:
            recorded = make_seeds(group_config({}) | {"log": {"permutations": True}}, tmp_path)
    assert failed(verify(bare, replay=False)) == {"expectations"}
    if wrong in SAMPLERS:
        law = "owners of larger blocks" if wrong == "fixed owners" else "law of blocks"
        assert law in failed(verify(recorded, replay=False))


# Many seeds.

HONEST: dict[str, dict[str, Any]] = {
    "permutation, n ∤ d": group_config({}),
    "preconditioned": group_config({"scaling": "preconditioned", "step_size": 0.3}, n=5, d=12),
    "rand": group_config({"sketch": "rand", "q": 3}, d=10),
    "dcgd": group_config({"name": "dcgd", "step_size": 1e-2}, d=10),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HONEST)
def test_honest_seeds_pass(name: str, tmp_path: Path) -> None:
    report = verify(make_seeds(HONEST[name], tmp_path))
    assert failed(report) == set()
    assert verdicts(report, "expectations") == verdicts(report, "law of blocks") == {"ok"}
    assert sum(row.check == "replay" and row.verdict == "ok" for row in report.rows) == SEEDS


@pytest.mark.slow
@pytest.mark.parametrize(
    "config",
    [
        group_config({"step_size": 5e-3}, n=7, d=3),
        group_config({"local_steps": 3}),
        group_config({"group_size": 2}, n=3, d=8),
        group_config({"group_size": 3, "step_size": 5e-3}, n=5, d=9),
        group_config({"group_size": 2, "scaling": "preconditioned", "step_size": 0.2}, n=3, d=8),
    ],
    ids=["n > d", "local steps", "groups", "n > d/g", "groups, preconditioned"],
)
def test_fewer_honest_seeds_pass(config: dict[str, Any], tmp_path: Path) -> None:
    report = verify(make_seeds(config, tmp_path, 20))
    assert failed(report) == set()
    assert verdicts(report, "expectations") == verdicts(report, "law of blocks") == {"ok"}


@pytest.mark.slow
def test_bounds_of_theorem_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = make_seeds(group_config({}, linear_term=False), tmp_path, 20)
    report = verify(paths, replay=False)
    assert failed(report) == set()
    assert verdicts(report, "bound (15)") == verdicts(report, "bound (16)") == {"ok"}
    monkeypatch.setattr(theorems, "bound_16", lambda factor, first, k: first * factor ** (20 * k))
    monkeypatch.setattr(theorems, "bound_15", lambda first, last, gamma, k: first / k)
    assert failed(verify(paths, replay=False)) == {"bound (15)", "bound (16)"}


@pytest.mark.slow
def test_bounds_of_theorem_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At γ = 1 the sharper bound is an equality: honest means are on both sides of it."""
    settings = {"scaling": "preconditioned", "step_size": 1.0}
    paths = make_seeds(group_config(settings, n=8, d=8), tmp_path, 20)
    report = verify(paths, replay=False)
    assert failed(report) == set()
    assert verdicts(report, "sharper bound") == {"ok"}
    sharper = theorems.sharper_bound
    monkeypatch.setattr(theorems, "sharper_bound", lambda *given: 0.7 * sharper(*given))
    assert failed(verify(paths, replay=False)) == {"sharper bound"}
    settings["step_size"] = 0.5
    (tmp_path / "half").mkdir()
    report = verify(make_seeds(group_config(settings, n=8, d=8), tmp_path / "half", 20))
    assert verdicts(report, "bound (30)") == {"ok"}


@pytest.mark.slow
def test_few_seeds_and_repeated_seeds(tmp_path: Path) -> None:
    paths = make_seeds(group_config({}), tmp_path, 20)
    assert verdicts(verify(paths, replay=False), "expectations") == {"ok"}
    few = verify([*paths[:19], paths[0]], replay=False)
    assert verdicts(few, "expectations") == verdicts(few, "seeds") == {"not judged"}
    assert any("20 seeds or more are needed, there are 19" in row.allowed for row in few.rows)
    copied = tmp_path / "copied.h5"
    copied.write_bytes(paths[0].read_bytes())
    with h5py.File(copied, "r+") as file:
        file["rounds/gap"][7] *= 1.01
    assert "seeds" in failed(verify([*paths, copied], replay=False))
    with h5py.File(paths[3], "r+") as file:
        drop_row(file)
    spoilt = verify(paths, replay=False)
    assert "rows" in failed(spoilt)
    assert verdicts(spoilt, "expectations") == {"not judged"}
    other = make(group_config({"step_size": 1e-3}), tmp_path / "other.h5")
    assert any("there are 1" in row.allowed for row in verify([*paths, other]).rows)


@pytest.mark.slow
def test_constant_columns_do_not_alarm(tmp_path: Path) -> None:
    """Coordinates that never move have no spread, and rounding is no deviation."""
    config = group_config({"step_size": 5e-4})
    config["problem"] = {"kind": "ridge", "dataset": "digits", "n": 4}
    assert failed(verify(make_seeds(config, tmp_path, 20), replay=False)) == set()


# The parts.


def instance_of(variant: str, shape: str) -> Instance:
    n, d, g = GROUPS.get(shape) or (*SHAPES[shape], 1)
    rng = np.random.default_rng(1)
    B = rng.standard_normal((n, d, d))
    method = method_table({"step_size": 1e-2, "group_size": g, **VARIANTS[variant]})
    L, b = np.einsum("nki,nkj->nij", B, B), rng.standard_normal((n, d))
    return Instance(method, L, b, np.zeros(n), rng.standard_normal(d), False)


@pytest.mark.parametrize(
    ("variant", "shape"),
    [(v, s) for v in VARIANTS for s in ("n does not divide d", "n > d", "n = 1")]
    + [(v, s) for v in GROUPED for s in GROUPS],
)
def test_rounds_are_the_reference(variant: str, shape: str) -> None:
    instance = instance_of(variant, shape)
    method, rng = instance.method, np.random.default_rng(2)
    x = rng.standard_normal((5, instance.d))
    draw = rounds.drawn(instance, 5, rng)
    for x_r, S, held, found in zip(x, *draw, rounds.advance(instance, x, draw), strict=True):
        own = [S_i[held_i] for S_i, held_i in zip(S, held, strict=True)]
        given = (x_r, own, instance.L, instance.b, method.gamma)
        if method.name == "ist":
            form = method.form or ""
            steps = method.local_steps
            wanted = reference.ist_round(*given, steps, method.sketch, method.scaling, form)
        else:
            wanted = reference.dcgd_round(*given, method.sketch)
        np.testing.assert_allclose(found, wanted, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(
    ("variant", "shape"),
    [
        ("merge", "n does not divide d"),
        ("merge", "n divides d"),
        ("merge", "n = d"),
        ("merge", "n > d"),
        ("rand estimator", "n divides d"),
        ("rand estimator", "n > d"),
        *(("merge", shape) for shape in GROUPS if shape not in ("g = d", "n = 1, d/g = 2")),
    ],
)
def test_block_statistics_have_the_mean_of_chi_square(variant: str, shape: str) -> None:
    """One round's mean statistic, over every draw, is the number of degrees of freedom."""
    instance = instance_of(variant, shape)
    n, d, method = instance.n, instance.d, instance.method
    g = method.group_size
    mean, of_larger, degrees = 0.0, 0.0, [0, 0]
    for p, own in reference.draws(method.sketch, n, d, instance.q, g):
        offsets = np.cumsum([0, *(len(S) for S in own)])
        met, larger, count = blocks.counted([(np.concatenate(own), offsets)], n, d, g)
        marginal = blocks.marginal(instance, met, count)
        owners = blocks.owners_of_larger(larger, count, max(n, d // g))
        assert marginal is not None
        mean, degrees[0] = mean + p * marginal.value, marginal.degrees
        if owners is not None:
            of_larger, degrees[1] = of_larger + p * owners.value, owners.degrees
    assert mean == pytest.approx(degrees[0])
    if method.sketch == "permutation":
        assert of_larger == pytest.approx(degrees[1])


def test_chernoff_bounds_the_tails_of_an_exponential() -> None:
    """The mean of N exponentials is a gamma variable: the bound is above its tails, not far."""
    simulated, N = np.random.default_rng(3).exponential(size=2000), 20
    law = stats.gamma(N, scale=1 / N)
    for p in (1e-3, 1e-5, 1e-7):
        low, high = law.ppf(p), law.isf(p)
        assert p < means.chernoff(simulated, low, -1.0, N) < 100 * p
        assert p < means.chernoff(simulated, high, 1.0, N) < 100 * p


def test_an_outlier_or_a_missing_one_is_no_alarm() -> None:
    """A law whose expectation a few rare runs carry: 1 with probability 0.999, else 1000."""
    simulated = np.ones(2000)
    simulated[:2] = 1000.0
    without, with_one = np.ones(20), np.ones(20)
    without += 1e-3 * np.arange(20)
    with_one[0] = 1000.0
    for sample in (without, with_one):
        assert means.p_value(sample, 1.999, 0.0, simulated, 0.0) > 1e-3


def test_rounds_to_compare_are_few_and_chosen_before_the_data(tmp_path: Path) -> None:
    log = logs.read(make(group_config({}), tmp_path / "run.h5"))
    instance = logs.instance_of(log)
    assert isinstance(instance, Instance)
    group = together.group_of("all", [log], instance)
    assert group.places[0] == 1
    assert group.places[-1] == group.last == 40
    assert len(group.places) <= together.ROWS
    longer = together.group_of("all", [replace(log, rounds=2_000_000_000)], instance)
    assert 0 < len(longer.places) < len(group.places)
    assert set(longer.places) <= set(range(1, 41))
