"""Batch jobs as far as they can be tested without SLURM: their text, and what is refused."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commands import call

from ist_mpi.batch import slurm
from ist_mpi.batch.slurm import request
from ist_mpi.batch.slurm.script import template
from ist_mpi.errors import InputError, SubmitError
from ist_mpi.parallel import launcher, ranks
from ist_mpi.parallel.connect import KINDS
from ist_mpi.parallel.ranks import Ranks

SMALL = """
[problem]
kind = "synthetic"
d = 24
n = 5
[method]
name = "ist"
step_size = 1e-3
[run]
rounds = 60
"""

BY_HAND = Path(__file__).parents[2] / "jobs" / "slurm" / "run.sbatch"
SHARED = Path(__file__).parents[1] / "shared"
WILD = ["run", "a b.toml", "--set", "problem.path=it's $HOME `id` \\ *", "--resume"]

Launch = Callable[..., Any]


def options(text: str) -> list[str]:
    return [line.split(" ", 1)[1] for line in text.splitlines() if line.startswith("#SBATCH ")]


def test_one_source_of_the_text() -> None:
    """What is submitted by hand is the file of the package, and render changes only its head."""
    assert BY_HAND.read_text() == template()
    rendered = slurm.render(slurm.Request(), WILD).splitlines()
    body = template().split("its line of a sweep\nesac\n")[1].splitlines()
    assert rendered[-len(body) :] == body
    assert {option.partition("=")[0] for option in options(template())} <= {
        option.partition("=")[0] for option in options("\n".join(rendered))
    }


@pytest.mark.slow
@pytest.mark.parametrize("text", [template(), slurm.render(slurm.Request(), WILD)])
def test_bash_reads_it(text: str) -> None:
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)


def test_never_traps_the_end() -> None:
    traps = [line for line in template().splitlines() if line.split()[:1] == ["trap"]]
    assert traps == ["trap stop USR1"]


SRUN = """#!/bin/bash
echo "$*, cpus ${SRUN_CPUS_PER_TASK:-unset}" >arguments
trap 'exit $CODE' USR1
: >started
until [ -e enough ] || ! kill -0 $PPID 2>/dev/null; do sleep 0.1; done
exit $CODE
"""
SCONTROL = '#!/bin/bash\n[ "$1" = requeue ] && echo "$2" >>requeued\nexit 0\n'


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code", "restarts", "requeued", "ends"),
    [
        (signal.SIGUSR1, 75, 0, True, 75),
        (signal.SIGUSR1, 0, 0, False, 0),  # it had finished by then
        (None, 75, 0, False, 75),  # max_seconds
        (signal.SIGTERM, 75, 0, False, -signal.SIGTERM),  # cancelled
        (signal.SIGUSR1, 75, 3, False, 75),  # often enough
    ],
)
@pytest.mark.parametrize("launcher", ["srun", "mpiexec"])
def test_queued_again_only_if_told_to_stop_and_able_to_go_on(
    tmp_path: Path,
    number: int | None,
    code: int,
    restarts: int,
    requeued: bool,
    ends: int,
    launcher: str,
) -> None:
    """run.sbatch beside stand-ins for SLURM's commands and mpiexec."""
    stand_ins = {launcher: SRUN, "scontrol": SCONTROL, "python": "#!/bin/sh\n"}
    for name, text in stand_ins.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "IST_PYTHON": str(tmp_path / "python"),
        "IST_LAUNCHER": launcher,
        "IST_RESTARTS": "3",
        "CODE": str(code),
        "SLURM_JOB_ID": "7",
        "SLURM_JOB_NODELIST": "n",
        "SLURM_NTASKS": "1",
        "SLURM_CPUS_PER_TASK": "2",
        "SLURM_RESTART_COUNT": str(restarts),
        "TMPDIR": str(tmp_path),
    }
    process = subprocess.Popen(["bash", BY_HAND, "a.toml"], cwd=tmp_path, env=environment)
    until(lambda: (tmp_path / "started").exists())
    if number is not None:
        process.send_signal(number)
    else:
        (tmp_path / "enough").touch()
    assert process.wait(120) == ends
    assert (tmp_path / "requeued").exists() == requeued
    words = (tmp_path / "arguments").read_text()
    assert words.endswith("cpus unset\n")  # it would bind mpiexec's own helpers
    assert ("--cpus-per-task=2" in words) == (launcher == "srun")


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("limit", "seconds"),
    [("3", 120), ("1:00", 120), ("0:10:00", 600), ("0-0:05", 300), ("3:00", 120)],
)
def test_a_limit_before_the_signal_is_refused(limit: str, seconds: int) -> None:
    with pytest.raises(InputError, match=r"--time: got .* which is \d+ s"):
        slurm.Request(time=limit, signal_seconds=seconds)
    slurm.Request(time="1-00", signal_seconds=seconds)


def test_a_path_that_looks_like_an_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-x.toml").write_text(SMALL)
    done = call("submit", "./-x.toml", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "set -- run ./-x.toml --out" in done.stdout


def test_the_name_is_part_of_a_file() -> None:
    with pytest.raises(InputError, match="--job-name"):
        slurm.Request(name="a/b")


def test_what_the_script_rests_on_stays() -> None:
    for option in ("--array=0-3", "--signal=USR2@5", "--no-requeue", "--open-mode=truncate"):
        with pytest.raises(InputError, match="--sbatch: got"):
            slurm.Request(options=(option,))


def test_what_is_asked_for_is_in_the_text() -> None:
    request = slurm.Request(
        nodes=3,
        ntasks_per_node=4,
        cpus_per_task=2,
        time="1-02:00:00",
        account="physics",
        partition="long,short",
        array="0-23%4",
        mpi="pmix",
        signal_seconds=300,
        options=("--qos=high", "--comment=two words", "--exclusive"),
    )
    text = slurm.render(request, ["sweep", "run", "s.toml", "--index", slurm.TASK])
    found = options(text)
    for expected in [
        "--nodes=3",
        "--ntasks-per-node=4",
        "--cpus-per-task=2",
        "--time=1-02:00:00",
        "--account=physics",
        "--partition=long,short",
        "--array=0-23%4",
        "--signal=B:USR1@300",
        "--requeue",
        "--open-mode=append",
        "--output=%x-%A_%a.out",
        "--qos=high",
        '--comment="two words"',
        "--exclusive",
    ]:
        assert expected in found
    assert "IST_MPI=pmix" in text.splitlines()
    assert 'set -- sweep run s.toml --index "$SLURM_ARRAY_TASK_ID"' in text.splitlines()
    assert request.ranks == 12


@pytest.mark.slow
def test_words_reach_the_command_as_they_are(tmp_path: Path) -> None:
    """Whatever a path or a setting holds, bash hands it on unchanged."""
    text = slurm.render(slurm.Request(), WILD)
    line = next(line for line in text.splitlines() if line.startswith("set -- "))
    shown = subprocess.run(
        ["bash", "-c", f"{line}\nprintf '%s\\0' \"$@\""], capture_output=True, text=True, check=True
    )
    assert shown.stdout.split("\0")[:-1] == WILD


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"nodes": 0}, "--nodes"),
        ({"ntasks_per_node": -1}, "--ntasks-per-node"),
        ({"cpus_per_task": 10**9}, "--cpus-per-task"),
        ({"time": "1 hour"}, "--time"),
        ({"time": "1:00:00\n#SBATCH --account=other"}, "--time"),
        ({"account": "a b"}, "--account"),
        ({"partition": "x\n"}, "--partition"),
        ({"name": 'a"b'}, "--job-name"),
        ({"array": "0-"}, "--array"),
        ({"array": "1,2%0"}, "--array"),
        ({"launcher": "aprun"}, "--launcher"),
        ({"launcher": "mpiexec", "mpi": "pmi2"}, "--mpi"),
        ({"signal_seconds": 0}, "--signal"),
        ({"options": ("qos=high",)}, "--sbatch"),
        ({"options": ("--qos=high\n--wrap=id",)}, "--sbatch"),
        ({"options": ('--comment="a"',)}, "--sbatch"),
    ],
)
def test_wrong_requests(wrong: dict[str, Any], where: str) -> None:
    with pytest.raises(InputError) as error:
        slurm.Request(**wrong)
    assert [fault.where for fault in error.value.faults] == [where]


def sbatch(folder: Path, *lines: str) -> None:
    """An sbatch of our own, in a folder for PATH."""
    folder.mkdir()
    path = folder / "sbatch"
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)


def test_submitting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = tmp_path / "seen"
    sbatch(tmp_path / "bin", f'echo "$@" >{seen}', f"cat >>{seen}", f"env >>{seen}", "echo '17;c'")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("SBATCH_ACCOUNT", "of-the-shell")
    monkeypatch.setenv("SBATCH_TIMELIMIT", "1")
    monkeypatch.setenv("SBATCH_QOS", "usual")
    text = slurm.render(slurm.Request(account="mine", time="10"), ["run", "a.toml"])
    assert slurm.submit(text) == "17"
    told = seen.read_text()
    assert told.startswith(f"--parsable\n{text}")
    assert "SBATCH_QOS=usual" in told
    # sbatch would rather believe these than the text.
    assert "SBATCH_ACCOUNT" not in told
    assert "SBATCH_TIMELIMIT" not in told


@pytest.mark.parametrize("submit", ["submit small.toml", "sweep submit sweep.toml"])
def test_every_option_reaches_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, submit: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text(SMALL)
    (tmp_path / "sweep.toml").write_text('base = "small.toml"\n[grid]\nrun.seed = "0:2"\n')
    asked = ["--nodes=2", "--ntasks-per-node=3", "--cpus-per-task=4", "--time=50", "--account=a"]
    asked += ["--partition=p,q", "--job-name=mine"]
    more = ["--signal=99", "--mpi=pmix", "--sbatch=--qos=high", "--sbatch=--exclusive"]
    done = call(*submit.split(), *asked, *more, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert {*asked, "--signal=B:USR1@99", "--qos=high", "--exclusive"} <= {*options(done.stdout)}
    assert "IST_MPI=pmix" in done.stdout.splitlines()
    monkeypatch.setenv("IST_LAUNCHER", "mpiexec")
    done = call(*submit.split(), "--dry-run")
    assert "IST_LAUNCHER=mpiexec" in done.stdout.splitlines()
    name = "ist-mpi" if submit.startswith("submit") else "sweep"
    assert f"--job-name={name}" in options(done.stdout)


def test_sbatch_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sbatch(tmp_path / "bin", "echo 'sbatch: error: invalid account' >&2", "exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    with pytest.raises(SubmitError, match="refused the job: sbatch: error: invalid account"):
        slurm.submit("#!/bin/sh\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SubmitError, match="no sbatch on PATH"):
        slurm.submit("#!/bin/sh\n")


def test_submit_checks_before_it_queues(
    launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that is wrong at once; nothing is submitted, nothing written."""
    called = tmp_path / "called"
    sbatch(tmp_path / "bin", f"touch {called}", "echo 17")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    work = tmp_path / "work"
    work.mkdir()
    (work / "small.toml").write_text(SMALL)
    monkeypatch.chdir(work)
    submit = ("submit", "small.toml")
    wrong = call(*submit, "--nodes", "0", "--set", "problem.d=0", "--out", "/proc/x.h5")
    assert wrong.returncode == 2
    for where in ("--nodes", "problem.d", "--out"):
        assert where in wrong.stderr
    # What only the matrices show: L̄ is singular where a feature never occurs.
    (work / "zero.svm").write_text("1 1:1\n0 1:2\n")
    (work / "ridge.toml").write_text(
        '[problem]\nkind = "ridge"\npath = "zero.svm"\nd = 2\nn = 1\nl2 = 0.0\n'
        '[method]\nname = "ist"\nstep_size = 1e-3\n[run]\nrounds = 5\n'
    )
    wrong = call("submit", "ridge.toml")
    assert wrong.returncode == 2
    assert "Traceback" not in wrong.stderr
    shown = call(*submit, "--dry-run", "--nodes", "2", "--set", "run.rounds=7")
    assert shown.returncode == 0, shown.stderr
    assert "--set run.rounds=7 --out results/small.h5 --resume" in shown.stdout
    assert not called.exists()
    assert sorted(path.name for path in work.iterdir()) == ["ridge.toml", "small.toml", "zero.svm"]
    done = launch(0, "-m", "ist_mpi", *submit)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "Submitted batch job 17\n"
    assert called.exists()


def test_srun_without_a_protocol(monkeypatch: pytest.MonkeyPatch) -> None:
    """What srun --mpi=none leaves: a number of tasks, and ranks that are alone."""
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "4")
    assert launcher.launched_size() == 4
    done = call("doctor")
    assert done.returncode == 2
    assert "--mpi=pmi2" in done.stdout
    monkeypatch.setenv("PMI_SIZE", "1")  # under mpiexec it is mpiexec that knows
    assert launcher.launched_size() == 1


def test_cores_of_bound_ranks() -> None:
    """Ranks that are bound to a CPU each have as many as they are."""
    bound = [Ranks("a", 1 << k, {}) for k in range(4)]
    assert ranks.cores(bound) == {"a": 4}
    assert ranks.crowded(bound) == []
    crowd = [*bound, Ranks("b", 0b11, {}), Ranks("b", 0b11, {}), Ranks("b", 0b11, {})]
    assert ranks.cores(crowd) == {"a": 4, "b": 2}
    assert len(ranks.crowded(crowd)) == 1
    assert ranks.crowded(crowd)[0].startswith("b is oversubscribed: 3 ranks on 2 usable")


COMPILED = {
    "float32": [
        "problem.precision=float32",
        "method.name=dcgd",
        "method.sketch=rand",
        "method.q=4",
    ],
    "homogeneous": [
        "problem.heterogeneous=false",
        "method.scaling=preconditioned",
        "method.group_size=2",
    ],
}
MANY = """
import sys
from commands import call

for words in {commands!r}:
    done = call(*words)
    if done.returncode:
        sys.exit(done.stderr)
"""


@pytest.mark.timeout(1800)
def test_nothing_is_compiled_after_compiling(
    launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One process fills the cache; then one rank and two ranks, by any exchange, add nothing."""
    cache = tmp_path / "cache"
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(cache))
    monkeypatch.setenv("PYTHONPATH", str(SHARED), prepend=os.pathsep)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text(SMALL)
    ridge = SMALL.replace('kind = "synthetic"\nd = 24', 'kind = "ridge"\npath = "data.svm"')
    (tmp_path / "ridge.toml").write_text(ridge)
    rows = (f"{k % 3} {k % 5 + 1}:1 {k % 7 + 6}:{k}" for k in range(40))
    (tmp_path / "data.svm").write_text("\n".join([*rows, ""]))

    def run(p: int, ways: list[list[str]], *more: str) -> None:
        """Commands one after another, in one job: starting python takes longer than they do."""
        commands = [["run", *words, "--out", "x.h5", *more] for words in ways]
        (tmp_path / "many.py").write_text(MANY.format(commands=commands))
        done = launch(p, "many.py", timeout=600)
        assert done.returncode == 0, done.stderr

    def by(exchange: str) -> list[str]:
        return ["small.toml", "--set", f"run.exchange={exchange}"]

    run(0, [["small.toml"]], "--compile")
    assert not (tmp_path / "x.h5").exists()
    full = files(cache)
    assert full
    run(0, [by("server")])
    run(2, [by(name) for name in KINDS], "--force")
    assert files(cache) == full
    others = [
        ["small.toml", *(word for setting in settings for word in ("--set", setting))]
        for settings in COMPILED.values()
    ]
    others += [["ridge.toml", "--set", "problem.storage=samples"]]
    run(0, others, "--compile")
    full = files(cache)
    run(2, others, "--force")
    assert files(cache) == full


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", request.OURS)
def test_options_of_ours_are_refused_however_short(name: str) -> None:
    """getopt_long takes any beginning of a name that means one option alone."""
    for length in range(1, len(name) + 1):
        for value in ("", "=x"):
            with pytest.raises(InputError, match="expected none of"):
                slurm.Request(options=(f"--{name[:length]}{value}",))
    slurm.Request(options=("--qos=high", "--exclusive", "--constraint=a", "--mem=1G", "--wait"))


@pytest.mark.parametrize("command", ["run small.toml", "sweep run sweep.toml --index 0"])
def test_a_cache_of_somebody_else_is_refused(
    launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text(SMALL)
    (tmp_path / "sweep.toml").write_text('base = "small.toml"\n[grid]\nrun.seed = "0:2"\n')
    cache = tmp_path / "cache"
    cache.mkdir()
    cache.chmod(0o777)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(cache))
    done = launch(0, "-m", "ist_mpi", *command.split(), "--compile")
    assert done.returncode == 2
    assert "NUMBA_CACHE_DIR" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_interpreter_is_that_of_submit() -> None:
    assert f"IST_PYTHON={sys.executable}" in slurm.render(slurm.Request(), WILD).splitlines()
