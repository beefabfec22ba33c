"""Networks: gradients, submodels, minibatches, and whole runs beside an independent one."""

import itertools
import json
from pathlib import Path
from typing import Any

import network_truth as truth
import numpy as np
import pytest
from commands import call

import ist_mpi
from ist_mpi.errors import InputError
from ist_mpi.kernels import philox
from ist_mpi.kernels.batches import draw_batches
from ist_mpi.problems.layers import activations as activations_of
from ist_mpi.problems.layers import gradient, layers, loss_of, outputs
from ist_mpi.problems.local_network import LocalNetwork, Objective, Samples
from ist_mpi.problems.neurons import Neurons
from ist_mpi.sketches import Blocks
from ist_mpi.verify import verify

RNG = np.random.default_rng(3)
X, Y = RNG.standard_normal((23, 3)), np.arange(23) % 3


def config(hidden: list[int], n: int = 3, **method: Any) -> dict[str, Any]:
    return {
        "problem": {"kind": "network", "X": X, "y": 5.0 + Y, "n": n, "hidden": hidden}
        | {"batch": 4, "standardize": False, "logit_scale": 2.0, "evaluation_scale": 0.5},
        "method": {"name": "ist", "step_size": 0.1, **method},
        "run": {"rounds": 4, "seed": 2**40 + 7},
        "log": {"iterates": True, "permutations": True},
    }


def data(n: int, rows: np.ndarray | None = None) -> list[tuple[np.ndarray, np.ndarray]]:
    """The workers' samples, in the order of their labels."""
    rows = np.arange(len(Y)) if rows is None else rows
    order = rows[np.argsort(Y[rows], kind="stable")]
    return [(X[part], Y[part]) for part in np.array_split(order, n)]


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


WIDTHS = [(3, 5, 3), (2, 4, 6, 3)]


@pytest.mark.parametrize("loss", ["softmax", "squares"])
@pytest.mark.parametrize("widths", WIDTHS)
def test_gradients_are_those_of_the_loss(widths: tuple[int, ...], loss: Any) -> None:
    samples, y = X[:, : widths[0]], Y
    x = RNG.standard_normal(Neurons(widths).size(widths[1:-1]))

    def value(x: np.ndarray) -> float:
        net = layers(x, widths)
        return loss_of(outputs(net, activations_of(net, samples)[-1], 1.5), y, loss)

    found = gradient(layers(x, widths), samples, y, 1.5, loss)
    steps = 1e-6 * np.eye(x.size)
    differences = np.array([(value(x + step) - value(x - step)) / 2e-6 for step in steps])
    assert relative(found, differences) < 1e-7
    expected = truth.loss_and_gradient(x, widths, samples, y, loss, 1.5)
    assert relative(found, expected[1]) < 1e-13
    assert value(x) == pytest.approx(expected[0], rel=1e-14)


@pytest.mark.parametrize("widths", WIDTHS)
def test_a_block_is_a_smaller_network(widths: tuple[int, ...]) -> None:
    neurons = Neurons(widths)
    d = neurons.size(neurons.counts)
    held = [np.sort(RNG.permutation(count)[:2]).astype(np.int32) for count in neurons.counts]
    block = neurons.coordinates(held)
    masks = [
        np.isin(np.arange(c), s).astype(float) for c, s in zip(neurons.counts, held, strict=True)
    ]
    np.testing.assert_array_equal(np.flatnonzero(truth.owned(widths, masks)), block)
    for mine, back in zip(held, neurons.held(block), strict=True):
        np.testing.assert_array_equal(mine, back)
    x, samples = RNG.standard_normal(d), X[:, : widths[0]]
    small = (widths[0], *(s.size for s in held), widths[-1])
    found = gradient(layers(x[block], small), samples, Y, 2.0, "softmax")
    expected = truth.loss_and_gradient(x, widths, samples, Y, "softmax", 2.0, masks)[1]
    assert relative(found, expected[block]) < 1e-13
    inside = gradient(layers(x, widths), samples, Y, 2.0, "softmax", held)
    of_all = truth.loss_and_gradient(x, widths, samples, Y, "softmax", 2.0)[1]
    assert relative(inside, of_all[block]) < 1e-13


def test_minibatches() -> None:
    order, state = np.arange(11), np.zeros(philox.STATE_SIZE, dtype=np.uint32)
    for k, worker, size in ((0, 0, 4), (5, 2, 10), (2**33, 7, 1)):
        rows = np.empty((6, size), dtype=np.int64)
        draw_batches(2**40 + 9, k, worker, order, rows, state)
        assert rows.tolist() == truth.batches(2**40 + 9, k, worker, 11, size, 6)
        np.testing.assert_array_equal(order, np.arange(11))
    rows = np.empty((20000, 3), dtype=np.int64)
    draw_batches(1, 2, 3, order, rows, state)
    assert all(len(set(row)) == 3 for row in rows[:200].tolist())
    counts = np.bincount(rows.ravel(), minlength=11)
    assert np.abs(counts / 20000 - 3 / 11).max() < 0.02  # six standard deviations


CASES: dict[str, tuple[list[int], int, dict[str, Any], dict[str, Any]]] = {
    "ist": ([7], 3, {"local_steps": 3}, {}),
    "ist, squares": ([6], 3, {}, {"loss": "squares", "batch": 0}),
    "ist, merge": ([7], 3, {"form": "merge", "local_steps": 2}, {}),
    "ist, two layers": ([5, 8], 3, {"local_steps": 2}, {}),
    "ist, alone": ([5, 4], 1, {"local_steps": 2}, {}),
    "shared block": ([7], 3, {"name": "shared_block"}, {}),
    "shared block, two layers": ([5, 8], 3, {"name": "shared_block"}, {}),
    "sgd": ([5], 4, {"name": "gradient_descent"}, {"batch": 3}),
    "local sgd": ([2, 5], 3, {"sketch": "identity", "local_steps": 3}, {"batch": 99}),
}


@pytest.mark.parametrize("case", CASES)
def test_runs_are_those_of_the_reference(case: str) -> None:
    hidden, n, method, problem = CASES[case]
    settings = config(hidden, n, **method)
    settings["problem"] |= problem
    run = ist_mpi.run(settings)
    widths = (3, *hidden, 3)
    blocks = [[np.arange(run.x.size)] * n] * 4
    if run.permutations:
        drawn, edges = run.permutations["pi"], run.permutations["offsets"]
        blocks = [np.split(pi, at[1:-1]) for pi, at in zip(drawn, edges, strict=True)]
    name = run_method = settings["method"]["name"]
    if name == "gradient_descent":
        run_method = "ist"
    wanted = {"loss": problem.get("loss", "softmax"), "batch": problem.get("batch", 4)}
    expected = truth.rounds(
        run.model["x0"],
        widths,
        data(n),
        blocks,
        run_method,
        0.1,
        scale=2.0,
        seed=2**40 + 7,
        steps=settings["method"].get("local_steps", 1),
        **wanted,
    )
    for k, (x, found) in enumerate(zip(expected, run.iterates["x"], strict=True)):
        assert relative(found, x) < 1e-12, k
        per_worker = [
            (
                *truth.loss_and_gradient(x, widths, *own, wanted["loss"], 2.0),
                truth.loss_and_gradient(x, widths, *own, wanted["loss"], 0.5)[0],
                truth.accuracy(x, widths, *own, 0.5),
            )
            for own in data(n)
        ]
        value, slope, loss, right = (sum(column) / n for column in zip(*per_worker, strict=True))
        row = {name: column[k] for name, column in run.rounds.items()}
        assert row["value"] == pytest.approx(value, rel=1e-11)
        assert row["gradient_norm_squared"] == pytest.approx(slope @ slope, rel=1e-9)
        assert row["train_loss"] == pytest.approx(loss, rel=1e-11)
        assert row["train_accuracy"] == pytest.approx(right, rel=1e-14)
        if name == "shared_block":
            sent = sum(drawn[0].size for drawn in blocks[:k])
            assert (row["floats_up"], row["floats_down"]) == (sent, sent + x.size)
        else:
            sent = sum(block.size for drawn in blocks[:k] for block in drawn) / n
            assert (row["floats_up"], row["floats_down"]) == pytest.approx((sent, sent))
    H, out = hidden[0], 3
    if case in ("ist", "ist, merge"):
        assert row["floats_up"] == pytest.approx(4 * (H / n * (3 + 1 + out) + out))


def test_the_mean_step_is_that_of_the_objective_of_submodels() -> None:
    """All six ways to give two of four neurons to the first of two workers, one step each."""
    widths, n, gamma = (3, 4, 3), 2, 0.3
    neurons, objective = Neurons(widths), Objective("softmax", 1.5, 1.0, 0)
    samples = [Samples(*own) for own in data(n)]
    local = LocalNetwork(neurons, objective, samples, (), 0)
    x = RNG.standard_normal(local.d)
    pairs = list(itertools.combinations(range(4), 2))
    steps, slopes = np.zeros_like(x), np.zeros_like(x)
    for pair in pairs:
        held = [np.array(pair), np.setdiff1d(np.arange(4), pair)]
        blocks = [neurons.coordinates([mine.astype(np.int32)]) for mine in held]
        pi = np.concatenate(blocks)
        offsets = np.array([0, blocks[0].size, pi.size], dtype=np.int32)
        A = 1.0 / np.bincount(pi)[pi]
        made = local.steps(None, pi.size, gamma, 1, False, False)
        np.add.at(steps, pi, local.submodels(Blocks(pi, offsets, np.ones(pi.size), A), x[pi], made))
        for mine, own in zip(held, samples, strict=True):
            mask = [np.isin(np.arange(4), mine).astype(float)]
            slopes += truth.loss_and_gradient(x, widths, *own, "softmax", 1.5, mask)[1] / n
    steps, slopes = steps / len(pairs), slopes / len(pairs)
    times = np.full(x.size, float(n))
    times[-3:] = 1.0  # the biases of the outputs
    assert relative(steps, -gamma * times * slopes) < 1e-13


def test_held_out_samples_and_defaults() -> None:
    settings = {"problem": {"kind": "network", "n": 4}, "method": {"name": "ist", "step_size": 1}}
    found = ist_mpi.config.load(settings | {"run": {"rounds": 1}})
    assert (found.problem.dataset, found.problem.hidden, found.problem.batch) == (
        "digits",
        [64],
        32,
    )
    assert (found.method.scaling, found.method.form) == ("unscaled", "estimator")
    settings = config([4])
    settings["problem"] |= {"test_share": 0.3, "seed": 3}
    run = ist_mpi.run(settings)
    rows = np.random.Generator(
        np.random.Philox(np.random.SeedSequence(3, spawn_key=(4, 0)))
    ).permutation(23)
    tested = np.sort(rows[:7])
    for k, x in enumerate(run.iterates["x"]):
        loss = truth.loss_and_gradient(x, (3, 4, 3), X[tested], Y[tested], "softmax", 0.5)[0]
        assert run.rounds["test_loss"][k] == pytest.approx(loss, rel=1e-11)
        right = truth.accuracy(x, (3, 4, 3), X[tested], Y[tested], 0.5)
        assert run.rounds["test_accuracy"][k] == pytest.approx(right)
    settings["problem"] |= {"standardize": True}
    given = ist_mpi.run(settings)
    scaled = (X - X[np.sort(rows[7:])].mean(axis=0)) / X[np.sort(rows[7:])].std(axis=0)
    settings["problem"] |= {"standardize": False, "X": scaled}
    np.testing.assert_allclose(given.x, ist_mpi.run(settings).x, rtol=1e-9)
    settings["problem"] |= {"start_seed": 4}
    other = ist_mpi.run(settings)
    assert not np.array_equal(other.model["x0"], run.model["x0"])


@pytest.mark.parametrize(
    ("section", "change", "where", "said"),
    [
        ("problem", {"hidden": [2]}, "problem.hidden", "2 units in layer 1, for n = 3 workers"),
        ("problem", {"hidden": [3, 1]}, "problem.hidden", "1 units in layer 2"),
        ("problem", {"hidden": []}, "problem.hidden", "1 or 2 hidden layers"),
        ("problem", {"hidden": [4, 4, 4]}, "problem.hidden", "1 or 2 hidden layers"),
        ("problem", {"hidden": [0]}, "problem.hidden", "0"),
        ("problem", {"batch": -1}, "problem.batch", "0: all"),
        ("problem", {"logit_scale": 0.0}, "problem.logit_scale", "0"),
        ("problem", {"loss": "hinge"}, "problem.loss", '"squares"'),
        ("problem", {"y": np.ones(23)}, "problem.X", "all 1"),
        ("problem", {"n": 24, "hidden": [30]}, "problem.n", "at most 23"),
        ("problem", {"path": "x.svm"}, "problem.path", "exactly one"),
        ("method", {"scaling": "unbiased"}, "method.scaling", '"unscaled"'),
        ("method", {"scaling": "preconditioned"}, "method.scaling", '"unscaled"'),
        ("method", {"name": "dcgd"}, "method.name", '"gradient_descent"'),
        ("method", {"name": "stale"}, "method.name", '"gradient_descent"'),
        ("method", {"sketch": "rand", "q": 2}, "method.sketch", '"identity"'),
        ("method", {"step_size": "default"}, "method.step_size", "a number"),
        ("method", {"group_size": 2}, "method.group_size", "one by one"),
        ("run", {"tolerance": 0.1}, "run.tolerance", "no x"),
        ("run", {"exchange": "serverless"}, "run.exchange", "overlap"),
        ("log", {"problem": True}, "log.problem", "no quadratic"),
    ],
)
def test_wrong_input(section: str, change: dict[str, Any], where: str, said: str) -> None:
    settings = config([6])
    settings[section] = settings[section] | change
    with pytest.raises(InputError) as caught:
        ist_mpi.run(settings)
    (fault,) = caught.value.faults
    assert fault.where.removesuffix(" in configuration") == where
    assert said in f"{fault.got}; {fault.expected}"


def test_merging_two_layers_would_lose_weights() -> None:
    with pytest.raises(InputError, match="different owners stay"):
        ist_mpi.run(config([4, 4], form="merge"))


def test_what_is_no_number_ends_the_run() -> None:
    settings = config([6], step_size=1e200)
    with pytest.warns(UserWarning, match="diverged"):
        run = ist_mpi.run(settings)
    assert run.status == "failed"
    assert "not finite" in run.stop_reason


@pytest.mark.parametrize("name", ["ist", "shared_block"])
def test_stopped_and_resumed(name: str, tmp_path: Path) -> None:
    path, log = tmp_path / "run.toml", tmp_path / "run.h5"
    path.write_text(
        f"""
[problem]
kind = "network"
hidden = [5, 7]
n = 3
test_share = 0.5
[method]
name = "{name}"
step_size = 0.05
[run]
rounds = 6
"""
    )
    expected = ist_mpi.run(path)
    tables = ist_mpi.config.load(path).to_dict()
    tables["run"]["max_seconds"] = 1e-6
    assert ist_mpi.run(tables, out=log).status == "stopped"
    again = ("run", str(path), "--out", str(log), "--resume", "--set", "run.max_seconds=60.0")
    assert call(*again).returncode == 0
    found = ist_mpi.open_run(log)
    assert found.x.tobytes() == expected.x.tobytes()
    for column in ("value", "train_loss", "test_accuracy", "floats_up"):
        np.testing.assert_array_equal(found.rounds[column], expected.rounds[column])
    report = verify([log])
    assert not report.failed
    findings = {row.check: row for row in report.rows}
    assert findings["floats"].verdict == findings["rows"].verdict == "ok"
    theory = json.loads(call("theory", str(path), "--json").stdout)
    assert theory["theta"] is None
    assert "theta" in theory["not_computed"]
    assert "not quadratic" in call("theory", str(path)).stdout.replace("\n", " ")
