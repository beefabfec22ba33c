"""Classes of one's own that are not what they say: refused in words, or the run ends."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foreign import CODE

import ist_mpi
from ist_mpi import registry
from ist_mpi.config import load
from ist_mpi.errors import DrawError, InputError, MismatchError
from ist_mpi.training import api
from ist_mpi.training import job as jobs

MINE = """
import numpy as np
from ist_mpi.config import Method as Table, Section
from ist_mpi.methods import Floats, Method, Vector
from ist_mpi.problems import FunctionProblem, QuadraticProblem
from ist_mpi.sketches import Finite, Sketch

class Halves(Sketch):
    \"\"\"Two blocks; which of them worker i has changes from round to round.\"\"\"

    disjoint = True
    {claim}

    def __init__(self, method, n, d):
        super().__init__(method, n, d)
        self.largest, self.total = -(-d // n), d
        {late}

    def draw(self, k, rng):
        n, d = self.n, self.d
        parts = np.array_split(np.arange(d), n)
        s = int(rng.integers(n))
        blocks = [parts[(i + s) % n] for i in range(n)]
        pi, C, A = np.concatenate(blocks), np.full(d, float(n)), np.full(d, 1.0 / n)
        offsets = np.cumsum([0] + [len(block) for block in blocks])
        {change}
        return pi, offsets, C, A

class Own(Method):
    def round(self, k):
        tools = self.tools
        S = tools.exchange.broadcast(k)
        tools.exchange.share(self.x)
        pieces = tools.problem.gradients(self.x, S)
        tools.exchange.add(self.x, -self.gamma * S.A * S.C * pieces)
    {method}
"""


def mine(folder: Path, d: int = 6, method: str = "", name: str = "ist", **change: str) -> Any:
    """A configuration with the sketch, or with the method, of a file in that folder."""
    words = {"claim": "pass", "late": "pass", "change": "pass", **change}
    code = folder / "mine.py"
    code.write_text(MINE.format(method=method, **words))
    which = {"name": f"{code}:Own"} if name == "Own" else {"name": name}
    return {
        "problem": {"kind": "synthetic", "n": 3, "d": d},
        "method": {**which, "sketch": f"{code}:Halves", "step_size": 1e-3},
        "run": {"rounds": 40},
    }


@pytest.mark.parametrize("d", [6, 7])
def test_what_is_said_and_true_is_run(tmp_path: Path, d: int) -> None:
    claim = f"weight, same_sizes, sums_to_identity = 1.0, {d == 6}, staticmethod(lambda m: True)"
    result = ist_mpi.run(mine(tmp_path, d, claim=claim))
    assert result.rounds["floats_up"][-1] == pytest.approx(40 * d / 3)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"change": "pi = np.sort(pi) * 0"}, "block 0 out of order"),
        ({"change": "pi, offsets = pi[:-1], np.minimum(offsets, d - 1)"}, "C of shape"),
        ({"late": "self.largest = 1"}, "a block of 2"),
        ({"late": "self.total = 5"}, "expected 5 in every round, as total says"),
        ({"late": "self.total = 9"}, "expected 9 in every round, as total says"),
        ({"change": "pi = np.tile(np.arange(2), 3)"}, "not disjoint"),
        ({"claim": "weight = 0.5"}, "0.5 everywhere, as weight says"),
        (
            {
                "claim": "sums_to_identity = staticmethod(lambda method: True)",
                "change": "C = C / 2",
            },
            "as sums_to_identity says",
        ),
        (
            {
                "claim": "law = lambda self: Finite([(1.0, np.arange(6), [0, 2, 4, 6], "
                "np.ones(6), np.ones(6))])"
            },
            "one of the draws of its law",
        ),
        ({"late": "self.total = 2.5"}, "total = 2.5"),
        ({"late": "self.n = 4"}, "super"),
        ({"claim": "law = lambda self: 3"}, "a Finite or an Exchangeable"),
        (
            {
                "claim": "law = lambda self: Finite([(1.0, np.arange(6), [0, 6], "
                "np.ones(6), np.ones(6))])"
            },
            "3 workers",
        ),
    ],
)
def test_a_sketch_that_is_wrong_at_once(tmp_path: Path, words: dict[str, str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        ist_mpi.run(mine(tmp_path, **words))


@pytest.mark.parametrize(
    ("d", "words", "said"),
    [
        (7, {"claim": "same_sizes = True"}, "other sizes than in round 0"),
        (6, {"claim": "random = False"}, "other blocks than in round 0"),
        (6, {"change": "C = C + (k == 30)", "claim": "weight = 1.0"}, "as weight says"),
        (6, {"change": "A = A / (k != 30)"}, "finite numbers"),
    ],
)
def test_a_sketch_that_is_wrong_later(
    tmp_path: Path, d: int, words: dict[str, str], said: str
) -> None:
    """The run ends with what there is in the log, and can go on."""
    log = tmp_path / "run.h5"
    with pytest.raises(DrawError, match=said), np.errstate(divide="ignore"):
        ist_mpi.run(mine(tmp_path, d, **words), out=log)
    run = ist_mpi.open_run(log)
    assert run.status == "stopped"
    assert said in run.attributes["stop_reason"]


def test_blocks_whose_number_varies_have_no_ledger(tmp_path: Path) -> None:
    words = {
        "claim": "varying, disjoint = True, False",
        "change": "m = 6 - k % 2; pi, C, A, offsets = pi[:m], C[:m], A[:m], np.minimum(offsets, m)",
    }
    result = ist_mpi.run(mine(tmp_path, name="Own", **words))
    assert np.isnan(result.rounds["floats_up"]).all()
    settings = mine(tmp_path, name="Own", **words) | {"log": {"permutations": True}}
    with pytest.raises(InputError, match=r"log\.permutations"):
        ist_mpi.run(settings)


VECTORS = """
    def vectors(self):
        return [{}]
"""


@pytest.mark.parametrize(
    ("vectors", "said"),
    [
        ('Vector("x", "server", self.x.copy())', "x: got a copy"),
        ('Vector("x", "server", np.zeros(6))', "x: got a copy"),
        (
            'Vector("x", "server", self.x), Vector("h", "worker", np.zeros((3, 6)))',
            "h: got a copy",
        ),
        ('Vector("x", "worker", np.zeros((3, 6)))', "x: got a copy"),
        ('Vector("y", "server", self.x)', 'one of them "x"'),
        ('Vector("x", "server", self.x.astype(np.float32))', "of float64"),
    ],
)
def test_vectors_that_would_not_come_back(tmp_path: Path, vectors: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        ist_mpi.run(mine(tmp_path, name="Own", method=VECTORS.format(vectors)))


def test_without_a_ledger_it_is_not_a_number(tmp_path: Path) -> None:
    result = ist_mpi.run(mine(tmp_path, name="Own"))
    assert np.isnan(result.rounds["floats_down"]).all()
    assert np.isfinite(result.rounds["gap"]).all()


CLASSES = """
import numpy as np
from pydantic import BaseModel
from ist_mpi.config import Problem, Section
from ist_mpi.methods import Method
from ist_mpi.problems import FunctionProblem, QuadraticProblem
from ist_mpi.sketches import Sketch

class Nothing(Method): pass
class NoDraw(Sketch): pass
class NoValue(FunctionProblem):
    def gradient(self, worker, x): return x
class NoQuadratic(QuadraticProblem): pass
class Other: pass
class Sizes(Problem):
    n: int = 2
    d: int = 3
class Quadratic(QuadraticProblem):
    Settings = Sizes
    def __init__(self, settings):
        super().__init__(settings)
        self.n, self.d = 2, 3
    def quadratic(self, worker):
        return np.eye(3) * (1.0 + worker), np.ones(3)
class NotTheSame(Quadratic):
    homogeneous = True
class ShortStart(Quadratic):
    def start(self): return np.zeros(2)
class NaNStart(Quadratic):
    def start(self): return np.full(3, np.nan)
class WordStart(Quadratic):
    def start(self): return "none"
class PlainSettings(Quadratic):
    class Settings(BaseModel): pass
class NoSettings(Quadratic):
    Settings = None
class Steps(Method):
    class Settings(Section):
        step_size: str
    def round(self, k): pass
class Twice(Method):
    class Settings(Section):
        mine: int = 1
    def round(self, k): pass
class Again(Sketch):
    class Settings(Section):
        mine: float = 1.0
    def draw(self, k, rng): pass
"""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "Nothing"}, "no round"),
        ({"name": "Other"}, r"ist_mpi\.methods\.Method"),
        ({"name": "Steps"}, "another step_size"),
        ({"name": "Twice", "sketch": "Again"}, "mine of Twice and of Again"),
        ({"sketch": "NoDraw"}, "no draw"),
        ({"kind": "NoValue"}, "no value"),
        ({"kind": "NoQuadratic"}, "no quadratic"),
        ({"kind": "NotTheSame"}, "different quadratics"),
        ({"kind": "ShortStart"}, r"shape \(2,\)"),
        ({"kind": "NaNStart"}, "not finite"),
        ({"kind": "WordStart"}, r"WordStart\.start"),
        ({"kind": "PlainSettings"}, r"PlainSettings\.Settings"),
        ({"kind": "NoSettings"}, r"NoSettings\.Settings"),
    ],
)
def test_classes_that_are_none(tmp_path: Path, change: dict[str, str], said: str) -> None:
    code = tmp_path / "classes.py"
    code.write_text(CLASSES)
    names = {key: f"{code}:{name}" for key, name in change.items()}
    kind = names.pop("kind", "synthetic")
    sizes = {"n": 2, "d": 3} if kind == "synthetic" else {}
    settings = {
        "problem": {"kind": kind, **sizes},
        "method": {"name": "ist", "step_size": 0.1, **names},
        "run": {"rounds": 2},
    }
    with pytest.raises(InputError, match=said):
        ist_mpi.run(settings)


@pytest.mark.parametrize("text", ["raise SystemExit(0)", "import nothing_of_this_name", "1/0"])
def test_a_file_that_cannot_be_run(tmp_path: Path, text: str) -> None:
    (tmp_path / "mine.py").write_text(text)
    settings = mine(tmp_path)
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(InputError, match="which fails"):
        ist_mpi.run(settings)


def made(step: float) -> Any:
    """A class by a function: others of its name are others."""
    from ist_mpi.methods.ist import IndependentSubnetworkTraining

    class Mine(IndependentSubnetworkTraining):
        scale = step

    return Mine


def test_two_classes_of_one_name() -> None:
    """On other ranks, which are told names, the first would be the second."""
    settings: dict[str, Any] = {
        "problem": {"kind": "synthetic", "n": 2, "d": 3},
        "method": {"name": made(1.0), "step_size": 0.01},
        "run": {"rounds": 2},
    }
    first = load(settings)
    assert ist_mpi.run(first).status == "finished"
    load({**settings, "method": {"name": made(2.0), "step_size": 0.01}})
    with pytest.raises(InputError, match="another class of that name"):
        ist_mpi.run(first)
    with pytest.raises(InputError, match="two classes with the name Mine"):
        load({**settings, "method": {"name": made(1.0), "sketch": made(2.0), "step_size": 1.0}})


def test_code_that_changed_since_the_configuration_was_made(tmp_path: Path) -> None:
    config = load(mine(tmp_path))
    (tmp_path / "mine.py").write_text((tmp_path / "mine.py").read_text() + "\n")
    with pytest.raises(InputError, match="another class of that name"):
        ist_mpi.run(config)


def test_a_class_of_no_file_cannot_come_back(tmp_path: Path) -> None:
    space: dict[str, Any] = {"__name__": "typed"}
    exec(MINE.format(claim="pass", late="pass", change="pass", method="pass"), space)
    settings, log = mine(tmp_path), tmp_path / "run.h5"
    settings["method"]["sketch"] = space["Halves"]
    settings["run"]["max_seconds"] = 1e-6
    ist_mpi.run(settings, out=log)
    with pytest.raises(InputError, match="a class that no file had"):
        jobs.reopen(api.ranks.world(), log)


def stopped(settings: Any, log: Path) -> None:
    settings["run"] |= {"max_seconds": 1e-6}
    assert ist_mpi.run(settings, out=log).status == "stopped"


def test_code_of_two_files(tmp_path: Path) -> None:
    log, problem = tmp_path / "run.h5", tmp_path / "problem.py"
    problem.write_text(CODE)
    settings = mine(tmp_path)
    settings["problem"] = {"kind": f"{problem}:Logistic", "n": 3, "d": 6}
    stopped(settings, log)
    comm = api.ranks.world()
    with pytest.raises(InputError, match="not the file"):
        jobs.reopen(comm, log, code=problem)
    job, _ = jobs.reopen(comm, log, code=[problem, tmp_path / "mine.py"])
    assert job.config.run.rounds == 40


def test_functions_of_other_data_do_not_go_on(tmp_path: Path) -> None:
    """The code is the same; what it reads is not."""
    code, log, data = tmp_path / "problem.py", tmp_path / "run.h5", tmp_path / "seed"
    read = f"default_rng([worker, int(open({str(data)!r}).read())])"
    code.write_text(CODE.replace("default_rng(worker)", read))
    data.write_text("1")
    settings = mine(tmp_path)
    settings["problem"] = {"kind": f"{code}:Logistic", "n": 3, "d": 6}
    settings["method"]["sketch"] = "permutation"
    stopped(settings, log)
    comm = api.ranks.world()
    job, problem = jobs.reopen(comm, log, code=code)
    list(api.results(comm, job, problem, going_on="resume", tell=lambda text: None))
    data.write_text("2")
    job, problem = jobs.reopen(comm, log, code=code)
    with pytest.raises(MismatchError, match="other data"):
        list(api.results(comm, job, problem, going_on="resume", tell=lambda text: None))


PACKAGE = "ist_mpi_tests_package"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package that declares a sketch "halves", and the file that it is in."""
    file = tmp_path / f"{PACKAGE}.py"
    file.write_text(MINE.format(claim="pass", late="pass", change="pass", method="pass"))
    info = tmp_path / f"{PACKAGE}-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        f"[ist_mpi.sketches]\nhalves = {PACKAGE}:Halves\n"
        f"[ist_mpi.methods]\nnothing = {PACKAGE}:Nothing\nnone = {PACKAGE}_gone:None\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(__import__("sys").modules, PACKAGE, raising=False)
    forget()
    yield file
    forget()


def forget() -> None:
    registry._installed.cache_clear()
    registry._of_package.cache_clear()


def test_a_package_is_held_to_its_text(installed: Path, tmp_path: Path) -> None:
    log = tmp_path / "run.h5"
    settings = mine(tmp_path)
    settings["method"]["sketch"] = "halves"
    stopped(settings, log)
    comm = api.ranks.world()
    jobs.reopen(comm, log)
    installed.write_text(installed.read_text() + "\n")
    with pytest.raises(InputError, match="not what the log was made with"):
        jobs.reopen(comm, log)
    (tmp_path / f"{PACKAGE}-1.dist-info" / "entry_points.txt").write_text("")
    forget()
    with pytest.raises(InputError, match="install the package that the run was made with"):
        jobs.reopen(comm, log)


@pytest.mark.parametrize("name", ["nothing", "none"])
def test_a_package_that_declares_what_is_not_there(
    installed: Path, tmp_path: Path, name: str
) -> None:
    with pytest.raises(InputError, match=f'"{name}", which fails'):
        ist_mpi.run(mine(tmp_path, name=name))
