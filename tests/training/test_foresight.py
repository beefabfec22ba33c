"""The theory command, the constants in the log, and the step size that theory chooses."""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import reference
from cases import VARIANTS, configuration
from commands import call

import ist_mpi
from ist_mpi.cli.report.text import to_json
from ist_mpi.cli.report.theory import show_foresight
from ist_mpi.config import load
from ist_mpi.exact_theory import constants, cost, matrix_free
from ist_mpi.exact_theory.constants import SLOW, TOO_LARGE, Constants
from ist_mpi.exact_theory.step import known_of
from ist_mpi.exact_theory.verdict import verdict
from ist_mpi.parallel.mpi import Solo
from ist_mpi.problems.source import Facts
from ist_mpi.sketches import sketch_of
from ist_mpi.training import budget
from ist_mpi.training import job as jobs
from ist_mpi.training.foresight import COLUMNS, Foresight, foresee, to_document
from ist_mpi.verify import verify

KEYS = {
    "theta",
    "step_size_limit",
    "w_min_eigenvalue",
    "contraction",
    "spectral_radius",
    "stable_step_size_limit",
    "fixed_point_relative_gap",
    "limit_relative_gap",
    "bias_norm_squared",
    "sigma_squared",
    "not_computed",
}
REMARK_1 = np.array([[[1.0, 1.9], [1.9, 4.0]]] * 2)  # c > 2ab/(a + b): W̄ is indefinite


def small(variant: str = "merge", **method: Any) -> dict[str, Any]:
    return {
        "problem": {"kind": "synthetic", "d": 6, "n": 3, "seed": 4},
        "method": {"step_size": 0.002, **VARIANTS[variant], **method},
        "run": {"rounds": 20},
        "log": {"problem": True},
    }


def words_of(found: Foresight) -> str:
    return verdict(found.known, found.method.gamma, found.constants)


def enumerated_mean(run: Any, gamma: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """M, E[B̄ L̄ B̄] and L̄ of the unbiased permutation, by enumerating every draw."""
    L, b = run.problem["L"], run.problem["b"]
    n, d = b.shape

    def moments(blocks: reference.Blocks) -> np.ndarray:
        C = reference.sketch_matrices("permutation", "unbiased", blocks, L)
        B = np.mean([C[i] @ L[i] @ C[i] for i in range(n)], axis=0)
        return np.stack([B, B @ L.mean(axis=0) @ B])

    M, T = reference.expectation(moments, "permutation", n, d)
    return M, T, L.mean(axis=0)


def test_constants_are_those_of_the_enumeration() -> None:
    run = ist_mpi.run(small())
    theory, gamma = run.theory, 0.002
    M, T, L = enumerated_mean(run, gamma)
    W = 0.5 * (L @ M + M @ L)
    theta = np.linalg.eigvals(np.linalg.solve(W, T)).real.max()
    assert theory["theta"] == pytest.approx(theta, rel=1e-9)
    assert theory["step_size_limit"] == pytest.approx(1 / theta, rel=1e-9)
    assert theory["w_min_eigenvalue"] == pytest.approx(np.linalg.eigvalsh(W)[0], rel=1e-8)
    radius = np.abs(np.linalg.eigvals(np.eye(6) - gamma * M)).max()
    assert theory["spectral_radius"] == pytest.approx(radius, rel=1e-12)
    w, V = np.linalg.eigh(L)
    root = V / np.sqrt(w) @ V.T
    contraction = 1 - gamma * np.linalg.eigvalsh(root @ W @ root)[0]
    assert theory["contraction"] == pytest.approx(contraction, rel=1e-9)
    bias = run.theory["x_star"] - run.theory["fixed_point"]
    assert theory["bias_norm_squared"] == pytest.approx(bias @ L @ bias, rel=1e-8)
    assert np.isnan(theory["sigma_squared"])
    assert theory["not_computed"] == ""


@pytest.mark.slow
def test_limit_is_where_many_seeds_end() -> None:
    config = small(step_size=0.02)
    config["run"]["rounds"] = 1500
    config["log"] = {"every": 1500}
    gaps = []
    for seed in range(60):
        config["run"]["seed"] = seed
        run = ist_mpi.run(config)
        gaps.append(run.rounds["relative_gap"][-1])
    limit = run.theory["limit_relative_gap"]
    assert limit > 1.05 * run.theory["fixed_point_relative_gap"]  # there is noise to be seen
    error = np.std(gaps) / np.sqrt(len(gaps))
    assert abs(np.mean(gaps) - limit) < 4.5 * error


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_method_has_an_answer(variant: str) -> None:
    found = foresee(Solo(), small(variant))
    document = json.loads(to_json(to_document(found)))
    assert set(document) >= KEYS
    words = words_of(found)
    assert words.endswith(".")
    if "local steps" in variant:
        assert "No closed form" in words
        assert document["theta"] is None
    elif variant in ("rand merge", "preconditioned merge"):
        assert "does not apply" in words
        assert document["theta"] is None
    else:
        assert document["spectral_radius"] is not None


def test_theory_chooses_the_step_size() -> None:
    run = ist_mpi.run(small(step_size="theory"))
    chosen = load(run.config).method.step_size
    assert chosen == pytest.approx(1 / run.theory["theta"], rel=1e-12)
    same = ist_mpi.run(small(step_size=chosen))
    np.testing.assert_array_equal(run.x, same.x)


def test_theory_does_not_choose_where_no_theta_exists() -> None:
    config = small(step_size="theory")
    config["problem"] = {"kind": "arrays", "L": REMARK_1, "b": np.ones((2, 2))}
    with pytest.raises(ist_mpi.InputError, match="no θ exists: W̄ has eigenvalue -"):
        ist_mpi.run(config)


@pytest.mark.parametrize(
    "method",
    [
        {"local_steps": 3},
        {"sketch": "rand", "q": 2, "form": "merge"},
        {"scaling": "preconditioned", "form": "merge"},
    ],
)
def test_theory_does_not_choose_where_theorem_1_does_not_apply(method: dict[str, Any]) -> None:
    with pytest.raises(ist_mpi.InputError, match="Theorem 1 is about"):
        ist_mpi.run(small(step_size="theory", **method))


def test_verdict_of_remark_1() -> None:
    config = small(step_size=0.01)
    config["problem"] = {"kind": "arrays", "L": REMARK_1, "b": np.zeros((2, 2))}
    found = foresee(Solo(), config)
    words = words_of(found)
    assert "Converges to the solution." in words
    assert "Theorem 1 covers no step size: W̄ has eigenvalue -" in words
    assert found.constants.theta is None
    assert found.constants.w_min_eigenvalue is not None
    limit = found.constants.stable_step_size_limit
    assert limit is not None
    assert f"the second moment is stable for γ below {limit:.4g}" in words
    config["method"]["step_size"] = 1.01 * limit
    found = foresee(Solo(), config)
    assert "Diverges" in words_of(found)


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ({"spectral_radius": 1.2}, "Diverges: even the mean iterate grows"),
        ({"spectral_radius": 0.9, "stable_step_size_limit": 1e-4}, "Diverges: the second moment"),
        ({"spectral_radius": 0.9, "limit_gap": 0.0}, "Converges to the solution"),
        (
            {"spectral_radius": 0.9, "limit_gap": 3.0, "limit_relative_gap": 1.2e-3},
            "relative gap 0.0012",
        ),
        (
            {
                "spectral_radius": 0.9,
                "fixed_point_relative_gap": 0.5,
                "bias_norm_squared": 2.0,
                "not_computed": {"limit_gap": SLOW, "theta": SLOW},
            },
            "mean iterate converges to a point of relative gap 0.5",
        ),
    ],
)
def test_verdicts(known: dict[str, Any], words: str) -> None:
    method = load(small()).method
    assert words in verdict(
        known_of(method, sketch_of(method, 3, 6)), method.gamma, Constants(**known)
    )


def test_trajectory_is_the_exact_expectation(tmp_path: Path) -> None:
    """Against E[x xᵀ], propagated over every draw with its probability."""
    config = tmp_path / "small.toml"
    config.write_text(load(small()).to_toml())
    done = call("theory", str(config), "--rounds", "4", "--csv", str(tmp_path / "e.csv"))
    assert done.returncode == 0, done.stderr
    with (tmp_path / "e.csv").open() as file:
        rows = list(csv.reader(file))
    assert tuple(rows[0]) == COLUMNS
    table = np.array(rows[1:], dtype=float)
    run = ist_mpi.run(small())
    L, b = run.problem["L"], run.problem["b"]
    x_star, x0, d = reference.optimum(L, b), run.model["x0"], 6

    def lifted(blocks: reference.Blocks) -> np.ndarray:
        """The round as a linear map of (x, 1) (x, 1)ᵀ."""
        A, c = reference.affine_map(
            lambda x: reference.ist_round(
                x, blocks, L, b, 0.002, 1, "permutation", "unbiased", "merge"
            ),
            d,
        )
        H = np.block([[A, c[:, None]], [np.zeros((1, d)), np.ones((1, 1))]])
        return np.kron(H, H)

    step = reference.expectation(lifted, "permutation", 3, d)
    z = np.append(x0, 1.0)
    state = np.multiply.outer(z, z)
    for k in range(5):
        second, mean = state[:d, :d], state[:d, d]
        centred = second - np.outer(mean, x_star) - np.outer(x_star, mean)
        centred = centred + np.outer(x_star, x_star)
        assert table[k, 0] == k
        assert table[k, 1] == pytest.approx(0.5 * np.sum(L.mean(axis=0) * centred), rel=1e-9)
        assert table[k, 2] == pytest.approx(table[k, 1] / table[0, 1], rel=1e-12)
        assert table[k, 3] == pytest.approx(np.trace(centred), rel=1e-9)
        assert table[k, 5] == pytest.approx(reference.gap(mean, L, b), rel=1e-9)
        state = (step @ state.ravel()).reshape(d + 1, d + 1)


def test_command_prints_json_alone(launch: Callable[..., Any], tmp_path: Path) -> None:
    config = tmp_path / "small.toml"
    config.write_text(load(small()).to_toml())
    alone = launch(0, "-m", "ist_mpi", "theory", str(config), "--json")
    assert alone.returncode == 0, alone.stderr
    together = launch(3, "-m", "ist_mpi", "theory", str(config), "--json")
    assert json.loads(alone.stdout) == json.loads(together.stdout)
    shown = call("theory", str(config))
    assert "θ (14)" in shown.stdout
    assert "Theorem 1 covers this step size" in shown.stdout


@pytest.mark.parametrize(
    "extra", [["--rounds", "3"], ["--csv", "x.csv"], ["--rounds", "-1", "--csv", "x.csv"]]
)
def test_wrong_options(tmp_path: Path, extra: list[str]) -> None:
    config = tmp_path / "small.toml"
    config.write_text(load(small()).to_toml())
    done = call("theory", str(config), *extra)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("target", ["small.toml", ".", "there.csv"])
def test_table_replaces_nothing_unasked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("small.toml").write_text(load(small()).to_toml())
    Path("there.csv").write_text("mine")
    before = {path.name: path.read_text() for path in tmp_path.iterdir()}
    words = ["theory", "small.toml", "--rounds", "2", "--csv", target]
    done = call(*words)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == before
    if target == "there.csv":
        assert call(*words, "--force").returncode == 0
        assert Path(target).read_text().startswith("round,")


@pytest.mark.parametrize("gamma", [1e300, 1e-18])
def test_extreme_step_sizes(gamma: float) -> None:
    found = foresee(Solo(), small(step_size=gamma))
    assert ("Diverges" in words_of(found)) == (gamma > 1)
    run = ist_mpi.run(small(step_size=gamma))
    assert run.status == ("failed" if gamma > 1 else "finished")


def test_contraction_is_undefined_beyond_theorem_1() -> None:
    limit = foresee(Solo(), small()).constants.step_size_limit
    assert limit is not None
    assert foresee(Solo(), small(step_size=1.01 * limit)).constants.contraction is None


def test_homogeneous_dcgd_converges_to_the_solution() -> None:
    config = small("dcgd, rand", step_size=1e-3)
    config["problem"]["heterogeneous"] = False
    found = foresee(Solo(), config)
    assert "Converges to the solution." in words_of(found)


@pytest.mark.parametrize("asked", [True, False])
def test_runs_compute_what_they_are_asked_for(asked: bool) -> None:
    config = configuration("merge", "n does not divide d", theory=asked)
    theory = ist_mpi.run(config).theory
    assert np.isfinite(theory["theta"]) == asked
    assert ("theta" in theory["not_computed"]) != asked
    assert np.isfinite(theory["fixed_point_relative_gap"])


# What is left out, and why


def test_theta_is_left_out_where_it_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "PATIENCE", 0.0)
    found = foresee(Solo(), small()).constants
    assert found.theta is None
    assert found.not_computed["theta"] == SLOW
    assert found.contraction is not None
    full = foresee(Solo(), small(), full=True).constants
    assert full.theta is not None
    assert not full.not_computed
    run = small()
    run["run"]["theory"] = True
    assert np.isfinite(ist_mpi.run(run).theory["limit_gap"])


def test_patience_allows_less_the_larger_the_problem() -> None:
    def effort(d: int, homogeneous: bool = False) -> str:
        return cost.patient_effort(Facts(10, d, homogeneous, 0))

    efforts = [effort(d) for d in (300, 1000, 2000, 5000, 10**4)]
    assert efforts == ["full", "full", "dense", "cheap", "cheap"]
    assert effort(5000, homogeneous=True) == "dense"


def test_what_is_undefined_was_not_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "PATIENCE", 0.0)
    config = small(step_size=0.01)
    config["problem"] = {"kind": "arrays", "L": REMARK_1, "b": np.zeros((2, 2))}
    found = foresee(Solo(), config)
    undefined = {"theta", "step_size_limit", "contraction", "sigma_squared"}
    assert not undefined & set(found.constants.not_computed)
    assert found.constants.contraction is None
    assert "limit_gap" in found.constants.not_computed
    assert "Theorem 1 covers no step size" in verdict(
        found.known, found.method.gamma, found.constants
    )
    merge = small("rand merge")
    merge["run"]["theory"] = False
    left_out = ist_mpi.run(merge).theory["not_computed"].split()
    assert sorted(left_out) == ["limit_gap", "limit_relative_gap", "spectral_radius"]


def large(variant: str, monkeypatch: pytest.MonkeyPatch, restarts: int) -> dict[str, Any]:
    """A problem that is taken for one too large for d × d matrices."""
    for module in (constants, cost):
        monkeypatch.setattr(module, "DENSE", 100)
    monkeypatch.setattr(constants, "few_restarts", lambda _: restarts)
    config = small(variant, step_size=1e-5)
    config["problem"] = {"kind": "synthetic", "d": 150, "n": 1 if "gradient" in variant else 3}
    return config


def test_what_lanczos_did_not_find_is_not_undefined(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = large("gradient descent", monkeypatch, restarts=1)
    found = foresee(Solo(), config)
    assert found.constants.spectral_radius is None
    assert found.constants.not_computed["spectral_radius"] == SLOW
    assert found.constants.not_computed["w_min_eigenvalue"] == SLOW
    assert found.constants.not_computed["theta"] == TOO_LARGE
    show_foresight(found)
    shown = [re.split("  +", line, maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    assert ["not computed", "spectral_radius, w_min_eigenvalue: --full"] in shown
    (large_ones,) = [row[1] for row in shown if row[-1].endswith(TOO_LARGE)]
    assert "theta" in large_ones
    monkeypatch.setattr(constants, "MAX_RESTARTS", 1)
    monkeypatch.setattr(constants, "few_restarts", lambda _: 1)
    asked = foresee(Solo(), config, full=True).constants
    assert asked.not_computed["spectral_radius"] == constants.NOT_FOUND


@pytest.mark.parametrize("variant", ["gradient descent", "dcgd, rand", "merge"])
def test_estimates_are_near_the_exact_values(variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    extreme = matrix_free.extreme
    monkeypatch.setattr(matrix_free, "extreme", lambda *a, **k: asked.append(1) or extreme(*a, **k))
    config = large(variant, monkeypatch, restarts=1)
    estimated = foresee(Solo(), config, full=True).constants
    assert len(asked) == (3 if variant == "merge" else 2)  # W̄ = L̄² has no Lanczos of its own
    monkeypatch.undo()
    exact = foresee(Solo(), config).constants
    assert set(estimated.estimated) == {"spectral_radius", "w_min_eigenvalue"}
    assert estimated.spectral_radius == pytest.approx(exact.spectral_radius, rel=1e-4)
    assert estimated.w_min_eigenvalue == pytest.approx(exact.w_min_eigenvalue, rel=1e-3)
    assert ("theta" in estimated.not_computed) == (exact.theta is not None)


def test_few_restarts_take_about_a_minute() -> None:
    for d in (6001, 10**4, 3 * 10**4):
        restarts = cost.few_restarts(float(d) ** 2)
        assert restarts == 1 or 120 * restarts * d**2 / cost.PRODUCT_RATE <= 60
    assert cost.few_restarts(6001.0**2) > 5


# Memory


def short_of_memory(monkeypatch: pytest.MonkeyPatch, matrices: int, **run: Any) -> dict[str, Any]:
    """A problem, and as much free memory as a run needs without theory, and so many matrices."""
    config = {**small(), "run": {"rounds": 2, **run}}
    config["problem"] |= {"d": 100}
    needs = jobs.open_job(Solo(), config)[0].budget.memory_root
    free = psutil.virtual_memory()._replace(available=needs + matrices * 8 * 100**2)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    return config


@pytest.mark.parametrize(
    ("matrices", "there", "left_out"),
    [
        (0, "bias_norm_squared", "spectral_radius"),
        (12, "spectral_radius", "theta"),
        (20, "spectral_radius", "stable_step_size_limit"),
        (41, "limit_gap", ""),
    ],
)
def test_runs_do_not_need_memory_for_theory_unasked(
    monkeypatch: pytest.MonkeyPatch, matrices: int, there: str, left_out: str
) -> None:
    config = short_of_memory(monkeypatch, matrices)
    config["method"]["step_size"] = 1e-5
    theory = ist_mpi.run(config).theory
    assert np.isfinite(theory[there])
    assert left_out in theory["not_computed"].split() or not theory["not_computed"]
    assert bool(theory["not_computed"]) == bool(left_out)


@pytest.mark.parametrize("asked", ["run", "step size", "command", "trajectory"])
def test_theory_that_is_asked_for_is_refused_where_memory_is_short(
    monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    config = short_of_memory(monkeypatch, 12)
    if asked == "run":
        config["run"]["theory"] = True
    if asked == "step size":
        config["method"]["step_size"] = "theory"
    ask: dict[str, Callable[[], Any]] = {
        "command": lambda: foresee(Solo(), config, full=True),
        "trajectory": lambda: foresee(Solo(), config, rounds=2),
    }
    with pytest.raises(ist_mpi.InputError, match=r"[13].* MiB of it for constants of theory"):
        ask.get(asked, lambda: ist_mpi.run(config))()


def test_command_says_that_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    found = foresee(Solo(), short_of_memory(monkeypatch, 12)).constants
    assert found.spectral_radius is not None
    assert found.not_computed["stable_step_size_limit"] == constants.NO_MEMORY


def test_estimates_need_no_matrices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "DENSE", 50)
    config = short_of_memory(monkeypatch, 0, theory=True)
    assert jobs.open_job(Solo(), config)[0].effort == "full"


# From the solution


def from_solution(off: float = 0.0, condition: float = 1e3, **method: Any) -> dict[str, Any]:
    """A problem whose x⁰ is the solution, as numpy finds it, times 1 + off."""
    stream = np.random.default_rng(3)
    n, d = 3, 20
    scale = np.sqrt(np.geomspace(1.0, condition, d))
    B = stream.standard_normal((n, 2 * d, d)) * scale
    L, b = B.transpose(0, 2, 1) @ B / d, stream.standard_normal((n, d))
    x0 = np.linalg.solve(L.mean(axis=0), b.mean(axis=0)) * (1.0 + off)
    step = {"name": "gradient_descent", "step_size": 1e-2 / condition, **method}
    return {
        "problem": {"kind": "arrays", "L": L, "b": b, "x0": x0},
        "method": step,
        "run": {"rounds": 5},
    }


@pytest.mark.parametrize("condition", [1e1, 1e4, 1e8])
@pytest.mark.parametrize("variant", ["gradient descent", "merge", "dcgd, rand"])
def test_gaps_relative_to_rounding_are_undefined(
    variant: str, condition: float, tmp_path: Path
) -> None:
    config = from_solution(0.0, condition, **VARIANTS[variant])
    found = foresee(Solo(), config, rounds=2)
    assert found.constants.fixed_point_relative_gap is None
    assert found.constants.limit_relative_gap is None
    assert not found.constants.not_computed
    assert found.trajectory is not None
    assert np.isnan(found.trajectory[:, [2, 6]]).all()
    words = words_of(found)
    stays = variant == "gradient descent"
    assert words.startswith("x⁰ is the solution. " + ("Converges to" if stays else "Goes from"))
    run = ist_mpi.run(config, out=tmp_path / "run.h5")
    assert run.theory["initial_gap"] == run.rounds["gap"][0] == 0.0
    assert np.isnan(run.rounds["relative_gap"]).all()
    assert np.isnan(run.theory["fixed_point_relative_gap"])
    report = verify([tmp_path / "run.h5"])
    assert not report.failed, report.rows


def test_a_run_from_the_solution_reaches_its_tolerance(tmp_path: Path) -> None:
    config = from_solution()
    config["run"]["tolerance"] = 1e-6
    run = ist_mpi.run(config, out=tmp_path / "run.h5")
    assert (run.stop_reason, run.rounds["round"][-1]) == ("tolerance", 0)
    assert not verify([tmp_path / "run.h5"]).failed


@pytest.mark.parametrize("off", [1e-10, 1e-3])
def test_near_the_solution_is_not_the_solution(off: float) -> None:
    found = foresee(Solo(), from_solution(off, 1e1, name="ist")).constants
    assert found.limit_relative_gap is not None
    assert not found.from_solution
    tiny = from_solution()
    tiny["problem"] |= {"b": np.zeros((3, 20)), "x0": np.full(20, 1e-100)}
    assert not foresee(Solo(), tiny).constants.from_solution


def test_cheap_verdict_from_the_solution(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "PATIENCE", 0.0)
    found = foresee(Solo(), from_solution())
    words = words_of(found)
    assert words.startswith("x⁰ is the solution. The mean iterate converges to the solution;")
    assert "limit_relative_gap" not in found.constants.not_computed
    biased = foresee(Solo(), from_solution(name="ist"))
    assert "a point of gap " in words_of(biased)
