"""Methods and sketches of other files: found by name, made whole, never guessed at."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ist_mpi
from ist_mpi import registry
from ist_mpi.config import load
from ist_mpi.errors import InputError, MismatchError
from ist_mpi.methods.ist import IndependentSubnetworkTraining
from ist_mpi.sketches.permutation import Permutation
from ist_mpi.training import api
from ist_mpi.training import job as jobs
from ist_mpi.verify import verify

EXAMPLES = Path(__file__).parents[1] / "examples"
DIANA = f"{EXAMPLES / 'diana' / 'diana.py'}:Diana"
SEEDS = 400
ROTATED = f"{EXAMPLES / 'rotated_blocks' / 'rotated_blocks.py'}:RotatedBlocks"


def config(n: int = 3, d: int = 11, rounds: int = 12, **method: Any) -> dict[str, Any]:
    return {
        "problem": {"kind": "synthetic", "n": n, "d": d},
        "method": {"name": "ist", "step_size": 0.004, **method},
        "run": {"rounds": rounds},
        "log": {"permutations": True},
    }


def test_diana_reaches_the_solution() -> None:
    result = ist_mpi.run(config(4, 43, 3000, name=DIANA) | {"log": {"every": 100}})
    assert result.rounds["relative_gap"][-1] < 1e-12
    assert result.rounds["floats_up"][-1] == 3000 * 43 / 4
    assert result.rounds["floats_down"][-1] == 3000 * 43


def test_without_theory_nothing_is_a_number() -> None:
    """A method that brings no step has no constants, whatever its sketch."""
    theory = ist_mpi.run(config(name=DIANA)).theory
    known = {"f_star", "initial_gap", "gap_at_zero", "x_star"}
    for name, value in theory.items():
        if name not in known and not isinstance(value, str):
            assert np.isnan(value).all(), name
    assert "theta" in theory["not_computed"]


@pytest.mark.slow
def test_rotated_blocks_have_the_exact_limit_of_their_law() -> None:
    """The mean of f after many rounds of many seeds is the limit that the law predicts."""
    settings = config(3, 6, 60, sketch=ROTATED, step_size=0.02)
    settings["log"] = {"every": 60}
    limit = float(
        ist_mpi.run(settings | {"run": {"rounds": 1, "theory": True}}).theory["limit_gap"]
    )
    job, problem = jobs.open_job(
        api.ranks.world(), settings, ["run.theory=false"], seeds=f"0:{SEEDS}"
    )
    runs = api.results(api.ranks.world(), job, problem)
    gaps = [float(result.rounds["gap"][-1]) for result in runs]
    error = np.std(gaps) / np.sqrt(SEEDS)
    assert error < 0.1 * limit
    assert abs(np.mean(gaps) - limit) < 4.5 * error


def test_rounds_of_a_foreign_sketch_are_algorithm_1() -> None:
    """One round in plain numpy, from the blocks in the log."""
    result = ist_mpi.run(
        config(3, 11, 4, sketch=ROTATED)
        | {"log": {"permutations": True, "iterates": True, "problem": True}}
    )
    L, b, x = result.problem["L"], result.problem["b"], result.iterates["x"]
    for k in range(4):
        pi, offsets = result.permutations["pi"][k], result.permutations["offsets"][k]
        expected = np.zeros(11)
        for i in range(3):
            S = pi[offsets[i] : offsets[i + 1]]
            w = 3.0 * x[k][S]
            w = w - 0.004 * 3.0 * (L[i][np.ix_(S, S)] @ w - b[i][S])
            expected[S] += w / 3.0
        np.testing.assert_allclose(x[k + 1], expected, rtol=0, atol=1e-12 * np.abs(x[k]).max())


@pytest.mark.slow
@pytest.mark.parametrize("method", [{"name": DIANA}, {"sketch": ROTATED}], ids=["method", "sketch"])
def test_stopped_and_resumed_is_uninterrupted(method: dict[str, Any], tmp_path: Path) -> None:
    log, file = tmp_path / "run.h5", Path(next(iter(method.values())).rpartition(":")[0])
    settings = config(**method)
    expected = ist_mpi.run(settings)
    settings["run"]["max_seconds"] = 1e-6
    assert ist_mpi.run(settings, out=log).status == "stopped"
    comm = api.ranks.world()
    with pytest.raises(InputError, match="--code FILE"):
        jobs.reopen(comm, log)
    other = tmp_path / "other.py"
    other.write_text(file.read_text() + "\n")
    with pytest.raises(InputError, match="not the file"):
        jobs.reopen(comm, log, code=other)
    moved = tmp_path / "moved.py"
    moved.write_text(file.read_text())
    for _ in range(50):
        job, problem = jobs.reopen(comm, log, code=moved)
        (found,) = api.results(comm, job, problem, going_on="resume", tell=lambda text: None)
        if found.status == "finished":
            break
    assert found.x.tobytes() == expected.x.tobytes()
    for name in set(expected.rounds) - {"seconds"}:
        np.testing.assert_array_equal(found.rounds[name], expected.rounds[name])


@pytest.mark.slow
def test_a_log_is_no_program(tmp_path: Path) -> None:
    """What reads a log never runs the code that it names."""
    code, log, seen = tmp_path / "mine.py", tmp_path / "run.h5", tmp_path / "seen"
    text = (EXAMPLES / "diana" / "diana.py").read_text()
    code.write_text(f"open({str(seen)!r}, 'a').write('x')\n{text}")
    ist_mpi.run(config(name=f"{code}:Diana"), out=log)
    seen.unlink()
    for command in (["info", str(log)], ["watch", "--once", str(log)], ["verify", str(log)]):
        subprocess.run([sys.executable, "-m", "ist_mpi", *command], check=False, timeout=120)
    assert not seen.exists()
    with pytest.raises(InputError, match="--code FILE"):
        verify([log])
    found = {finding.check: finding for finding in verify([log], code=code).rows}
    assert found["floats"].verdict == "ok"
    assert found["replay"].verdict == "not judged"


def test_an_extension_needs_all_that_is_carried(tmp_path: Path) -> None:
    log = tmp_path / "run.h5"
    ist_mpi.run(config(name=DIANA), out=log)
    comm = api.ranks.world()
    job, problem = jobs.reopen(comm, log, 20, Path(DIANA.rpartition(":")[0]))
    with pytest.raises(InputError, match="mean_shift"):
        list(api.results(comm, job, problem, going_on="extend", tell=lambda text: None))


def test_another_code_is_another_run(tmp_path: Path) -> None:
    code, log = tmp_path / "mine.py", tmp_path / "run.h5"
    code.write_text((EXAMPLES / "diana" / "diana.py").read_text())
    settings = config(name=f"{code}:Diana")
    ist_mpi.run(settings, out=log)
    before = load(settings).run_id()
    code.write_text(code.read_text() + "\n# changed\n")
    assert load(settings).run_id() != before
    comm = api.ranks.world()
    with pytest.raises(MismatchError, match=r"method\.name is other code"):
        jobs.open_job(comm, settings, out=log, going_on="resume")


def test_a_class_from_python_is_a_name_like_any_other() -> None:
    kind = registry.load("methods", DIANA)
    assert ist_mpi.run(config(name=kind)).x.tobytes() == ist_mpi.run(config(name=DIANA)).x.tobytes()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nowhere.py:Mine", "No such file"),
        (f"{EXAMPLES}/diana/diana.py:Dinah", "a class Dinah"),
        (f"{EXAMPLES}/rotated_blocks/rotated_blocks.py:RotatedBlocks", "derived from"),
        ("dianna", "gradient_descent"),
    ],
)
def test_names_that_are_none(name: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        load(config(name=name))


def test_code_that_fails_is_said_to(tmp_path: Path) -> None:
    code = tmp_path / "broken.py"
    code.write_text("raise RuntimeError('no')\n")
    with pytest.raises(InputError, match="RuntimeError: no"):
        load(config(name=f"{code}:Mine"))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return [0, 0], [0, 1, 2], [1.0, 1.0], [1.0, 1.0]", "not disjoint"),
        ("return [0, 9], [0, 1, 2], [1.0, 1.0], [1.0, 1.0]", "pi from 0 to 9"),
        ("return [0, 1], [0, 2], [1.0, 1.0], [1.0, 1.0]", "offsets"),
        ("return [0, 1], [0, 1, 2], [1.0], [1.0, 1.0]", "C of shape"),
        ("return None", "NoneType"),
    ],
)
def test_blocks_that_are_none(body: str, words: str, tmp_path: Path) -> None:
    code = tmp_path / "mine.py"
    code.write_text(
        "from ist_mpi.sketches import Sketch\n"
        "class Mine(Sketch):\n"
        "    disjoint = True\n"
        "    largest, total = 1, 2\n"
        "    def draw(self, k, rng):\n"
        f"        {body}\n"
    )
    with pytest.raises(InputError, match=words):
        ist_mpi.run(config(2, 2, 3, sketch=f"{code}:Mine", form="estimator"))


@pytest.mark.parametrize("shape", ["(d + 1,)", "(d,), dtype='f4'"])
def test_state_that_no_checkpoint_holds_is_refused(shape: str, tmp_path: Path) -> None:
    code = tmp_path / "mine.py"
    code.write_text(
        "import numpy as np\n"
        "from ist_mpi.methods import Vector\n"
        "from ist_mpi.methods.ist import IndependentSubnetworkTraining\n"
        "class Mine(IndependentSubnetworkTraining):\n"
        "    def vectors(self):\n"
        "        d = self.x.size\n"
        f"        return [*super().vectors(), Vector('more', 'server', np.zeros({shape}))]\n"
    )
    with pytest.raises(InputError, match="vectors: more"):
        ist_mpi.run(config(name=f"{code}:Mine"))


@pytest.mark.slow
def test_installed_packages_bring_names(
    tmp_path: Path, launch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two packages of their own, stopped on two ranks and resumed on three, then on one."""
    packages = tmp_path / "packages"
    for name in ("rotated_blocks", "diana"):
        source = tmp_path / name
        shutil.copytree(EXAMPLES / name, source)
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
        install += ["--no-build-isolation", "--target", str(packages), str(source)]
        subprocess.run(install, check=True, timeout=120, capture_output=True)
    paths = [str(packages), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    settings = ["method.name=diana", "method.sketch=rotated_blocks", "method.step_size=0.004"]
    settings += ["problem.kind=synthetic", "problem.n=5", "problem.d=13", "run.rounds=5"]
    config = tmp_path / "empty.toml"
    config.write_text("[problem]\n[method]\n[run]\n")

    def command(p: int, *words: str) -> "subprocess.CompletedProcess[str]":
        done: subprocess.CompletedProcess[str] = launch(p, "-m", "ist_mpi", *words)
        return done

    sets = [word for setting in settings for word in ("--set", setting)]
    whole, log = tmp_path / "whole.h5", tmp_path / "run.h5"
    assert command(1, "run", str(config), *sets, "--out", str(whole)).returncode == 0
    stop = ["--set", "run.max_seconds=1e-6", "--out", str(log)]
    assert command(2, "run", str(config), *sets, *stop).returncode == 75
    for p in (3, 1, 2, 3, 1):
        done = command(p, "resume", str(log))
        if done.returncode == 0:
            break
        assert done.returncode == 75, done.stderr
    found, expected = ist_mpi.open_run(log), ist_mpi.open_run(whole)
    assert found.status == "finished"
    assert found.x.tobytes() == expected.x.tobytes()


class Halved(IndependentSubnetworkTraining):
    """A round of its own on top of another's."""

    def round(self, k: int) -> None:
        super().round(k)
        self.x *= 0.5


class Still(Permutation):
    """Another draw than its base's."""

    def draw(self, k: int, rng: np.random.Generator) -> Any:
        parts = np.array_split(np.arange(self.d), self.n)
        offsets = np.cumsum([0, *map(len, parts)])
        ones = np.ones(self.d)
        return np.concatenate(parts), offsets, self.n * ones, ones / self.n


def test_what_a_base_says_is_not_true_of_another_round() -> None:
    """The override is run on one rank too, and the base's exact theory is not its."""
    base, other = ist_mpi.run(config()), ist_mpi.run(config(name=Halved))
    assert np.abs(other.x).max() < 0.1 * np.abs(base.x).max()
    assert np.isnan(other.theory["theta"])
    assert not np.isnan(base.theory["theta"])


def test_what_a_base_says_is_not_true_of_another_draw() -> None:
    found = ist_mpi.run(config(sketch=Still))
    assert (found.permutations["pi"] == np.arange(11)).all()
    assert np.isnan(found.theory["theta"])


def test_what_runs_is_what_the_digest_is_of(tmp_path: Path) -> None:
    """No bytecode of another text is taken for it."""
    code, seen = tmp_path / "mine.py", []
    for scale in ("0.5", "0.7"):
        code.write_text(
            "from ist_mpi.methods.gradient_descent import GradientDescent as Base\n"
            "class Mine(Base):\n    def round(self, k):\n        self.x *= SCALE\n"
            "SCALE = 1.0\n".replace("1.0", scale)
        )
        os.utime(code, (1e9, 1e9))
        seen.append(ist_mpi.run(config(name=f"{code}:Mine")).x)
    assert np.abs(seen[1]).max() > 2 * np.abs(seen[0]).max()
    assert not (tmp_path / "__pycache__").exists()
