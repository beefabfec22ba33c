"""What a program of a user's gives to `run` and does around it: words, and no rank that waits."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from launched import CONFIG
from ranks_in_threads import together

import ist_mpi
from ist_mpi.config import sameness
from ist_mpi.errors import InputError
from ist_mpi.parallel import mpi
from ist_mpi.training.job import open_job

Launch = Callable[..., subprocess.CompletedProcess[str]]


def configuration(**method: Any) -> dict[str, Any]:
    return {
        "problem": {"kind": "synthetic", "d": 12, "n": 3},
        "method": {"name": "ist", "step_size": 1e-3, **method},
        "run": {"rounds": 5},
    }


def test_a_communicator_that_is_none() -> None:
    from mpi4py import MPI

    for comm, got in [("world", "a str"), (0, "a int"), (MPI.COMM_NULL, "COMM_NULL")]:
        with pytest.raises(InputError, match=f"comm: got {got}"):
            ist_mpi.run(configuration(), comm)
    ended = MPI.COMM_SELF.Dup()
    ended.Free()
    with pytest.raises(InputError, match="comm: got COMM_NULL"):
        ist_mpi.run(configuration(), ended)


@pytest.mark.parametrize(
    ("others", "named"),
    [
        (configuration(), None),
        (None, None),
        (configuration(step_size=2e-3), "method.step_size"),
        (configuration(local_steps=2), "method.local_steps"),
        ({**configuration(), "log": {"every": 2}}, "log.every"),
        ("missing.toml", "configuration"),
        (3, "configuration"),
    ],
)
def test_ranks_whose_configurations_differ(others: Any, named: str | None) -> None:
    """All ranks raise the same; who gives None goes by rank 0."""

    def outcome(comm: Any) -> str:
        try:
            open_job(comm, configuration() if comm.rank == 0 else others)
        except InputError as error:
            return str(error) if error.agreed else "alone"
        return ""

    texts = together(3, outcome)
    assert len(set(texts)) == 1
    if named is None:
        assert texts[0] == ""
    else:
        assert f"{named}: got on rank 1 another value than on rank 0" in texts[0]
        assert "rank 2" in texts[0]


@pytest.mark.parametrize(
    "more",
    [{"overrides": ["run.seed=2"]}, {"seeds": "0:2"}, {"force": True}, {"going_on": "extend"}],
    ids=["--set", "--seeds", "force", "going on"],
)
def test_ranks_that_were_given_other_options(
    more: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    def outcome(comm: Any) -> str:
        with pytest.raises(InputError) as caught:
            open_job(comm, configuration(), **(more if comm.rank == 1 else {}))
        assert caught.value.agreed
        return str(caught.value)

    name = request.node.callspec.id
    expected = f"{name}: got on rank 1 another value than on rank 0; expected the same on all ranks"
    assert together(2, outcome) == [expected] * 2


def test_files_are_the_same_by_what_they_say(tmp_path: Path) -> None:
    """Each rank may have its own copy."""
    text = "[problem]\nd = 3\n"
    one, two, three = (tmp_path / f"{name}.toml" for name in ("one", "two", "three"))
    one.write_text(text)
    two.write_text(text + "# a remark\n")
    three.write_text(text.replace("3", "4"))
    read = [sameness.as_read(path) for path in (one, str(two), three)]
    assert read[0] == read[1] != read[2]


def test_values_of_every_kind_tell() -> None:
    values: list[Any] = [
        *(1, 1.5, True, "1", None, [1, 2], [2, 1], {"a": 1}, int, np.zeros(3), np.zeros((3, 1))),
        *(np.arange(3.0), np.zeros(3, np.float32), np.zeros((0, 2)), np.array(4.0)),
    ]
    digests = [sameness.as_given({"s": {"k": value}})["s.k"] for value in values]
    assert len(set(digests)) == len(values)
    fortran = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    for a, b in [(np.float64(1.5), 1.5), (fortran, np.ascontiguousarray(fortran))]:
        assert sameness.as_given({"s": {"k": a}}) == sameness.as_given({"s": {"k": b}})


PROGRAM = """
import sys
import ist_mpi
from ist_mpi.parallel import ranks
from mpi4py import MPI
world = MPI.COMM_WORLD
cfg = {configuration!r}
ranks.MISSING_SECONDS = 0.2
{program}
"""


def ends(launch: Launch, folder: Path, p: int, program: str) -> Any:
    script = folder / "program.py"
    script.write_text(PROGRAM.format(configuration=configuration(), program=program))
    return launch(p, str(script), timeout=120)


@pytest.mark.parametrize(
    ("begun", "ended", "words"),
    [(False, False, "MPI that has not begun"), (True, True, "MPI that has ended")],
)
def test_mpi_that_is_not_at_work(
    monkeypatch: pytest.MonkeyPatch, begun: bool, ended: bool, words: str
) -> None:
    """Asked anything else, it would end the process."""
    fake = SimpleNamespace(Is_initialized=lambda: begun, Is_finalized=lambda: ended)
    monkeypatch.setattr(mpi, "MPI", fake)
    with pytest.raises(InputError, match=f"MPI: got {words}; expected MPI at work"):
        ist_mpi.run(configuration())


AROUND = {
    "an intercommunicator, and an exception between two runs": (
        "half = world.Split(world.rank)\n"
        "inter = half.Create_intercomm(0, world, 1 - world.rank)\n"
        "try:\n    ist_mpi.run(cfg, inter)\nexcept ist_mpi.InputError as e:\n"
        "    assert 'comm: got an intercommunicator' in str(e)\n    ist_mpi.run(cfg)\n"
        "if world.rank == 1:\n    raise KeyError('mine')\nist_mpi.run(cfg)",
        1,
        "KeyError: 'mine'",
    ),
    "rank 1 alone wrong": (
        "ist_mpi.run(cfg, world if world.rank == 0 else 'world')",
        1,
        "comm: got a str",
    ),
    "two threads on one communicator": (
        "import threading\n"
        "with ranks.alone_on(world):\n"
        "    thread = threading.Thread(target=ist_mpi.run, args=(cfg, world))\n"
        "    thread.start()\n    thread.join()",
        2,
        "comm: got a communicator that a run in another thread uses",
    ),
    "two threads with MPI for one": (
        "import threading\ntwo = world.Dup()\n"
        "ranks.MPI.Query_thread = lambda: MPI.THREAD_SERIALIZED\n"
        "with ranks.alone_on(world):\n"
        "    thread = threading.Thread(target=ist_mpi.run, args=(cfg, two))\n"
        "    thread.start()\n    thread.join()",
        2,
        "run: got another run in another thread; expected one at a time",
    ),
    "a rank that calls alone": (
        "ranks.START_SECONDS = 1.0\nif world.rank == 1:\n    ist_mpi.run(cfg)",
        2,
        "not every rank of the communicator has called ist_mpi.run",
    ),
    "a rank that asks for theory alone": (
        "ranks.START_SECONDS = 1.0\nif world.rank == 1:\n    ist_mpi.theory(cfg, comm=world)",
        2,
        "not every rank of the communicator has called ist_mpi.theory",
    ),
}


@pytest.mark.parametrize("case", AROUND)
def test_no_rank_waits_for_ever(launch: Launch, tmp_path: Path, case: str) -> None:
    program, code, words = AROUND[case]
    done = ends(launch, tmp_path, 2, program)
    assert (done.returncode, words in done.stderr) == (code, True), done.stderr


@pytest.mark.parametrize("keeps", [False, True], ids=["closed", "inherited"])
def test_a_child_of_a_rank_works_alone(launch: Launch, tmp_path: Path, keeps: bool) -> None:
    """With a word, on rank 1 too; also where it has the rank's connection to the launcher."""
    (tmp_path / "c.toml").write_text(CONFIG.format(rounds=5))
    words = "sys.executable, '-m', 'ist_mpi', 'run', 'c.toml', '--out', f'{world.rank}.h5'"
    program = (
        f"import subprocess\ndone = subprocess.run([{words}], cwd={str(tmp_path)!r}, text=True,"
        f" capture_output=True, close_fds={not keeps})\n"
        "print(done.returncode, 'finished' in done.stdout, done.stderr.count('works alone'))"
    )
    done = ends(launch, tmp_path, 2, program)
    assert done.stdout.splitlines() == ["0 True 1"] * 2, done.stderr
    assert {ist_mpi.open_run(tmp_path / f"{rank}.h5").attributes["ranks"] for rank in (0, 1)} == {1}


def test_a_rank_below_a_shell_is_a_rank(launch: Launch, tmp_path: Path) -> None:
    """It has the same variables as what started it, which is no rank but a wrapper."""
    (tmp_path / "c.toml").write_text(CONFIG.format(rounds=5))
    command = f"cd {tmp_path}; {sys.executable} -m ist_mpi run c.toml --out r.h5; exit $?"
    program = f"import os\nsys.exit(os.waitstatus_to_exitcode(os.system({command!r})))"
    script = tmp_path / "wrapper.py"
    script.write_text(f"import sys\n{program}\n")
    done = launch(2, str(script), timeout=120)
    assert done.returncode == 0, done.stderr
    assert "works alone" not in done.stderr
    assert ist_mpi.open_run(tmp_path / "r.h5").attributes["ranks"] == 2
